//! The parked requests of one core, in order of arrival.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::Request;

/// A request that waits, as a listing shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// What it asks for.
    pub request: Request,
    /// Since when it is held, in nanoseconds of the caller's clock.
    pub since_ns: u64,
}

/// A place in the queue. Lower is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

#[derive(Debug)]
struct Entry {
    parked: Parked,
    waker: Waker,
}

/// Ordered by ticket; a map and not a list, because a parked request may be dropped from the middle.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Ticket, Entry>,
    per_client: ClientCounts,
    next: u64,
}

/// How many requests of each client wait.
#[derive(Debug, Default)]
pub(crate) struct ClientCounts(BTreeMap<u64, usize>);

impl ClientCounts {
    pub(crate) fn add(&mut self, client: u64) {
        *self.0.entry(client).or_default() += 1;
    }

    pub(crate) fn subtract(&mut self, client: u64) {
        let count = self.0.get_mut(&client).expect("a parked request is counted for its client");
        *count -= 1;
        if *count == 0 {
            self.0.remove(&client);
        }
    }

    pub(crate) fn of(&self, client: u64) -> usize {
        self.0.get(&client).copied().unwrap_or(0)
    }
}

impl Queue {
    pub(crate) fn push(&mut self, parked: Parked, waker: Waker) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.per_client.add(parked.request.client);
        self.entries.insert(ticket, Entry { parked, waker });
        ticket
    }

    /// Takes `ticket` out of the queue. Where that makes another request the first, answers its waker: it
    /// is that one's turn and nobody else will tell it.
    #[must_use = "the new first in the queue must be woken"]
    pub(crate) fn leave(&mut self, ticket: Ticket) -> Option<Waker> {
        let was_first = self.is_first(ticket);
        let entry = self.entries.remove(&ticket).expect("a ticket is in the queue until it leaves");
        self.per_client.subtract(entry.parked.request.client);
        let first = self.entries.first_key_value().filter(|_| was_first);
        first.map(|(_, entry)| entry.waker.clone())
    }

    pub(crate) fn is_first(&self, ticket: Ticket) -> bool {
        self.entries.first_key_value().is_some_and(|(first, _)| *first == ticket)
    }

    /// Remembers whom to wake for `ticket`: a task may move to another waker between two polls.
    pub(crate) fn set_waker(&mut self, ticket: Ticket, waker: &Waker) {
        let entry = self.entries.get_mut(&ticket).expect("a ticket is in the queue until it leaves");
        entry.waker.clone_from(waker);
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn len_of(&self, client: u64) -> usize {
        self.per_client.of(client)
    }

    pub(crate) fn list(&self) -> Vec<Parked> {
        self.entries.values().map(|entry| entry.parked).collect()
    }
}
