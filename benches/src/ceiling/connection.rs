//! One load generator's connection.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use rustix::io::retry_on_intr;
use rustix::net::{RecvFlags, SendFlags, recv, send};

use crate::ceiling::call::{Call, Kind};
use crate::ceiling::file::File;
use crate::ceiling::pattern::Patterns;
use crate::ceiling::relay::{Relay, Slots, send_record};
use crate::ceiling::ring::PAYLOAD_MAX;

/// Bytes of small calls taken with one system call.
const INBOX_BYTES: usize = 64 << 10;

/// Replies gathered before they are sent.
const OUTBOX_BYTES: usize = 256 << 10;

/// More than the longest pattern.
const REPLY_MAX: usize = 4096;

/// The mark that stands before a record of one fragment.
const MARK: usize = 4;

/// One connection, and its own to the real server.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: TcpStream,
    relay: Relay,
    inbox: Vec<u8>,
    filled: usize,
    /// Bytes to ask for next: as many as there are, or the head of a WRITE without its data.
    want: usize,
    outbox: Vec<u8>,
    ready: usize,
}

impl Connection {
    pub(super) fn new(socket: TcpStream, backend: SocketAddr) -> io::Result<Self> {
        let (inbox, outbox) = (vec![0; INBOX_BYTES], vec![0; OUTBOX_BYTES + PAYLOAD_MAX + REPLY_MAX]);
        let relay = Relay::connect(backend)?;
        Ok(Self { socket, relay, inbox, filled: 0, want: INBOX_BYTES, outbox, ready: 0 })
    }

    /// Takes what has arrived and answers what is complete; false at the end of the stream.
    pub(super) fn receive(
        &mut self,
        index: usize,
        file: &mut File,
        patterns: &mut Patterns,
        slots: &mut Slots,
    ) -> io::Result<bool> {
        let end = self.inbox.len().min(self.filled + self.want);
        let room = &mut self.inbox[self.filled..end];
        let (count, _) = retry_on_intr(|| recv(&self.socket, &mut *room, RecvFlags::empty()))?;
        if count == 0 {
            return Ok(false);
        }
        self.filled += count;
        let mut start = 0;
        while let Some(mark) = self.inbox[start..self.filled].first_chunk::<MARK>() {
            let length = (u32::from_be_bytes(*mark) & !(1 << 31)) as usize;
            let here = &self.inbox[start + MARK..self.filled.min(start + MARK + length)];
            let call = Call::recognize(here).filter(|call| patterns.knows(call));
            if here.len() == length {
                start += MARK + length;
                let record = start - length..start;
                match call {
                    Some(call) => self.answer(index, &call, record, file, patterns)?,
                    None => {
                        let record = self.inbox[record].to_vec();
                        self.pass(&record, patterns, slots)?;
                    }
                }
            } else if let Some(call) =
                call.filter(|call| call.kind == Kind::Write && call.data_at <= here.len())
            {
                let data = start + MARK + call.data_at..self.filled;
                self.write_rest(index, &call, data, length, file, patterns)?;
                start = self.filled;
            } else if length + MARK > self.inbox.len() {
                let mut record = here.to_vec();
                let missing = record.len();
                record.resize(length, 0);
                self.socket.read_exact(&mut record[missing..])?;
                start = self.filled;
                self.pass(&record, patterns, slots)?;
            } else {
                break;
            }
        }
        self.inbox.copy_within(start..self.filled, 0);
        self.filled -= start;
        self.flush()?;
        Ok(true)
    }

    /// A measured call that is here as a whole.
    fn answer(
        &mut self,
        index: usize,
        call: &Call,
        record: std::ops::Range<usize>,
        file: &mut File,
        patterns: &Patterns,
    ) -> io::Result<()> {
        self.want = INBOX_BYTES;
        if self.ready >= OUTBOX_BYTES {
            self.flush()?;
        }
        match call.kind {
            Kind::Null | Kind::Attributes => {
                self.ready += patterns.answer(call, (0, false), &mut self.outbox[self.ready..]);
            }
            Kind::Read if file.splices() => {
                self.ready += patterns.answer(call, file.extent(call), &mut self.outbox[self.ready..]);
                // The header waits in the socket for the data.
                self.flush_more()?;
                file.splice(call, &self.socket)?;
            }
            Kind::Read if file.ring().is_some() && file.reads_direct() => {
                file.read_direct(index, call, patterns)?
            }
            Kind::Read => {
                let room = &mut self.outbox[self.ready..];
                let extent = file.extent(call);
                let head = patterns.answer(call, extent, room);
                file.read(call, &mut room[head..head + extent.0])?;
                self.ready += head + extent.0;
            }
            Kind::Write => {
                let data = &self.inbox[record][call.data_at..call.data_at + call.length];
                if file.write_inbox(index, call, data, patterns)? {
                    self.ready += patterns.answer(call, (0, false), &mut self.outbox[self.ready..]);
                }
            }
        }
        Ok(())
    }

    /// A WRITE of which the head and some data are here: receives the rest to where it is written from.
    fn write_rest(
        &mut self,
        index: usize,
        call: &Call,
        data: std::ops::Range<usize>,
        length: usize,
        file: &mut File,
        patterns: &Patterns,
    ) -> io::Result<()> {
        self.want = MARK + call.data_at;
        let mut slot = file.slot()?;
        let caught = data.len();
        slot.data()[..caught].copy_from_slice(&self.inbox[data]);
        self.socket.read_exact(&mut slot.data()[caught..length - call.data_at])?;
        if file.write_slot(index, call, slot, patterns)? {
            self.ready += patterns.answer(call, (0, false), &mut self.outbox[self.ready..]);
        }
        Ok(())
    }

    /// Anything else.
    fn pass(&mut self, record: &[u8], patterns: &mut Patterns, slots: &mut Slots) -> io::Result<()> {
        self.flush()?;
        let Some(reply) = self.relay.pass(record, &self.socket, slots)? else { return Ok(()) };
        if let Some(call) = Call::recognize(record) {
            patterns.learn(&call, &reply);
        }
        send_record(&self.socket, &reply)
    }

    fn flush(&mut self) -> io::Result<()> {
        let ready = std::mem::take(&mut self.ready);
        self.socket.write_all(&self.outbox[..ready])
    }

    fn flush_more(&mut self) -> io::Result<()> {
        let ready = std::mem::take(&mut self.ready);
        let mut sent = 0;
        while sent < ready {
            sent += retry_on_intr(|| send(&self.socket, &self.outbox[sent..ready], SendFlags::MORE))?;
        }
        Ok(())
    }
}
