//! Something that one party awaits and another one gives, on whatever thread.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::stripes::lock;

/// Resolves to what is given, or to `None` when it is not given any more.
#[derive(Debug)]
pub(crate) struct Awaited<T> {
    cell: Arc<Mutex<Cell<T>>>,
}

/// Gives the value; dropping it says that there will be none.
#[derive(Debug)]
pub(crate) struct Giver<T> {
    cell: Arc<Mutex<Cell<T>>>,
}

#[derive(Debug)]
struct Cell<T> {
    outcome: Option<Option<T>>,
    waker: Option<Waker>,
}

/// The two ends of an answer.
pub(crate) fn answer<T>() -> (Giver<T>, Awaited<T>) {
    let cell = Arc::new(Mutex::new(Cell { outcome: None, waker: None }));
    (Giver { cell: Arc::clone(&cell) }, Awaited { cell })
}

impl<T: Clone> Awaited<T> {
    /// The outcome, if it is known already.
    pub(crate) fn outcome(&self) -> Option<Option<T>> {
        lock(&self.cell).outcome.clone()
    }
}

impl<T: Clone> Future for Awaited<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut cell = lock(&self.cell);
        if let Some(outcome) = &cell.outcome {
            return Poll::Ready(outcome.clone());
        }
        cell.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<T> Giver<T> {
    /// Gives it.
    pub(crate) fn give(self, value: T) {
        self.settle(Some(value));
    }

    /// Whether anybody still awaits it. Who does not leaves no waker behind.
    pub(crate) fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.cell) > 1
    }

    fn settle(&self, outcome: Option<T>) {
        let waker = {
            let mut cell = lock(&self.cell);
            cell.outcome.get_or_insert(outcome);
            cell.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl<T> Drop for Giver<T> {
    fn drop(&mut self) {
        self.settle(None);
    }
}

impl<T> Drop for Awaited<T> {
    fn drop(&mut self) {
        let waker = lock(&self.cell).waker.take();
        drop(waker);
    }
}
