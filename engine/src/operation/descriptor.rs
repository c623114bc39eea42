//! Operations on descriptors that involve no memory.

use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};

use io_uring::{opcode, squeue, types};

use crate::operation::Operation;
use crate::ring::{Completion, Registered};
use crate::{Personality, Shard};

/// What must be on stable storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Data, and what is needed to read it back (`fdatasync`).
    Data,
    /// Data and all attributes (`fsync`).
    All,
}

/// An entry without addresses, and what it needs to stay open and registered.
struct Plain<F> {
    _descriptor: F,
    personality: Option<Personality>,
    entry: squeue::Entry,
}

// SAFETY: the constructors below, the only ones, make entries without addresses.
unsafe impl<F: 'static> Operation for Plain<F> {
    type Output = io::Result<usize>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        match &self.personality {
            Some(personality) => self.entry.clone().personality(personality.id()),
            None => self.entry.clone(),
        }
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.outcome()
    }
}

/// A close, which owns the descriptor until it has happened.
struct Close {
    descriptor: OwnedFd,
}

impl Close {
    /// Gives the descriptor up if the kernel has closed it. Every failure but these two comes after that.
    fn settle(descriptor: OwnedFd, completion: Completion) {
        if !matches!(-completion.result, libc::ECANCELED | libc::ENOBUFS) {
            let _closed = descriptor.into_raw_fd();
        }
    }
}

// SAFETY: the entry carries no address.
unsafe impl Operation for Close {
    type Output = io::Result<()>;

    fn entry(&mut self, _registered: Registered) -> squeue::Entry {
        opcode::Close::new(fd(&self.descriptor)).build()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        Self::settle(self.descriptor, completion);
        completion.outcome().map(drop)
    }
}

fn fd(descriptor: &impl AsFd) -> types::Fd {
    types::Fd(descriptor.as_fd().as_raw_fd())
}

impl Shard {
    /// Brings a file to stable storage.
    pub async fn sync<F: AsFd + 'static>(
        &self,
        file: F,
        mode: SyncMode,
        personality: Option<Personality>,
    ) -> io::Result<()> {
        let flags = match mode {
            SyncMode::Data => types::FsyncFlags::DATASYNC,
            SyncMode::All => types::FsyncFlags::empty(),
        };
        let entry = opcode::Fsync::new(fd(&file)).flags(flags).build();
        self.submit(Plain { _descriptor: file, personality, entry }).await.map(drop)
    }

    /// Changes a file's allocation; `mode` is `FALLOC_FL_*`.
    pub async fn fallocate<F: AsFd + 'static>(
        &self,
        file: F,
        mode: i32,
        offset: u64,
        length: u64,
        personality: Option<Personality>,
    ) -> io::Result<()> {
        let entry = opcode::Fallocate::new(fd(&file), length).offset(offset).mode(mode).build();
        self.submit(Plain { _descriptor: file, personality, entry }).await.map(drop)
    }

    /// Waits until one of `events` (`POLL*`) holds, and returns those that do.
    pub async fn poll<F: AsFd + 'static>(
        &self,
        descriptor: F,
        events: libc::c_short,
    ) -> io::Result<libc::c_short> {
        let entry = opcode::PollAdd::new(fd(&descriptor), events as u16 as u32).build();
        let ready = self.submit(Plain { _descriptor: descriptor, personality: None, entry }).await?;
        Ok(ready as libc::c_short)
    }

    /// Ends one or both directions of a connection.
    pub async fn shutdown<F: AsFd + 'static>(&self, socket: F, how: Shutdown) -> io::Result<()> {
        let how = match how {
            Shutdown::Read => libc::SHUT_RD,
            Shutdown::Write => libc::SHUT_WR,
            Shutdown::Both => libc::SHUT_RDWR,
        };
        let entry = opcode::Shutdown::new(fd(&socket), how).build();
        self.submit(Plain { _descriptor: socket, personality: None, entry }).await.map(drop)
    }

    /// Closes a descriptor without holding the shard up: the last close of a file may write to disk.
    pub async fn close(&self, descriptor: OwnedFd) -> io::Result<()> {
        self.submit(Close { descriptor }).await
    }
}
