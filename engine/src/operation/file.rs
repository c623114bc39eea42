//! Reading and writing files.

use std::future::{Future, poll_fn};
use std::os::fd::{AsFd, AsRawFd};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use buf::{IoBuffer, IoBufferMut};
use io_uring::{opcode, squeue, types};

use crate::operation::pieces::{self, Pieces};
use crate::operation::{Done, Operation};
use crate::ring::{Completion, Registered};
use crate::{Personality, Shard};

/// How a file is read or written.
#[derive(Clone, Debug, Default)]
pub struct IoOptions {
    /// As whom; the shard's own identity when absent.
    pub personality: Option<Personality>,
    /// `RWF_*` of `preadv2(2)`, such as `RWF_DSYNC`.
    pub flags: i32,
}

impl IoOptions {
    /// As somebody, without flags.
    pub fn with(personality: Personality) -> Self {
        Self { personality: Some(personality), flags: 0 }
    }
}

/// A positioned transfer; `WRITE` says which way.
struct Transfer<F, B, const WRITE: bool> {
    file: F,
    offset: u64,
    buffer: B,
    options: IoOptions,
    /// Read by the kernel.
    pieces: Pieces,
}

impl<F: AsFd, B, const WRITE: bool> Transfer<F, B, WRITE> {
    /// The entry for the pieces found: with one piece in registered memory, through it.
    fn entry_of_pieces(&self, registered: Registered) -> squeue::Entry {
        let file = types::Fd(self.file.as_fd().as_raw_fd());
        let (offset, flags) = (self.offset, self.options.flags);
        let (address, length) = self.pieces.single().unwrap_or((std::ptr::null_mut(), 0));
        let index = registered.index(address, length as usize).filter(|_| length > 0);
        let pieces = self.pieces.as_slice();
        let (vector, count) = (pieces.as_ptr(), pieces.len() as u32);
        let entry = match (WRITE, index) {
            (false, Some(index)) => {
                opcode::ReadFixed::new(file, address, length, index).offset(offset).rw_flags(flags).build()
            }
            (true, Some(index)) => {
                opcode::WriteFixed::new(file, address, length, index).offset(offset).rw_flags(flags).build()
            }
            (false, None) => opcode::Readv::new(file, vector, count).offset(offset).rw_flags(flags).build(),
            (true, None) => opcode::Writev::new(file, vector, count).offset(offset).rw_flags(flags).build(),
        };
        match &self.options.personality {
            Some(personality) => entry.personality(personality.id()),
            None => entry,
        }
    }
}

// SAFETY: the bytes are the buffer's, which `IoBufferMut` promises to stay put; the pieces are inside the operation or
// owned by it, and not touched again.
unsafe impl<F: AsFd + 'static, B: IoBufferMut> Operation for Transfer<F, B, false> {
    type Output = Done<usize, B>;

    fn entry(&mut self, registered: Registered) -> squeue::Entry {
        let length = self.buffer.length();
        pieces::to_write(&mut self.buffer, 0..length, &mut self.pieces);
        self.entry_of_pieces(registered)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.outcome(), self.buffer)
    }
}

// SAFETY: as for reading, with `IoBuffer`.
unsafe impl<F: AsFd + 'static, B: IoBuffer> Operation for Transfer<F, B, true> {
    type Output = Done<usize, B>;

    fn entry(&mut self, registered: Registered) -> squeue::Entry {
        let length = self.buffer.length();
        pieces::to_read(&self.buffer, 0..length, &mut self.pieces);
        self.entry_of_pieces(registered)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.outcome(), self.buffer)
    }
}

impl Shard {
    /// Reads into the front of the buffer; fewer bytes than its length at the end of the file or where the
    /// kernel stops short. Memory of the shard's own pool is read into as a registered buffer.
    pub async fn read_at<F, B>(&self, file: F, offset: u64, buffer: B, options: IoOptions) -> Done<usize, B>
    where
        F: AsFd + 'static,
        B: IoBufferMut,
    {
        let pieces = Pieces::default();
        self.submit(Transfer::<_, _, false> { file, offset, buffer, options, pieces }).await
    }

    /// Writes from the front of the buffer; fewer bytes than its length where the kernel stops short. Memory of
    /// the shard's own pool is written from as a registered buffer.
    pub async fn write_at<F, B>(&self, file: F, offset: u64, buffer: B, options: IoOptions) -> Done<usize, B>
    where
        F: AsFd + 'static,
        B: IoBuffer,
    {
        let pieces = Pieces::default();
        self.submit(Transfer::<_, _, true> { file, offset, buffer, options, pieces }).await
    }

    /// As [`Shard::write_at`], but when it takes longer than `patience` the kernel is asked to give up. A write that a
    /// worker has begun goes on to its end; one that still waits for its turn ends with ECANCELED and has done nothing.
    ///
    /// Buffered writes that the kernel hands to its workers take turns by a hash of the inode (64 values per ring), so
    /// one that hangs holds up others that have nothing to do with it.
    pub async fn write_at_within<F, B>(
        &self,
        file: F,
        offset: u64,
        buffer: B,
        options: IoOptions,
        patience: Duration,
    ) -> Done<usize, B>
    where
        F: AsFd + 'static,
        B: IoBuffer,
    {
        let pieces = Pieces::default();
        let mut write = self.submit(Transfer::<_, _, true> { file, offset, buffer, options, pieces });
        {
            let mut timer = pin!(self.sleep(patience));
            let written = poll_fn(|context| match Pin::new(&mut write).poll(context) {
                Poll::Ready(done) => Poll::Ready(Some(done)),
                Poll::Pending => timer.as_mut().poll(context).map(|_| None),
            });
            if let Some(done) = written.await {
                return done;
            }
        }
        write.cancel();
        write.await
    }
}
