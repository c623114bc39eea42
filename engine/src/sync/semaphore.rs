//! Permits for the tasks of one shard, first come first served.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
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
    waiting: RefCell<BTreeMap<u64, Waker>>,
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
        let first = self.0.waiting.borrow().first_key_value().map(|(_, waker)| waker.clone());
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
            self.semaphore.0.waiting.borrow_mut().remove(&ticket);
            self.semaphore.wake_first();
        }
    }
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        let this = &mut *self;
        let state = this.semaphore.0.clone();
        let first = state.waiting.borrow().first_key_value().map(|(ticket, _)| *ticket);
        if state.free.get() > 0 && (first.is_none() || first == this.ticket) {
            let permit = this.semaphore.take();
            this.leave();
            return Poll::Ready(permit);
        }
        let ticket = *this.ticket.get_or_insert_with(|| {
            state.tickets.set(state.tickets.get() + 1);
            state.tickets.get()
        });
        state.waiting.borrow_mut().insert(ticket, context.waker().clone());
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
