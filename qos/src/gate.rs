//! The gate: closing it lets what is in flight finish and holds back what comes.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use crate::Work;
use crate::limits::Charged;
use crate::waiters::{Place, Waiters};

/// The longest a gate stays closed without being extended, in nanoseconds: 30 seconds, a third of the
/// default lease, so that no coordinator can hold clients until their leases are in danger.
pub const CLOSED_NS_MAX: u64 = 30_000_000_000;

/// Names one closing of one gate. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(u64);

/// The gate opened by itself (or was opened) since the closing that was asked about: whatever relied on it
/// being closed is void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lapsed;

/// Somebody else closed the gate and has not opened it yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosedAlready {
    /// Their closing.
    pub epoch: Epoch,
}

/// What a gate looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateStatus {
    /// The current or, when open, the last epoch.
    pub epoch: Epoch,
    /// When a closed gate opens by itself, in nanoseconds; `None` while it is open.
    pub deadline_ns: Option<u64>,
    /// Passes that exist.
    pub in_flight: usize,
    /// How often the gate opened by itself.
    pub lapses: u64,
}

impl GateStatus {
    /// Whether passes are given.
    pub fn is_open(&self) -> bool {
        self.deadline_ns.is_none()
    }

    /// Whether the gate is closed and nothing that went through it is still in flight.
    pub fn is_drained(&self) -> bool {
        !self.is_open() && self.in_flight == 0
    }
}

/// One core's gate. Clones are the same gate.
///
/// A closed gate opens by itself at its deadline and then counts a new epoch, so that the death of whoever
/// closed it costs a bounded pause, and nobody can take a gate that opened in between for one that stayed
/// closed. It has no timer: the owner calls [`Gate::tick`] at [`GateStatus::deadline_ns`].
#[derive(Clone, Debug)]
pub struct Gate(Rc<RefCell<Inner>>);

#[derive(Debug)]
struct Inner {
    status: GateStatus,
    /// Wait for the gate to open.
    entering: Waiters,
    /// Wait for the gate to drain, or to open before it did.
    draining: Waiters,
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Gate {
    /// An open gate.
    pub fn new() -> Self {
        let status = GateStatus { epoch: Epoch(0), deadline_ns: None, in_flight: 0, lapses: 0 };
        Self(Rc::new(RefCell::new(Inner {
            status,
            entering: Waiters::default(),
            draining: Waiters::default(),
        })))
    }

    /// How the gate stands.
    pub fn status(&self) -> GateStatus {
        self.0.borrow().status
    }

    /// A pass, unless the gate is closed at `now_ns`. Opens a gate whose deadline has passed.
    pub fn try_enter(&self, now_ns: u64) -> Option<Pass> {
        self.tick(now_ns);
        self.take_pass()
    }

    /// Waits for a pass. `now_ns` is the time of the call.
    pub fn enter(&self, now_ns: u64) -> Enter {
        self.tick(now_ns);
        Enter { gate: self.clone(), place: Place::default() }
    }

    /// Closes the gate until [`Gate::open`] or `deadline_ns`, which is brought forward to
    /// [`CLOSED_NS_MAX`] from `now_ns`. The epoch names this closing.
    pub fn close(&self, now_ns: u64, deadline_ns: u64) -> Result<Epoch, ClosedAlready> {
        self.tick(now_ns);
        let mut inner = self.0.borrow_mut();
        let status = &mut inner.status;
        if !status.is_open() {
            return Err(ClosedAlready { epoch: status.epoch });
        }
        status.epoch = Epoch(status.epoch.0 + 1);
        status.deadline_ns = Some(bounded(now_ns, deadline_ns));
        Ok(status.epoch)
    }

    /// Moves the deadline of the closing `epoch`, within the same bound from `now_ns`.
    pub fn extend(&self, epoch: Epoch, now_ns: u64, deadline_ns: u64) -> Result<(), Lapsed> {
        self.verify(epoch, now_ns)?;
        self.0.borrow_mut().status.deadline_ns = Some(bounded(now_ns, deadline_ns));
        Ok(())
    }

    /// Whether the gate has been closed without a gap since it was closed as `epoch`.
    pub fn verify(&self, epoch: Epoch, now_ns: u64) -> Result<(), Lapsed> {
        self.tick(now_ns);
        let status = self.status();
        if status.is_open() || status.epoch != epoch { Err(Lapsed) } else { Ok(()) }
    }

    /// Ends the closing `epoch`. Success proves that the gate was closed without a gap until now.
    pub fn open(&self, epoch: Epoch, now_ns: u64) -> Result<(), Lapsed> {
        self.verify(epoch, now_ns)?;
        self.open_up();
        Ok(())
    }

    /// Waits until everything that went through before the closing `epoch` has ended.
    pub fn drained(&self, epoch: Epoch) -> Drained {
        Drained { gate: self.clone(), epoch, place: Place::default() }
    }

    /// Opens the gate if its deadline has come at `now_ns`. Answers whether it did.
    pub fn tick(&self, now_ns: u64) -> bool {
        let mut inner = self.0.borrow_mut();
        let status = &mut inner.status;
        let is_due = status.deadline_ns.is_some_and(|deadline_ns| deadline_ns <= now_ns);
        if !is_due {
            return false;
        }
        status.epoch = Epoch(status.epoch.0 + 1);
        status.lapses += 1;
        drop(inner);
        self.open_up();
        true
    }

    fn open_up(&self) {
        let mut inner = self.0.borrow_mut();
        inner.status.deadline_ns = None;
        let entering = inner.entering.take();
        let draining = inner.draining.take();
        drop(inner);
        wake_all(entering);
        wake_all(draining);
    }

    fn take_pass(&self) -> Option<Pass> {
        let mut inner = self.0.borrow_mut();
        if !inner.status.is_open() {
            return None;
        }
        inner.status.in_flight += 1;
        Some(Pass { gate: self.clone(), charged: None, work: None })
    }
}

/// The right to work on storage, counted in flight until it is dropped.
#[derive(Debug)]
#[must_use = "work is in flight only while its pass exists"]
pub struct Pass {
    gate: Gate,
    /// When its limits were charged, if it has come by them.
    pub(crate) charged: Option<Charged>,
    /// Where others are paced by how long it takes.
    pub(crate) work: Option<Work>,
}

impl Pass {
    /// When the request was charged, for [`Admission::refund`](crate::Admission::refund).
    pub fn charged(&self) -> Option<Charged> {
        self.charged
    }

    /// What is at work by this pass, where others are paced by that: it may last longer, or be told when it is done.
    pub fn take_work(&mut self) -> Option<Work> {
        self.work.take()
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut inner = self.gate.0.borrow_mut();
        inner.status.in_flight -= 1;
        if !inner.status.is_drained() {
            return;
        }
        let draining = inner.draining.take();
        drop(inner);
        wake_all(draining);
    }
}

/// See [`Gate::enter`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Enter {
    gate: Gate,
    place: Place,
}

impl Future for Enter {
    type Output = Pass;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Pass> {
        let Self { gate, place } = &mut *self;
        if let Some(pass) = gate.take_pass() {
            return Poll::Ready(pass);
        }
        gate.0.borrow_mut().entering.wait(place, context.waker());
        Poll::Pending
    }
}

impl Drop for Enter {
    fn drop(&mut self) {
        self.gate.0.borrow_mut().entering.forget(&mut self.place);
    }
}

/// See [`Gate::drained`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Drained {
    gate: Gate,
    epoch: Epoch,
    place: Place,
}

impl Future for Drained {
    type Output = Result<(), Lapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { gate, epoch, place } = &mut *self;
        let mut inner = gate.0.borrow_mut();
        if inner.status.is_open() || inner.status.epoch != *epoch {
            return Poll::Ready(Err(Lapsed));
        }
        if inner.status.is_drained() {
            return Poll::Ready(Ok(()));
        }
        inner.draining.wait(place, context.waker());
        Poll::Pending
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        self.gate.0.borrow_mut().draining.forget(&mut self.place);
    }
}

fn bounded(now_ns: u64, deadline_ns: u64) -> u64 {
    deadline_ns.min(now_ns.saturating_add(CLOSED_NS_MAX))
}

fn wake_all(wakers: Vec<Waker>) {
    wakers.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
impl Gate {
    /// How many wakers are kept: what a dropped future must not add to.
    pub(crate) fn waiting_count(&self) -> usize {
        let inner = self.0.borrow();
        inner.entering.len() + inner.draining.len()
    }
}
