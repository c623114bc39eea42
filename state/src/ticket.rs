//! Something to await: a change that is on its way to stable storage.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use crate::store::{Completion, StoreError, StoreResult};
use crate::stripes::lock;

/// Resolves when the store has the change on stable storage, or has failed. A reply that depends on the
/// change is sent after that and not before.
#[must_use = "the reply must wait for the store"]
#[derive(Debug)]
pub struct StoreTicket {
    cell: Arc<Mutex<Cell>>,
}

#[derive(Debug, Default)]
struct Cell {
    outcome: Option<StoreResult>,
    waker: Option<Waker>,
}

/// Resolves the ticket; if it is dropped before, the store went away.
struct Resolver {
    cell: Arc<Mutex<Cell>>,
}

impl StoreTicket {
    /// A ticket and the completion that resolves it, after it has run `then`.
    pub(crate) fn new(then: impl FnOnce(&StoreResult) + Send + 'static) -> (Self, Completion) {
        let cell = Arc::new(Mutex::new(Cell::default()));
        let resolver = Resolver { cell: Arc::clone(&cell) };
        let completion = Box::new(move |outcome: StoreResult| {
            then(&outcome);
            resolver.resolve(outcome);
        });
        (Self { cell }, completion)
    }

    /// The outcome, if it is known already.
    pub fn outcome(&self) -> Option<StoreResult> {
        lock(&self.cell).outcome.clone()
    }
}

impl Future for StoreTicket {
    type Output = StoreResult;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<StoreResult> {
        let mut cell = lock(&self.cell);
        if let Some(outcome) = &cell.outcome {
            return Poll::Ready(outcome.clone());
        }
        cell.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Resolver {
    fn resolve(&self, outcome: StoreResult) {
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

impl Drop for Resolver {
    fn drop(&mut self) {
        self.resolve(Err(StoreError("the store stopped before it answered".into())));
    }
}
