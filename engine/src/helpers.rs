//! Threads for calls that may sleep and have no ring operation.
//!
//! Size rule: a [`Cap`] reserves as many threads as it may occupy, and the reservations never exceed the pool's
//! threads. So a job that is let through by its cap always finds a thread, however many other caps are stuck in
//! calls that never return; a hung export costs its own cap and nothing else. Threads are started when first
//! needed and end after a while without work.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::sync::cross::{self, lock};

/// How long a thread without work stays.
const IDLE_STAY: Duration = Duration::from_secs(10);

/// Why a job has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelperError {
    /// The cap's queue is full.
    #[error("too many calls of this kind already wait for a helper thread")]
    Busy,
    /// The job panicked.
    #[error("the call ended without a result")]
    Lost,
}

/// The pool cannot reserve so many threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} helper threads were asked for and only {free} are not reserved: raise the number of helper threads"
)]
pub struct HelpersExhausted {
    /// Threads asked for.
    pub asked: usize,
    /// Threads that nobody has reserved.
    pub free: usize,
}

type Job = Box<dyn FnOnce() + Send>;

/// The pool. A handle, usable from any thread.
#[derive(Clone)]
pub struct Helpers(Arc<Pool>);

struct Pool {
    state: Mutex<State>,
    arrived: Condvar,
    /// Where its threads run: where whoever made the pool may. The shards that start them have one core each.
    cores: Option<CpuSet>,
}

#[derive(Default)]
struct State {
    /// Jobs let through by their caps; at most as many as reserved threads.
    ready: VecDeque<(Job, Cap)>,
    idle: usize,
    threads: usize,
    reserved: usize,
    threads_max: usize,
}

/// A share of the pool. A handle: clones name the same share, which ends with the last of them and its jobs.
#[derive(Clone)]
pub struct Cap(Arc<Share>);

struct Share {
    pool: Arc<Pool>,
    running_max: usize,
    waiting_max: usize,
    queue: Mutex<Queue>,
}

#[derive(Default)]
struct Queue {
    running: usize,
    waiting: VecDeque<Job>,
}

impl Helpers {
    /// A pool that starts at most so many threads, on the cores that the calling thread may use.
    pub fn new(threads_max: usize) -> Self {
        let state = Mutex::new(State { threads_max, ..State::default() });
        Self(Arc::new(Pool { state, arrived: Condvar::new(), cores: sched_getaffinity(None).ok() }))
    }

    /// Reserves a share: at most `running_max` jobs at a time, and `waiting_max` that wait.
    pub fn cap(&self, running_max: usize, waiting_max: usize) -> Result<Cap, HelpersExhausted> {
        let running_max = running_max.max(1);
        let mut state = lock(&self.0.state);
        let free = state.threads_max - state.reserved;
        if running_max > free {
            return Err(HelpersExhausted { asked: running_max, free });
        }
        state.reserved += running_max;
        let share = Share { pool: self.0.clone(), running_max, waiting_max, queue: Mutex::default() };
        Ok(Cap(Arc::new(share)))
    }

    /// Runs a job on a helper thread, as soon as its cap lets it. It is run whether or not the future is awaited;
    /// if that is dropped, the result is.
    pub fn run<T, J>(&self, cap: &Cap, job: J) -> impl Future<Output = Result<T, HelperError>> + use<T, J>
    where
        T: Send + 'static,
        J: FnOnce() -> T + Send + 'static,
    {
        let (sender, receiver) = cross::oneshot();
        let taken = cap.admit(Box::new(move || {
            // Nobody may be waiting for it any more.
            let _ = sender.send(job());
        }));
        async move {
            taken?;
            receiver.await.map_err(|_| HelperError::Lost)
        }
    }

    /// Threads there are now.
    pub fn threads(&self) -> usize {
        lock(&self.0.state).threads
    }
}

impl Cap {
    /// Jobs that run, and jobs that wait.
    pub fn load(&self) -> (usize, usize) {
        let queue = lock(&self.0.queue);
        (queue.running, queue.waiting.len())
    }

    fn admit(&self, job: Job) -> Result<(), HelperError> {
        let mut queue = lock(&self.0.queue);
        if queue.running < self.0.running_max {
            queue.running += 1;
            drop(queue);
            self.0.pool.push(job, self.clone());
            return Ok(());
        }
        if queue.waiting.len() >= self.0.waiting_max {
            return Err(HelperError::Busy);
        }
        queue.waiting.push_back(job);
        Ok(())
    }

    /// One job has ended: the next of this cap, to be run in its place.
    fn next(&self) -> Option<Job> {
        let mut queue = lock(&self.0.queue);
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.running -= 1;
        }
        next
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        lock(&self.pool.state).reserved -= self.running_max;
    }
}

impl Pool {
    /// Gives a job to a thread; one that no thread can be started for is lost, and its cap goes on.
    fn push(self: &Arc<Self>, job: Job, cap: Cap) {
        let mut next = Some((job, cap));
        while let Some((job, cap)) = next.take() {
            let Err(error) = self.place(job, cap) else { return };
            tracing::warn!(%error, "a helper thread could not be started");
            let lost = {
                let mut state = lock(&self.state);
                state.threads -= 1;
                state.ready.pop_back()
            };
            next = lost.and_then(|(job, cap)| {
                drop(job);
                Some((cap.next()?, cap))
            });
        }
    }

    /// Queues a job for the threads there are, starting one more if none is idle.
    fn place(self: &Arc<Self>, job: Job, cap: Cap) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.ready.push_back((job, cap));
        if state.ready.len() <= state.idle || state.threads == state.threads_max {
            drop(state);
            self.arrived.notify_one();
            return Ok(());
        }
        state.threads += 1;
        drop(state);
        self.start_thread()
    }

    fn start_thread(self: &Arc<Self>) -> io::Result<()> {
        let pool = self.clone();
        thread::Builder::new().name("helper".to_owned()).spawn(move || pool.work())?;
        Ok(())
    }

    /// The life of a helper thread.
    fn work(&self) {
        let entered = self.cores.as_ref().map_or(Ok(()), |cores| sched_setaffinity(None, cores));
        if let Err(error) = entered {
            tracing::warn!(%error, "a helper thread stays on the core of the shard that has started it");
        }
        while let Some((job, cap)) = self.next() {
            let mut job = Some(job);
            while let Some(current) = job.take() {
                // A panic is told by the dropped sender; the thread and its cap go on.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(current));
                job = cap.next();
            }
        }
    }

    /// The next job; `None`, and the thread no longer counted, after a while without one.
    fn next(&self) -> Option<(Job, Cap)> {
        let mut state = lock(&self.state);
        if state.ready.is_empty() {
            state.idle += 1;
            let waited = self.arrived.wait_timeout_while(state, IDLE_STAY, |state| state.ready.is_empty());
            (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let next = state.ready.pop_front();
        if next.is_none() {
            state.threads -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_reserve_what_they_may_occupy() {
        let helpers = Helpers::new(4);
        let first = helpers.cap(3, 1).unwrap();
        let refused = helpers.cap(2, 1).map(drop);
        assert_eq!(refused, Err(HelpersExhausted { asked: 2, free: 1 }));
        drop(first);
        assert!(helpers.cap(4, 1).is_ok());
    }
}
