//! One task waiting for a condition on shared state of its own core.

use std::{cell::Cell, future::poll_fn, task::Poll, task::Waker};

/// Wakes the one task that waits. Whoever changes the state that is waited for calls [`Signal::notify`].
#[derive(Default)]
pub struct Signal {
    waker: Cell<Option<Waker>>,
}

impl Signal {
    /// Waits until `condition` holds. At most one task may wait at a time.
    pub async fn until(&self, mut condition: impl FnMut() -> bool) {
        poll_fn(|context| {
            if condition() {
                return Poll::Ready(());
            }
            self.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
        .await;
    }

    /// Lets the waiting task look again.
    pub fn notify(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}
