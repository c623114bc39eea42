//! Accepting connections.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::task::{Context, Poll};

use io_uring::{opcode, squeue, types};

use crate::Shard;
use crate::operation::Operation;
use crate::ring::driver::Submitted;
use crate::ring::{Completion, Registered};

struct Accept<F> {
    listener: F,
}

/// The descriptor that an accept completed with.
fn accepted(completion: Completion) -> io::Result<OwnedFd> {
    completion.outcome()?;
    // SAFETY: a successful accept yields a new descriptor, which this completion alone names.
    Ok(unsafe { OwnedFd::from_raw_fd(completion.result) })
}

// SAFETY: the entry carries no address.
unsafe impl<F: AsFd + 'static> Operation for Accept<F> {
    type Output = ();

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let listener = types::Fd(self.listener.as_fd().as_raw_fd());
        opcode::AcceptMulti::new(listener).flags(libc::SOCK_CLOEXEC).build()
    }

    fn complete(self, completion: Completion) {
        drop(accepted(completion));
    }

    fn discard(&mut self, completion: Completion) {
        drop(accepted(completion));
    }
}

/// The connections that come in on a listener. Dropping it stops accepting.
pub struct Accepts<F: AsFd + Clone + 'static> {
    shard: Shard,
    listener: F,
    accept: Option<Submitted<Accept<F>>>,
}

impl<F: AsFd + Clone + 'static> Accepts<F> {
    /// The next connection. An error (of one connection, or EMFILE) does not end the series; after one that
    /// lasts, such as EMFILE, the caller should wait a little.
    pub async fn next(&mut self) -> io::Result<OwnedFd> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<OwnedFd>> {
        let (shard, listener) = (&self.shard, &self.listener);
        let accept = self.accept.get_or_insert_with(|| shard.submit(Accept { listener: listener.clone() }));
        let Poll::Ready((completion, ended)) = accept.poll_next(context) else { return Poll::Pending };
        if ended.is_some() {
            self.accept = None;
        }
        Poll::Ready(accepted(completion))
    }
}

impl Shard {
    /// Accepts connections from a listening socket, as long as the result is kept.
    pub fn accept<F: AsFd + Clone + 'static>(&self, listener: F) -> Accepts<F> {
        Accepts { shard: self.clone(), listener, accept: None }
    }
}
