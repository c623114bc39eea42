//! One file as all its opens share it, on whatever core: what of it was written and not synced, its syncs, and which
//! way it is written.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::commit::Commits;
use crate::object::Object;
use crate::turns::Turns;

/// A file that is open, or was when it was written to last.
#[derive(Debug)]
pub struct Inode {
    object: Arc<Object>,
    unsynced: Unsynced,
    commits: Commits,
    turns: Turns,
}

impl Inode {
    /// Nothing has been written yet.
    pub fn new(object: Arc<Object>) -> Self {
        Self { object, unsynced: Unsynced::default(), commits: Commits::default(), turns: Turns::default() }
    }

    /// The object.
    pub fn object(&self) -> &Arc<Object> {
        &self.object
    }

    /// What was written and may be lost.
    pub fn unsynced(&self) -> &Unsynced {
        &self.unsynced
    }

    /// Its syncs.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Which way it is written now.
    pub fn turns(&self) -> &Turns {
        &self.turns
    }
}

/// Whether data was written that no sync covers, and a descriptor to sync it by.
///
/// The kernel tells a descriptor of a failed write-back when the descriptor was open by then, so the one kept is that
/// of the first write after the last sync. It also keeps the file in memory, and with it the note of the failure.
#[derive(Debug, Default)]
pub struct Unsynced {
    /// Mostly only read: by every write, which finds it set already.
    pending: AtomicBool,
    descriptor: Mutex<Option<Arc<OwnedFd>>>,
}

impl Unsynced {
    /// Notes data that was written through `fd`, before the writer is told so.
    pub fn note(&self, fd: &Arc<OwnedFd>) {
        // A sync that clears this after it was seen set starts later, and covers the data.
        if self.pending.load(Ordering::SeqCst) {
            return;
        }
        let mut descriptor = self.descriptor.lock().unwrap_or_else(PoisonError::into_inner);
        descriptor.get_or_insert_with(|| Arc::clone(fd));
        self.pending.store(true, Ordering::SeqCst);
    }

    /// Whether there is such data.
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// A sync is about to start: the descriptor for it, if there is one.
    pub fn begin(&self) -> Option<Arc<OwnedFd>> {
        let descriptor = self.descriptor.lock().unwrap_or_else(PoisonError::into_inner);
        self.pending.store(false, Ordering::SeqCst);
        descriptor.clone()
    }

    /// The sync was made. Answers the descriptor when nothing has been written since.
    pub fn end(&self) -> Option<Arc<OwnedFd>> {
        let mut descriptor = self.descriptor.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_pending() { None } else { descriptor.take() }
    }

    /// The sync was not made after all.
    pub fn give_up(&self) {
        let descriptor = self.descriptor.lock().unwrap_or_else(PoisonError::into_inner);
        if descriptor.is_some() {
            self.pending.store(true, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor() -> Arc<OwnedFd> {
        Arc::new(std::fs::File::open("/").expect("there is a root").into())
    }

    #[test]
    fn the_first_writers_descriptor_stays_until_a_sync_covers_all() {
        let (first, second) = (descriptor(), descriptor());
        let unsynced = Unsynced::default();
        assert!(unsynced.begin().is_none());
        assert!(unsynced.end().is_none() && !unsynced.is_pending());
        unsynced.note(&first);
        unsynced.note(&second);
        assert!(unsynced.begin().is_some_and(|found| Arc::ptr_eq(&found, &first)));
        unsynced.note(&second);
        assert!(unsynced.end().is_none() && unsynced.is_pending(), "the second was written during the sync");
        assert!(unsynced.begin().is_some_and(|found| Arc::ptr_eq(&found, &first)));
        unsynced.give_up();
        assert!(unsynced.is_pending(), "there was no sync");
        drop(unsynced.begin());
        assert!(unsynced.end().is_some_and(|found| Arc::ptr_eq(&found, &first)));
        assert!(!unsynced.is_pending() && unsynced.begin().is_none());
    }
}
