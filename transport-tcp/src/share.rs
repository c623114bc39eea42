//! A bounded amount of memory that the connections of one core share.
//!
//! A share counts bytes; it does not hold them. Whoever waits is served in order, but connections that have
//! completed enough payload before go first: a crowd of strangers that each stop in the middle of a record cannot
//! make a working client wait. Strangers together never hold more than a part of the share, and the others together
//! never all of it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use smallvec::SmallVec;

/// How far a connection is trusted with memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has completed [`PROVEN_BYTES`](crate::limits::PROVEN_BYTES) of payload before.
    Proven,
    /// It has not.
    Newcomer,
}

/// Memory that is shared.
#[derive(Debug)]
pub(crate) struct Share {
    capacity: usize,
    newcomer_capacity: usize,
    proven_capacity: usize,
    held: Cell<usize>,
    newcomers_held: Cell<usize>,
    proven: RefCell<VecDeque<Rc<Waiter>>>,
    newcomers: RefCell<VecDeque<Rc<Waiter>>>,
}

impl Share {
    /// A share of `capacity` bytes, of which newcomers hold at most `newcomer_capacity` together, and which the others
    /// leave them at least `newcomer_reserve` of.
    pub(crate) fn new(capacity: usize, newcomer_capacity: usize, newcomer_reserve: usize) -> Rc<Self> {
        Rc::new(Self {
            capacity,
            newcomer_capacity,
            proven_capacity: capacity - newcomer_reserve,
            held: Cell::new(0),
            newcomers_held: Cell::new(0),
            proven: RefCell::default(),
            newcomers: RefCell::default(),
        })
    }

    /// Waits for `bytes` of the share. A request for more than its kind may ever hold is cut to that, so that it is
    /// served when nobody else holds anything.
    pub(crate) fn take(self: &Rc<Self>, bytes: usize, standing: Standing) -> Take {
        let waiter = Rc::new(Waiter {
            bytes: bytes.min(self.bound(standing)),
            standing,
            state: Cell::new(State::Waiting),
            waker: RefCell::new(None),
        });
        self.queue(standing).borrow_mut().push_back(Rc::clone(&waiter));
        self.serve();
        Take { share: Rc::clone(self), waiter }
    }

    /// `bytes` of the share, as with [`take`](Self::take), if nobody has to wait for them.
    pub(crate) fn take_now(self: &Rc<Self>, bytes: usize, standing: Standing) -> Option<Hold> {
        let bytes = bytes.min(self.bound(standing));
        // Who waits keeps its turn, also one of the other kind that is served first.
        let free = self.queue(standing).borrow().is_empty() && self.proven.borrow().is_empty();
        if !free || !self.fits(bytes, standing) {
            return None;
        }
        self.account(bytes, standing);
        Some(Hold { share: Rc::clone(self), bytes, standing })
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> usize {
        let waiting = |queue: &RefCell<VecDeque<Rc<Waiter>>>| {
            queue.borrow().iter().filter(|waiter| waiter.state.get() == State::Waiting).count()
        };
        waiting(&self.proven) + waiting(&self.newcomers)
    }

    /// Bytes held now.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        self.held.get()
    }

    fn queue(&self, standing: Standing) -> &RefCell<VecDeque<Rc<Waiter>>> {
        match standing {
            Standing::Proven => &self.proven,
            Standing::Newcomer => &self.newcomers,
        }
    }

    /// Most that connections of this kind may hold together.
    fn bound(&self, standing: Standing) -> usize {
        match standing {
            Standing::Proven => self.proven_capacity,
            Standing::Newcomer => self.newcomer_capacity,
        }
    }

    fn fits(&self, bytes: usize, standing: Standing) -> bool {
        let fits_all = self.held.get() + bytes <= self.capacity;
        let newcomers_held = self.newcomers_held.get();
        let fits_kind = match standing {
            Standing::Proven => self.held.get() - newcomers_held + bytes <= self.proven_capacity,
            Standing::Newcomer => newcomers_held + bytes <= self.newcomer_capacity,
        };
        fits_all && fits_kind
    }

    fn account(&self, bytes: usize, standing: Standing) {
        self.held.set(self.held.get() + bytes);
        if standing == Standing::Newcomer {
            self.newcomers_held.set(self.newcomers_held.get() + bytes);
        }
    }

    fn give_back(&self, bytes: usize, standing: Standing) {
        self.held.set(self.held.get() - bytes);
        if standing == Standing::Newcomer {
            self.newcomers_held.set(self.newcomers_held.get() - bytes);
        }
        self.serve();
    }

    /// Grants what can be granted, in order, to proven connections first.
    fn serve(&self) {
        self.serve_queue(&self.proven);
        self.serve_queue(&self.newcomers);
    }

    fn serve_queue(&self, queue: &RefCell<VecDeque<Rc<Waiter>>>) {
        loop {
            let Some(waiter) = queue.borrow().front().cloned() else { return };
            if waiter.state.get() == State::Waiting {
                if !self.fits(waiter.bytes, waiter.standing) {
                    return;
                }
                self.account(waiter.bytes, waiter.standing);
                waiter.state.set(State::Granted);
                if let Some(waker) = waiter.waker.borrow_mut().take() {
                    waker.wake();
                }
            }
            queue.borrow_mut().pop_front();
        }
    }
}

/// Bytes of a share that are held; dropping gives them back.
#[derive(Debug)]
pub(crate) struct Hold {
    share: Rc<Share>,
    bytes: usize,
    standing: Standing,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.share.give_back(self.bytes, self.standing);
    }
}

/// What one message holds: mostly memory for one payload, of its address's share and of all.
pub(crate) type Holds = SmallVec<[Hold; 2]>;

/// Resolves to a [`Hold`].
#[must_use = "nothing is held until it is awaited"]
pub(crate) struct Take {
    share: Rc<Share>,
    waiter: Rc<Waiter>,
}

impl Future for Take {
    type Output = Hold;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Hold> {
        if self.waiter.state.get() != State::Granted {
            *self.waiter.waker.borrow_mut() = Some(context.waker().clone());
            return Poll::Pending;
        }
        self.waiter.state.set(State::Done);
        Poll::Ready(Hold {
            share: Rc::clone(&self.share),
            bytes: self.waiter.bytes,
            standing: self.waiter.standing,
        })
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        match self.waiter.state.replace(State::Done) {
            State::Granted => self.share.give_back(self.waiter.bytes, self.waiter.standing),
            // Whoever stands behind in the queue may fit.
            State::Waiting => self.share.serve(),
            State::Done => {}
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Granted,
    /// Taken over by a [`Hold`], or given up.
    Done,
}

#[derive(Debug)]
struct Waiter {
    bytes: usize,
    standing: Standing,
    state: Cell<State>,
    waker: RefCell<Option<Waker>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(take: &mut Take) -> Option<Hold> {
        match Pin::new(take).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(hold) => Some(hold),
            Poll::Pending => None,
        }
    }

    #[test]
    fn proven_connections_go_first_and_newcomers_never_hold_all() {
        let share = Share::new(100, 50, 10);
        let first = poll(&mut share.take(50, Standing::Newcomer)).expect("half is free");
        let mut stranger = share.take(10, Standing::Newcomer);
        assert!(poll(&mut stranger).is_none(), "newcomers hold their half");
        let proven = poll(&mut share.take(50, Standing::Proven)).expect("the other half is free");
        let mut waiting = share.take(40, Standing::Proven);
        assert!(poll(&mut waiting).is_none());
        assert_eq!(share.waiting(), 2);
        drop(first);
        let second = poll(&mut waiting).expect("the proven one is served first");
        assert!(poll(&mut stranger).is_some(), "ten bytes are left");
        drop((proven, second));
        assert_eq!(share.held(), 0);
    }

    #[test]
    fn proven_connections_leave_something_to_newcomers() {
        let share = Share::new(100, 50, 20);
        let held = poll(&mut share.take(80, Standing::Proven)).expect("free");
        let mut more = share.take(10, Standing::Proven);
        assert!(poll(&mut more).is_none(), "what is left is for newcomers");
        let stranger =
            poll(&mut share.take(20, Standing::Newcomer)).expect("it does not wait for the proven one");
        drop(held);
        assert!(poll(&mut more).is_some());
        drop(stranger);
        assert_eq!(share.held(), 0);
    }

    #[test]
    fn a_request_given_up_lets_the_next_pass() {
        let share = Share::new(10, 10, 0);
        let held = poll(&mut share.take(5, Standing::Proven)).expect("free");
        let large = share.take(10, Standing::Proven);
        let mut small = share.take(5, Standing::Proven);
        assert!(poll(&mut small).is_none(), "in order");
        drop(large);
        assert!(poll(&mut small).is_some());
        drop(held);
        assert_eq!((share.held(), share.waiting()), (0, 0));
        assert!(poll(&mut share.take(1000, Standing::Proven)).is_some(), "cut to the whole share");
    }
}
