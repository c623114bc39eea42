//! Changing attributes.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, CWD, Gid, Mode, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid, chmodat, chownat, ftruncate,
    utimensat,
};
use vfs::{Error, FileKind, Identity, Result, SetAttributes, SetTime};

use crate::changing::Turn;
use crate::identity::as_identity;
use crate::local::{File, Local, Node};
use crate::object::Object;
use crate::sys::errno::error;
use crate::{attribute, durable, procfs};

/// The id that the kernel takes as "leave it".
const NO_ID: u32 = u32::MAX;

impl Local {
    /// Changes attributes of `node`, through `file` where that is its open file.
    pub(crate) async fn change_attributes(
        &self,
        node: &Node,
        file: Option<&File>,
        identity: &Identity,
        attributes: &SetAttributes,
    ) -> Result<()> {
        if attributes.is_empty() {
            return Ok(());
        }
        if attributes.size_bytes.is_some() {
            node.0.expect_regular()?;
        }
        let (object, file) = (Arc::clone(&node.0), file.cloned());
        let (identity, attributes) = (identity.clone(), *attributes);
        self.on_helper(move |_| {
            let writable = file.as_ref().filter(|file| file.access().writes()).map(File::as_fd);
            let turn = Turn::begin(object.key());
            let outcome = as_identity(&identity, || apply(&object, writable, &attributes));
            // Part of it may have been done before something failed, so it counts in any case.
            attribute::note_change(&object)?;
            drop(turn);
            outcome?;
            durable::sync_object(&object)
        })
        .await
    }
}

/// Applies `attributes` to `object` with the thread's identity; a size through `file` (open for writing) where
/// there is one. The size comes first, as what fails most often; the mode after the owner, as a change of owner
/// takes bits from it; the times last, as all else changes them.
pub fn apply(object: &Object, file: Option<BorrowedFd<'_>>, attributes: &SetAttributes) -> Result<()> {
    let path = procfs::path(object);
    if let Some(size_bytes) = attributes.size_bytes {
        set_size(&path, file, size_bytes)?;
    }
    if attributes.uid.is_some() || attributes.gid.is_some() {
        set_owner(object, attributes.uid, attributes.gid)?;
    }
    if let Some(mode) = attributes.mode
        && object.kind() != FileKind::Symlink
    {
        chmodat(CWD, &*path, Mode::from_raw_mode(mode & 0o7777), AtFlags::empty()).map_err(error)?;
    }
    if attributes.accessed.is_some() || attributes.modified.is_some() {
        set_times(&path, attributes.accessed, attributes.modified)?;
    }
    Ok(())
}

fn set_size(path: &CStr, file: Option<BorrowedFd<'_>>, size_bytes: u64) -> Result<()> {
    if i64::try_from(size_bytes).is_err() {
        return Err(Error::TooLarge);
    }
    match file {
        Some(file) => ftruncate(file, size_bytes).map_err(error),
        None => {
            // Opening for writing and truncating is what truncate(2) does, permission and leases included.
            let flags =
                rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
            let opened = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(error)?;
            ftruncate(opened, size_bytes).map_err(error)
        }
    }
}

fn set_owner(object: &Object, uid: Option<u32>, gid: Option<u32>) -> Result<()> {
    if uid == Some(NO_ID) || gid == Some(NO_ID) {
        return Err(Error::Invalid);
    }
    let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
    chownat(object, "", uid, gid, AtFlags::EMPTY_PATH).map_err(error)
}

fn set_times(path: &CStr, accessed: Option<SetTime>, modified: Option<SetTime>) -> Result<()> {
    let set = |accessed, modified| {
        let times = Timestamps { last_access: timestamp(accessed)?, last_modification: timestamp(modified)? };
        utimensat(CWD, path, &times, AtFlags::empty()).map_err(error)
    };
    match (set(accessed, modified), accessed, modified) {
        // Who may write may set times to now, but utimensat(2) grants that for both together only.
        (Err(Error::NotPermitted), Some(SetTime::Now), None)
        | (Err(Error::NotPermitted), None, Some(SetTime::Now)) => set(Some(SetTime::Now), Some(SetTime::Now)),
        (outcome, ..) => outcome,
    }
}

fn timestamp(wanted: Option<SetTime>) -> Result<Timespec> {
    match wanted {
        None => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT }),
        Some(SetTime::Now) => Ok(Timespec { tv_sec: 0, tv_nsec: UTIME_NOW }),
        // Larger values are not times: the two above are among them.
        Some(SetTime::To(time)) if time.nanoseconds < 1_000_000_000 => {
            Ok(Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() })
        }
        Some(SetTime::To(_)) => Err(Error::Invalid),
    }
}
