//! Admission: one queue in order of arrival in front of the gate.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::queue::{Queue, Ticket};
use crate::{Enter, Gate, Parked, Pass, Request};

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

/// More requests are parked than the bounds allow: the client is told to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// One core's admission. Clones are the same admission.
#[derive(Clone, Debug)]
pub struct Admission(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    gate: Gate,
    bounds: Bounds,
    queue: RefCell<Queue>,
}

impl Admission {
    /// Admission in front of `gate`.
    pub fn new(gate: Gate, bounds: Bounds) -> Self {
        Self(Rc::new(Inner { gate, bounds, queue: RefCell::default() }))
    }

    /// The gate behind the queue.
    pub fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// Waits until `request` may go on; `now_ns` is the time of the call. Those who wait go on in the order
    /// in which they first asked. Dropping the future gives the place up.
    pub fn admit(&self, request: Request, now_ns: u64) -> Admit {
        let enter = self.0.gate.enter(now_ns);
        let parked = Parked { request, since_ns: now_ns };
        Admit { admission: self.clone(), enter, parked, ticket: None }
    }

    /// Those who wait, first come first.
    pub fn parked(&self) -> Vec<Parked> {
        self.0.queue.borrow().list()
    }

    /// How many wait.
    pub fn parked_count(&self) -> usize {
        self.0.queue.borrow().len()
    }

    /// How many of `client` wait.
    pub fn parked_count_of(&self, client: u64) -> usize {
        self.0.queue.borrow().len_of(client)
    }

    fn is_full_for(&self, client: u64) -> bool {
        let queue = self.0.queue.borrow();
        queue.len_of(client) >= self.0.bounds.per_client || queue.len() >= self.0.bounds.total
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
    parked: Parked,
    /// The place in the queue while parked.
    ticket: Option<Ticket>,
}

impl Future for Admit {
    type Output = Result<Pass, Busy>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.ticket {
            None => self.arrive(context),
            Some(ticket) => self.go_on(ticket, context),
        }
    }
}

impl Admit {
    fn arrive(&mut self, context: &mut Context<'_>) -> Poll<Result<Pass, Busy>> {
        let is_alone = self.admission.0.queue.borrow().len() == 0;
        if is_alone && let Poll::Ready(pass) = Pin::new(&mut self.enter).poll(context) {
            return Poll::Ready(Ok(pass));
        }
        if self.admission.is_full_for(self.parked.request.client) {
            return Poll::Ready(Err(Busy));
        }
        let waker = context.waker().clone();
        self.ticket = Some(self.admission.0.queue.borrow_mut().push(self.parked, waker));
        Poll::Pending
    }

    /// Only the first in the queue asks the gate, so nobody overtakes, whatever order tasks are polled in.
    fn go_on(&mut self, ticket: Ticket, context: &mut Context<'_>) -> Poll<Result<Pass, Busy>> {
        self.admission.0.queue.borrow_mut().set_waker(ticket, context.waker());
        if !self.admission.0.queue.borrow().is_first(ticket) {
            return Poll::Pending;
        }
        let Poll::Ready(pass) = Pin::new(&mut self.enter).poll(context) else {
            return Poll::Pending;
        };
        self.ticket = None;
        self.admission.leave(ticket);
        Poll::Ready(Ok(pass))
    }
}

impl Drop for Admit {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.admission.leave(ticket);
        }
    }
}
