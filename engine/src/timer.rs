//! Timers, as an ordered map: exact, and cheap to cancel.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// When, and which of those at the same instant.
type Place = (Instant, u64);

/// The timers of one shard, and its idea of the time.
pub(crate) struct Timers {
    now: Cell<Instant>,
    places: Cell<u64>,
    waiting: RefCell<BTreeMap<Place, Waker>>,
}

impl Timers {
    pub(crate) fn new() -> Rc<Self> {
        let now = Cell::new(Instant::now());
        Rc::new(Self { now, places: Cell::new(0), waiting: RefCell::default() })
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Reads the clock and wakes those whose time has come, earliest first.
    pub(crate) fn advance(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        let due = {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.first_key_value().is_none_or(|((deadline, _), _)| *deadline > now) {
                return now;
            }
            let later = waiting.split_off(&(now, u64::MAX));
            std::mem::replace(&mut *waiting, later)
        };
        due.into_values().for_each(Waker::wake);
        now
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().first_key_value().map(|((deadline, _), _)| *deadline)
    }
}

/// Future of [`Shard::sleep`](crate::Shard::sleep).
#[must_use = "sleeping happens when it is awaited"]
pub struct Sleep {
    timers: Rc<Timers>,
    deadline: Instant,
    place: Option<Place>,
}

impl Sleep {
    pub(crate) fn new(timers: Rc<Timers>, deadline: Instant) -> Self {
        Self { timers, deadline, place: None }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timers.now() >= self.deadline {
            return Poll::Ready(());
        }
        let timers = self.timers.clone();
        let deadline = self.deadline;
        let place = *self.place.get_or_insert_with(|| {
            let place = timers.places.get();
            timers.places.set(place + 1);
            (deadline, place)
        });
        let mut waiting = timers.waiting.borrow_mut();
        waiting.entry(place).or_insert_with(|| context.waker().clone()).clone_from(context.waker());
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.timers.waiting.borrow_mut().remove(&place);
            drop(waker);
        }
    }
}
