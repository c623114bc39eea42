//! One core's share of the engine, as its tasks see it.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use crate::executor::{Executor, JoinHandle};
use crate::helpers::Helpers;
use crate::operation::Operation;
use crate::personality::{Personality, Retired};
use crate::port::{Port, Stats};
use crate::remote::Remote;
use crate::ring::Completion;
use crate::ring::buffers::{Buffers, Loan};
use crate::ring::driver::{Driver, Submitted};
use crate::sync::Notify;
use crate::timer::{Sleep, Timers};

/// A handle on the shard of the current thread. Cheap to clone; never leaves its thread.
///
/// Operations take descriptors as owned values that are cheap to clone, such as `Rc<OwnedFd>` or `Arc<File>`, and
/// keep them open until the kernel is done.
#[derive(Clone)]
pub struct Shard(pub(crate) Rc<Inner>);

pub(crate) struct Inner {
    pub(crate) executor: Rc<Executor>,
    pub(crate) timers: Rc<Timers>,
    pub(crate) driver: Rc<Driver>,
    pub(crate) pool: buf::Pool,
    pub(crate) port: Arc<Port>,
    pub(crate) remote: Remote,
    pub(crate) helpers: Helpers,
    pub(crate) retired: Retired,
    pub(crate) stopping: Cell<bool>,
    pub(crate) stop: Notify,
    pub(crate) work: Cell<usize>,
    pub(crate) receiving: Receiving,
}

/// How a shard's connections receive.
#[derive(Clone)]
pub(crate) struct Receiving {
    /// Absent where the kernel does not take them.
    pub(crate) buffers: Option<Rc<Buffers>>,
    /// Whether one request may serve for many receives.
    pub(crate) multishot: bool,
}

impl Receiving {
    /// What one of several completions brought.
    pub(crate) fn loan(&self, completion: Completion) -> io::Result<Loan> {
        let buffers = self.buffers.as_ref().expect("only an operation with buffers completes several times");
        buffers.loan(completion)
    }
}

impl Shard {
    /// Which shard this is, from 0.
    pub fn index(&self) -> usize {
        self.0.port.index
    }

    /// Runs a task on this shard. Dropping the handle lets it go on by itself.
    pub fn spawn<F: Future + 'static>(&self, future: F) -> JoinHandle<F::Output> {
        self.0.executor.spawn(future)
    }

    /// Runs a task that nobody waits for. In steady state it costs no allocation: for what every request needs.
    pub fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn_detached(future);
    }

    /// As [`spawn_detached`](Self::spawn_detached), but whenever the task is woken it runs at the end of the turn, when
    /// all others have: for what takes up what they leave.
    pub fn spawn_late(&self, future: impl Future<Output = ()> + 'static) {
        self.0.executor.spawn_late(future);
    }

    /// As [`spawn_detached`](Self::spawn_detached), but runs the task at once, up to where it first waits: for what
    /// seldom waits at all. It must not need what the caller has borrowed. The future is made where it stays: one of
    /// kilobytes is written no further than it has begun.
    pub fn start_detached<F: Future<Output = ()> + 'static>(&self, make: impl FnOnce() -> F) {
        self.0.executor.start_detached(make);
    }

    /// The monotonic time, read once per turn of the loop.
    pub fn now(&self) -> Instant {
        self.0.timers.now()
    }

    /// The monotonic time, read now.
    pub fn now_precise(&self) -> Instant {
        Instant::now()
    }

    /// Waits until an instant.
    pub fn sleep_until(&self, deadline: Instant) -> Sleep {
        Sleep::new(self.0.timers.clone(), deadline)
    }

    /// Waits for a while, counted from the start of this turn of the loop.
    pub fn sleep(&self, duration: Duration) -> Sleep {
        self.sleep_until(self.now() + duration)
    }

    /// Lets other tasks, and the ring, have a turn.
    pub async fn yield_now(&self) {
        YieldNow { yielded: false }.await;
    }

    /// The shard's payload memory.
    pub fn pool(&self) -> &buf::Pool {
        &self.0.pool
    }

    /// The way to the other shards.
    pub fn remote(&self) -> &Remote {
        &self.0.remote
    }

    /// The threads for calls that may sleep and have no ring operation.
    pub fn helpers(&self) -> &Helpers {
        &self.0.helpers
    }

    /// Registers the credentials that the calling thread has at this moment (for the file system: those set by
    /// `setfsuid` and its like included) for operations of this shard.
    pub fn register_personality(&self) -> io::Result<Personality> {
        let id = self.0.driver.register_personality()?;
        Ok(Personality::new(id, self.0.retired.clone()))
    }

    /// Resolves when the engine is asked to stop.
    pub async fn shutting_down(&self) {
        while !self.0.stopping.get() {
            self.0.stop.notified().await;
        }
    }

    /// Whether the engine was asked to stop.
    pub fn is_shutting_down(&self) -> bool {
        self.0.stopping.get()
    }

    /// Marks work that a graceful shutdown waits for, as long as the guard lives.
    pub fn work(&self) -> Work {
        self.0.work.set(self.0.work.get() + 1);
        Work(self.clone())
    }

    /// This shard's figures.
    pub fn stats(&self) -> Stats {
        self.0.port.counters.snapshot()
    }

    pub(crate) fn submit<O: Operation>(&self, operation: O) -> Submitted<O> {
        self.0.driver.submit(operation)
    }

    /// Unregisters the personalities that nobody uses any more.
    pub(crate) fn retire_personalities(&self) {
        let retired = RefCell::take(&self.0.retired);
        retired.into_iter().for_each(|id| self.0.driver.unregister_personality(id));
    }
}

/// Work that a graceful shutdown waits for.
#[must_use = "it marks work only as long as it lives"]
pub struct Work(Shard);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.0.work.set(self.0.0.work.get() - 1);
    }
}

struct YieldNow {
    yielded: bool,
}

impl Future for YieldNow {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.yielded {
            return Poll::Ready(());
        }
        self.yielded = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
