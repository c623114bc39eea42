//! Tasks that wait for the same thing to happen.

use std::collections::BTreeMap;
use std::task::Waker;

/// A waiter's place, kept by its future so that dropping the future can forget the waker.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<u64>);

/// Woken in the order in which they first waited.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    wakers: BTreeMap<u64, Waker>,
    next: u64,
}

impl Waiters {
    pub(crate) fn wait(&mut self, place: &mut Place, waker: &Waker) {
        let number = *place.0.get_or_insert_with(|| {
            self.next += 1;
            self.next
        });
        self.wakers.insert(number, waker.clone());
    }

    pub(crate) fn forget(&mut self, place: &mut Place) {
        if let Some(number) = place.0.take() {
            self.wakers.remove(&number);
        }
    }

    /// Empties the list. The caller wakes them when it holds no borrow any more: a waker may run anything.
    #[must_use = "a waiter that is not woken sleeps for ever"]
    pub(crate) fn take(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers).into_values().collect()
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.wakers.len()
    }
}
