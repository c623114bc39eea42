//! A client's lease as one word: when it was last renewed and how the client stands (RFC 8881 §8.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::client::Client;
use crate::config::{Config, Defect};

const STANDING_SHIFT: u32 = 62;
const TIME_MASK: u64 = (1 << STANDING_SHIFT) - 1;

/// How a client stands with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its state counts. It may have missed its lease, as long as nobody else wants what it holds.
    Live,
    /// It missed its lease and somebody else wanted what it held: all of it is revoked.
    Expired,
    /// The administrator revoked all that it held.
    Revoked,
    /// The client id is no more.
    Gone,
}

/// One word, so that a renewal and a revocation cannot both win, and beside it whether the clock stands.
#[derive(Debug)]
pub(crate) struct Lease {
    word: AtomicU64,
    /// Holds that exist. Who ends one renews first: whoever finds none here sees in the word when the last ended.
    holds: AtomicU32,
}

/// As long as it exists the client's lease does not run: what it asked for waits because we let it wait, and what it
/// sends may not be read. Its own requests may be what it would renew the lease with.
#[derive(Debug)]
#[must_use = "the lease stands only while it is held"]
pub struct LeaseHold {
    client: Arc<Client>,
}

impl LeaseHold {
    pub(crate) fn new(client: Arc<Client>) -> Self {
        client.lease.holds.fetch_add(1, Ordering::AcqRel);
        Self { client }
    }

    /// Lets the lease run again, from `now` on as if the client had just been heard of. Who is merely dropped leaves the
    /// lease to run from when the client was heard of last.
    pub fn end(self, now: u64, config: &Config) {
        self.renew(now, config);
    }

    /// Has the lease run from `now` on when the hold ends, so that no sweep comes in between.
    pub(crate) fn renew(&self, now: u64, config: &Config) {
        self.client.lease.renew(now, config.limits.renewal_interval_ns);
    }
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        self.client.lease.holds.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Lease {
    pub(crate) fn new(now: u64) -> Self {
        Self { word: AtomicU64::new(now & TIME_MASK), holds: AtomicU32::new(0) }
    }

    pub(crate) fn standing(&self) -> Standing {
        standing(self.word.load(Ordering::Acquire))
    }

    /// For how long the client has not been heard of; not at all while its lease is held.
    pub(crate) fn silent_ns(&self, now: u64, config: &Config) -> u64 {
        let is_held = self.is_held(config);
        let word = self.word.load(Ordering::Acquire);
        if is_held { 0 } else { now.saturating_sub(word & TIME_MASK) }
    }

    /// To be asked before the word is read.
    fn is_held(&self, config: &Config) -> bool {
        self.holds.load(Ordering::Acquire) > 0 && !config.has(Defect::LeaseRunsWhileHeld)
    }

    /// Notes that the client was heard of at `now`, unless that was noted within `interval` before.
    pub(crate) fn renew(&self, now: u64, interval: u64) -> Standing {
        let mut word = self.word.load(Ordering::Acquire);
        while now.saturating_sub(word & TIME_MASK) >= interval {
            let renewed = (word & !TIME_MASK) | (now & TIME_MASK);
            match self.word.compare_exchange_weak(word, renewed, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break,
                Err(current) => word = current,
            }
        }
        standing(word)
    }

    /// Whether a live client has not been heard of for a lease.
    pub(crate) fn is_missed(&self, now: u64, config: &Config) -> bool {
        self.missed(now, config).is_some()
    }

    /// Makes a live client that missed its lease an expired one. False when it is not live or has renewed.
    pub(crate) fn expire(&self, now: u64, config: &Config) -> bool {
        self.missed(now, config).is_some_and(|word| {
            let expired = with_standing(word, Standing::Expired);
            self.word.compare_exchange(word, expired, Ordering::AcqRel, Ordering::Acquire).is_ok()
        })
    }

    /// The word of a live client that has not been heard of for a lease.
    fn missed(&self, now: u64, config: &Config) -> Option<u64> {
        let is_held = self.is_held(config);
        let word = self.word.load(Ordering::Acquire);
        let is_late = now.saturating_sub(word & TIME_MASK) > config.lease_ns;
        (standing(word) == Standing::Live && is_late && !is_held).then_some(word)
    }

    /// Changes the standing, unless the client is gone already. True when this call changed it.
    pub(crate) fn set_standing(&self, to: Standing) -> bool {
        let changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            let from = standing(word);
            (from != Standing::Gone && from != to).then(|| with_standing(word, to))
        });
        changed.is_ok()
    }
}

fn standing(word: u64) -> Standing {
    match word >> STANDING_SHIFT {
        0 => Standing::Live,
        1 => Standing::Expired,
        2 => Standing::Revoked,
        _ => Standing::Gone,
    }
}

fn with_standing(word: u64, standing: Standing) -> u64 {
    let bits: u64 = match standing {
        Standing::Live => 0,
        Standing::Expired => 1,
        Standing::Revoked => 2,
        Standing::Gone => 3,
    };
    (word & TIME_MASK) | (bits << STANDING_SHIFT)
}
