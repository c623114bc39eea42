//! The shard's own executor: tasks that never leave their thread, wakers that may.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::port::Port;
use crate::recycle::{TaskFuture, task};
use crate::sync::oneshot;
use crate::table::{Key, Table};

/// Tasks on one shard. Connections and requests in progress are bounded far below; reaching this is a bug.
const TASKS_MAX: usize = 1 << 22;

/// Headers kept for tasks to come: as many as requests are in progress on a busy shard.
const SPARE_HEADERS_MAX: usize = 4096;

thread_local! {
    /// The tasks of this thread's shard that are ready, in the order in which they became so.
    static READY: RefCell<Option<Ready>> = const { RefCell::new(None) };
}

struct Ready {
    port: Arc<Port>,
    queue: VecDeque<Arc<TaskHeader>>,
    /// Those that run when the others have.
    late: VecDeque<Arc<TaskHeader>>,
}

/// What is found among the ready tasks of this thread's shard.
fn ready<T>(find: impl FnOnce(&mut Ready) -> Option<T>) -> Option<T> {
    READY.with(|ready| ready.borrow_mut().as_mut().and_then(find))
}

/// What a waker holds of its task.
pub(crate) struct TaskHeader {
    port: Arc<Port>,
    key: Key,
    late: bool,
    /// Whether it is in a queue already.
    queued: AtomicBool,
}

impl Wake for TaskHeader {
    fn wake(self: Arc<Self>) {
        if self.queued.swap(true, Ordering::AcqRel) {
            return;
        }
        let mut header = Some(self);
        // Fails when the thread is ending; then the task is another shard's.
        let _ = READY.try_with(|ready| {
            if let Some(ready) = ready.borrow_mut().as_mut() {
                header = header.take().and_then(|header| ready.push(header));
            }
        });
        if let Some(header) = header {
            header.port.clone().wake(header);
        }
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.queued.load(Ordering::Acquire) {
            self.clone().wake();
        }
    }
}

impl Ready {
    fn new(port: Arc<Port>) -> Self {
        Self { port, queue: VecDeque::new(), late: VecDeque::new() }
    }

    /// Queues a task of this shard; hands back another shard's.
    fn push(&mut self, header: Arc<TaskHeader>) -> Option<Arc<TaskHeader>> {
        if !Arc::ptr_eq(&self.port, &header.port) {
            return Some(header);
        }
        let queue = if header.late { &mut self.late } else { &mut self.queue };
        queue.push_back(header);
        None
    }
}

/// A task and what wakes it.
struct Task {
    future: TaskFuture,
    waker: Waker,
}

/// An empty place for a task to come, and what wakes that task.
struct Seat {
    header: Arc<TaskHeader>,
    waker: Waker,
}

impl Seat {
    /// Whether nobody else can wake who sat here.
    fn is_unknown(&self) -> bool {
        // The header and what the waker holds of it: nobody has a clone to make others from, or it in a queue.
        Arc::strong_count(&self.header) == 2
    }
}

/// Tasks of one shard.
pub(crate) struct Executor {
    port: Arc<Port>,
    /// A task is absent from its place while it runs.
    tasks: RefCell<Table<Option<Task>>>,
    /// The place that the last started task has left as it found it.
    seat: RefCell<Option<Seat>>,
    /// Tasks started at once since the last task of the queue began to run.
    started: Cell<usize>,
    /// Headers of tasks that have ended and that no waker names any more.
    spare: RefCell<Vec<Arc<TaskHeader>>>,
    closed: Cell<bool>,
}

impl Executor {
    /// Makes the calling thread the one that runs these tasks.
    pub(crate) fn enter(port: Arc<Port>) -> Rc<Self> {
        READY.with(|ready| {
            let before = ready.replace(Some(Ready::new(port.clone())));
            assert!(before.is_none(), "a thread runs one shard");
        });
        let tasks = RefCell::new(Table::new(TASKS_MAX));
        let (seat, spare) = (RefCell::default(), RefCell::default());
        Rc::new(Self { port, tasks, seat, started: Cell::new(0), spare, closed: Cell::new(false) })
    }

    /// Adds a task and makes it ready.
    pub(crate) fn spawn<F: Future + 'static>(self: &Rc<Self>, future: F) -> JoinHandle<F::Output> {
        let (sender, result) = oneshot::channel();
        let run = async move {
            // Nobody may be waiting for it.
            let _ = sender.send(future.await);
        };
        let key = self.add(run, false);
        JoinHandle { result, key: key.unwrap_or(Key::from_bits(u64::MAX)), executor: self.clone() }
    }

    /// Adds a task that nobody waits for and makes it ready. In steady state it costs no allocation.
    pub(crate) fn spawn_detached(&self, future: impl Future<Output = ()> + 'static) {
        self.add(future, false);
    }

    /// Adds a task that nobody waits for, that is ready, and that always runs when the others of a turn have.
    pub(crate) fn spawn_late(&self, future: impl Future<Output = ()> + 'static) {
        self.add(future, true);
    }

    /// Adds a task that nobody waits for and runs it at once, up to where it first waits. Those that never do run one
    /// after the other in the same memory, which the core's cache keeps, and touch no queue.
    pub(crate) fn start_detached<F: Future<Output = ()> + 'static>(&self, make: impl FnOnce() -> F) {
        if self.closed.get() {
            return;
        }
        self.started.update(|count| count + 1);
        let mut future = task(make);
        let seat = self.seat.take().unwrap_or_else(|| self.empty_seat(false));
        if future.as_mut().poll(&mut Context::from_waker(&seat.waker)).is_pending() {
            drop(self.put_back(seat.header.key, Task { future, waker: seat.waker }));
            return;
        }
        drop(future);
        // One that was started by another task that was started finds the place taken when that one ends.
        let surplus = if seat.is_unknown() { self.seat.replace(Some(seat)) } else { Some(seat) };
        if let Some(Seat { header, waker }) = surplus {
            self.tasks.borrow_mut().remove(header.key);
            drop(waker);
            self.keep(header);
        }
    }

    /// None when the shard is ending: the task never runs, and who waits for it learns that.
    fn add(&self, future: impl Future<Output = ()> + 'static, late: bool) -> Option<Key> {
        if self.closed.get() {
            drop(future);
            return None;
        }
        let Seat { header, waker } = self.empty_seat(late);
        let key = header.key;
        drop(self.put_back(key, Task { future: task(|| future), waker }));
        header.wake();
        Some(key)
    }

    fn empty_seat(&self, late: bool) -> Seat {
        let key = self.tasks.borrow_mut().insert(None);
        let key = key.unwrap_or_else(|_| panic!("more than {TASKS_MAX} tasks on one shard"));
        let header = self.header(key, late);
        Seat { waker: Waker::from(header.clone()), header }
    }

    /// A header for the task with this key.
    fn header(&self, key: Key, late: bool) -> Arc<TaskHeader> {
        let spare = self.spare.borrow_mut().pop();
        if let Some(mut header) = spare
            && let Some(place) = Arc::get_mut(&mut header)
        {
            (place.key, place.late) = (key, late);
            *place.queued.get_mut() = false;
            return header;
        }
        Arc::new(TaskHeader { port: self.port.clone(), key, late, queued: AtomicBool::new(false) })
    }

    /// Keeps the header of a task that has ended, unless somebody may still wake it.
    fn keep(&self, mut header: Arc<TaskHeader>) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE_HEADERS_MAX && Arc::get_mut(&mut header).is_some() {
            spare.push(header);
        }
    }

    /// Runs ready tasks until tasks have run `polls_max` times, those included that ran at once because another started
    /// them, of which the last may bring a few too many; then as many of those that run late; returns how many times.
    pub(crate) fn run(&self, polls_max: usize) -> usize {
        let mut polls = 0;
        while polls < polls_max
            && let Some(header) = ready(|ready| ready.queue.pop_front())
        {
            polls += self.poll(header);
        }
        // One that wakes itself has its next turn in the next.
        for _ in 0..ready(|ready| Some(ready.late.len().min(polls_max))).unwrap_or(0) {
            let Some(header) = ready(|ready| ready.late.pop_front()) else { break };
            polls += self.poll(header);
        }
        polls
    }

    /// Whether a task is ready.
    pub(crate) fn has_ready(&self) -> bool {
        ready(|ready| ready.queue.front().or(ready.late.front()).map(drop)).is_some()
    }

    /// Queues a task that another thread woke.
    pub(crate) fn admit(&self, header: Arc<TaskHeader>) {
        ready(|ready| ready.push(header));
    }

    pub(crate) fn tasks(&self) -> usize {
        self.tasks.borrow().len() - usize::from(self.seat.borrow().is_some())
    }

    /// Drops all tasks, also those that dropping others brings forth.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.seat.take();
        let tasks = self.tasks.borrow_mut().drain();
        drop(tasks);
    }

    /// Lets the calling thread go.
    pub(crate) fn leave(&self) {
        let before = READY.with(RefCell::take);
        drop(before);
    }

    /// Runs a task; returns how many ran with those that it started.
    fn poll(&self, header: Arc<TaskHeader>) -> usize {
        header.queued.store(false, Ordering::Release);
        let key = header.key;
        let taken = self.tasks.borrow_mut().get_mut(key).and_then(Option::take);
        let Some(mut task) = taken else {
            // A wake-up for a task that has ended.
            self.keep(header);
            return 1;
        };
        let ended = if task.future.as_mut().poll(&mut Context::from_waker(&task.waker)).is_ready() {
            self.tasks.borrow_mut().remove(key);
            Some(task)
        } else {
            self.put_back(key, task)
        };
        if ended.is_some() {
            drop(ended);
            self.keep(header);
        }
        1 + self.started.take()
    }

    /// Puts a task that waits in its place; hands it back when that is gone, because the task was aborted or the shard has
    /// ended while it ran.
    fn put_back(&self, key: Key, task: Task) -> Option<Task> {
        match self.tasks.borrow_mut().get_mut(key) {
            Some(place) => {
                *place = Some(task);
                None
            }
            None => Some(task),
        }
    }

    fn abort(&self, key: Key) {
        let task = self.tasks.borrow_mut().remove(key);
        drop(task);
    }
}

/// The task was aborted, or its shard ended, before it had a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task ended without a result")]
pub struct Aborted;

/// A running task. Dropping the handle lets the task go on by itself.
pub struct JoinHandle<T> {
    result: oneshot::Receiver<T>,
    key: Key,
    executor: Rc<Executor>,
}

impl<T> JoinHandle<T> {
    /// Drops the task where it is. The memory of its operations in flight lives until they complete.
    pub fn abort(&self) {
        self.executor.abort(self.key);
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Aborted>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(context).map_err(|_| Aborted)
    }
}
