//! Permits for the tasks of one shard, first come first served.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// A number of permits. A handle: clones share them.
#[derive(Clone)]
pub struct Semaphore(Rc<State>);

struct State {
    free: Cell<usize>,
    tickets: Cell<u64>,
    /// By ticket, which are given in order.
    waiting: RefCell<VecDeque<(u64, Waker)>>,
}

impl State {
    fn begin_to_wait(&self, waker: &Waker) -> u64 {
        self.tickets.set(self.tickets.get() + 1);
        self.waiting.borrow_mut().push_back((self.tickets.get(), waker.clone()));
        self.tickets.get()
    }

    fn wait_on(&self, ticket: u64, waker: &Waker) {
        let mut waiting = self.waiting.borrow_mut();
        if let Ok(at) = waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            waiting[at].1.clone_from(waker);
        }
    }

    fn forget(&self, ticket: u64) {
        let mut waiting = self.waiting.borrow_mut();
        if let Ok(at) = waiting.binary_search_by_key(&ticket, |(ticket, _)| *ticket) {
            waiting.remove(at);
        }
    }
}

impl Semaphore {
    /// So many permits.
    pub fn new(permits: usize) -> Self {
        let state = State { free: Cell::new(permits), tickets: Cell::new(0), waiting: RefCell::default() };
        Self(Rc::new(state))
    }

    /// Waits for a permit; who came earlier gets one earlier.
    pub fn acquire(&self) -> Acquire {
        Acquire { semaphore: self.clone(), ticket: None }
    }

    /// Takes a permit if one is free and nobody waits.
    pub fn try_acquire(&self) -> Option<Permit> {
        let idle = self.0.waiting.borrow().is_empty();
        if idle && self.0.free.get() > 0 { Some(self.take()) } else { None }
    }

    /// Permits that are free.
    pub fn free(&self) -> usize {
        self.0.free.get()
    }

    /// Tasks that wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.borrow().len()
    }

    fn take(&self) -> Permit {
        self.0.free.set(self.0.free.get() - 1);
        Permit(self.clone())
    }

    fn wake_first(&self) {
        let first = self.0.waiting.borrow().front().map(|(_, waker)| waker.clone());
        if self.0.free.get() > 0
            && let Some(waker) = first
        {
            waker.wake();
        }
    }
}

/// One permit, given back when dropped.
#[must_use = "a permit that is dropped at once limits nothing"]
pub struct Permit(Semaphore);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.free.set(self.0.0.free.get() + 1);
        self.0.wake_first();
    }
}

/// Future of [`Semaphore::acquire`].
#[must_use = "nothing is acquired until it is awaited"]
pub struct Acquire {
    semaphore: Semaphore,
    ticket: Option<u64>,
}

impl Acquire {
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.semaphore.0.forget(ticket);
            self.semaphore.wake_first();
        }
    }
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let this = &mut *self;
        let state = this.semaphore.0.clone();
        let first = state.waiting.borrow().front().map(|(ticket, _)| *ticket);
        if state.free.get() > 0 && (first.is_none() || first == this.ticket) {
            let permit = this.semaphore.take();
            this.leave();
            return Poll::Ready(permit);
        }
        match this.ticket {
            Some(ticket) => state.wait_on(ticket, context.waker()),
            None => this.ticket = Some(state.begin_to_wait(context.waker())),
        }
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    #[test]
    fn permits_go_round_in_order() {
        let mut context = Context::from_waker(Waker::noop());
        let semaphore = Semaphore::new(1);
        let held = semaphore.try_acquire().unwrap();
        let mut first = pin!(semaphore.acquire());
        let mut second = pin!(semaphore.acquire());
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(held);
        assert!(semaphore.try_acquire().is_none(), "nobody overtakes");
        assert!(second.as_mut().poll(&mut context).is_pending());
        let Poll::Ready(permit) = first.as_mut().poll(&mut context) else { panic!("the first has its turn") };
        drop(permit);
        assert!(second.as_mut().poll(&mut context).is_ready());
        assert_eq!((semaphore.free(), semaphore.waiting()), (1, 0));
    }
}
