//! The words that cores share, so that the same code runs on the processor's and on a model checker's.

use std::sync::atomic::{AtomicU64, Ordering, fence};

/// An atomic word. Reading takes over what was before the writing that is read, and so does changing; only
/// [`Word::settle`] orders beyond that.
pub(super) trait Word: Default {
    fn load(&self) -> u64;
    fn store(&self, value: u64);
    /// Answers what was before, like all below.
    fn add(&self, value: u64) -> u64;
    fn set_bits(&self, bits: u64) -> u64;
    fn clear_bits(&self, bits: u64) -> u64;
    fn swap(&self, value: u64) -> u64;
    fn update(&self, next: impl Fn(u64) -> u64) -> u64;

    /// Of two threads that each write a word, settle, and read the other's, one at least reads what the other wrote.
    fn settle();
}

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Ordering::Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Ordering::Release);
    }

    fn add(&self, value: u64) -> u64 {
        self.fetch_add(value, Ordering::AcqRel)
    }

    fn set_bits(&self, bits: u64) -> u64 {
        self.fetch_or(bits, Ordering::AcqRel)
    }

    fn clear_bits(&self, bits: u64) -> u64 {
        self.fetch_and(!bits, Ordering::AcqRel)
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, Ordering::AcqRel)
    }

    fn update(&self, next: impl Fn(u64) -> u64) -> u64 {
        let updated = self.fetch_update(Ordering::AcqRel, Ordering::Acquire, |before| Some(next(before)));
        updated.expect("the closure never declines")
    }

    fn settle() {
        fence(Ordering::SeqCst);
    }
}
