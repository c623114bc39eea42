//! Telling all who wait that something has changed.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// Wakes everyone who waits at that moment.
///
/// Look at the condition, then await [`notified`](Self::notified), then look again: tasks of one shard cannot
/// change it in between.
#[derive(Default)]
pub struct Notify {
    rounds: Cell<u64>,
    waiting: RefCell<Vec<Waker>>,
}

impl Notify {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        self.rounds.set(self.rounds.get() + 1);
        let waiting = self.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Resolves at the next [`notify_all`](Self::notify_all) after this call.
    pub fn notified(&self) -> Notified<'_> {
        Notified { notify: self, round: self.rounds.get() }
    }
}

/// Future of [`Notify::notified`].
#[must_use = "nothing is waited for until it is awaited"]
pub struct Notified<'a> {
    notify: &'a Notify,
    round: u64,
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.notify.rounds.get() != self.round {
            return Poll::Ready(());
        }
        let mut waiting = self.notify.waiting.borrow_mut();
        if !waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}
