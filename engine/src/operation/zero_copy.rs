//! Sending on a stream socket from where the bytes lie, without the kernel's copy of them.
//!
//! Such a send completes twice: with the bytes that were sent, and once the kernel lets go of them, which on TCP is when the peer
//! has acknowledged them. Whether it has copied them after all (it does on loopback, and wherever a device cannot gather) it
//! tells only then.

use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};

use buf::IoBuffer;
use io_uring::{cqueue, opcode, squeue, types};

use crate::Shard;
use crate::operation::Operation;
use crate::operation::pieces::{self, Pieces};
use crate::ring::{Completion, Registered};

/// `IORING_SEND_ZC_REPORT_USAGE` (Linux 6.2).
const REPORT_USAGE: u16 = 1 << 3;

/// `IORING_NOTIF_USAGE_ZC_COPIED`.
const COPIED: u32 = 1 << 31;

/// What became of a send without a copy, told when the kernel lets go of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ZeroCopyUsage {
    /// They were sent from where they lay.
    Spared,
    /// The kernel has copied them after all.
    Copied,
    /// It never had them.
    Refused,
}

struct SendZeroCopy<F, B, R> {
    /// Until the bytes are sent: a socket that is closed is to be closed while the kernel still holds them, or a peer that does
    /// not acknowledge could keep both.
    socket: Option<F>,
    buffer: B,
    flags: i32,
    release: R,
    /// Read by the kernel, and so is their message.
    pieces: Pieces,
}

// SAFETY: the bytes are the buffer's, which `IoBuffer` promises to stay put; pieces and message are inside
// the operation or owned by it, and not touched again. The last completion comes when the kernel uses none of it any more.
unsafe impl<F, B, R> Operation for SendZeroCopy<F, B, R>
where
    F: AsFd + 'static,
    B: IoBuffer,
    R: FnOnce(B, ZeroCopyUsage) + 'static,
{
    type Output = ();

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_ref().expect("it was just given").as_fd().as_raw_fd());
        pieces::to_read(&self.buffer, 0..self.buffer.length(), &mut self.pieces);
        let send = opcode::SendMsgZc::new(socket, self.pieces.message());
        send.ioprio(REPORT_USAGE).flags(self.flags as u32).build()
    }

    fn complete(self, completion: Completion) {
        let usage = match cqueue::notif(completion.flags) {
            false => ZeroCopyUsage::Refused,
            true if completion.result as u32 & COPIED != 0 => ZeroCopyUsage::Copied,
            true => ZeroCopyUsage::Spared,
        };
        (self.release)(self.buffer, usage);
    }
}

impl Shard {
    /// Sends the buffer's bytes, in order, and comes back when they are sent, with their number: fewer are sent only where an
    /// error, or the end of the connection, came in between. The kernel may hold the buffer until later; `release` is given it
    /// when the kernel has nothing to do with it any more. `EINVAL` and `EOPNOTSUPP` say that kernel or socket know no such
    /// sends, `ENOMEM` that no more memory may be pinned.
    ///
    /// `more` and overlapping in time are as with [`send`](Self::send).
    pub async fn send_zero_copy<F, B, R>(
        &self,
        socket: F,
        buffer: B,
        more: bool,
        release: R,
    ) -> io::Result<usize>
    where
        F: AsFd + 'static,
        B: IoBuffer,
        R: FnOnce(B, ZeroCopyUsage) + 'static,
    {
        let more = if more { libc::MSG_MORE } else { 0 };
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
        let (socket, pieces) = (Some(socket), Pieces::default());
        let mut operation = self.submit(SendZeroCopy { socket, buffer, flags, release, pieces });
        let (completion, ended) = poll_fn(|context| operation.poll_next(context)).await;
        match ended {
            Some(operation) => operation.complete(completion),
            None => operation.leave(|operation| operation.socket = None),
        }
        completion.outcome()
    }
}
