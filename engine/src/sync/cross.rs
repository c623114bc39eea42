//! Between threads. Receivers are awaited on a shard; waking one that sleeps rings its bell.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crossbeam::queue::ArrayQueue;

pub use crate::sync::oneshot::Closed;

/// A lock whose data is whole at every instant, so that a panic elsewhere does not spoil it.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

enum Slot<T> {
    Empty(Option<Waker>),
    Full(T),
    Closed,
}

/// The end that gives the value.
pub struct OneshotSender<T>(Arc<Mutex<Slot<T>>>);

/// The end that awaits the value.
pub struct OneshotReceiver<T>(Arc<Mutex<Slot<T>>>);

/// One value from any thread to a task of any shard.
pub fn oneshot<T: Send>() -> (OneshotSender<T>, OneshotReceiver<T>) {
    let slot = Arc::new(Mutex::new(Slot::Empty(None)));
    (OneshotSender(slot.clone()), OneshotReceiver(slot))
}

impl<T> OneshotSender<T> {
    /// Gives the value; hands it back when nobody can receive it any more.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut slot = lock(&self.0);
        match &mut *slot {
            Slot::Empty(waker) => {
                let waker = waker.take();
                *slot = Slot::Full(value);
                drop(slot);
                waker.into_iter().for_each(Waker::wake);
                Ok(())
            }
            Slot::Full(_) | Slot::Closed => Err(value),
        }
    }
}

impl<T> Drop for OneshotSender<T> {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        if let Slot::Empty(waker) = &mut *slot {
            let waker = waker.take();
            *slot = Slot::Closed;
            drop(slot);
            waker.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Drop for OneshotReceiver<T> {
    fn drop(&mut self) {
        let left = std::mem::replace(&mut *lock(&self.0), Slot::Closed);
        drop(left);
    }
}

impl<T> Future for OneshotReceiver<T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.0);
        match std::mem::replace(&mut *slot, Slot::Closed) {
            Slot::Full(value) => Poll::Ready(Ok(value)),
            Slot::Closed => Poll::Ready(Err(Closed)),
            Slot::Empty(_) => {
                *slot = Slot::Empty(Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }
}

/// The channel cannot take the value now (it is full), or ever (its receiver is gone).
#[derive(Debug, PartialEq, Eq)]
pub enum SendError<T> {
    /// Full: wait, or refuse work.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

struct Channel<T> {
    queue: ArrayQueue<T>,
    /// Whether the receiver has left its waker; spares senders the lock.
    receiver_waits: AtomicBool,
    senders_wait: AtomicBool,
    wakers: Mutex<Wakers>,
    senders: AtomicUsize,
    closed: AtomicBool,
}

#[derive(Default)]
struct Wakers {
    receiver: Option<Waker>,
    senders: Vec<Waker>,
}

/// An end that sends; clones share the channel.
pub struct Sender<T>(Arc<Channel<T>>);

/// The end that receives. It may be moved to the shard that will await it.
pub struct Receiver<T>(Arc<Channel<T>>);

/// A queue of at most `capacity` values from any threads to one task.
///
/// Panics when `capacity` is 0.
pub fn channel<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let channel = Arc::new(Channel {
        queue: ArrayQueue::new(capacity),
        receiver_waits: AtomicBool::new(false),
        senders_wait: AtomicBool::new(false),
        wakers: Mutex::default(),
        senders: AtomicUsize::new(1),
        closed: AtomicBool::new(false),
    });
    (Sender(channel.clone()), Receiver(channel))
}

impl<T> Channel<T> {
    fn wake_receiver(&self) {
        // Pairs with the fence in `poll_recv`: either it sees the value, or this sees that it waits.
        fence(Ordering::SeqCst);
        if self.receiver_waits.load(Ordering::Relaxed) && self.receiver_waits.swap(false, Ordering::AcqRel) {
            let waker = lock(&self.wakers).receiver.take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    fn wake_senders(&self) {
        fence(Ordering::SeqCst);
        if self.senders_wait.load(Ordering::Relaxed) && self.senders_wait.swap(false, Ordering::AcqRel) {
            let wakers = std::mem::take(&mut lock(&self.wakers).senders);
            wakers.into_iter().for_each(Waker::wake);
        }
    }
}

impl<T> Sender<T> {
    /// Sends at once or says why not.
    pub fn try_send(&self, value: T) -> Result<(), SendError<T>> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(SendError::Closed(value));
        }
        self.0.queue.push(value).map_err(SendError::Full)?;
        self.0.wake_receiver();
        Ok(())
    }

    /// Sends, waiting for room. Hands the value back when the receiver is gone.
    pub async fn send(&self, value: T) -> Result<(), T> {
        let mut held = Some(value);
        poll_fn(|context| self.poll_send(&mut held, context)).await
    }

    fn poll_send(&self, held: &mut Option<T>, context: &mut Context<'_>) -> Poll<Result<(), T>> {
        let Some(value) = held.take() else { return Poll::Ready(Ok(())) };
        let value = match self.try_send(value) {
            Ok(()) => return Poll::Ready(Ok(())),
            Err(SendError::Closed(value)) => return Poll::Ready(Err(value)),
            Err(SendError::Full(value)) => value,
        };
        lock(&self.0.wakers).senders.push(context.waker().clone());
        self.0.senders_wait.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        // Room may have come, or the receiver gone, before the waker was seen.
        match self.try_send(value) {
            Ok(()) => Poll::Ready(Ok(())),
            Err(SendError::Closed(value)) => Poll::Ready(Err(value)),
            Err(SendError::Full(value)) => {
                *held = Some(value);
                Poll::Pending
            }
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.0.senders.fetch_add(1, Ordering::Relaxed);
        Self(self.0.clone())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        if self.0.senders.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.wake_receiver();
        }
    }
}

impl<T> Receiver<T> {
    /// The next value; `None` once it is empty and all senders are gone.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next value if there is one.
    pub fn try_recv(&mut self) -> Option<T> {
        let value = self.0.queue.pop()?;
        self.0.wake_senders();
        Some(value)
    }

    /// As [`recv`](Self::recv), for hand-written futures.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<T>> {
        if let Some(value) = self.try_recv() {
            return Poll::Ready(Some(value));
        }
        lock(&self.0.wakers).receiver = Some(context.waker().clone());
        self.0.receiver_waits.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let last = self.0.senders.load(Ordering::Acquire) == 0;
        match self.try_recv() {
            Some(value) => Poll::Ready(Some(value)),
            None if last => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.0.closed.store(true, Ordering::Release);
        while self.0.queue.pop().is_some() {}
        self.0.wake_senders();
    }
}

/// One bounded channel to each shard, under one name.
pub struct Mailbox<T> {
    senders: Arc<[Sender<T>]>,
    receivers: Arc<Mutex<Vec<Option<Receiver<T>>>>>,
}

impl<T> Clone for Mailbox<T> {
    fn clone(&self) -> Self {
        Self { senders: self.senders.clone(), receivers: self.receivers.clone() }
    }
}

impl<T: Send> Mailbox<T> {
    /// Channels of `capacity` values to each of `shards` shards. Make it before the engine starts and let each
    /// shard's main future take its receiver.
    pub fn new(shards: usize, capacity: usize) -> Self {
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..shards).map(|_| channel(capacity)).map(|(sender, receiver)| (sender, Some(receiver))).unzip();
        Self { senders: senders.into(), receivers: Arc::new(Mutex::new(receivers)) }
    }

    /// The sending end towards a shard.
    ///
    /// Panics when there is no such shard.
    pub fn to(&self, shard: usize) -> &Sender<T> {
        &self.senders[shard]
    }

    /// A shard's receiving end; `None` when it was taken before or there is no such shard.
    pub fn receiver(&self, shard: usize) -> Option<Receiver<T>> {
        lock(&self.receivers).get_mut(shard)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_and_closed_channels_say_so() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(sender.try_send(1), Ok(()));
        assert_eq!(sender.try_send(2), Err(SendError::Full(2)));
        assert_eq!((receiver.try_recv(), receiver.try_recv()), (Some(1), None));
        let mut context = Context::from_waker(Waker::noop());
        assert!(receiver.poll_recv(&mut context).is_pending());
        let other = sender.clone();
        drop(sender);
        assert!(receiver.poll_recv(&mut context).is_pending());
        drop(other);
        assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(None));

        let (sender, receiver) = channel(1);
        drop(receiver);
        assert_eq!(sender.try_send(3), Err(SendError::Closed(3)));
    }
}
