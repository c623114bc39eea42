//! A deterministic executor for one thread with a virtual clock: time moves only when nothing else can.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

type Task = Pin<Box<dyn Future<Output = ()>>>;
type Ready = Arc<Mutex<VecDeque<u64>>>;

/// Tasks, timers and the clock. Clones are the same executor.
#[derive(Clone, Default)]
pub struct Executor(Rc<Inner>);

#[derive(Default)]
struct Inner {
    tasks: RefCell<BTreeMap<u64, Task>>,
    ready: Ready,
    timers: RefCell<BTreeMap<(u64, u64), Waker>>,
    next: Cell<u64>,
    now_ns: Cell<u64>,
}

struct TaskWaker {
    task: u64,
    ready: Ready,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.ready.lock().unwrap().push_back(self.task);
    }
}

/// A task with a result that can be asked for later.
pub struct Running<T> {
    executor: Executor,
    result: Rc<RefCell<Option<T>>>,
}

impl<T> Running<T> {
    /// Whether it has ended.
    pub fn is_done(&self) -> bool {
        self.result.borrow().is_some()
    }

    /// Lets time pass until it ends.
    pub fn finish(self) -> T {
        let Self { executor, result } = self;
        loop {
            if let Some(value) = result.borrow_mut().take() {
                return value;
            }
            assert!(executor.step() || executor.skip_to_timer(u64::MAX), "the task waits for nothing");
        }
    }
}

impl Executor {
    /// The virtual clock.
    pub fn now_ns(&self) -> u64 {
        self.0.now_ns.get()
    }

    /// Runs a task behind those that are ready.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        let number = self.add(task);
        self.0.ready.lock().unwrap().push_back(number);
    }

    /// Runs a task before those that are ready.
    pub fn start<T: 'static>(&self, task: impl Future<Output = T> + 'static) -> Running<T> {
        let result = Rc::new(RefCell::new(None));
        let slot = result.clone();
        let number = self.add(async move {
            let value = task.await;
            *slot.borrow_mut() = Some(value);
        });
        self.0.ready.lock().unwrap().push_front(number);
        self.step();
        Running { executor: self.clone(), result }
    }

    /// Runs what can run without time passing.
    pub fn settle(&self) {
        while self.step() {}
    }

    /// Lets `duration_ns` pass, with all that happens in it.
    pub fn advance(&self, duration_ns: u64) {
        let end_ns = self.now_ns() + duration_ns;
        loop {
            self.settle();
            if !self.skip_to_timer(end_ns) {
                break;
            }
        }
        self.0.now_ns.set(end_ns);
    }

    /// Completes after `duration_ns`.
    pub async fn sleep(&self, duration_ns: u64) {
        let deadline_ns = self.now_ns() + duration_ns;
        let number = self.number();
        std::future::poll_fn(|context| {
            if self.now_ns() >= deadline_ns {
                return Poll::Ready(());
            }
            self.0.timers.borrow_mut().insert((deadline_ns, number), context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    fn add(&self, task: impl Future<Output = ()> + 'static) -> u64 {
        let number = self.number();
        self.0.tasks.borrow_mut().insert(number, Box::pin(task));
        number
    }

    fn number(&self) -> u64 {
        self.0.next.set(self.0.next.get() + 1);
        self.0.next.get()
    }

    fn step(&self) -> bool {
        let Some(number) = self.0.ready.lock().unwrap().pop_front() else { return false };
        let Some(mut task) = self.0.tasks.borrow_mut().remove(&number) else { return true };
        let waker = Waker::from(Arc::new(TaskWaker { task: number, ready: self.0.ready.clone() }));
        if task.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            self.0.tasks.borrow_mut().insert(number, task);
        }
        true
    }

    fn skip_to_timer(&self, end_ns: u64) -> bool {
        let first = self.0.timers.borrow_mut().first_entry().and_then(|entry| {
            let (deadline_ns, _) = *entry.key();
            (deadline_ns <= end_ns).then(|| (deadline_ns, entry.remove()))
        });
        let Some((deadline_ns, waker)) = first else { return false };
        self.0.now_ns.set(self.now_ns().max(deadline_ns));
        waker.wake();
        true
    }
}
