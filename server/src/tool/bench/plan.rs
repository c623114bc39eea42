//! What the threads of one run share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use client::ClientOptions;
use engine::Shard;
use wire::nfs4::FileHandle;

use super::arguments::{BenchArguments, Span};

/// Between two looks at what another thread does; nothing is measured meanwhile.
const LOOK_PAUSE: Duration = Duration::from_millis(1);

/// Shared by the main thread and those that call.
pub struct Plan {
    /// What was asked for.
    pub arguments: BenchArguments,
    /// Where the server is.
    pub address: std::net::SocketAddr,
    /// Set when the files are there.
    pub prepared: OnceLock<Prepared>,
    /// Set when all threads are ready: when to begin.
    pub go: OnceLock<Instant>,
    /// Set when no further call is to begin.
    pub stop: AtomicBool,
    /// Set when all has been measured and what was made is to be removed.
    pub finish: AtomicBool,
    /// What the threads have done, warm-up included.
    pub done: Vec<Done>,
}

/// What one thread has done so far. A cache line of its own: each is written by one thread all the time.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Done {
    operations: AtomicU64,
    bytes: AtomicU64,
}

/// What the workloads work on.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// The directory `penstock-bench`.
    pub base: Option<FileHandle>,
    /// The files.
    pub files: Vec<FileHandle>,
    /// A directory for each thread, where it makes and removes names.
    pub directories: Vec<FileHandle>,
}

/// Which part of the run is measured.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    /// Operations that begin from here on count.
    pub start: Instant,
    /// Operations that begin from here on do not, and are not begun at all.
    pub end: Option<Instant>,
}

impl Plan {
    /// The part that is measured when the run begins at `go`.
    pub fn window(&self, go: Instant) -> Window {
        match self.arguments.span() {
            Span::Operations(_) => Window { start: go, end: None },
            Span::Time { warm_up, measured } => {
                let start = go + warm_up;
                Window { start, end: Some(start + measured) }
            }
        }
    }

    /// A client of the run: `name` tells it from the others.
    pub fn client(&self, name: &str) -> ClientOptions {
        let owner = format!("penstock bench {} {name}", std::process::id());
        let mut verifier = [0; 8];
        crate::environment::fill(&mut verifier);
        // One more, for the goodbye: the others may all be in doubt when their connections broke.
        let depth = self.arguments.depth.div_ceil(self.arguments.sessions());
        let mut options = ClientOptions::named(&owner)
            .identity(self.arguments.identity())
            .slots(depth.max(MAKING_DEPTH as u32) + 1);
        options.patience = Some(crate::tool::PATIENCE);
        options.mount_port = self.arguments.url.mount_port;
        options.verifier = wire::nfs4::Verifier(verifier);
        // What the server calls back about, delegations and locks, is nothing that a run has.
        options.back_channel = None;
        options
    }

    /// Operations and bytes of all threads so far.
    pub fn done(&self) -> (u64, u64) {
        let sum =
            |of: fn(&Done) -> &AtomicU64| self.done.iter().map(|done| of(done).load(Ordering::Relaxed)).sum();
        (sum(|done| &done.operations), sum(|done| &done.bytes))
    }
}

impl Done {
    /// Tells how far the thread is.
    pub fn set(&self, operations: u64, bytes: u64) {
        self.operations.store(operations, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }
}

/// Calls in flight while things are made ready and removed.
pub const MAKING_DEPTH: usize = 16;

/// Waits until another thread has set something, or all is to stop.
pub async fn wait_for<'a, T>(shard: &Shard, plan: &Plan, place: &'a OnceLock<T>) -> Option<&'a T> {
    loop {
        if let Some(value) = place.get() {
            return Some(value);
        }
        if plan.stop.load(Ordering::Relaxed) {
            return None;
        }
        shard.sleep(LOOK_PAUSE).await;
    }
}

/// Waits until a flag is set.
pub async fn wait_until(shard: &Shard, flag: &AtomicBool) {
    while !flag.load(Ordering::Acquire) {
        shard.sleep(LOOK_PAUSE).await;
    }
}
