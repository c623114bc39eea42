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
use crate::open_files::OpenFiles;

static CHANGES: LazyLock<ChangeTable> = LazyLock::new(ChangeTable::default);

/// What an export keeps open: cached objects, and files.
type Kept = (Weak<Caches>, Weak<OpenFiles>);

static KEPT: RwLock<Vec<Kept>> = RwLock::new(Vec::new());

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

/// Adds what an export keeps open to what hears of removals.
pub fn register(caches: &Arc<Caches>, open_files: &Arc<OpenFiles>) {
    let mut all = KEPT.write().unwrap_or_else(PoisonError::into_inner);
    all.retain(|(caches, _)| caches.strong_count() > 0);
    all.push((Arc::downgrade(caches), Arc::downgrade(open_files)));
}

/// Closes the object of this name in every cache of every export, and where it was left unsynced: its last name is
/// gone.
pub fn forget(handle: &NodeHandle) {
    let all = KEPT.read().unwrap_or_else(PoisonError::into_inner);
    for (caches, open_files) in &*all {
        caches.upgrade().into_iter().for_each(|caches| caches.forget(handle));
        open_files.upgrade().into_iter().for_each(|open_files| open_files.forget(handle));
    }
}
