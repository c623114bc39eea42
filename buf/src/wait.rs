//! Waiting for memory, first come first served.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use crate::{Chain, Pool, TakeError};

/// Most tasks that wait for one pool; more are refused, so that a flood is answered and not stored.
pub const WAITERS_MAX: usize = 4096;

/// Those who wait, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    queue: VecDeque<(u64, Waker)>,
    tickets: u64,
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    pub(crate) fn first(&self) -> Option<Waker> {
        self.queue.front().map(|(_, waker)| waker.clone())
    }

    fn is_first(&self, ticket: u64) -> bool {
        self.queue.front().is_some_and(|(first, _)| *first == ticket)
    }

    fn join(&mut self, waker: Waker) -> Result<u64, TakeError> {
        if self.queue.len() >= WAITERS_MAX {
            return Err(TakeError::TooManyWaiting);
        }
        self.tickets += 1;
        self.queue.push_back((self.tickets, waker));
        Ok(self.tickets)
    }

    fn renew(&mut self, ticket: u64, waker: &Waker) {
        if let Some((_, held)) = self.queue.iter_mut().find(|(other, _)| *other == ticket) {
            held.clone_from(waker);
        }
    }

    fn leave(&mut self, ticket: u64) {
        self.queue.retain(|(other, _)| *other != ticket);
    }
}

/// Future of [`Pool::take_wait`].
#[derive(Debug)]
#[must_use = "nothing is taken until it is awaited"]
pub struct Take {
    pool: Pool,
    length: usize,
    offset_modulo_page: usize,
    ticket: Option<u64>,
}

impl Take {
    pub(crate) fn new(pool: Pool, length: usize, offset_modulo_page: usize) -> Self {
        Self { pool, length, offset_modulo_page, ticket: None }
    }

    /// Leaves the queue and lets the next one try.
    fn leave(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.pool.inner().waiters.borrow_mut().leave(ticket);
            self.pool.inner().wake_first();
        }
    }
}

impl Future for Take {
    type Output = Result<Chain, TakeError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if !this.pool.could_take(this.length, this.offset_modulo_page) {
            return Poll::Ready(Err(TakeError::TooLong));
        }
        let turn = {
            let waiters = this.pool.inner().waiters.borrow();
            this.ticket.map_or(waiters.is_empty(), |ticket| waiters.is_first(ticket))
        };
        if turn && let Some(chain) = this.pool.take_now(this.length, this.offset_modulo_page) {
            this.leave();
            return Poll::Ready(Ok(chain));
        }
        let mut waiters = this.pool.inner().waiters.borrow_mut();
        match this.ticket {
            Some(ticket) => waiters.renew(ticket, context.waker()),
            None => match waiters.join(context.waker().clone()) {
                Ok(ticket) => this.ticket = Some(ticket),
                Err(error) => return Poll::Ready(Err(error)),
            },
        }
        Poll::Pending
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use crate::{Pool, TakeError};

    #[test]
    fn memory_goes_to_the_first_who_waits() {
        let mut context = Context::from_waker(Waker::noop());
        let pool = Pool::new(2 << 20).unwrap();
        let held: Vec<_> = std::iter::from_fn(|| pool.take(4096, 0)).collect();
        let mut first = pin!(pool.take_wait(4096, 0));
        let mut second = Box::pin(pool.take_wait(4096, 0));
        assert!(first.as_mut().poll(&mut context).is_pending());
        assert!(second.as_mut().poll(&mut context).is_pending());
        drop(held);
        assert!(pool.take(4096, 0).is_none(), "nobody overtakes");
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(matches!(first.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
        drop(second);
        assert!(pool.take(4096, 0).is_some(), "who gives up leaves the queue");
    }

    #[test]
    fn the_impossible_is_refused_at_once() {
        let pool = Pool::new(2 << 20).unwrap();
        let mut context = Context::from_waker(Waker::noop());
        let poll = pin!(pool.take_wait(64 << 20, 0)).poll(&mut context);
        assert!(matches!(poll, Poll::Ready(Err(TakeError::TooLong))));
    }
}
