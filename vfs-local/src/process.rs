//! What all exports of the process share, because two of them may be on one file system: the count of changes,
//! the write verifier, and who has to close an object when its last name goes.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, PoisonError, RwLock, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use vfs::NodeHandle;

use crate::cache::Caches;
use crate::change::ChangeTable;

static CHANGES: LazyLock<ChangeTable> = LazyLock::new(ChangeTable::default);

static CACHES: RwLock<Vec<Weak<Caches>>> = RwLock::new(Vec::new());

/// Starts at a value that no earlier life of the process had: the clock, mixed with randomness in case the
/// clock was set back.
static WRITE_VERIFIER: LazyLock<AtomicU64> = LazyLock::new(|| {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let clock = since.as_nanos() as u64;
    AtomicU64::new(clock ^ RandomState::new().hash_one(clock))
});

/// The count of changes within a tick.
pub fn changes() -> &'static ChangeTable {
    &CHANGES
}

/// The write verifier as it is now.
pub fn write_verifier() -> u64 {
    WRITE_VERIFIER.load(Ordering::Acquire)
}

/// Tells every client that unstable writes may be lost. The kernel reports a failed write-back once per
/// descriptor and there are several for one file, so nobody but the verifier reaches all whom it concerns.
pub fn note_failed_sync() {
    WRITE_VERIFIER.fetch_add(1, Ordering::AcqRel);
}

/// Adds the caches of an export to those that hear of removals.
pub fn register_caches(caches: &Arc<Caches>) {
    let mut all = CACHES.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|known| known.strong_count() > 0);
    all.push(Arc::downgrade(caches));
}

/// Closes the object of this name in every cache of every export: its last name is gone.
pub fn forget(handle: &NodeHandle) {
    let all = CACHES.read().unwrap_or_else(PoisonError::into_inner);
    all.iter().filter_map(Weak::upgrade).for_each(|caches| caches.forget(handle));
}
