//! Changes of directories, and whether each was alone with its directory.
//!
//! Clients keep what they know of a directory over their own changes if nobody else's can hide between the attributes before
//! and after. So every change that goes through this process takes note of its beginning, without a lock: in a word for
//! each directory, which some share. What programs on this machine change past the server is not seen; the time in which
//! they could hide is that of the one system call.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use vfs::{Attributes, DirectoryChange, Result};

use crate::change::FileKey;
use crate::object::Object;
use crate::{attribute, durable};

/// Words: many more than there are threads that change names at one time.
const WORDS: usize = 1024;

/// A change that has begun, in the upper bits of a word, and one that is in progress, in the lower 16.
const ONE: u64 = (1 << 16) | 1;
const IN_PROGRESS: u64 = (1 << 16) - 1;

static BEGUN: LazyLock<Box<[AtomicU64]>> = LazyLock::new(|| (0..WORDS).map(|_| AtomicU64::new(0)).collect());

/// A change in progress.
pub struct Turn {
    word: &'static AtomicU64,
    /// What stood there when it had begun.
    begun: u64,
}

impl Turn {
    /// Begins a change of the object, to be dropped when it is done.
    pub fn begin(key: FileKey) -> Self {
        let word = &BEGUN[key.place(WORDS)];
        Self { word, begun: word.fetch_add(ONE, Ordering::SeqCst).wrapping_add(ONE) }
    }

    /// Whether nothing else has begun since, or had and was not done.
    fn is_alone(&self) -> bool {
        self.begun & IN_PROGRESS == 1 && self.word.load(Ordering::SeqCst) == self.begun
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.word.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A directory, or another object, that is about to be changed.
pub struct Changing<'a> {
    object: &'a Object,
    turn: Turn,
    before: Attributes,
}

impl<'a> Changing<'a> {
    /// Notes how the object is before.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin(object: &'a Object) -> Result<Self> {
        let turn = Turn::begin(object.key());
        Ok(Self { object, turn, before: attribute::read(object)? })
    }

    /// The change was made: tells what became of the object. It has still to be brought to stable storage, for which the
    /// next change need not wait.
    ///
    /// # Errors
    /// When the object is gone.
    pub fn end(self) -> Result<DirectoryChange> {
        attribute::note_change(self.object)?;
        let after = attribute::read(self.object)?;
        Ok(DirectoryChange { atomic: self.turn.is_alone(), before: self.before, after })
    }

    /// The same, and brings it to stable storage.
    ///
    /// # Errors
    /// Of the sync, or when the object is gone.
    pub fn end_durably(self) -> Result<DirectoryChange> {
        let object = self.object;
        let change = self.end()?;
        durable::sync_object(object)?;
        Ok(change)
    }

    /// Nothing needed to be changed.
    pub fn unchanged(self) -> DirectoryChange {
        DirectoryChange { atomic: self.turn.is_alone(), before: self.before, after: self.before }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn key(inode: u64) -> FileKey {
        FileKey { device: 1, inode }
    }

    #[test]
    fn who_overlaps_another_is_not_alone() {
        let alone = Turn::begin(key(7));
        assert!(alone.is_alone());
        let second = Turn::begin(key(7));
        assert!(!alone.is_alone() && !second.is_alone());
        drop(alone);
        assert!(!second.is_alone(), "the first one was there when it began");
        drop(second);
        let third = Turn::begin(key(7));
        assert!(third.is_alone());
        drop(Turn::begin(key(7)));
        assert!(!third.is_alone(), "another came and went");
    }
    #[test]
    fn directories_of_one_number_on_many_file_systems_have_words_of_their_own() {
        let root = |minor: u64| FileKey { device: (8 << 32) | minor, inode: 2 };
        let words: BTreeSet<usize> = (0..64).map(|minor| root(minor).place(WORDS)).collect();
        assert!(words.len() > 56, "{} words for 64 roots", words.len());
    }
}
