//! Admission: the limits, and behind them one queue in order of arrival in front of the gate.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::held::Held;
use crate::limits::{self, Charged, Cost, Decision, Entity, Path, Seat, Turn, Usage, Woken, Worked};
use crate::queue::{Queue, Ticket};
use crate::{Enter, Gate, Parked, Pass, Request, Work};

/// How many requests may be parked on one core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of one client. One that is held back cannot take the memory of the others.
    pub per_client: usize,
    /// Of all.
    pub total: usize,
}

impl Default for Bounds {
    /// Room for one full session of 64 slots of a client on each of four connections to one core, and for
    /// 64 such clients; a parked request is a task of some kilobytes.
    fn default() -> Self {
        Self { per_client: 256, total: 16_384 }
    }
}

/// More requests are parked than the bounds allow, or this one would be parked too long: the client is told to come
/// again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// One core's admission. Clones are the same admission.
#[derive(Clone, Debug)]
pub struct Admission(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    bounds: Bounds,
    limits: RefCell<limits::Core>,
    io_unit_bytes: u64,
    held: RefCell<Held>,
    queue: RefCell<Queue>,
    /// The time of the last call, for what ends without being told the time.
    now_ns: Cell<u64>,
}

impl Admission {
    /// Admission by `limits`, where `io_unit_bytes` of payload count as one operation, then through `gate`.
    pub fn new(gate: Gate, bounds: Bounds, limits: limits::Core, io_unit_bytes: u64) -> Self {
        Self(Rc::new(Inner {
            gate,
            bounds,
            limits: RefCell::new(limits),
            io_unit_bytes,
            held: RefCell::default(),
            queue: RefCell::default(),
            now_ns: Cell::new(0),
        }))
    }

    /// The gate behind the queue.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Waits until `request`, which is charged to `path`, may go on; `now_ns` is the time of the call. Those who have
    /// been charged go through the gate in the order in which they were. Dropping the future gives the place up.
    pub fn admit(&self, path: &mut Path, request: Request, now_ns: u64) -> Admit {
        self.0.now_ns.set(now_ns);
        let enter = self.0.gate.enter(now_ns);
        let since_ns = now_ns.saturating_sub(request.held_ns);
        let parked = Parked { request, since_ns };
        let mut until_ns = now_ns;
        let decision = self.0.limits.borrow_mut().offer(path, self.cost(request), since_ns, now_ns);
        let stage = match decision {
            Decision::Run(charged) => Stage::Arrived(charged),
            Decision::Wait { turn, .. } if self.is_full_for(request.client) => {
                self.0.limits.borrow_mut().count_refused(turn);
                self.0.limits.borrow_mut().cancel(turn, now_ns);
                Stage::Refused
            }
            Decision::Wait { turn, until_ns: turn_ns } => {
                until_ns = turn_ns;
                self.0.held.borrow_mut().insert(turn, parked);
                Stage::Held(turn)
            }
            Decision::Refuse => Stage::Refused,
        };
        Admit { admission: self.clone(), enter, path: *path, parked, until_ns, stage }
    }

    /// A pass through the gate for what is charged nothing, if nobody is in front of it. The way of nearly all requests.
    pub fn pass_now(&self, now_ns: u64) -> Option<Pass> {
        let is_alone = self.0.queue.borrow().len() == 0;
        if is_alone { self.0.gate.try_enter(now_ns) } else { None }
    }

    /// What `request` is charged.
    pub fn cost(&self, request: Request) -> Cost {
        request.cost(self.0.io_unit_bytes)
    }

    /// Lets those go on whose turn has come by `now_ns`; to be called at [`Admission::next_deadline_ns`] and when the
    /// table of limits rings.
    pub fn advance(&self, now_ns: u64) {
        self.0.now_ns.set(now_ns);
        let mut woken = Vec::new();
        self.0.limits.borrow_mut().advance(now_ns, &mut woken);
        self.wake(woken);
    }

    /// When [`Admission::advance`] is to be called; `None` while nobody waits for tokens.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        self.0.limits.borrow().next_deadline_ns()
    }

    /// Gives back `unused` of what was charged at `charged` to `path`.
    pub fn refund(&self, path: &Path, unused: Cost, charged: Charged, now_ns: u64) {
        self.0.now_ns.set(now_ns);
        self.0.limits.borrow_mut().refund(path, unused, charged, now_ns);
    }

    /// What is at work is so no longer. Those go on whose turn is before a timer would let them.
    pub(crate) fn done(&self, charged: Charged, worked: Option<Worked>, now_ns: Option<u64>) {
        let now_ns = now_ns.unwrap_or(self.0.now_ns.get());
        self.0.now_ns.set(now_ns);
        self.0.limits.borrow_mut().done(charged, worked, now_ns);
        if self.next_deadline_ns().is_some_and(|next_ns| next_ns <= now_ns) {
            self.advance(now_ns);
        }
    }

    /// Charges `cost` to `path` for what took place already. Those who come next wait for it.
    pub fn owe(&self, path: &mut Path, cost: Cost, now_ns: u64) {
        self.0.now_ns.set(now_ns);
        self.0.limits.borrow_mut().owe(path, cost, now_ns);
    }

    /// What requests of this core have used of the entity at `seat`.
    pub fn usage(&self, seat: Seat) -> Usage {
        self.0.limits.borrow().usage(seat)
    }

    /// How many requests of this core that are charged to all of `leaves` wait for tokens, and how many of them at each of
    /// `seats`.
    pub fn parked_at(&self, leaves: &[Entity], seats: &[Seat]) -> (u64, Vec<u64>) {
        self.0.limits.borrow().parked_at(leaves, seats)
    }

    /// Those who wait: for tokens, then for the gate, first come first.
    pub fn parked(&self) -> Vec<Parked> {
        self.0.held.borrow().list().chain(self.0.queue.borrow().list()).collect()
    }

    /// How many wait.
    pub fn parked_count(&self) -> usize {
        self.0.held.borrow().len() + self.0.queue.borrow().len()
    }

    /// How many of `client` wait.
    pub fn parked_count_of(&self, client: u64) -> usize {
        self.0.held.borrow().len_of(client) + self.0.queue.borrow().len_of(client)
    }

    /// Whether half as many requests of `client`, or of all, wait as may: the time to take no more of them.
    pub fn is_half_full_for(&self, client: u64) -> bool {
        let bounds = self.0.bounds;
        self.parked_count_of(client) >= bounds.per_client / 2 || self.parked_count() >= bounds.total / 2
    }

    fn is_full_for(&self, client: u64) -> bool {
        let bounds = self.0.bounds;
        self.parked_count_of(client) >= bounds.per_client || self.parked_count() >= bounds.total
    }

    fn wake(&self, woken: Vec<Woken>) {
        for one in woken {
            let waker = self.0.held.borrow_mut().settle(one);
            waker.wake();
        }
    }

    /// Gives a place up and passes the turn on.
    fn leave(&self, ticket: Ticket) {
        let next = self.0.queue.borrow_mut().leave(ticket);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// See [`Admission::admit`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Admit {
    admission: Admission,
    enter: Enter,
    /// What it is charged to.
    path: Path,
    parked: Parked,
    /// When its turn comes, as things stood when it came.
    until_ns: u64,
    stage: Stage,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug)]
enum Stage {
    /// Waits for tokens.
    Held(Turn),
    /// Is charged, and at the end of the queue if there is one.
    Arrived(Charged),
    /// Is charged, and has a place in the queue.
    Queued(Charged, Ticket),
    /// Is refused, and charged nothing.
    Refused,
    /// Has its pass.
    Gone,
}

impl Future for Admit {
    type Output = Result<Pass, Busy>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Stage::Held(turn) = self.stage {
            let outcome = self.admission.0.held.borrow_mut().poll(turn, context.waker());
            self.stage = match outcome {
                None => return Poll::Pending,
                Some(None) => Stage::Refused,
                Some(Some(charged)) => Stage::Arrived(charged),
            };
        }
        match self.stage {
            Stage::Held(_) | Stage::Gone => Poll::Pending,
            Stage::Arrived(charged) => self.arrive(charged, context),
            Stage::Queued(charged, ticket) => self.go_on(charged, ticket, context),
            Stage::Refused => Poll::Ready(Err(Busy)),
        }
    }
}

impl Admit {
    /// Whether it has to wait, for tokens or for the gate.
    pub fn is_parked(&self) -> bool {
        let inner = &self.admission.0;
        match self.stage {
            Stage::Held(_) | Stage::Queued(..) => true,
            Stage::Arrived(_) => inner.queue.borrow().len() > 0 || !inner.gate.status().is_open(),
            Stage::Refused | Stage::Gone => false,
        }
    }

    /// When its turn comes, as things stood when it came, in nanoseconds.
    pub fn until_ns(&self) -> u64 {
        self.until_ns
    }

    /// How many requests like those that are parked with it what it is charged to first lets go on in a second, where it
    /// waits for that and for nothing else.
    pub fn own_per_second(&self) -> Option<u64> {
        let Stage::Held(turn) = self.stage else { return None };
        self.admission.0.limits.borrow().own_per_second(turn)
    }

    /// Counts it among those that are told to come again: its client is, and this is dropped.
    pub fn count_refused(&self) {
        if let Stage::Held(turn) = self.stage {
            self.admission.0.limits.borrow_mut().count_refused(turn);
        }
    }

    fn arrive(&mut self, charged: Charged, context: &mut Context<'_>) -> Poll<Result<Pass, Busy>> {
        let is_alone = self.admission.0.queue.borrow().len() == 0;
        if is_alone && let Poll::Ready(pass) = Pin::new(&mut self.enter).poll(context) {
            return self.passed(charged, pass);
        }
        if self.admission.is_full_for(self.parked.request.client) {
            self.refund(charged);
            self.stage = Stage::Refused;
            return Poll::Ready(Err(Busy));
        }
        let waker = context.waker().clone();
        let ticket = self.admission.0.queue.borrow_mut().push(self.parked, waker);
        self.stage = Stage::Queued(charged, ticket);
        Poll::Pending
    }

    /// Only the first in the queue asks the gate, so nobody overtakes, whatever order tasks are polled in.
    fn go_on(
        &mut self,
        charged: Charged,
        ticket: Ticket,
        context: &mut Context<'_>,
    ) -> Poll<Result<Pass, Busy>> {
        self.admission.0.queue.borrow_mut().set_waker(ticket, context.waker());
        if !self.admission.0.queue.borrow().is_first(ticket) {
            return Poll::Pending;
        }
        let Poll::Ready(pass) = Pin::new(&mut self.enter).poll(context) else {
            return Poll::Pending;
        };
        self.admission.leave(ticket);
        self.passed(charged, pass)
    }

    fn passed(&mut self, charged: Charged, mut pass: Pass) -> Poll<Result<Pass, Busy>> {
        self.stage = Stage::Gone;
        pass.charged = Some(charged);
        pass.work = Work::of(&self.admission, charged);
        Poll::Ready(Ok(pass))
    }

    fn refund(&self, charged: Charged) {
        let now_ns = self.admission.0.now_ns.get();
        self.admission.refund(&self.path, self.admission.cost(self.parked.request), charged, now_ns);
        self.admission.0.limits.borrow_mut().done(charged, None, now_ns);
    }
}

impl Drop for Admit {
    fn drop(&mut self) {
        match self.stage {
            Stage::Held(turn) => match self.admission.0.held.borrow_mut().remove(turn) {
                None => {
                    let now_ns = self.admission.0.now_ns.get();
                    self.admission.0.limits.borrow_mut().cancel(turn, now_ns);
                }
                Some(Some(charged)) => self.refund(charged),
                Some(None) => {}
            },
            Stage::Arrived(charged) => self.refund(charged),
            Stage::Queued(charged, ticket) => {
                self.refund(charged);
                self.admission.leave(ticket);
            }
            Stage::Refused | Stage::Gone => {}
        }
    }
}
