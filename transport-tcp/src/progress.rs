//! Whether a peer that owes us something moves.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use crate::limits::PROGRESS_MIN;

/// Notes since when a peer owes us bytes of a begun record, or room for a reply, and whether payload memory
/// is held meanwhile. Time in which we are not waiting for the peer does not count.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    since: Cell<Option<Instant>>,
    moved: Cell<usize>,
    holds_memory: Cell<bool>,
}

impl Progress {
    /// The peer is waited for from `now` on, if it was not before.
    pub(crate) fn wait(&self, now: Instant, holds_memory: bool) {
        self.holds_memory.set(holds_memory);
        if self.since.get().is_none() {
            self.since.set(Some(now));
        }
    }

    /// Bytes moved. Few bytes do not restart the clock.
    pub(crate) fn moved(&self, bytes: usize) {
        let moved = self.moved.get() + bytes;
        if moved >= PROGRESS_MIN {
            self.done();
        } else {
            self.moved.set(moved);
        }
    }

    /// The peer owes nothing now.
    pub(crate) fn done(&self) {
        self.since.set(None);
        self.moved.set(0);
    }

    /// How long the peer has not moved.
    pub(crate) fn stalled_for(&self, now: Instant) -> Duration {
        self.since.get().map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Whether memory that others may want is held until the peer moves.
    pub(crate) fn holds_memory(&self) -> bool {
        self.since.get().is_some() && self.holds_memory.get()
    }
}
