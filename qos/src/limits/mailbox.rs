//! What other threads have to tell a core that has requests parked.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;

use super::bucket::Bucket;
use super::word::Word;

/// Says that something changed for the parked of some entities. A letter is one bit, so none is ever too many; entities
/// share a bit, and who looks at one too many loses nothing.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Mailbox<W = AtomicU64> {
    letters: W,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl<W: Word> Mailbox<W> {
    /// Whom to interrupt when the first letter comes. Only the first call counts.
    pub(super) fn set_bell(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _kept = self.bell.set(bell);
    }

    /// Leaves a letter about the entity at `place`.
    pub(super) fn post(&self, place: u32) {
        let before = self.letters.set_bits(1 << letter_of(place));
        if before == 0
            && let Some(bell) = self.bell.get()
        {
            bell();
        }
    }

    /// Whether there are letters.
    pub(super) fn has_letters(&self) -> bool {
        self.letters.load() != 0
    }

    /// Takes all letters.
    pub(super) fn take(&self) -> u64 {
        if self.has_letters() { self.letters.swap(0) } else { 0 }
    }
}

/// Tells the cores that have requests parked in `bucket`, which is at `place`, but not core `except`. Comes after what
/// is to be told.
pub(super) fn tell<W: Word>(bucket: &Bucket<W>, mailboxes: &[Mailbox<W>], place: u32, except: Option<u32>) {
    let mut waiting = bucket.waiting();
    if let Some(number) = except {
        waiting &= !(1 << number);
    }
    while waiting != 0 {
        mailboxes[waiting.trailing_zeros() as usize].post(place);
        waiting &= waiting - 1;
    }
}

/// The letter that speaks of the entity at `place`.
pub(super) fn letter_of(place: u32) -> u32 {
    place % u64::BITS
}

impl<W> fmt::Debug for Mailbox<W> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailbox").finish_non_exhaustive()
    }
}
