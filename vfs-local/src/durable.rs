//! Bringing changes to stable storage before they are acknowledged.
//!
//! The least that is right on the journalling file systems served: an operation on names is one transaction,
//! which syncing the directory commits together with the objects it made or removed (ext4, xfs and btrfs do);
//! what is set on a new object afterwards is a transaction of its own and needs a sync of the object.

use std::os::fd::AsFd;
use std::sync::Once;

use rustix::fs::{Mode, OFlags, fsync, openat, syncfs};
use rustix::io::Errno;
use vfs::{Error, FileKind, Result};

use crate::object::Object;
use crate::sys::errno::error;
use crate::{process, procfs};

/// Whether syncs are left out: only in the build that the test of power cuts must catch.
pub fn is_skipped() -> bool {
    static WARNED: Once = Once::new();
    let skipped = cfg!(feature = "skip-sync-for-tests");
    if skipped {
        WARNED.call_once(|| tracing::error!("this build skips every sync: what it acknowledges may be lost"));
    }
    skipped
}

/// Makes changes of names in `directory` durable. The thread must be the superuser.
pub fn sync_directory(directory: &Object) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(directory, ".", flags, Mode::empty()).map_err(error)?;
    checked(|| fsync(opened))
}

/// Makes changes of `object` durable. The thread must be the superuser.
pub fn sync_object(object: &Object) -> Result<()> {
    match object.kind() {
        FileKind::Directory => sync_directory(object),
        FileKind::Regular => match procfs::reopen(object, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => checked(|| fsync(file)),
            // Somebody holds a lease against opening it.
            Err(_) => sync_all(object),
        },
        // Opening these means talking to a device or a process.
        _ => sync_all(object),
    }
}

/// Makes data and attributes of the open `file` durable.
pub fn sync_file(file: impl AsFd) -> Result<()> {
    checked(|| fsync(file))
}

/// Everything on the file system, for objects that cannot be opened.
fn sync_all(object: &Object) -> Result<()> {
    checked(|| syncfs(object.mount().root()))
}

/// A failed sync may have lost what others wrote, so everybody must hear of it.
fn checked(sync: impl FnOnce() -> std::result::Result<(), Errno>) -> Result<()> {
    if is_skipped() {
        return Ok(());
    }
    sync().map_err(|errno| {
        tracing::error!("a sync failed: {errno}");
        process::note_failed_sync();
        match error(errno) {
            failure @ (Error::NoSpace | Error::Quota) => failure,
            _ => Error::Io,
        }
    })
}
