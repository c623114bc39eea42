//! Closing files without holding anybody up.
//!
//! The last close of a file may write (delayed allocation) or free its storage (its last name is gone), and then
//! waits for a frozen or hung file system. Files are let go of wherever their last holder is, so such closes are
//! handed to the export's helper threads. Counting space waits for them, up to a bound.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use engine::{Cap, Helpers};
use vfs::OpenAccess;

use crate::attribute;
use crate::direct::Direct;
use crate::inode::Inode;
use crate::object::Object;
use crate::open_files::Closed;
use crate::storage::LocalStorage;

/// How long pending closes are waited for: longer than any on a file system that moves at all.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Counts the closes of an export that were handed over, and those of them that have happened.
#[derive(Debug, Default)]
pub struct Closes {
    counts: Mutex<Counts>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Counts {
    started: u64,
    ended: u64,
}

impl Closes {
    /// Waits until as many have happened as were handed over before the call, or for [`WAIT_MAX`]. For helper
    /// threads: jobs start in order, so those closes do not wait behind the caller.
    pub fn wait(&self) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = counts.started;
        drop(self.ended.wait_timeout_while(counts, WAIT_MAX, |counts| counts.ended < wanted));
    }

    fn start(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).started += 1;
    }

    fn end(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).ended += 1;
        self.ended.notify_all();
    }
}

/// Closes the files of an export.
#[derive(Clone)]
pub struct Closer {
    helpers: Helpers,
    cap: Cap,
    storage: Arc<LocalStorage>,
}

/// An open file's own descriptor, and the one for direct I/O.
type Descriptors = (Arc<OwnedFd>, Option<Direct>);

/// What is to be closed, and after it the count.
struct Pending {
    _fd: Option<Arc<OwnedFd>>,
    _direct: Option<Direct>,
    _inode: Option<Arc<Inode>>,
    _count: Count,
}

struct Count(Arc<LocalStorage>);

impl Drop for Count {
    fn drop(&mut self) {
        self.0.closes().end();
    }
}

/// Keeps what all opens of a file share from going away, as an open of it does, but has no descriptor.
pub struct Held {
    inode: Arc<Inode>,
    closer: Closer,
}

impl Held {
    /// What all opens of the file share.
    pub fn inode(&self) -> &Arc<Inode> {
        &self.inode
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.closer.end(&self.inode, None);
    }
}

impl Closer {
    /// With the share `cap` of `helpers`.
    pub fn new(helpers: Helpers, cap: Cap, storage: Arc<LocalStorage>) -> Self {
        Self { helpers, cap, storage }
    }

    /// Notes that a file was opened on `object`.
    pub fn opened(&self, object: &Arc<Object>) -> Arc<Inode> {
        self.storage.open_files().add(object)
    }

    /// Keeps what all opens of the file share.
    pub fn hold(self, object: &Arc<Object>) -> Held {
        Held { inode: self.opened(object), closer: self }
    }

    /// Closes a file that was open for `access`, at once where that cannot sleep.
    pub fn close(&self, open: Descriptors, inode: &Arc<Inode>, access: OpenAccess) {
        self.end(inode, Some((open, access)));
    }

    /// Closes a descriptor that was open for writing, unless others share it.
    pub fn close_descriptor(&self, fd: Arc<OwnedFd>) {
        if Arc::strong_count(&fd) == 1 {
            self.hand_over((Some(fd), None), None, false);
        }
    }

    fn end(&self, inode: &Arc<Inode>, open: Option<(Descriptors, OpenAccess)>) {
        let named = attribute::raw(&**inode.object()).is_ok_and(|seen| seen.stx_nlink > 0);
        let (gone, crowded) = match self.storage.open_files().remove(inode, named) {
            Closed::Kept => (None, false),
            Closed::Crowded(inode) => (Some(inode), true),
            Closed::Gone(inode) => (Some(inode), false),
        };
        let writes = open.as_ref().is_some_and(|(_, access)| access.writes());
        if named && !writes && !crowded {
            return;
        }
        let (fd, direct) = open.map(|(open, _)| open).unzip();
        self.hand_over((fd, direct.flatten()), gone, crowded);
    }

    fn hand_over(
        &self,
        (fd, direct): (Option<Arc<OwnedFd>>, Option<Direct>),
        inode: Option<Arc<Inode>>,
        settle: bool,
    ) {
        self.storage.closes().start();
        let storage = Arc::clone(&self.storage);
        let pending =
            Pending { _fd: fd, _direct: direct, _inode: inode, _count: Count(Arc::clone(&storage)) };
        // Where too many jobs wait already, the file is closed here: descriptors must not pile up.
        drop(self.helpers.run(&self.cap, move || {
            if let Some(inode) = pending._inode.as_ref().filter(|_| settle) {
                storage.open_files().settle(inode);
            }
            drop(pending);
        }));
    }
}
