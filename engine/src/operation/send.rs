//! Sending on a stream socket.

use std::io;
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use buf::IoBuffer;
use io_uring::{opcode, squeue, types};

use crate::Shard;
use crate::operation::pieces::{self, Pieces};
use crate::operation::{Done, Operation};
use crate::ring::{Completion, Registered};

struct Send<F, B> {
    socket: F,
    buffer: B,
    range: Range<usize>,
    flags: i32,
    /// Read by the kernel, and so is their message.
    pieces: Pieces,
}

// SAFETY: the bytes are the buffer's, which `IoBuffer` promises to stay put; pieces and message are inside
// the operation or owned by it, and not touched again.
unsafe impl<F: AsFd + 'static, B: IoBuffer> Operation for Send<F, B> {
    type Output = Done<usize, B>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_fd().as_raw_fd());
        pieces::to_read(&self.buffer, self.range.clone(), &mut self.pieces);
        if let Some((address, length)) = self.pieces.single() {
            return opcode::Send::new(socket, address, length).flags(self.flags).build();
        }
        opcode::SendMsg::new(socket, self.pieces.message()).flags(self.flags as u32).build()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.outcome(), self.buffer)
    }
}

impl Shard {
    /// Sends all of the buffer's bytes, in order. `more`: others follow at once, so a partial segment may wait.
    ///
    /// Two sends on one socket must not overlap in time, or their bytes may interleave. A list of buffers is a
    /// buffer: heads and payloads of several replies go out with one call.
    pub async fn send<F, B>(&self, socket: F, mut buffer: B, more: bool) -> Done<(), B>
    where
        F: AsFd + Clone + 'static,
        B: IoBuffer,
    {
        let more = if more { libc::MSG_MORE } else { 0 };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
        let mut range = 0..buffer.length();
        while !range.is_empty() {
            let pieces = Pieces::default();
            let send = Send { socket: socket.clone(), buffer, range: range.clone(), flags, pieces };
            let sent;
            (sent, buffer) = self.submit(send).await;
            match sent {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(bytes) => range.start += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }
}
