//! Opening by name, making the file as asked.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, OFlags, ResolveFlags, Statx, ftruncate, openat2};
use vfs::{
    Attributes, CreateHow, DirectoryChange, Error, Identity, OpenAccess, Opened, Result, SetAttributes,
    SetTime, Time,
};

use crate::changing::Changing;
use crate::create::{FILE_MODE_DEFAULT, creation_mode, undo};
use crate::identity::as_identity;
use crate::local::{File, Local, Node};
use crate::lookup::open_entry;
use crate::object::Object;
use crate::open::{OpenFile, flags, reopen};
use crate::storage::LocalStorage;
use crate::sys::errno::error;
use crate::{attribute, durable, name, procfs, set_attributes};

/// How often a name that is there and then not is tried again, when others make and remove it all the time.
const ATTEMPTS: usize = 8;

/// Bits of a verifier's half that fit the seconds of every file system's time stamps.
const VERIFIER_MASK: u32 = 0x7fff_ffff;

/// Everything asked for.
struct Request {
    directory: Arc<Object>,
    identity: Identity,
    name: std::ffi::CString,
    how: CreateHow,
    attributes: SetAttributes,
    access: OpenAccess,
}

/// What came of it.
struct Outcome {
    object: Object,
    fd: OwnedFd,
    created: bool,
}

impl Local {
    /// Opens `name` in `directory`, making it as `how` says.
    pub(crate) async fn open_by_name(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        how: CreateHow,
        attributes: &SetAttributes,
        access: OpenAccess,
    ) -> Result<Opened<Node, File>> {
        directory.0.expect_directory()?;
        let request = Request {
            directory: Arc::clone(&directory.0),
            identity: identity.clone(),
            name: name::check(name)?,
            how,
            attributes: *attributes,
            access,
        };
        let epoch = self.storage().caches().epoch();
        let (outcome, attributes, change) =
            self.on_helper(move |storage| open_durably(storage, &request)).await?;
        let Outcome { object, fd, created } = outcome;
        let node = self.keep(object, epoch);
        let file = File(Arc::new(OpenFile::new(fd, Arc::clone(&node.0), access, self.closer())));
        Ok(Opened { node, file, attributes, created, change })
    }
}

fn open_durably(storage: &LocalStorage, request: &Request) -> Result<(Outcome, Attributes, DirectoryChange)> {
    let changing = Changing::begin(&request.directory)?;
    let outcome = open(storage, request)?;
    let change = if outcome.created { changing.end_durably()? } else { changing.unchanged() };
    let attributes = attribute::read(&outcome.object)?;
    Ok((outcome, attributes, change))
}

fn open(storage: &LocalStorage, request: &Request) -> Result<Outcome> {
    for _ in 0..ATTEMPTS {
        match make(storage, request) {
            Err(Error::Exists) => {}
            made => return made,
        }
        if request.how == CreateHow::Guarded {
            return Err(Error::Exists);
        }
        match open_existing(storage, request) {
            Err(Error::NotFound) => {}
            opened => return opened,
        }
    }
    Err(Error::TryLater)
}

/// Makes the file. The descriptor that comes of making it may do what was asked for, whatever the mode says.
fn make(storage: &LocalStorage, request: &Request) -> Result<Outcome> {
    let Request { directory, identity, name, attributes, access, .. } = request;
    let mode = creation_mode(directory, attributes, FILE_MODE_DEFAULT);
    let open_flags = flags(*access) | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let bits = rustix::fs::Mode::from_raw_mode(mode);
    let fd = as_identity(identity, || {
        openat2(&**directory, &**name, open_flags, bits, storage.resolution()).map_err(error)
    })?;
    match settle(storage, request, &fd, mode) {
        Ok(object) => Ok(Outcome { object, fd, created: true }),
        Err(failure) => {
            undo(directory, name, AtFlags::empty());
            Err(failure)
        }
    }
}

/// Sets on the new file what its making could not, durably.
fn settle(storage: &LocalStorage, request: &Request, fd: &OwnedFd, mode: u32) -> Result<Object> {
    let object = storage.object(procfs::reopen(fd, OFlags::PATH).map_err(error)?)?;
    let owned = request.attributes.uid.is_some() || request.attributes.gid.is_some();
    let mut rest = SetAttributes {
        // A change of owner takes the set-id bits away again.
        mode: (owned && mode & 0o6000 != 0).then_some(mode),
        umask: None,
        size_bytes: request.attributes.size_bytes.filter(|size| *size > 0),
        ..request.attributes
    };
    if let CreateHow::Exclusive(verifier) = request.how {
        let (accessed, modified) = verifier_times(verifier);
        rest.accessed = Some(SetTime::To(accessed));
        rest.modified = Some(SetTime::To(modified));
    }
    if !rest.is_empty() {
        let writable = request.access.writes().then_some(std::os::fd::AsFd::as_fd(fd));
        as_identity(&request.identity, || set_attributes::apply(&object, writable, &rest))?;
        durable::sync_file(fd)?;
    }
    Ok(object)
}

fn open_existing(storage: &LocalStorage, request: &Request) -> Result<Outcome> {
    let Request { directory, identity, name, access, .. } = request;
    let object = as_identity(identity, || look(storage, directory, name))?;
    let object = storage.object(object)?;
    let CreateHow::Exclusive(verifier) = request.how else {
        return open_unchecked(request, object);
    };
    let seen = attribute::raw(&object)?;
    if object.expect_regular().is_err() || !made_with(&seen, verifier) {
        return Err(Error::Exists);
    }
    // The same call again: its maker gets what making it gave, whatever the mode says.
    let maker = seen.stx_uid == identity.uid();
    let opener = if maker { Identity::root() } else { identity.clone() };
    let fd = as_identity(&opener, || reopen(&object, *access))?;
    Ok(Outcome { object, fd, created: true })
}

fn look(storage: &LocalStorage, directory: &Object, name: &CStr) -> Result<OwnedFd> {
    open_entry(storage, directory, name, ResolveFlags::empty())
}

fn open_unchecked(request: &Request, object: Object) -> Result<Outcome> {
    object.expect_regular()?;
    let Request { identity, access, .. } = request;
    let truncated = request.attributes.size_bytes == Some(0);
    let fd = as_identity(identity, || {
        let fd = reopen(&object, *access)?;
        if truncated && access.writes() {
            ftruncate(&fd, 0).map_err(error)?;
        } else if truncated {
            ftruncate(reopen(&object, OpenAccess::Write)?, 0).map_err(error)?;
        }
        Ok(fd)
    })?;
    if truncated {
        attribute::note_change(&object)?;
        durable::sync_file(&fd)?;
    }
    Ok(Outcome { object, fd, created: false })
}

/// Where the verifier is kept: in the seconds of the two time stamps that the maker sets again anyway (the
/// kernel's server does the same), which are as durable as the file.
fn verifier_times(verifier: [u8; 8]) -> (Time, Time) {
    let word = u64::from_be_bytes(verifier);
    let seconds = |half: u64| i64::from(half as u32 & VERIFIER_MASK);
    (Time { seconds: seconds(word >> 32), nanoseconds: 0 }, Time { seconds: seconds(word), nanoseconds: 0 })
}

/// Whether a file with these attributes was made with this verifier and is as it was made.
fn made_with(seen: &Statx, verifier: [u8; 8]) -> bool {
    let (accessed, modified) = verifier_times(verifier);
    let same = |stamp: rustix::fs::StatxTimestamp, time: Time| {
        stamp.tv_sec == time.seconds && stamp.tv_nsec == time.nanoseconds
    };
    same(seen.stx_atime, accessed) && same(seen.stx_mtime, modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifiers_become_times_that_every_file_system_keeps() {
        let (accessed, modified) = verifier_times([0xff, 1, 2, 3, 0x80, 5, 6, 7]);
        assert_eq!(accessed.seconds, 0x7f01_0203);
        assert_eq!(modified.seconds, 0x0005_0607);
    }
}
