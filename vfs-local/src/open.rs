//! Opening regular files.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{OFlags, fcntl_setfl};
use vfs::{Authority, Error, Identity, OpenAccess, Result};

use crate::identity::as_identity;
use crate::local::{File, Local, Node};
use crate::object::Object;
use crate::procfs;
use crate::sys::errno::error;

/// An open regular file. Any core may use it.
#[derive(Debug)]
pub struct OpenFile {
    fd: Arc<OwnedFd>,
    object: Arc<Object>,
    access: OpenAccess,
}

impl OpenFile {
    /// The file `fd` is open on, which is `object`, for `access`.
    pub fn new(fd: OwnedFd, object: Arc<Object>, access: OpenAccess) -> Self {
        Self { fd: Arc::new(fd), object, access }
    }

    /// The descriptor.
    pub fn fd(&self) -> &Arc<OwnedFd> {
        &self.fd
    }

    /// The object.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// What it was opened for.
    pub fn access(&self) -> OpenAccess {
        self.access
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Local {
    /// Opens an existing file.
    pub(crate) async fn open_node(
        &self,
        node: &Node,
        identity: &Identity,
        access: OpenAccess,
        authority: Authority,
    ) -> Result<File> {
        node.0.expect_regular()?;
        let identity = match authority {
            Authority::Caller => identity.clone(),
            Authority::Reclaim => Identity::root(),
        };
        let object = Arc::clone(&node.0);
        let fd = if access.writes() {
            // An open for writing may have work to do first: a union file system copies the file.
            let object = Arc::clone(&object);
            self.on_helper(move |_| as_identity(&identity, || reopen(&object, access))).await?
        } else {
            as_identity(&identity, || reopen(&object, access))?
        };
        Ok(File(Arc::new(OpenFile::new(fd, object, access))))
    }
}

/// Opens `object` with the thread's identity. A lease that somebody holds against that is broken, but not waited
/// for ([`Error::TryLater`]).
pub fn reopen(object: &Object, access: OpenAccess) -> Result<OwnedFd> {
    let fd =
        procfs::reopen(object, flags(access) | OFlags::NONBLOCK).map_err(|errno| match error(errno) {
            Error::NotFound => Error::Stale,
            other => other,
        })?;
    // The flag means more than leases to the ring.
    fcntl_setfl(&fd, OFlags::empty()).map_err(error)?;
    Ok(fd)
}

/// The access mode as open flags.
pub fn flags(access: OpenAccess) -> OFlags {
    match access {
        OpenAccess::Read => OFlags::RDONLY,
        OpenAccess::Write => OFlags::WRONLY,
        OpenAccess::Both => OFlags::RDWR,
    }
}
