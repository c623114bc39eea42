//! Attributes of objects.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp, statx};
use vfs::{Attributes, Error, FileKind, Result, Time};

use crate::object::Object;
use crate::sys::errno::error;
use crate::{change, process};

/// The attributes of `object`. Never sleeps on a local file system: the inode is in memory.
pub fn read(object: &Object) -> Result<Attributes> {
    let (seen, change) = stat(object)?;
    if seen.stx_nlink == 0 && object.kind() == FileKind::Directory {
        // A file without a name may still be open; a directory is gone.
        return Err(Error::Stale);
    }
    let mount = object.mount();
    Ok(Attributes {
        kind: object.kind(),
        mode: u32::from(seen.stx_mode) & 0o7777,
        links: seen.stx_nlink,
        uid: seen.stx_uid,
        gid: seen.stx_gid,
        device: match object.kind() {
            FileKind::BlockDevice | FileKind::CharacterDevice => (seen.stx_rdev_major, seen.stx_rdev_minor),
            _ => (0, 0),
        },
        size_bytes: seen.stx_size,
        used_bytes: seen.stx_blocks.saturating_mul(512),
        fsid: mount.fsid(),
        fileid: seen.stx_ino,
        mounted_on_fileid: mount.mounted_on(seen.stx_ino),
        accessed: time(seen.stx_atime),
        modified: time(seen.stx_mtime),
        changed: time(seen.stx_ctime),
        created: (seen.stx_mask & StatxFlags::BTIME.bits() != 0).then(|| time(seen.stx_btime)),
        change,
    })
}

/// Counts a change that has just been made to `object`, where its time stamps alone do not tell.
pub fn note_change(object: &Object) -> Result<()> {
    if stamps_are_fine(object) {
        return Ok(());
    }
    let seen = raw(object)?;
    let tick_ns = object.mount().facts().time_stamps.tick_ns;
    process::changes().changed(object.key(), time(seen.stx_ctime), tick_ns);
    Ok(())
}

fn stat(object: &Object) -> Result<(Statx, u64)> {
    if stamps_are_fine(object) {
        let seen = raw(object)?;
        return Ok((seen, change::encode(time(seen.stx_ctime))));
    }
    let tick_ns = object.mount().facts().time_stamps.tick_ns;
    process::changes().value(object.key(), tick_ns, || {
        let seen = raw(object)?;
        Ok((seen, time(seen.stx_ctime)))
    })
}

/// Everything statx knows of `fd`.
pub fn raw(fd: impl AsFd) -> Result<Statx> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    statx(fd, "", AtFlags::EMPTY_PATH, wanted).map_err(error)
}

/// Bytes of the file `fd`.
pub fn size(fd: impl AsFd) -> Result<u64> {
    statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE).map(|seen| seen.stx_size).map_err(error)
}

/// Whether ctime alone tells any two states of the object apart.
pub fn stamps_are_fine(object: &Object) -> bool {
    let stamps = object.mount().facts().time_stamps;
    match object.kind() {
        FileKind::Directory => stamps.fine_for_directories,
        _ => stamps.fine_for_files,
    }
}

fn time(stamp: StatxTimestamp) -> Time {
    Time { seconds: stamp.tv_sec, nanoseconds: stamp.tv_nsec }
}
