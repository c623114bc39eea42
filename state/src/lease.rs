//! A client's lease as one word: when it was last renewed and how the client stands (RFC 8881 §8.3).

use std::sync::atomic::{AtomicU64, Ordering};

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

/// One word, so that a renewal and a revocation cannot both win.
#[derive(Debug)]
pub(crate) struct Lease {
    word: AtomicU64,
}

impl Lease {
    pub(crate) fn new(now: u64) -> Self {
        Self { word: AtomicU64::new(now & TIME_MASK) }
    }

    pub(crate) fn standing(&self) -> Standing {
        standing(self.word.load(Ordering::Acquire))
    }

    /// When the client was last heard of.
    pub(crate) fn renewed_at(&self) -> u64 {
        self.word.load(Ordering::Acquire) & TIME_MASK
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

    /// Whether a live client has not been heard of for `lease` nanoseconds.
    pub(crate) fn is_missed(&self, now: u64, lease: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        standing(word) == Standing::Live && now.saturating_sub(word & TIME_MASK) > lease
    }

    /// Makes a live client that missed its lease an expired one. False when it is not live or has renewed.
    pub(crate) fn expire(&self, now: u64, lease: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        standing(word) == Standing::Live
            && now.saturating_sub(word & TIME_MASK) > lease
            && self
                .word
                .compare_exchange(
                    word,
                    with_standing(word, Standing::Expired),
                    Ordering::AcqRel,
                    Ordering::Acquire,
                )
                .is_ok()
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
