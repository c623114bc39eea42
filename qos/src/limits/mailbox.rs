//! What other threads have to tell a core that has requests parked.

use std::fmt;
use std::sync::OnceLock;

use super::atomic::{AtomicU64, Ordering};

/// Says that something changed for the parked of some entities. A letter is one bit, so none is ever too many; entities
/// share a bit, and who looks at one too many loses nothing.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Mailbox {
    letters: AtomicU64,
    bell: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

impl Mailbox {
    /// Whom to interrupt when the first letter comes. Only the first call counts.
    pub(super) fn set_bell(&self, bell: Box<dyn Fn() + Send + Sync>) {
        let _kept = self.bell.set(bell);
    }

    /// Leaves a letter about the entity at `place`.
    pub(super) fn post(&self, place: u32) {
        let before = self.letters.fetch_or(1 << letter_of(place), Ordering::AcqRel);
        if before == 0
            && let Some(bell) = self.bell.get()
        {
            bell();
        }
    }

    /// Whether there are letters.
    pub(super) fn has_letters(&self) -> bool {
        self.letters.load(Ordering::Acquire) != 0
    }

    /// Takes all letters.
    pub(super) fn take(&self) -> u64 {
        if self.has_letters() { self.letters.swap(0, Ordering::AcqRel) } else { 0 }
    }
}

/// The letter that speaks of the entity at `place`.
pub(super) fn letter_of(place: u32) -> u32 {
    place % u64::BITS
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Mailbox").field("letters", &self.letters).finish_non_exhaustive()
    }
}
