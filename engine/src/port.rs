//! The side of a shard that other threads see: what they leave for it, and the bell that wakes it.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};

use crossbeam::queue::{ArrayQueue, SegQueue};

use crate::Shard;
use crate::executor::TaskHeader;
use crate::ring::kernel;

/// Jobs that wait for one shard; the next is refused. Jobs are connections handed over and control calls.
pub(crate) const JOBS_MAX: usize = 4096;

/// Something to do on a shard.
pub(crate) type Job = Box<dyn FnOnce(&Shard) + Send>;

/// One shard's port. Every field may be used from any thread.
pub(crate) struct Port {
    pub(crate) index: usize,
    /// Tasks to be run; a task is in here at most once.
    pub(crate) wakes: SegQueue<Arc<TaskHeader>>,
    pub(crate) jobs: ArrayQueue<Job>,
    pub(crate) counters: Counters,
    pub(crate) bell: File,
    sleeping: AtomicBool,
}

/// What a shard has done; written by the shard alone.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) turns: AtomicU64,
    pub(crate) waits: AtomicU64,
    pub(crate) completions: AtomicU64,
    pub(crate) polls: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) tasks: AtomicU64,
}

metric::metrics! {
    /// A shard's figures since start, and what it has now.
    pub struct Stats {
        /// Turns of the loop.
        pub turns: Counter,
        /// Turns that waited in the kernel.
        pub waits: Counter,
        /// Completions reaped.
        pub completions: Counter,
        /// Times a task was run.
        pub polls: Counter,
        /// Operations in flight at the end of the last turn.
        pub in_flight: Gauge,
        /// Tasks alive at the end of the last turn.
        pub tasks: Gauge,
    }
}

impl Counters {
    pub(crate) fn snapshot(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            turns: read(&self.turns),
            waits: read(&self.waits),
            completions: read(&self.completions),
            polls: read(&self.polls),
            in_flight: read(&self.in_flight),
            tasks: read(&self.tasks),
        }
    }

    /// Adds to a counter that only this thread writes: cheaper than an atomic addition.
    pub(crate) fn add(counter: &AtomicU64, amount: u64) {
        counter.store(counter.load(Ordering::Relaxed) + amount, Ordering::Relaxed);
    }
}

impl Port {
    pub(crate) fn new(index: usize) -> io::Result<Self> {
        Ok(Self {
            index,
            wakes: SegQueue::new(),
            jobs: ArrayQueue::new(JOBS_MAX),
            counters: Counters::default(),
            bell: File::from(kernel::event_counter()?),
            sleeping: AtomicBool::new(false),
        })
    }

    /// Has a task run.
    pub(crate) fn wake(&self, task: Arc<TaskHeader>) {
        self.wakes.push(task);
        self.ring();
    }

    /// Has a job run; hands it back when too many wait.
    pub(crate) fn post(&self, job: Job) -> Result<(), Job> {
        self.jobs.push(job)?;
        self.ring();
        Ok(())
    }

    /// Wakes the shard if it sleeps. Call after leaving something for it.
    pub(crate) fn ring(&self) {
        // Pairs with the fence in `prepare_sleep`: either it sees what was left, or this sees it asleep.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) && self.sleeping.swap(false, Ordering::AcqRel) {
            self.strike();
        }
    }

    /// Announces that the shard is about to sleep; false when something was left for it meanwhile.
    pub(crate) fn prepare_sleep(&self) -> bool {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let idle = self.wakes.is_empty() && self.jobs.is_empty();
        if !idle {
            self.awake();
        }
        idle
    }

    /// Announces that the shard is awake.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::Relaxed);
    }

    /// Makes the bell's descriptor ready. Nobody reads it: the ring's poll sees each write as an edge.
    pub(crate) fn strike(&self) {
        if let Err(error) = (&self.bell).write_all(&1_u64.to_ne_bytes()) {
            // Only a counter near 2^64 refuses a write.
            panic!("a shard cannot be woken: {error}");
        }
    }
}
