//! Something to await: a change that is on its way to stable storage.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::answer::{Awaited, answer};
use crate::store::{Completion, StoreError, StoreResult};

/// Resolves when the store has the change on stable storage, or has failed. A reply that depends on the
/// change is sent after that and not before.
#[must_use = "the reply must wait for the store"]
#[derive(Debug)]
pub struct StoreTicket {
    answer: Awaited<StoreResult>,
}

impl StoreTicket {
    /// A ticket and the completion that resolves it, after it has run `then`.
    pub(crate) fn new(then: impl FnOnce(&StoreResult) + Send + 'static) -> (Self, Completion) {
        let (giver, answer) = answer();
        let completion = Box::new(move |outcome: StoreResult| {
            then(&outcome);
            giver.give(outcome);
        });
        (Self { answer }, completion)
    }

    /// The outcome, if it is known already.
    pub fn outcome(&self) -> Option<StoreResult> {
        self.answer.outcome().map(or_gone)
    }
}

impl Future for StoreTicket {
    type Output = StoreResult;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<StoreResult> {
        Pin::new(&mut self.answer).poll(context).map(or_gone)
    }
}

/// A completion that is dropped without being called is a store that went away.
fn or_gone(answered: Option<StoreResult>) -> StoreResult {
    answered.unwrap_or_else(|| Err(StoreError("the store stopped before it answered".into())))
}
