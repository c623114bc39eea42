//! Receiving from a stream socket into buffers that the shard's connections share.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::task::{Context, Poll};

use io_uring::{opcode, squeue, types};

use crate::Shard;
use crate::operation::Operation;
use crate::ring::buffers::{GROUP, Loan, RECEIVE_BUFFER_BYTES};
use crate::ring::driver::Submitted;
use crate::ring::{Completion, Registered, Ring};
use crate::shard::Receiving;

/// Offset in a queue entry of `optlen` (`struct io_uring_sqe`).
const OPTLEN: usize = 44;

/// How much one operation receives.
#[derive(Clone, Copy)]
enum Extent {
    /// At most so many bytes at once.
    Once(usize),
    /// What comes, until so many bytes have come.
    Until(u32),
}

struct Receive<F> {
    socket: F,
    extent: Extent,
    receiving: Receiving,
    /// Where the bytes go when there are no common buffers.
    heap: Vec<u8>,
}

/// An entry that completes again and again, until `limit` bytes have come.
fn multishot(socket: types::Fd, limit: u32) -> squeue::Entry {
    let entry = opcode::RecvMulti::new(socket, GROUP).build();
    // SAFETY: an entry is the 64 initialised bytes of the kernel's structure (it is `repr(C)` over it), in which every
    // value of this field is valid.
    unsafe {
        let mut bytes: [u8; size_of::<squeue::Entry>()] = std::mem::transmute(entry);
        bytes[OPTLEN..OPTLEN + 4].copy_from_slice(&limit.to_ne_bytes());
        std::mem::transmute(bytes)
    }
}

// SAFETY: either the entry carries no address and the kernel chooses from buffers that the operation keeps, or the bytes
// are on the heap, owned by the operation and not touched again.
unsafe impl<F: AsFd + 'static> Operation for Receive<F> {
    type Output = io::Result<Loan>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_fd().as_raw_fd());
        let length = match self.extent {
            Extent::Until(limit) if self.receiving.multishot => return multishot(socket, limit),
            Extent::Until(_) => RECEIVE_BUFFER_BYTES,
            Extent::Once(length) => length.min(RECEIVE_BUFFER_BYTES),
        };
        if self.receiving.buffers.is_some() {
            let receive = opcode::Recv::new(socket, std::ptr::null_mut(), length as u32).buf_group(GROUP);
            return receive.build().flags(squeue::Flags::BUFFER_SELECT);
        }
        self.heap = vec![0; length];
        opcode::Recv::new(socket, self.heap.as_mut_ptr(), length as u32).build()
    }

    fn complete(self, completion: Completion) -> io::Result<Loan> {
        match &self.receiving.buffers {
            Some(buffers) => buffers.loan(completion),
            None => completion.outcome().map(|length| Loan::heap(self.heap, length)),
        }
    }

    fn discard(&mut self, completion: Completion) {
        drop(self.receiving.loan(completion));
    }
}

fn is_out_of_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOBUFS)
}

fn out_of_operations() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOBUFS)
}

/// What comes in on a socket, received without memory waiting for it. Dropping it stops receiving, and throws away
/// what had come and was not taken.
pub struct Receives<F: AsFd + Clone + 'static> {
    shard: Shard,
    socket: F,
    limit: u32,
    operation: Option<Submitted<Receive<F>>>,
    stopping: bool,
    armed: u64,
}

impl<F: AsFd + Clone + 'static> Receives<F> {
    /// The next bytes; no bytes at the end of the stream. `None` once it was [stopped](Self::stop) and everything that
    /// had come is taken; asking again starts again.
    ///
    /// # Errors
    /// As `recv`. ENOBUFS when the shard has as many operations in flight as it may.
    pub async fn next(&mut self) -> Option<io::Result<Loan>> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`next`](Self::next), for hand-written futures.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Loan>>> {
        loop {
            let operation = match &mut self.operation {
                Some(operation) => operation,
                None if self.stopping => {
                    self.stopping = false;
                    return Poll::Ready(None);
                }
                None => {
                    self.armed += 1;
                    let operation = self.shard.receive(&self.socket, Extent::Until(self.limit));
                    if operation.is_refused() {
                        return Poll::Ready(Some(Err(out_of_operations())));
                    }
                    self.operation.insert(operation)
                }
            };
            let Poll::Ready((completion, ended)) = operation.poll_next(context) else { return Poll::Pending };
            let received = match ended {
                Some(operation) => {
                    self.operation = None;
                    operation.complete(completion)
                }
                None => self.shard.0.receiving.loan(completion),
            };
            match received {
                // All buffers were out. Nobody keeps one for longer than a turn, so that asking again is enough.
                Err(error) if is_out_of_buffers(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.stopping && error.raw_os_error() == Some(libc::ECANCELED) => {}
                received => return Poll::Ready(Some(received)),
            }
        }
    }

    /// Receives nothing further from the socket. What has been received already is still to be taken with
    /// [`next`](Self::next), up to its `None`: no byte is lost.
    pub fn stop(&mut self) {
        if !std::mem::replace(&mut self.stopping, true)
            && let Some(operation) = &self.operation
        {
            operation.cancel();
        }
    }

    /// How many times the kernel was asked, the first included: again whenever it had come to the limit or run out of
    /// buffers, and after every stop.
    pub fn armed(&self) -> u64 {
        self.armed
    }
}

impl Shard {
    /// Receives from a socket, as long as the result is kept, into buffers that all of the shard's connections share
    /// and that are taken when bytes arrive. Where the kernel can, one request serves for `limit` bytes, so that no
    /// more than that is received after the task has last looked; else for as many as one buffer holds.
    pub fn receives<F: AsFd + Clone + 'static>(&self, socket: F, limit: u32) -> Receives<F> {
        let shard = self.clone();
        Receives { shard, socket, limit: limit.max(1), operation: None, stopping: false, armed: 0 }
    }

    /// Receives once, at least one byte and at most `length` or what a buffer holds, without memory waiting for it. No
    /// bytes at the end of the stream.
    ///
    /// # Errors
    /// As `recv`. ENOBUFS when the shard has as many operations in flight as it may.
    pub async fn recv_loan<F: AsFd + Clone + 'static>(&self, socket: &F, length: usize) -> io::Result<Loan> {
        loop {
            let operation = self.receive(socket, Extent::Once(length.max(1)));
            if operation.is_refused() {
                return Err(out_of_operations());
            }
            match operation.await {
                Err(error) if is_out_of_buffers(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                received => return received,
            }
        }
    }

    fn receive<F: AsFd + Clone + 'static>(&self, socket: &F, extent: Extent) -> Submitted<Receive<F>> {
        let (socket, receiving) = (socket.clone(), self.0.receiving.clone());
        self.submit(Receive { socket, extent, receiving, heap: Vec::new() })
    }
}

/// Whether this kernel ends a multishot receive at a limit (6.17). Elsewhere the field is refused or ignored.
pub(crate) fn has_limit(ring: &mut Ring) -> io::Result<bool> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    io::Write::write_all(&mut &theirs, &[0; 2])?;
    let buffers = ring.lend_buffers()?;
    let entry = multishot(types::Fd(ours.as_raw_fd()), 1);
    // SAFETY: the entry carries no address; the buffers that the kernel chooses from are kept, see below.
    unsafe { ring.push(entry) };
    let mut completions = Vec::new();
    let entered = ring.enter(1, 0, None);
    ring.reap(&mut completions);
    let last = completions.last().filter(|last| !last.more());
    if last.is_none() {
        // It goes on, or nobody knows: the memory is left to the kernel.
        Box::leak(Box::new((buffers, ours)));
    }
    entered.map(|()| last.is_some_and(|last| last.result > 0))
}
