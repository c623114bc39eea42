//! The file systems of an export: its own, and with `cross_mounts` those mounted below it.
//!
//! A mounted file system is found when a lookup or a handle first leads to it, in /proc/self/mountinfo. It is
//! kept open from then on, so that its mount id cannot come to mean another one; unmounting it needs
//! `umount --lazy` or a reload, as for the export itself.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, openat2, statx};
use rustix::mount::{OpenTreeFlags, open_tree};
use vfs::{Error, Fsid, Result};

use crate::options::Io;
use crate::probe::{self, Facts};
use crate::{fsid, object};

/// Most file systems entered below one export. Each costs a descriptor.
const MOUNTS_MAX: usize = 1024;

/// One mounted file system of an export.
#[derive(Debug)]
pub struct Mount {
    number: u32,
    id: u64,
    root: OwnedFd,
    root_fileid: u64,
    /// The directory that the mount hides, for file systems below the export.
    hidden_fileid: Option<u64>,
    fsid: Fsid,
    facts: Facts,
    io: Io,
    /// Cleared when the file system says that it cannot read without waiting.
    reads_without_waiting: AtomicBool,
    /// Cleared when the kernel does not tell what of its files is in the page cache.
    shows_cache: AtomicBool,
}

impl Mount {
    /// The file system of `root` (opened for reading) mounted at `path` relative to the export.
    pub fn new(
        root: OwnedFd,
        export_id: u32,
        path: &[u8],
        (io, coarse_time_stamps): (Io, bool),
        hidden_fileid: Option<u64>,
    ) -> std::result::Result<Self, rustix::io::Errno> {
        let facts = probe::probe(root.as_fd(), coarse_time_stamps)?;
        let seen = statx(&root, "", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::MNT_ID)?;
        Ok(Self {
            number: fsid::mount_number(&facts.own_identity, path),
            id: seen.stx_mnt_id,
            root_fileid: seen.stx_ino,
            hidden_fileid,
            fsid: fsid::fsid(export_id, &facts.own_identity, path),
            facts,
            root,
            io,
            reads_without_waiting: AtomicBool::new(true),
            shows_cache: AtomicBool::new(true),
        })
    }

    /// Whether reads from the page cache can be told not to wait for the disk (RWF_NOWAIT).
    pub fn reads_without_waiting(&self) -> bool {
        self.reads_without_waiting.load(Ordering::Relaxed)
    }

    /// Notes that they cannot.
    pub fn note_reads_wait(&self) {
        self.reads_without_waiting.store(false, Ordering::Relaxed);
    }

    /// Whether its files are read and written past the page cache, where they can.
    pub fn goes_direct(&self) -> bool {
        self.io == Io::Direct && self.facts.direct.is_ok()
    }

    /// Whether the kernel tells what of its files is in the page cache.
    pub fn shows_cache(&self) -> bool {
        self.shows_cache.load(Ordering::Relaxed)
    }

    /// Notes that it does not.
    pub fn note_cache_hidden(&self) {
        self.shows_cache.store(false, Ordering::Relaxed);
    }

    /// Its number within handles.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The kernel's id of the mount.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its root directory, or the export's in it.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Its fsid.
    pub fn fsid(&self) -> Fsid {
        self.fsid
    }

    /// What it can do.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The number of the object that the name of `fileid` stands for on the file system above.
    pub fn mounted_on(&self, fileid: u64) -> u64 {
        match self.hidden_fileid {
            Some(hidden) if fileid == self.root_fileid => hidden,
            _ => fileid,
        }
    }
}

/// The mounted file systems found so far.
#[derive(Debug)]
pub struct Mounts {
    own: Arc<Mount>,
    /// The export's path as the kernel lists it; `None` when mounts below are not entered.
    path: Option<PathBuf>,
    export_id: u32,
    /// How files are read and written, and whether time stamps are taken to be coarse.
    probing: (Io, bool),
    below: RwLock<HashMap<u64, Arc<Mount>>>,
}

impl Mounts {
    /// Of an export on `own`; mounts below `path` are entered if there is one.
    pub fn new(own: Arc<Mount>, path: Option<PathBuf>, export_id: u32, probing: (Io, bool)) -> Self {
        Self { own, path, export_id, probing, below: RwLock::default() }
    }

    /// The export's own file system.
    pub fn own(&self) -> &Arc<Mount> {
        &self.own
    }

    /// Whether file systems below are entered.
    pub fn crossed(&self) -> bool {
        self.path.is_some()
    }

    /// The mount of this kernel id, if it is known.
    pub fn known_id(&self, id: u64) -> Option<Arc<Mount>> {
        if id == self.own.id {
            return Some(Arc::clone(&self.own));
        }
        self.below.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The mount of this number in handles, if it is known.
    pub fn known_number(&self, number: u32) -> Option<Arc<Mount>> {
        if number == self.own.number {
            return Some(Arc::clone(&self.own));
        }
        let below = self.below.read().unwrap_or_else(PoisonError::into_inner);
        below.values().find(|mount| mount.number == number).cloned()
    }

    /// The mount of this kernel id, looked for where it is not known. May sleep.
    pub fn find_id(&self, id: u64) -> Result<Arc<Mount>> {
        if let Some(mount) = self.known_id(id) {
            return Ok(mount);
        }
        self.discover(|listed| listed == id);
        // A mount that cannot be entered (no handles, not below the export) is as good as busy.
        self.known_id(id).ok_or(Error::Busy)
    }

    /// The mount of this number in handles, looked for where it is not known. May sleep.
    pub fn find_number(&self, number: u32) -> Result<Arc<Mount>> {
        if let Some(mount) = self.known_number(number) {
            return Ok(mount);
        }
        self.discover(|_| true);
        self.known_number(number).ok_or(Error::Stale)
    }

    /// Adds mounts below the export whose id is `wanted`.
    fn discover(&self, wanted: impl Fn(u64) -> bool) {
        let Some(export) = &self.path else {
            return;
        };
        let listing = match std::fs::read("/proc/self/mountinfo") {
            Ok(listing) => listing,
            Err(failure) => {
                tracing::warn!(%failure, "cannot list the mounted file systems");
                return;
            }
        };
        for (id, path) in listing.split(|byte| *byte == b'\n').filter_map(parse_line) {
            let Ok(relative) = path.strip_prefix(export) else {
                continue;
            };
            if !wanted(id) || relative.as_os_str().is_empty() || self.known_id(id).is_some() {
                continue;
            }
            match self.open(id, relative) {
                Ok(mount) => self.add(mount),
                Err(errno) => {
                    tracing::warn!(path = %path.display(), "the file system mounted here is not entered: {errno}");
                }
            }
        }
    }

    fn open(&self, id: u64, relative: &Path) -> std::result::Result<Mount, rustix::io::Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let root = openat2(self.own.root(), relative, flags, Mode::empty(), resolve)?;
        // Another file system may have been mounted over it.
        let seen = statx(&root, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        if seen.stx_mnt_id != id {
            return Err(rustix::io::Errno::STALE);
        }
        probe::handles_work(root.as_fd()).map_err(|(_, errno)| errno)?;
        let hidden = self.hidden_fileid(relative);
        let mount = Mount::new(root, self.export_id, relative.as_os_str().as_bytes(), self.probing, hidden)?;
        if let (Io::Direct, Err(reason)) = (self.probing.0, &mount.facts.direct) {
            let path = relative.display();
            tracing::warn!(%path, reason, "the file system mounted here cannot go direct: it is served buffered");
        }
        Ok(mount)
    }

    /// The number of the directory under the mount at `relative`: what its parent shows without its mounts.
    fn hidden_fileid(&self, relative: &Path) -> Option<u64> {
        let parent = relative.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        let bare = open_tree(self.own.root(), parent, flags).ok()?;
        let seen = statx(&bare, relative.file_name()?, AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO).ok()?;
        Some(object::key(&seen).inode)
    }

    fn add(&self, mount: Mount) {
        let mut below = self.below.write().unwrap_or_else(PoisonError::into_inner);
        // The same file system mounted again at the same place takes over from one that was unmounted lazily.
        below.retain(|_, known| known.number != mount.number || known.fsid != mount.fsid);
        let taken =
            mount.number == self.own.number || below.values().any(|known| known.number == mount.number);
        if taken || below.len() >= MOUNTS_MAX {
            tracing::warn!(id = mount.id, "a mounted file system is not entered: no number left for it");
            return;
        }
        below.insert(mount.id, Arc::new(mount));
    }
}

/// Id and mount point of a line of mountinfo (proc(5)).
fn parse_line(line: &[u8]) -> Option<(u64, PathBuf)> {
    let mut fields = line.split(|byte| *byte == b' ');
    let id = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    let point = unescape(fields.nth(3)?);
    Some((id, PathBuf::from(std::ffi::OsString::from_vec(point))))
}

/// Undoes the octal escapes for space, tab, newline and backslash.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, tail)) = rest.split_first() {
        let digits = tail.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
        match digits {
            Some(digits) if byte == b'\\' => {
                let value = digits.iter().fold(0u16, |value, digit| value * 8 + u16::from(digit - b'0'));
                plain.push(value as u8);
                rest = &tail[3..];
            }
            _ => {
                plain.push(byte);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_mountinfo_are_read() {
        let line = b"36 35 98:0 /mnt1 /mnt2/with\\040space rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(parse_line(line), Some((36, PathBuf::from("/mnt2/with space"))));
        assert_eq!(parse_line(b""), None);
        assert_eq!(parse_line(b"36 35"), None);
    }

    #[test]
    fn broken_escapes_stay_as_they_are() {
        assert_eq!(unescape(b"a\\9b\\04"), b"a\\9b\\04");
    }
}
