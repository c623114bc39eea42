//! Receiving from a stream socket.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use buf::IoBufferMut;
use io_uring::{opcode, squeue, types};

use crate::Shard;
use crate::operation::pieces::{self, Pieces};
use crate::operation::{Done, Operation};
use crate::ring::{Completion, Registered};

struct Receive<F, B> {
    socket: F,
    buffer: B,
    range: Range<usize>,
    all: bool,
    /// Read by the kernel, and so is their message.
    pieces: Pieces,
}

// SAFETY: the bytes are the buffer's, which `IoBufferMut` promises to stay put; pieces and message are inside
// the operation or owned by it, and not touched again.
unsafe impl<F: AsFd + 'static, B: IoBufferMut> Operation for Receive<F, B> {
    type Output = Done<usize, B>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_fd().as_raw_fd());
        let flags = if self.all { libc::MSG_WAITALL } else { 0 };
        pieces::to_write(&mut self.buffer, self.range.clone(), &mut self.pieces);
        if let Some((address, length)) = self.pieces.single() {
            return opcode::Recv::new(socket, address, length).flags(flags).build();
        }
        opcode::RecvMsg::new(socket, self.pieces.message()).flags(flags as u32).build()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.outcome(), self.buffer)
    }
}

impl Shard {
    /// Receives into `range` of the buffer what there is, at least one byte. 0 bytes: the peer has ended.
    pub async fn recv<F, B>(&self, socket: F, buffer: B, range: Range<usize>) -> Done<usize, B>
    where
        F: AsFd + 'static,
        B: IoBufferMut,
    {
        let pieces = Pieces::default();
        self.submit(Receive { socket, buffer, range, all: false, pieces }).await
    }

    /// Fills `range` of the buffer. Fails with `UnexpectedEof` when the peer ends before.
    pub async fn recv_exact<F, B>(&self, socket: F, mut buffer: B, mut range: Range<usize>) -> Done<(), B>
    where
        F: AsFd + Clone + 'static,
        B: IoBufferMut,
    {
        while !range.is_empty() {
            let pieces = Pieces::default();
            let receive = Receive { socket: socket.clone(), buffer, range: range.clone(), all: true, pieces };
            let received;
            (received, buffer) = self.submit(receive).await;
            match received {
                Ok(0) => return (Err(io::ErrorKind::UnexpectedEof.into()), buffer),
                Ok(bytes) => range.start += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }
}
