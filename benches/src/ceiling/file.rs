//! The one file that measured calls read and write.

use std::io;
use std::net::TcpStream;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::{pread, pwrite, retry_on_intr};
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::ceiling::call::Call;
use crate::ceiling::connection::Connection;
use crate::ceiling::pattern::Patterns;
use crate::ceiling::ring::{PAYLOAD_MAX, Ring, Slot};
use crate::ceiling::{ReadWay, Settings, WriteWay};

/// The file, and the means to move its bytes.
pub(super) struct File {
    buffered: OwnedFd,
    size: u64,
    pipe: (OwnedFd, OwnedFd),
    ring: Option<Ring>,
    read: ReadWay,
    write: WriteWay,
    /// Where data is received that no ring writes.
    plain: Option<Slot>,
}

impl File {
    pub(super) fn open(settings: &Settings) -> io::Result<Self> {
        let buffered = open(&settings.file, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        let size = fstat(&buffered)?.st_size.try_into().map_err(io::Error::other)?;
        let pipe = pipe_with(PipeFlags::CLOEXEC)?;
        fcntl_setpipe_size(&pipe.1, PAYLOAD_MAX)?;
        let direct = settings.read == ReadWay::Direct || settings.write == WriteWay::Direct;
        let flags = if direct { OFlags::DIRECT } else { OFlags::empty() };
        let through_ring = open(&settings.file, OFlags::RDWR | OFlags::CLOEXEC | flags, Mode::empty())?;
        let mut ring = Ring::new(through_ring)?;
        let plain = Some(ring.take()?);
        let wanted = direct || settings.write == WriteWay::Ring;
        Ok(Self {
            buffered,
            size,
            pipe,
            ring: wanted.then_some(ring),
            read: settings.read,
            write: settings.write,
            plain,
        })
    }

    pub(super) fn ring(&self) -> Option<&Ring> {
        self.ring.as_ref()
    }

    pub(super) fn splices(&self) -> bool {
        self.read == ReadWay::Splice
    }

    pub(super) fn reads_direct(&self) -> bool {
        self.read == ReadWay::Direct
    }

    /// How many bytes a READ gets, and whether the file ends there.
    pub(super) fn extent(&self, call: &Call) -> (usize, bool) {
        let left = self.size.saturating_sub(call.offset);
        let bytes = left.min(call.length as u64) as usize;
        (bytes, bytes as u64 == left)
    }

    /// From the page cache to the socket.
    pub(super) fn splice(&self, call: &Call, socket: &TcpStream) -> io::Result<()> {
        let (mut offset, mut left) = (call.offset, self.extent(call).0);
        while left > 0 {
            let flags = SpliceFlags::empty();
            let mut held =
                retry_on_intr(|| splice(&self.buffered, Some(&mut offset), &self.pipe.1, None, left, flags))?;
            left -= held;
            while held > 0 {
                let more = if left > 0 { SpliceFlags::MORE } else { flags };
                held -= retry_on_intr(|| splice(&self.pipe.0, None, socket, None, held, more))?;
            }
        }
        Ok(())
    }

    /// From the page cache to memory.
    pub(super) fn read(&self, call: &Call, room: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while done < room.len() {
            done += retry_on_intr(|| pread(&self.buffered, &mut room[done..], call.offset + done as u64))?;
        }
        Ok(())
    }

    /// From the device to memory; the reply leaves when it has come.
    pub(super) fn read_direct(
        &mut self,
        connection: usize,
        call: &Call,
        patterns: &Patterns,
    ) -> io::Result<()> {
        let extent = self.extent(call);
        let ring = self.ring.as_mut().expect("made with the setting");
        let slot = ring.take()?;
        ring.read(connection, call, extent, slot, patterns);
        Ok(())
    }

    /// Memory to receive the data of a WRITE into.
    pub(super) fn slot(&mut self) -> io::Result<Slot> {
        match (&mut self.ring, self.write) {
            (Some(ring), WriteWay::Ring | WriteWay::Direct) => ring.take(),
            _ => Ok(self.plain.take().expect("one WRITE at a time is received")),
        }
    }

    /// Writes what was received; true when that is done and may be answered.
    pub(super) fn write_slot(
        &mut self,
        connection: usize,
        call: &Call,
        mut slot: Slot,
        patterns: &Patterns,
    ) -> io::Result<bool> {
        match (&mut self.ring, self.write) {
            (Some(ring), WriteWay::Ring | WriteWay::Direct) => {
                ring.write(connection, call, slot, patterns);
                Ok(false)
            }
            _ => {
                if self.write == WriteWay::Copy {
                    write_all(&self.buffered, &slot.data()[..call.length], call.offset)?;
                }
                self.plain = Some(slot);
                Ok(true)
            }
        }
    }

    /// Writes data that came with its head.
    pub(super) fn write_inbox(
        &mut self,
        connection: usize,
        call: &Call,
        data: &[u8],
        patterns: &Patterns,
    ) -> io::Result<bool> {
        if self.write == WriteWay::Copy {
            write_all(&self.buffered, data, call.offset)?;
            return Ok(true);
        }
        let mut slot = self.slot()?;
        slot.data()[..data.len()].copy_from_slice(data);
        self.write_slot(connection, call, slot, patterns)
    }

    /// Answers what the ring has done.
    pub(super) fn reap(&mut self, connections: &mut [Option<Connection>]) -> io::Result<()> {
        self.ring.as_mut().map_or(Ok(()), |ring| ring.reap(connections))
    }

    /// Hands what was queued to the kernel.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        self.ring.as_mut().map_or(Ok(()), Ring::submit)
    }
}

fn write_all(file: &OwnedFd, data: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < data.len() {
        done += retry_on_intr(|| pwrite(file, &data[done..], offset + done as u64))?;
    }
    Ok(())
}
