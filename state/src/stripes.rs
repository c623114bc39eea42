//! Tables in stripes, each behind a lock of its own, and the keyed hash that chooses the stripe.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};

use crossbeam::utils::CachePadded;
use siphasher::sip::SipHasher13;

/// Number of stripes of every table: enough that cores seldom meet, and the index fits 6 bits of an id.
pub(crate) const STRIPES: usize = 64;
/// Bits of a stripe's index.
pub(crate) const STRIPE_BITS: u32 = STRIPES.trailing_zeros();

/// A map whose hash function a peer cannot predict.
pub(crate) type KeyedMap<K, V> = HashMap<K, V, KeyedHash>;

/// SipHash-1-3 under the server's random key.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct KeyedHash {
    key: [u64; 2],
}

impl KeyedHash {
    pub(crate) fn new(key: [u64; 2]) -> Self {
        Self { key }
    }

    /// Index of the stripe that holds `value`.
    pub(crate) fn stripe<T: Hash + ?Sized>(&self, value: &T) -> usize {
        // Bits from the middle, because maps inside the stripe choose by the lowest and the highest.
        (self.hash_one(value) >> (u64::BITS / 2)) as usize % STRIPES
    }
}

impl BuildHasher for KeyedHash {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_keys(self.key[0], self.key[1])
    }
}

/// [`STRIPES`] tables, each behind its own lock.
pub(crate) struct Stripes<T> {
    stripes: Box<[CachePadded<Stripe<T>>]>,
}

struct Stripe<T> {
    table: Mutex<T>,
    /// How often the lock was taken; written under it alone.
    taken: AtomicU64,
}

impl<T> Stripes<T> {
    /// Stripes made by `make`, which gets the index.
    pub(crate) fn new(make: impl FnMut(usize) -> T) -> Self {
        let stripe = |table| CachePadded::new(Stripe { table: Mutex::new(table), taken: AtomicU64::new(0) });
        Self { stripes: (0..STRIPES).map(make).map(stripe).collect() }
    }

    /// Locks the stripe of this index.
    pub(crate) fn lock(&self, index: usize) -> MutexGuard<'_, T> {
        let stripe = &self.stripes[index];
        let guard = lock(&stripe.table);
        stripe.taken.store(stripe.taken.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        guard
    }

    /// How often locks of these stripes were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.stripes.iter().map(|stripe| stripe.taken.load(Ordering::Relaxed)).sum()
    }
}

/// Locks a mutex of this crate.
///
/// # Panics
///
/// When a thread panicked while it held the lock: its table may be half changed, and going on would hand out
/// wrong locks. A broken invariant, for which the server restarts and clients reclaim.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("a thread panicked inside a state table")
}
