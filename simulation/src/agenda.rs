//! What happens when: the virtual clock and the events that move it.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events in order of time; those of the same time in the order in which they were entered.
#[derive(Debug)]
pub struct Agenda<Event> {
    now_ns: u64,
    entered: u64,
    entries: BinaryHeap<Entry<Event>>,
}

#[derive(Debug)]
struct Entry<Event> {
    at_ns: u64,
    number: u64,
    event: Event,
}

impl<Event> Agenda<Event> {
    /// Nothing, at time 0.
    pub fn new() -> Self {
        Self { now_ns: 0, entered: 0, entries: BinaryHeap::new() }
    }

    /// The virtual time.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Enters an event; what should have been happens now.
    pub fn enter(&mut self, at_ns: u64, event: Event) {
        let at_ns = at_ns.max(self.now_ns);
        self.entries.push(Entry { at_ns, number: self.entered, event });
        self.entered += 1;
    }

    /// Goes on to the next event that comes before `end_ns`.
    pub fn next_before(&mut self, end_ns: u64) -> Option<Event> {
        if self.entries.peek()?.at_ns >= end_ns {
            return None;
        }
        let entry = self.entries.pop()?;
        self.now_ns = entry.at_ns;
        Some(entry.event)
    }
}

impl<Event> Ord for Entry<Event> {
    /// The heap has its greatest first: the earliest is the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.number).cmp(&(self.at_ns, self.number))
    }
}

impl<Event> PartialOrd for Entry<Event> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<Event> PartialEq for Entry<Event> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<Event> Eq for Entry<Event> {}
