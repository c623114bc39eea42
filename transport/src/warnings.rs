//! Warnings of what peers do, but not so many that the log becomes a weapon.

use std::cell::Cell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Warnings in one period; further ones are only counted, by whoever warns.
const WARNINGS_MAX: u32 = 10;

/// The period of [`WARNINGS_MAX`].
const PERIOD: Duration = Duration::from_secs(10);

/// The warnings of one core's transport.
#[derive(Debug)]
pub struct Warnings {
    given: Cell<u32>,
    since: Cell<Instant>,
}

impl Default for Warnings {
    fn default() -> Self {
        Self { given: Cell::default(), since: Cell::new(Instant::now()) }
    }
}

impl Warnings {
    /// Says that a peer's connection was closed and why, if that was not said too often lately.
    pub fn closed(&self, peer: SocketAddr, what: &dyn Display) {
        if self.since.get().elapsed() >= PERIOD {
            self.since.set(Instant::now());
            self.given.set(0);
        }
        self.given.update(|given| given.saturating_add(1));
        if self.given.get() <= WARNINGS_MAX {
            tracing::warn!(%peer, "connection closed: {what}");
        }
    }
}
