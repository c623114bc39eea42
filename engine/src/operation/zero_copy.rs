//! Sending on a stream socket from where the bytes lie, without the kernel's copy of them.
//!
//! Such a send completes twice: with the bytes that were sent, and once the kernel lets go of them, which on TCP is when the peer
//! has acknowledged them. Whether it has copied them after all (it does on loopback, and wherever a device cannot gather) it
//! tells only then.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::rc::Rc;

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

/// What has become of sends without a copy.
#[derive(Debug, Default)]
pub struct ZeroCopyReports {
    copied: Cell<u64>,
    spared: Cell<u64>,
}

impl ZeroCopyReports {
    /// Sends whose bytes the kernel has copied after all.
    pub fn copied(&self) -> u64 {
        self.copied.get()
    }

    /// Sends whose bytes it has not.
    pub fn spared(&self) -> u64 {
        self.spared.get()
    }
}

struct SendZeroCopy<F, B> {
    /// Until the bytes are sent: a socket that is closed is to be closed while the kernel still holds them, or a peer that does
    /// not acknowledge could keep both.
    socket: Option<F>,
    buffer: B,
    flags: i32,
    reports: Rc<ZeroCopyReports>,
    /// Read by the kernel, and so is their message.
    pieces: Pieces,
}

// SAFETY: the bytes are the buffer's, which `IoBuffer` promises to stay put; pieces and message are inside
// the operation or owned by it, and not touched again. The last completion comes when the kernel uses none of it any more.
unsafe impl<F: AsFd + 'static, B: IoBuffer> Operation for SendZeroCopy<F, B> {
    type Output = (io::Result<usize>, B);

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        let socket = types::Fd(self.socket.as_ref().expect("it was just given").as_fd().as_raw_fd());
        pieces::to_read(&self.buffer, 0..self.buffer.length(), &mut self.pieces);
        let send = opcode::SendMsgZc::new(socket, self.pieces.message());
        send.ioprio(REPORT_USAGE).flags(self.flags as u32).build()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.outcome(), self.buffer)
    }

    fn abandon(self, completion: Completion) {
        if cqueue::notif(completion.flags) {
            let copied = completion.result as u32 & COPIED != 0;
            let counter = if copied { &self.reports.copied } else { &self.reports.spared };
            counter.update(|count| count + 1);
        }
    }
}

impl Shard {
    /// Sends all of the buffer's bytes, in order, and comes back when they are sent; the kernel may hold the buffer until
    /// later, and tells `reports` then. It comes back itself only if the kernel has nothing to do with it any more, as after most
    /// errors; `EINVAL` and `EOPNOTSUPP` say that kernel or socket know no such sends.
    ///
    /// `more` and overlapping in time are as with [`send`](Self::send).
    pub async fn send_zero_copy<F, B>(
        &self,
        socket: F,
        buffer: B,
        more: bool,
        reports: &Rc<ZeroCopyReports>,
    ) -> (io::Result<()>, Option<B>)
    where
        F: AsFd + 'static,
        B: IoBuffer,
    {
        let (more, length) = (if more { libc::MSG_MORE } else { 0 }, buffer.length());
        let flags = libc::MSG_NOSIGNAL | libc::MSG_WAITALL | more;
        let (reports, pieces) = (Rc::clone(reports), Pieces::default());
        let socket = Some(socket);
        let mut operation = self.submit(SendZeroCopy { socket, buffer, flags, reports, pieces });
        let (completion, ended) = poll_fn(|context| operation.poll_next(context)).await;
        let buffer = match ended {
            Some(operation) => Some(operation.complete(completion).1),
            None => {
                operation.leave(|operation| operation.socket = None);
                None
            }
        };
        let sent = match completion.outcome() {
            // It waits for all of them, so the peer or we have closed the connection.
            Ok(bytes) if bytes < length => Err(io::ErrorKind::WriteZero.into()),
            outcome => outcome.map(drop),
        };
        (sent, buffer)
    }
}
