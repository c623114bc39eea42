//! What a file system can do, found by trying.
//!
//! Nothing is left behind: files are nameless, and the one directory that must have a name (its time stamps
//! cannot be tried otherwise) is removed at once, or at the next start if the server dies in between. Where
//! nothing can be made (read-only, full) the weaker answer is taken.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use buf::PAGE_BYTES;
use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, SeekFrom, StatxFlags, Timespec, Timestamps, fchmod, fstatvfs, ftruncate,
    futimens, ioctl_ficlone, mkdirat, openat, seek, statx, unlinkat, utimensat,
};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use vfs::Time;

use crate::direct::Alignment;
use crate::{change, procfs, sys};

/// The directory made for a moment in the export's root.
const PROBE_NAME: &str = ".penstock-probe";

/// Changes looked at to tell fine time stamps from coarse ones. They take some microseconds, a coarse tick some
/// milliseconds.
const CHANGES: usize = 8;

/// The largest offset that the kernel can express.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// What the time stamps of a file system are worth as change attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeStamps {
    /// Whether every looked-at change of a file or other object has a ctime of its own.
    pub fine_for_files: bool,
    /// The same for changes of a directory's entries.
    pub fine_for_directories: bool,
    /// Steps of a coarse ctime in nanoseconds.
    pub tick_ns: i64,
    /// Resolution with which times are kept, in nanoseconds.
    pub resolution_ns: u32,
}

/// What a file system can do.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What it is by itself, see [`crate::fsid`].
    pub own_identity: Vec<u8>,
    /// Its time stamps.
    pub time_stamps: TimeStamps,
    /// Whether it keeps user extended attributes.
    pub xattr: bool,
    /// Alignment of clones in bytes, 0 where there are none.
    pub clone_block_bytes: u32,
    /// Whether it tells holes from data.
    pub holes: bool,
    /// What direct I/O has to be aligned to, or why there is none.
    pub direct: Result<Alignment, String>,
    /// Longest name.
    pub name_bytes_max: u32,
    /// Largest file; what the kernel can count to, where none can be made to try it on.
    pub file_bytes_max: u64,
}

/// Tries the file system whose directory `root` is (opened for reading).
pub fn probe(root: BorrowedFd<'_>, coarse_time_stamps: bool) -> Result<Facts, Errno> {
    let space = fstatvfs(root)?;
    let kind = rustix::fs::fstatfs(root)?.f_type as u64;
    let scratch = scratch_file(root);
    let time_stamps = if coarse_time_stamps {
        TimeStamps {
            fine_for_files: false,
            fine_for_directories: false,
            tick_ns: change::coarse_tick_ns(),
            resolution_ns: 1,
        }
    } else {
        time_stamps(root, scratch.as_ref())
    };
    Ok(Facts {
        own_identity: crate::fsid::own_identity(root, kind, space.f_fsid),
        time_stamps,
        xattr: keeps_xattrs(root),
        clone_block_bytes: scratch
            .as_ref()
            .filter(|file| clones(root, file))
            .map_or(0, |_| space.f_bsize as u32),
        holes: scratch.as_ref().is_none_or(tells_holes),
        direct: direct(scratch.as_ref()),
        name_bytes_max: space.f_namemax as u32,
        file_bytes_max: scratch.as_ref().map_or(OFFSET_MAX, file_bytes_max),
    })
}

/// A short name of a file system type (statfs `f_type`) for messages.
pub fn kind_name(directory: impl AsFd) -> String {
    let Ok(facts) = rustix::fs::fstatfs(directory) else {
        return "unknown".to_owned();
    };
    match facts.f_type as u64 {
        0xef53 => "ext4".to_owned(),
        0x5846_5342 => "xfs".to_owned(),
        0x9123_683e => "btrfs".to_owned(),
        0x0102_1994 => "tmpfs".to_owned(),
        0x794c_7630 => "overlayfs".to_owned(),
        0x6573_5546 => "fuse".to_owned(),
        0x6969 => "nfs".to_owned(),
        other => format!("{other:#x}"),
    }
}

/// A file without a name.
fn scratch_file(root: BorrowedFd<'_>) -> Option<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    openat(root, ".", flags, Mode::RUSR | Mode::WUSR).ok()
}

fn keeps_xattrs(root: BorrowedFd<'_>) -> bool {
    let mut value = [0u8; 1];
    matches!(
        rustix::fs::fgetxattr(root, "user.penstock.probe", &mut value[..]),
        Ok(_) | Err(Errno::NODATA | Errno::RANGE)
    )
}

fn clones(root: BorrowedFd<'_>, file: &OwnedFd) -> bool {
    let Some(target) = scratch_file(root) else {
        return false;
    };
    rustix::io::pwrite(file, &[1; 4096], 0).is_ok() && ioctl_ficlone(&target, file).is_ok()
}

fn tells_holes(file: &OwnedFd) -> bool {
    const BYTES: u64 = 1 << 20;
    ftruncate(file, BYTES).is_ok()
        && rustix::io::pwrite(file, b"x", BYTES - 1).is_ok()
        && seek(file, SeekFrom::Data(8192)).is_ok_and(|data| data > 8192)
}

/// The largest size that an empty file can be given. Nothing is stored for it.
fn file_bytes_max(file: &OwnedFd) -> u64 {
    // Beyond the process's own limit the kernel does not refuse, it kills.
    let limit = getrlimit(Resource::Fsize).current.unwrap_or(OFFSET_MAX).min(OFFSET_MAX);
    let takes = |bytes| ftruncate(file, bytes).is_ok();
    if !takes(0) || takes(limit) {
        return limit;
    }
    let (mut taken, mut refused) = (0, limit);
    while refused - taken > 1 {
        let middle = taken + (refused - taken) / 2;
        if takes(middle) {
            taken = middle;
        } else {
            refused = middle;
        }
    }
    // One that takes no size at all is out of order in another way.
    if taken == 0 { limit } else { taken }
}

/// Tries direct I/O on a file: some file systems tell nothing, and some tell what their disk does not keep.
fn direct(scratch: Option<&OwnedFd>) -> Result<Alignment, String> {
    let file = scratch.ok_or("no file can be made to try it on")?;
    let flags = OFlags::RDWR | OFlags::DIRECT;
    let opened = procfs::reopen(file, flags).map_err(|errno| format!("O_DIRECT is refused ({errno})"))?;
    let alignment = Alignment::of(&opened)?;
    let mut memory = vec![0; 3 * PAGE_BYTES];
    let start = memory.as_ptr().align_offset(PAGE_BYTES);
    let pages = memory.get_mut(start..start + 2 * PAGE_BYTES).ok_or("memory cannot be aligned")?;
    let pattern = |index: usize| (index / 7 % 251) as u8;
    pages.iter_mut().enumerate().for_each(|(index, byte)| *byte = pattern(index));
    let written = rustix::io::pwrite(&opened, pages, 0);
    if written != Ok(pages.len()) {
        return Err(format!("a direct write failed ({written:?})"));
    }
    pages.fill(0);
    // From within the file, aligned no better than is said to be needed.
    let skipped = (alignment.read_bytes.max(alignment.memory_bytes) as usize) % PAGE_BYTES;
    let read = rustix::io::pread(&opened, &mut pages[skipped..], skipped as u64);
    let same = pages.iter().enumerate().skip(skipped).all(|(index, byte)| *byte == pattern(index));
    match read {
        Ok(bytes) if bytes == 2 * PAGE_BYTES - skipped && same => Ok(alignment),
        other => Err(format!("a direct read failed ({other:?})")),
    }
}

fn time_stamps(root: BorrowedFd<'_>, scratch: Option<&OwnedFd>) -> TimeStamps {
    let resolution_ns = scratch.map_or(1, resolution_ns);
    let fine_for_files = scratch.is_some_and(|file| {
        distinct(|step| {
            fchmod(file, if step % 2 == 0 { Mode::RUSR } else { Mode::RUSR | Mode::WUSR })?;
            changed(file.as_fd())
        })
    });
    TimeStamps {
        fine_for_files,
        fine_for_directories: fine_for_files && fine_for_directories(root),
        tick_ns: change::coarse_tick_ns().max(i64::from(resolution_ns)),
        resolution_ns,
    }
}

/// The step in which times are kept, seen by setting one.
fn resolution_ns(file: &OwnedFd) -> u32 {
    let odd = Timespec { tv_sec: 1_000_000_001, tv_nsec: 999_999_999 };
    let times = Timestamps { last_access: odd, last_modification: odd };
    let kept = futimens(file, &times).and_then(|()| {
        statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MTIME).map(|seen| seen.stx_mtime.tv_nsec)
    });
    match kept {
        Ok(999_999_999) | Err(_) => 1,
        Ok(nanoseconds) if nanoseconds > 0 => 1_000_000_000 - nanoseconds,
        // Whole seconds, or the two seconds of FAT: the larger step is safe for both.
        Ok(_) => 2_000_000_000,
    }
}

fn fine_for_directories(root: BorrowedFd<'_>) -> bool {
    let Ok(before) = statx(root, "", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS) else {
        return false;
    };
    let fine = try_directory(root).unwrap_or(false);
    // The export's own times are the users' business.
    let stamp =
        |time: rustix::fs::StatxTimestamp| Timespec { tv_sec: time.tv_sec, tv_nsec: time.tv_nsec.into() };
    let times =
        Timestamps { last_access: stamp(before.stx_atime), last_modification: stamp(before.stx_mtime) };
    let _ = utimensat(CWD, crate::procfs::path(root), &times, AtFlags::empty());
    fine
}

fn try_directory(root: BorrowedFd<'_>) -> Result<bool, Errno> {
    remove_probe(root);
    mkdirat(root, PROBE_NAME, Mode::RWXU)?;
    let fine = openat(root, PROBE_NAME, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map(|directory| {
            distinct(|step| {
                if step % 2 == 0 {
                    mkdirat(&directory, "entry", Mode::RWXU)?;
                } else {
                    unlinkat(&directory, "entry", AtFlags::REMOVEDIR)?;
                }
                changed(directory.as_fd())
            }) && distinct(|step| {
                if step % 2 == 0 {
                    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                    openat(&directory, "entry", flags, Mode::RUSR).map(drop)?;
                } else {
                    unlinkat(&directory, "entry", AtFlags::empty())?;
                }
                changed(directory.as_fd())
            })
        });
    remove_probe(root);
    fine
}

fn remove_probe(root: BorrowedFd<'_>) {
    if let Ok(directory) =
        openat(root, PROBE_NAME, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW, Mode::empty())
    {
        let _ = unlinkat(&directory, "entry", AtFlags::empty());
        let _ = unlinkat(&directory, "entry", AtFlags::REMOVEDIR);
        let _ = unlinkat(root, PROBE_NAME, AtFlags::REMOVEDIR);
    }
}

/// Whether every step has a ctime different from the one before.
fn distinct(mut step: impl FnMut(usize) -> Result<Time, Errno>) -> bool {
    let mut last = None;
    for number in 0..CHANGES {
        match step(number) {
            Ok(time) if last != Some(time) => last = Some(time),
            _ => return false,
        }
    }
    true
}

fn changed(object: BorrowedFd<'_>) -> Result<Time, Errno> {
    let seen = statx(object, "", AtFlags::EMPTY_PATH, StatxFlags::CTIME)?;
    Ok(Time { seconds: seen.stx_ctime.tv_sec, nanoseconds: seen.stx_ctime.tv_nsec })
}

/// Whether objects can be named and opened again by their names.
pub fn handles_work(root: BorrowedFd<'_>) -> Result<(), (bool, Errno)> {
    let handle = sys::handle::of(root).map_err(|errno| (false, errno))?;
    match sys::handle::open(root, &handle) {
        Ok(_) => Ok(()),
        Err(Errno::PERM) => Err((true, Errno::PERM)),
        Err(errno) => Err((false, errno)),
    }
}
