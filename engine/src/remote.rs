//! The way to other shards.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::Shard;
use crate::port::{Port, Stats};
use crate::sync::cross::{self, Closed, lock};

/// The shard has too many jobs waiting, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shard takes no more jobs now")]
pub struct ShardBusy;

/// Why a call to another shard has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// It was not taken.
    #[error(transparent)]
    Busy(#[from] ShardBusy),
    /// It was taken, and its shard ended before it was done.
    #[error("the shard ended before the call was done")]
    Ended(#[from] Closed),
}

/// Whether the engine is to stop, and by when.
#[derive(Default)]
pub(crate) struct Control {
    stopping: AtomicBool,
    deadline: Mutex<Option<Instant>>,
}

impl Control {
    /// By when the shards end, once they are to stop.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        if self.stopping.load(Ordering::Acquire) { *lock(&self.deadline) } else { None }
    }
}

/// All shards, from any thread.
#[derive(Clone)]
pub struct Remote {
    ports: Arc<[Arc<Port>]>,
    control: Arc<Control>,
}

impl Remote {
    pub(crate) fn new(ports: Vec<Arc<Port>>, control: Arc<Control>) -> Self {
        Self { ports: ports.into(), control }
    }

    /// How many shards there are.
    pub fn shards(&self) -> usize {
        self.ports.len()
    }

    /// Runs a task on a shard: `start` makes it there.
    ///
    /// Panics when there is no such shard.
    pub fn spawn_on<S, F>(&self, shard: usize, start: S) -> Result<(), ShardBusy>
    where
        S: FnOnce(Shard) -> F + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let job = move |shard: &Shard| shard.spawn_detached(start(shard.clone()));
        self.ports[shard].post(Box::new(job)).map_err(|_| ShardBusy)
    }

    /// Runs a task on a shard and awaits its result on this one. The task goes on if the future is dropped.
    ///
    /// Panics when there is no such shard.
    pub fn call_on<S, F>(
        &self,
        shard: usize,
        start: S,
    ) -> impl Future<Output = Result<F::Output, CallError>> + use<S, F>
    where
        S: FnOnce(Shard) -> F + Send + 'static,
        F: Future + 'static,
        F::Output: Send + 'static,
    {
        let (sender, receiver) = cross::oneshot();
        let posted = self.spawn_on(shard, move |shard| {
            let task = start(shard);
            async move {
                // Nobody may be waiting for it any more.
                let _ = sender.send(task.await);
            }
        });
        async move {
            posted?;
            Ok(receiver.await?)
        }
    }

    /// Whether the shards were asked to stop.
    pub fn is_shutting_down(&self) -> bool {
        self.control.deadline().is_some()
    }

    /// A shard's figures.
    ///
    /// Panics when there is no such shard.
    pub fn stats(&self, shard: usize) -> Stats {
        self.ports[shard].counters.snapshot()
    }

    /// Asks all shards to stop: [`Shard::shutting_down`] resolves, and each ends when no [`Shard::work`] is left
    /// and its main future has ended, or when `drain` has passed. A later call with an earlier end shortens it.
    pub fn shut_down(&self, drain: Duration) {
        let deadline = Instant::now() + drain;
        {
            let mut held = lock(&self.control.deadline);
            *held = Some(held.map_or(deadline, |held| held.min(deadline)));
        }
        self.control.stopping.store(true, Ordering::Release);
        for port in self.ports.iter() {
            // Not a job, so that a full queue cannot hold it up; an extra turn does no harm.
            port.strike();
        }
    }
}
