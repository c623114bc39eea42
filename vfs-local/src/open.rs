//! Opening regular files.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, OnceLock};

use rustix::fs::{OFlags, fcntl_setfl};
use vfs::{Authority, Error, Identity, OpenAccess, Result};

use crate::close::Closer;
use crate::direct::Direct;
use crate::identity::as_identity;
use crate::inode::Inode;
use crate::local::{File, Local, Node};
use crate::object::Object;
use crate::procfs;
use crate::sys::errno::error;

/// An open regular file. Any core may use it, and let go of it.
pub struct OpenFile {
    /// Empty only while being dropped, and so are both.
    fd: Option<Arc<OwnedFd>>,
    inode: Option<Arc<Inode>>,
    access: OpenAccess,
    /// For direct I/O, once it was tried.
    direct: OnceLock<Option<Direct>>,
    closer: Closer,
}

impl OpenFile {
    /// The file `fd` is open on, which is `object`, for `access`.
    pub fn new(fd: OwnedFd, object: Arc<Object>, access: OpenAccess, closer: Closer) -> Self {
        let inode = closer.opened(&object);
        Self { fd: Some(Arc::new(fd)), inode: Some(inode), access, direct: OnceLock::new(), closer }
    }

    /// The descriptor.
    pub fn fd(&self) -> &Arc<OwnedFd> {
        self.fd.as_ref().expect("a file is open until it is dropped")
    }

    /// The object.
    pub fn object(&self) -> &Arc<Object> {
        self.inode().object()
    }

    /// What it shares with all opens of the file.
    pub fn inode(&self) -> &Arc<Inode> {
        self.inode.as_ref().expect("a file is open until it is dropped")
    }

    /// Its descriptor for direct I/O: unknown at first, `None` inside when it cannot have one.
    pub fn direct(&self) -> &OnceLock<Option<Direct>> {
        &self.direct
    }

    /// Notes that data was written that no sync covers.
    pub fn note_unsynced(&self) {
        self.inode().unsynced().note(self.fd());
    }

    /// What it was opened for.
    pub fn access(&self) -> OpenAccess {
        self.access
    }
}

impl AsFd for OpenFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd().as_fd()
    }
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("OpenFile").field("inode", &self.inode).field("access", &self.access).finish()
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if let (Some(fd), Some(inode)) = (self.fd.take(), self.inode.take()) {
            let direct = self.direct.take().flatten();
            self.closer.close((fd, direct), &inode, self.access);
        }
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
        Ok(File(Arc::new(OpenFile::new(fd, object, access, self.closer()))))
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
