//! The open files of an export, and those closed with data that no sync covers.
//!
//! What is open may be named by a handle after its last name has gone. What was closed unsynced keeps its descriptor
//! until a COMMIT comes for it; for those that none comes for, a helper thread syncs after a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use vfs::NodeHandle;

use crate::attribute;
use crate::inode::Inode;
use crate::object::Object;
use crate::open::OpenFile;

/// Files closed unsynced that keep a descriptor at most. Clients commit before they close, but for what they write
/// without opening; beyond this number files are synced as they are closed.
const LEFT_MAX: usize = 1024;

/// How long a file closed unsynced waits for its COMMIT: about as long as the kernel itself keeps data unwritten.
pub const LEFT_TIME: Duration = Duration::from_secs(30);

/// The files of an export that are open or were left unsynced. As many as there are opens, which the state that holds
/// them bounds, and [`LEFT_MAX`]. Touched when files are opened, committed and closed, and by handles that no cache
/// knows.
#[derive(Debug, Default)]
pub struct OpenFiles {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    by_handle: HashMap<NodeHandle, Entry>,
    left: usize,
}

#[derive(Debug)]
struct Entry {
    inode: Arc<Inode>,
    opens: usize,
    /// Opens that end when the last name goes.
    kept: Vec<Arc<OpenFile>>,
    /// Since when it is closed and unsynced.
    left: Option<Instant>,
}

/// What became of a file with one of its opens gone.
#[derive(Debug)]
pub enum Closed {
    /// Others have it open, or it waits for a COMMIT.
    Kept,
    /// There is no room for it to wait: it is to be synced by [`OpenFiles::settle`].
    Crowded(Arc<Inode>),
    /// It is gone from here.
    Gone(Arc<Inode>),
}

impl OpenFiles {
    /// Notes an open of `object`.
    pub fn add(&self, object: &Arc<Object>) -> Arc<Inode> {
        let mut all = self.all();
        let fresh = || Entry {
            inode: Arc::new(Inode::new(Arc::clone(object))),
            opens: 0,
            kept: Vec::new(),
            left: None,
        };
        let entry = all.by_handle.entry(*object.handle()).or_insert_with(fresh);
        entry.opens += 1;
        let (inode, was_left) = (Arc::clone(&entry.inode), entry.left.take().is_some());
        all.left -= usize::from(was_left);
        inode
    }

    /// Notes that one has ended. Only data of a file that is still `named` is worth a sync.
    pub fn remove(&self, inode: &Arc<Inode>, named: bool) -> Closed {
        let handle = inode.object().handle();
        let mut all = self.all();
        let All { by_handle, left } = &mut *all;
        let Some(entry) = by_handle.get_mut(handle).filter(|entry| Arc::ptr_eq(&entry.inode, inode)) else {
            return Closed::Kept;
        };
        entry.opens -= 1;
        if entry.opens > 0 {
            return Closed::Kept;
        }
        if !named || !inode.unsynced().is_pending() {
            by_handle.remove(handle);
            return Closed::Gone(Arc::clone(inode));
        }
        entry.left = Some(Instant::now());
        *left += 1;
        if *left > LEFT_MAX { Closed::Crowded(Arc::clone(inode)) } else { Closed::Kept }
    }

    /// The object of this name, if a file is open on it.
    pub fn get(&self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let all = self.all();
        let entry = all.by_handle.get(handle).filter(|entry| entry.opens > 0)?;
        Some(Arc::clone(entry.inode.object()))
    }

    /// Keeps a file open until its last name goes, or [`OpenFiles::let_go`].
    pub fn keep(&self, file: &Arc<OpenFile>) {
        let mut all = self.all();
        let Some(entry) = all.by_handle.get_mut(file.object().handle()) else { return };
        // With the lock held: a name that goes after this finds the file here.
        if attribute::raw(&**file.object()).is_ok_and(|seen| seen.stx_nlink > 0) {
            entry.kept.push(Arc::clone(file));
        }
    }

    /// Ends that.
    pub fn let_go(&self, file: &Arc<OpenFile>) {
        let mut all = self.all();
        let Some(entry) = all.by_handle.get_mut(file.object().handle()) else { return };
        let ended: Vec<_> = entry.kept.extract_if(.., |kept| Arc::ptr_eq(kept, file)).collect();
        drop(all);
        drop(ended);
    }

    /// Lets go of a file whose last name is gone: what was kept open, or left unsynced, as its data is gone too.
    pub fn forget(&self, handle: &NodeHandle) {
        let mut all = self.all();
        let kept = all.by_handle.get_mut(handle).map(|entry| std::mem::take(&mut entry.kept));
        let left = all.take_left(handle, |_| true);
        drop(all);
        // Closed without the lock: that may free all its blocks.
        drop((kept, left));
    }

    /// Files left unsynced for longer than `age`.
    pub fn left(&self, age: Duration) -> Vec<Arc<Inode>> {
        let now = Instant::now();
        let is_old = |entry: &&Entry| entry.left.is_some_and(|since| now.duration_since(since) >= age);
        self.all().by_handle.values().filter(is_old).map(|entry| Arc::clone(&entry.inode)).collect()
    }

    /// Syncs a file that was left unsynced, and lets it go. May sleep long.
    pub fn settle(&self, inode: &Inode) {
        inode.sync_now();
        let settled = self.all().take_left(inode.object().handle(), |inode| !inode.unsynced().is_pending());
        drop(settled);
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn take_left(&mut self, handle: &NodeHandle, takes: impl FnOnce(&Inode) -> bool) -> Option<Entry> {
        self.by_handle.get(handle).filter(|entry| entry.left.is_some() && takes(&entry.inode))?;
        self.left -= 1;
        self.by_handle.remove(handle)
    }
}
