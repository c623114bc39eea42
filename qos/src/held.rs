//! The requests of one core that wait for tokens, and their tasks.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::limits::{Charged, Turn, Woken};
use crate::queue::{ClientCounts, Parked};

/// Of a request that has waited: `None` where it waited in vain.
pub(crate) type Outcome = Option<Charged>;

/// By turn: who waits for tokens, or has them and was not polled since.
#[derive(Debug, Default)]
pub(crate) struct Held {
    entries: BTreeMap<Turn, Entry>,
    per_client: ClientCounts,
}

#[derive(Debug)]
struct Entry {
    parked: Parked,
    waker: Waker,
    outcome: Option<Outcome>,
}

impl Held {
    pub(crate) fn insert(&mut self, turn: Turn, parked: Parked) {
        self.per_client.add(parked.request.client);
        self.entries.insert(turn, Entry { parked, waker: Waker::noop().clone(), outcome: None });
    }

    /// Remembers what became of a request. Its task is to be woken when no borrow is held.
    #[must_use = "a task that is not woken sleeps for ever"]
    pub(crate) fn settle(&mut self, woken: Woken) -> Waker {
        let entry = self.entries.get_mut(&woken.turn).expect("who is parked is held");
        entry.outcome = Some(woken.charged);
        entry.waker.clone()
    }

    /// What became of the request `turn`, which is no longer held then. Else `waker` will be woken.
    pub(crate) fn poll(&mut self, turn: Turn, waker: &Waker) -> Option<Outcome> {
        let entry = self.entries.get_mut(&turn).expect("who is held is there until it knows");
        let Some(outcome) = entry.outcome else {
            entry.waker.clone_from(waker);
            return None;
        };
        self.remove(turn);
        Some(outcome)
    }

    /// Takes a request out; answers what became of it, if that is known.
    pub(crate) fn remove(&mut self, turn: Turn) -> Option<Outcome> {
        let entry = self.entries.remove(&turn).expect("who is held is there until it is taken out");
        self.per_client.subtract(entry.parked.request.client);
        entry.outcome
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn len_of(&self, client: u64) -> usize {
        self.per_client.of(client)
    }

    pub(crate) fn list(&self) -> impl Iterator<Item = Parked> {
        self.entries.values().map(|entry| entry.parked)
    }
}
