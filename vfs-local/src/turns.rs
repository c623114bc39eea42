//! Keeps direct writes of a file and its writes through the page cache apart in time.
//!
//! The kernel writes cached pages back before a direct write and drops them after it, but nothing keeps another writer
//! from making one of them dirty again in between. Then one of the two is lost, with bytes that only one of them wrote.
//! So of a file that is written directly, any number of writes of one way go on at a time, and none of the other.
//!
//! One atomic step on the way in and one on the way out where the other way is not in use; the lock is only for those
//! who wait.

use std::future::poll_fn;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// Somebody waits, so that newcomers do too.
const WAITING: u64 = 1 << 63;

/// Bits of each count: more writes than there are requests.
const COUNT_BITS: u32 = 24;

const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// A way to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Past the page cache.
    Direct,
    /// Through it.
    Cached,
}

impl Way {
    fn shift(self) -> u32 {
        match self {
            Self::Direct => 0,
            Self::Cached => COUNT_BITS,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Direct => Self::Cached,
            Self::Cached => Self::Direct,
        }
    }
}

/// Who writes a file now.
#[derive(Debug, Default)]
pub struct Turns {
    /// The count of each way, and whether somebody waits.
    state: AtomicU64,
    /// As many as there are writes that wait, at most.
    wakers: Mutex<Vec<Waker>>,
}

/// A write in progress; the turn ends with it.
#[must_use = "a turn that is dropped at once keeps nobody away"]
pub struct Turn<'a> {
    turns: &'a Turns,
    way: Way,
}

impl Turns {
    /// Waits until nobody writes the other way.
    pub async fn enter(&self, way: Way) -> Turn<'_> {
        poll_fn(|context| self.poll_enter(way, context)).await
    }

    fn poll_enter(&self, way: Way, context: &mut Context<'_>) -> Poll<Turn<'_>> {
        let (one, other) = (1 << way.shift(), COUNT_MASK << way.other().shift());
        let free = |state: u64| (state & (other | WAITING) == 0).then_some(state + one);
        if self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, free).is_ok() {
            return Poll::Ready(Turn { turns: self, way });
        }
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        // Where nobody writes, nobody would wake who waits.
        let idle = |state: u64| Some(if state & !WAITING == 0 { state + one } else { state | WAITING });
        let before = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, idle);
        if before.is_ok_and(|state| state & !WAITING == 0) {
            return Poll::Ready(Turn { turns: self, way });
        }
        if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
            wakers.push(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let turns = self.turns;
        let before = turns.state.fetch_sub(1 << self.way.shift(), Ordering::AcqRel);
        if before != (WAITING | 1 << self.way.shift()) {
            return;
        }
        let wakers = {
            let mut wakers = turns.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            turns.state.fetch_and(!WAITING, Ordering::AcqRel);
            std::mem::take(&mut *wakers)
        };
        // In the order in which they came; the first decides which way it goes on.
        wakers.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_goes_on_with_many_and_then_the_other() {
        let turns = Turns::default();
        let mut context = Context::from_waker(Waker::noop());
        let mut enter = |way| match turns.poll_enter(way, &mut context) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        };
        let first = enter(Way::Direct).expect("nobody writes");
        let second = enter(Way::Direct).expect("the same way");
        assert!(enter(Way::Cached).is_none());
        assert!(enter(Way::Direct).is_none(), "who waits is not kept waiting by newcomers");
        drop(first);
        assert!(enter(Way::Cached).is_none());
        drop(second);
        let cached = enter(Way::Cached).expect("the others are done");
        assert!(enter(Way::Direct).is_none());
        drop(cached);
        assert!(enter(Way::Direct).is_some());
        assert_eq!(turns.state.load(Ordering::Relaxed), 0);
    }
}
