//! The in-flight table: who owns memory and descriptors while the kernel uses them.
//!
//! An operation gets its final place, in memory that is used again, and a row in the table before its entry is queued,
//! and leaves only with its last completion. A future that is dropped earlier leaves it there as an orphan and asks the
//! kernel to cancel it.
//!
//! UNSAFETY: this is where the ring's condition (memory stays until the last completion) is met: by the order of
//! table and queue in [`Driver::submit`], and by leaking the table where the kernel cannot be waited for.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::operation::{Operation, bell, cancel};
use crate::port::Port;
use crate::recycle::Recycled;
use crate::ring::{Completion, Registered, Ring};
use crate::table::{Key, Table};

/// User data of the bell's poll.
pub(crate) const BELL: u64 = u64::MAX;

/// User data of cancellations, whose own completions mean nothing.
pub(crate) const CANCELLATION: u64 = u64::MAX - 1;

/// How long a shard that ends waits for what it cancelled. What still runs then (a worker stuck in a file
/// system) keeps its memory for the rest of the process, as does what was sent and not acknowledged by then.
const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// Queues of completions kept for operations to come: of receives that are under way at a time, more are rare.
const QUEUES_KEPT_MAX: usize = 256;

/// The place of an operation; empty once it has been taken out.
struct Seat<O>(Option<O>);

/// An operation without its type, in its place. It is taken out or abandoned once, and not
/// used after that.
trait Flying {
    fn discard(&mut self, completion: Completion);
    fn abandon(&mut self, completion: Completion);
    fn as_any(&mut self) -> &mut dyn Any;
}

impl<O: Operation> Flying for Seat<O> {
    fn discard(&mut self, completion: Completion) {
        self.0.as_mut().expect("it is taken out with its last completion").discard(completion);
    }

    fn abandon(&mut self, completion: Completion) {
        self.0.take().expect("it is taken out once").abandon(completion);
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

struct Flight {
    operation: Recycled<dyn Flying>,
    waker: Option<Waker>,
    /// The oldest completion that nobody has taken, and those after it.
    first: Option<Completion>,
    rest: VecDeque<Completion>,
    /// The last of all, if it came behind another that nobody has taken: apart, so that two need no memory.
    last: Option<Completion>,
    /// No further completion will come.
    landed: bool,
    /// Nobody will take the completions.
    orphan: bool,
    /// Its work is done: the kernel has only to let go of its memory, which may be up to a peer.
    done: bool,
}

/// Dropped in this order.
struct State {
    ring: Ring,
    table: Table<Flight>,
    /// Room for completions and wakers between turns, to spare allocations.
    completions: Vec<Completion>,
    /// Queues of operations that have ended, for others that tell of more than two things before they are asked.
    queues: Vec<VecDeque<Completion>>,
    /// Keeps the registered memory as long as the ring; dropped after it.
    _pool: buf::Pool,
}

/// The ring and the table of one shard.
pub(crate) struct Driver {
    /// Present until the driver is dropped.
    state: RefCell<Option<Box<State>>>,
    port: Arc<Port>,
    registered: Registered,
}

impl Driver {
    /// Takes over a ring and registers the pool's memory with it; says whether that worked.
    pub(crate) fn new(
        mut ring: Ring,
        pool: buf::Pool,
        port: Arc<Port>,
        in_flight_max: usize,
    ) -> (Rc<Self>, bool) {
        // SAFETY: the state keeps the pool, and with it the region, and drops it after the ring (or never).
        let registration = unsafe { ring.register_region(pool.region()) };
        if let Err(error) = &registration {
            tracing::warn!(%error, "payload memory could not be registered; direct I/O costs more without");
        }
        let registered = ring.registered();
        let state = State {
            ring,
            table: Table::new(in_flight_max),
            completions: Vec::new(),
            queues: Vec::new(),
            _pool: pool,
        };
        let driver = Rc::new(Self { state: RefCell::new(Some(Box::new(state))), port, registered });
        bell::arm(&mut driver.state().ring, driver.port.bell.as_raw_fd());
        (driver, registration.is_ok())
    }

    /// Queues an operation; the table owns it until its last completion.
    pub(crate) fn submit<O: Operation>(self: &Rc<Self>, operation: O) -> Submitted<O> {
        let mut seat = Recycled::new(|| Seat(Some(operation)));
        let entry = seat.0.as_mut().expect("it was just put there").entry(self.registered);
        // SAFETY: the closure does nothing but coerce.
        let operation = unsafe { seat.unsize(|seat| seat as *mut dyn Flying) };
        let flight = Flight {
            operation,
            waker: None,
            first: None,
            rest: VecDeque::new(),
            last: None,
            landed: false,
            orphan: false,
            done: false,
        };
        let mut state = self.state();
        let hold = match state.table.insert(flight) {
            Ok(key) => {
                // SAFETY: `Operation` promises that the addresses are good as long as the operation lives; it is in
                // the table now, which gives it up only after its last completion, or never.
                unsafe { state.ring.push(entry.user_data(key.to_bits())) };
                Hold::Table(key)
            }
            Err(flight) => Hold::Refused(flight.operation),
        };
        drop(state);
        Submitted { driver: self.clone(), hold, operation: PhantomData }
    }

    /// Enters the kernel and takes in what has completed. Tasks are woken, none is run.
    pub(crate) fn turn(&self, want: u32, min_wait_us: u32, timeout: Option<Duration>) -> io::Result<usize> {
        let mut completions = {
            let mut state = self.state();
            state.ring.enter(want, min_wait_us, timeout)?;
            let mut completions = std::mem::take(&mut state.completions);
            state.ring.reap(&mut completions);
            completions
        };
        let count = completions.len();
        for completion in completions.drain(..) {
            self.land(completion);
        }
        self.state().completions = completions;
        Ok(count)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.state().table.len()
    }

    /// Registers the calling thread's credentials.
    pub(crate) fn register_personality(&self) -> io::Result<u16> {
        self.state().ring.register_personality()
    }

    /// Forgets registered credentials; the operations that carry them are queued or gone.
    pub(crate) fn unregister_personality(&self, personality: u16) {
        if let Err(error) = self.state().ring.unregister_personality(personality) {
            tracing::warn!(%error, personality, "a personality could not be unregistered");
        }
    }

    /// Cancels everything and waits for it, but for nothing whose work is done. True when there was time enough.
    fn close(&self) -> bool {
        cancel::everything(&mut self.state().ring);
        let deadline = Instant::now() + CLOSE_WAIT;
        while self.state().table.values().any(|flight| !flight.done) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.turn(1, 0, Some(left)).is_err() {
                return false;
            }
        }
        true
    }

    fn state(&self) -> RefMut<'_, State> {
        RefMut::map(self.state.borrow_mut(), |state| state.as_deref_mut().expect("present until dropped"))
    }

    fn land(&self, completion: Completion) {
        match completion.user_data {
            CANCELLATION => {}
            BELL => {
                if !completion.more() {
                    bell::arm(&mut self.state().ring, self.port.bell.as_raw_fd());
                }
            }
            bits => self.land_operation(Key::from_bits(bits), completion),
        }
    }

    fn land_operation(&self, key: Key, completion: Completion) {
        let mut state = self.state();
        let State { table, queues, .. } = &mut *state;
        let flight = table.get_mut(key).expect("the table keeps an operation until its last completion");
        flight.landed = !completion.more();
        if flight.orphan {
            if completion.more() {
                flight.operation.discard(completion);
                return;
            }
            let ended = state.table.remove(key);
            // Freed outside the borrow: the memory's own destructors may wake others.
            drop(state);
            ended.into_iter().for_each(|mut flight| flight.operation.abandon(completion));
            return;
        }
        if flight.first.is_none() {
            flight.first = Some(completion);
        } else if flight.landed {
            flight.last = Some(completion);
        } else {
            if flight.rest.capacity() == 0 {
                flight.rest = queues.pop().unwrap_or_default();
            }
            flight.rest.push_back(completion);
        }
        let waker = flight.waker.take();
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }

    /// The oldest completion not yet taken, and whether it is the last.
    fn take(&self, key: Key, context: &mut Context<'_>) -> Poll<(Completion, bool)> {
        let mut state = self.state();
        let flight = state.table.get_mut(key).expect("who holds the key has not given it up");
        match flight.first.take() {
            Some(completion) => {
                flight.first = flight.rest.pop_front().or_else(|| flight.last.take());
                Poll::Ready((completion, flight.landed && flight.first.is_none()))
            }
            None => {
                flight.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Changes an operation in its place, of which the kernel has still to tell something.
    fn with_operation<O: Operation>(&self, key: Key, change: impl FnOnce(&mut O)) {
        let mut state = self.state();
        let flight = state.table.get_mut(key).expect("who holds the key has not given it up");
        let seat: &mut Seat<O> =
            flight.operation.as_any().downcast_mut().expect("the key's type is the operation's");
        change(seat.0.as_mut().expect("it is taken out with its last completion"));
    }

    fn remove(&self, key: Key) -> Recycled<dyn Flying> {
        // Taken apart outside the borrow: what a flight has may wake others when it goes.
        let flight = self.state().table.remove(key).expect("who holds the key has not given it up");
        debug_assert!(flight.rest.is_empty(), "its last completion has been taken");
        self.keep(flight.rest);
        flight.operation
    }

    fn keep(&self, mut queue: VecDeque<Completion>) {
        queue.clear();
        let mut state = self.state();
        if queue.capacity() > 0 && state.queues.len() < QUEUES_KEPT_MAX {
            state.queues.push(queue);
        }
    }

    /// Leaves an operation to itself: its completions are discarded and its memory freed after the last. The kernel is asked to
    /// give it up, unless it has done its work.
    fn orphan(&self, key: Key, done: bool) {
        let mut state = self.state();
        let flight = state.table.get_mut(key).expect("who holds the key has not given it up");
        (flight.orphan, flight.done) = (true, done);
        let waker = flight.waker.take();
        let rest = std::mem::take(&mut flight.rest);
        let mut newest = None;
        for completion in flight.first.take().into_iter().chain(rest).chain(flight.last.take()) {
            if let Some(older) = newest.replace(completion) {
                flight.operation.discard(older);
            }
        }
        let ended = if flight.landed {
            state.table.remove(key)
        } else {
            if let Some(newest) = newest.take() {
                flight.operation.discard(newest);
            }
            if !done {
                cancel::one(&mut state.ring, key.to_bits());
            }
            None
        };
        drop(state);
        if let (Some(mut flight), Some(completion)) = (ended, newest) {
            flight.operation.abandon(completion);
        }
        drop(waker);
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let closed = self.close();
        let in_flight = self.in_flight();
        if !closed {
            tracing::error!(in_flight, "operations outlast their shard: their memory is left to the kernel");
        }
        if in_flight > 0 {
            self.state.take().map(Box::leak);
        }
    }
}

/// Where a submitted operation is.
enum Hold {
    Table(Key),
    /// The table was full.
    Refused(Recycled<dyn Flying>),
    Taken,
}

/// An operation in flight; awaiting it gives its result and what it owned.
///
/// Dropping it cancels the operation as far as the kernel can, and frees what it owned afterwards.
pub(crate) struct Submitted<O: Operation> {
    driver: Rc<Driver>,
    hold: Hold,
    operation: PhantomData<O>,
}

impl<O: Operation> Submitted<O> {
    /// Whether the table was full, so that the kernel never sees the operation.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.hold, Hold::Refused(_))
    }

    /// Asks the kernel to give up. The operation completes in any case, cancelled or not.
    pub(crate) fn cancel(&self) {
        if let Hold::Table(key) = self.hold {
            cancel::one(&mut self.driver.state().ring, key.to_bits());
        }
    }

    /// Leaves an operation to itself whose work is done, though not its last completion there. `release` lets go of what only
    /// the work needed, which is no memory that the kernel was given.
    pub(crate) fn leave(mut self, release: impl FnOnce(&mut O)) {
        if let Hold::Table(key) = std::mem::replace(&mut self.hold, Hold::Taken) {
            self.driver.with_operation(key, release);
            self.driver.orphan(key, true);
        }
    }

    /// The next completion of an operation that completes several times; the operation itself comes with the
    /// last.
    pub(crate) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<(Completion, Option<O>)> {
        let (completion, mut operation) = match std::mem::replace(&mut self.hold, Hold::Taken) {
            Hold::Table(key) => match self.driver.take(key, context) {
                Poll::Ready((completion, true)) => (completion, self.driver.remove(key)),
                Poll::Ready((completion, false)) => {
                    self.hold = Hold::Table(key);
                    return Poll::Ready((completion, None));
                }
                Poll::Pending => {
                    self.hold = Hold::Table(key);
                    return Poll::Pending;
                }
            },
            Hold::Refused(operation) => {
                let result = -libc::ENOBUFS;
                (Completion { user_data: 0, result, flags: 0 }, operation)
            }
            Hold::Taken => panic!("an operation was polled after its result was taken"),
        };
        let seat: &mut Seat<O> =
            operation.as_any().downcast_mut().expect("the key's type is the operation's");
        Poll::Ready((completion, Some(seat.0.take().expect("it is taken out once"))))
    }
}

impl<O: Operation> Unpin for Submitted<O> {}

impl<O: Operation> Future for Submitted<O> {
    type Output = O::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<O::Output> {
        loop {
            match self.poll_next(context) {
                Poll::Ready((completion, Some(operation))) => {
                    return Poll::Ready(operation.complete(completion));
                }
                Poll::Ready((_, None)) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<O: Operation> Drop for Submitted<O> {
    fn drop(&mut self) {
        if let Hold::Table(key) = self.hold {
            self.driver.orphan(key, false);
        }
    }
}
