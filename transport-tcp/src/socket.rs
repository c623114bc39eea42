//! A connected socket and what the transport asks of it.

use std::{io, net::SocketAddr, ops::Range, os::fd::OwnedFd, rc::Rc, time::Duration};

use buf::{IoBuffer, IoBufferMut, Piped};
use engine::{Loan, Receives, Shard, ZeroCopyUsage};
use rustix::{
    event::PollFlags,
    io::Errno,
    net::{SendFlags, Shutdown, sockopt},
};

/// Idle time before the kernel asks whether the peer still lives, and between its questions.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_QUESTIONS: u32 = 6;

/// `POLLIN`, the same number on every Linux.
const READABLE: i16 = 1;

/// A connected socket on its core.
pub(crate) struct Socket {
    shard: Shard,
    descriptor: Rc<OwnedFd>,
}

impl Socket {
    /// Takes a connected socket over.
    pub(crate) fn new(shard: &Shard, descriptor: OwnedFd) -> Self {
        if let Err(error) = set_options(&descriptor) {
            // Only a socket that the peer has already reset refuses them; the first receive will tell.
            tracing::debug!(%error, "socket options");
        }
        Self { shard: shard.clone(), descriptor: Rc::new(descriptor) }
    }

    /// Receives at least one byte into a range of the buffer; 0 is the end of the stream.
    pub(crate) async fn receive<B: IoBufferMut>(
        &self,
        buffer: B,
        range: Range<usize>,
    ) -> (io::Result<usize>, B) {
        self.shard.recv(Rc::clone(&self.descriptor), buffer, range).await
    }

    /// Fills a range of the buffer. `UnexpectedEof` when the stream ends before.
    pub(crate) async fn receive_exact<B: IoBufferMut>(
        &self,
        buffer: B,
        range: Range<usize>,
    ) -> (io::Result<()>, B) {
        self.shard.recv_exact(Rc::clone(&self.descriptor), buffer, range).await
    }

    /// Receives at least one byte and at most `length` into a buffer of the core's; no bytes are the end of the stream.
    pub(crate) async fn receive_loan(&self, length: usize) -> io::Result<Loan> {
        self.shard.recv_loan(&self.descriptor, length).await
    }

    /// Everything that comes, in buffers of the core's; at most `limit` bytes after it was last asked.
    pub(crate) fn receive_many(&self, limit: u32) -> Receives<Rc<OwnedFd>> {
        self.shard.receives(Rc::clone(&self.descriptor), limit)
    }

    /// Waits until there is something to receive, or the stream has ended.
    pub(crate) async fn arrival(&self) -> io::Result<()> {
        self.shard.poll(Rc::clone(&self.descriptor), READABLE).await.map(drop)
    }

    /// Sends all of the buffer. `more`: other bytes follow at once.
    pub(crate) async fn send<B: IoBuffer>(&self, buffer: B, more: bool) -> (io::Result<()>, B) {
        self.shard.send(Rc::clone(&self.descriptor), buffer, more).await
    }

    /// As [`send`](Self::send) without the kernel's copy, see [`Shard::send_zero_copy`].
    pub(crate) async fn send_zero_copy<B: IoBuffer>(
        &self,
        buffer: B,
        more: bool,
        release: impl FnOnce(B, ZeroCopyUsage) + 'static,
    ) -> io::Result<usize> {
        self.shard.send_zero_copy(Rc::clone(&self.descriptor), buffer, more, release).await
    }

    /// Where the socket stands on this machine.
    pub(crate) fn local_address(&self) -> Option<SocketAddr> {
        rustix::net::getsockname(&self.descriptor).ok().and_then(|address| address.try_into().ok())
    }

    /// Sends what the socket takes now, on the spot; answers how much that was.
    pub(crate) fn send_now(&self, bytes: &[u8], more: bool) -> io::Result<usize> {
        let mut flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        flags.set(SendFlags::MORE, more);
        match rustix::net::send(&self.descriptor, bytes, flags) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            sent => Ok(sent?),
        }
    }

    /// Sends all that is in a pipe; `moved` is told how much after each step, and that the peer is waited for.
    pub(crate) async fn send_piped(
        &self,
        piped: &mut Piped,
        more: bool,
        moved: impl Fn(Option<usize>),
    ) -> io::Result<()> {
        while !piped.is_empty() {
            match piped.drain(&self.descriptor, more) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => moved(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    moved(None);
                    self.shard.poll(Rc::clone(&self.descriptor), PollFlags::OUT.bits() as i16).await?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bytes that have arrived and are not received.
    pub(crate) fn bytes_waiting(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.descriptor).unwrap_or(0)
    }

    /// Ends receiving: what is under way ends as if the peer had closed.
    pub(crate) fn shutdown_receive(&self) {
        self.shutdown_how(Shutdown::Read);
    }

    /// Ends receiving and sending.
    pub(crate) fn shutdown(&self) {
        self.shutdown_how(Shutdown::Both);
    }

    fn shutdown_how(&self, how: Shutdown) {
        if let Err(error) = rustix::net::shutdown(&self.descriptor, how) {
            tracing::debug!(%error, "shutdown of a connection that is gone");
        }
    }
}

fn set_options(descriptor: &OwnedFd) -> rustix::io::Result<()> {
    // For splice(2), which has no flag of its own against waiting for a socket. To the ring it means nothing.
    rustix::io::ioctl_fionbio(descriptor, true)?;
    sockopt::set_tcp_nodelay(descriptor, true)?;
    sockopt::set_socket_keepalive(descriptor, true)?;
    sockopt::set_tcp_keepidle(descriptor, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(descriptor, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(descriptor, KEEPALIVE_QUESTIONS)
}
