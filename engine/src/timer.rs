//! Timers, as a heap in place: exact, cheap to cancel, and without an allocation in steady state.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

/// A timer that has not fired: its row, and its number, which no other timer ever has.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    number: u64,
}

/// The timers of one shard, and its idea of the time.
pub(crate) struct Timers {
    now: Cell<Instant>,
    numbers: Cell<u64>,
    waiting: RefCell<Waiting>,
}

impl Timers {
    pub(crate) fn new() -> Rc<Self> {
        let now = Cell::new(Instant::now());
        Rc::new(Self { now, numbers: Cell::new(0), waiting: RefCell::default() })
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    /// Reads the clock and wakes those whose time has come, earliest first.
    pub(crate) fn advance(&self) -> Instant {
        let now = Instant::now();
        self.now.set(now);
        loop {
            let due = self.waiting.borrow_mut().take_due(now);
            let Some(waker) = due else { return now };
            waker.wake();
        }
    }

    /// When the next timer fires.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.waiting.borrow().first().map(|row| row.deadline)
    }
}

struct Row {
    deadline: Instant,
    number: u64,
    waker: Waker,
    /// Where in the heap it stands.
    position: usize,
}

/// Rows stay where they are; the heap holds their indexes, each not later than the two below it.
#[derive(Default)]
struct Waiting {
    rows: Vec<Option<Row>>,
    free: Vec<usize>,
    heap: Vec<usize>,
}

impl Waiting {
    fn first(&self) -> Option<&Row> {
        self.heap.first().and_then(|row| self.rows[*row].as_ref())
    }

    fn insert(&mut self, deadline: Instant, number: u64, waker: Waker) -> Place {
        let position = self.heap.len();
        let entry = Some(Row { deadline, number, waker, position });
        let row = match self.free.pop() {
            Some(row) => {
                self.rows[row] = entry;
                row
            }
            None => {
                self.rows.push(entry);
                self.rows.len() - 1
            }
        };
        self.heap.push(row);
        self.rise(position);
        Place { row, number }
    }

    /// The timer's waker, to be changed; `None` once it has fired.
    fn waker(&mut self, place: Place) -> Option<&mut Waker> {
        let row = self.rows[place.row].as_mut().filter(|row| row.number == place.number)?;
        Some(&mut row.waker)
    }

    fn remove(&mut self, place: Place) -> Option<Waker> {
        let row = self.rows[place.row].take_if(|row| row.number == place.number)?;
        self.free.push(place.row);
        self.heap.swap_remove(row.position);
        if row.position < self.heap.len() {
            self.note(row.position);
            // What came from the end belongs further up or further down, or here.
            self.rise(row.position);
            self.sink(row.position);
        }
        Some(row.waker)
    }

    fn take_due(&mut self, now: Instant) -> Option<Waker> {
        let row = *self.heap.first()?;
        let due = self.rows[row].as_ref().filter(|row| row.deadline <= now)?;
        self.remove(Place { row, number: due.number })
    }

    /// When, and which of those at the same instant.
    fn order(&self, position: usize) -> (Instant, u64) {
        let row = self.rows[self.heap[position]].as_ref().expect("the heap names rows that are there");
        (row.deadline, row.number)
    }

    /// Tells the row at this position where it stands.
    fn note(&mut self, position: usize) {
        let row = self.rows[self.heap[position]].as_mut();
        row.expect("the heap names rows that are there").position = position;
    }

    fn swap(&mut self, first: usize, second: usize) {
        self.heap.swap(first, second);
        self.note(first);
        self.note(second);
    }

    fn rise(&mut self, mut position: usize) {
        while position > 0 {
            let above = (position - 1) / 2;
            if self.order(above) <= self.order(position) {
                return;
            }
            self.swap(above, position);
            position = above;
        }
    }

    fn sink(&mut self, mut position: usize) {
        loop {
            let below = [2 * position + 1, 2 * position + 2];
            let below = below.into_iter().filter(|below| *below < self.heap.len());
            let Some(earlier) = below.min_by_key(|below| self.order(*below)) else { return };
            if self.order(position) <= self.order(earlier) {
                return;
            }
            self.swap(position, earlier);
            position = earlier;
        }
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
        let mut waiting = timers.waiting.borrow_mut();
        if let Some(waker) = self.place.and_then(|place| waiting.waker(place)) {
            waker.clone_from(context.waker());
        } else {
            let number = timers.numbers.get();
            timers.numbers.set(number + 1);
            self.place = Some(waiting.insert(self.deadline, number, context.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let waker = self.timers.waiting.borrow_mut().remove(place);
            drop(waker);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Compares with an ordered list, under insertions, removals and the passing of time in an order that is the same
    /// in every run.
    #[test]
    fn timers_fire_in_order_and_only_those_that_are_left() {
        let start = Instant::now();
        let mut waiting = Waiting::default();
        let mut expected: Vec<(Instant, u64, Place)> = Vec::new();
        let mut random = 1_u64;
        let mut next = |bound: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % bound
        };
        for number in 0..5_000 {
            let deadline = start + Duration::from_millis(number / 4 + next(300));
            let place = waiting.insert(deadline, number, Waker::noop().clone());
            expected.push((deadline, number, place));
            if next(3) == 0 {
                let (_, _, place) = expected.swap_remove(next(expected.len() as u64) as usize);
                assert!(waiting.remove(place).is_some());
                assert!(waiting.remove(place).is_none() && waiting.waker(place).is_none());
            }
            if next(20) == 0 {
                let now = start + Duration::from_millis(number / 4);
                expected.sort_by_key(|(deadline, number, _)| (*deadline, *number));
                while let Some(first) = waiting.first().map(|row| (row.deadline, row.number)) {
                    assert_eq!(first, (expected[0].0, expected[0].1));
                    if waiting.take_due(now).is_none() {
                        break;
                    }
                    expected.remove(0);
                }
                assert!(expected.first().is_none_or(|(deadline, _, _)| *deadline > now));
            }
            assert_eq!(waiting.heap.len(), expected.len());
        }
        assert!(waiting.rows.len() < 2_000, "rows are used again");
    }
}
