//! Reads and writes through an io_uring, from and to registered memory.
//!
//! UNSAFETY: queue entries carry the addresses of slots. A slot that is lent to the kernel is in the ring's table until its
//! completion, and the ring goes before its slots' memory.
#![allow(unsafe_code)]

use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use buf::{Chain, Pool};
use io_uring::{IoUring, opcode, types};

use crate::ceiling::call::Call;
use crate::ceiling::connection::Connection;
use crate::ceiling::pattern::Patterns;

/// Longest data of one call.
pub(super) const PAYLOAD_MAX: usize = 1 << 20;

/// Calls in the ring at a time.
const SLOTS: usize = 64;

/// Room before the data, for the head of a READ's reply.
const HEAD_ROOM: usize = buf::PAGE_BYTES;

/// Memory for one call: a page for a reply's head, and aligned data.
#[derive(Debug)]
pub(super) struct Slot(Chain);

impl Slot {
    /// All of it.
    fn bytes(&mut self) -> &mut [u8] {
        self.0.as_mut_slices().next().expect("a slot is one block")
    }

    /// The data.
    pub(super) fn data(&mut self) -> &mut [u8] {
        &mut self.bytes()[HEAD_ROOM..]
    }
}

/// A call in the kernel: whose, in which memory, and which of its bytes are sent when it is done.
struct Flight {
    connection: usize,
    slot: Slot,
    bytes: usize,
    reply: std::ops::Range<usize>,
}

/// The ring; dropped before the memory.
pub(super) struct Ring {
    uring: IoUring,
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    file: OwnedFd,
    pool: Pool,
}

impl Ring {
    pub(super) fn new(file: OwnedFd) -> io::Result<Self> {
        let pool = Pool::new((SLOTS + 2) * (PAYLOAD_MAX + 2 * HEAD_ROOM) * 4 / 3)?;
        let uring = IoUring::builder().setup_single_issuer().setup_coop_taskrun().build(SLOTS as u32 * 2)?;
        let region = pool.region();
        let pieces: Vec<_> = region
            .registration_slices()
            .into_iter()
            .map(|(base, bytes)| libc::iovec { iov_base: base.cast(), iov_len: bytes })
            .collect();
        // SAFETY: the pool keeps the region for as long as this ring, which is dropped first.
        unsafe { uring.submitter().register_buffers(&pieces)? };
        let flights = (0..SLOTS).map(|_| None).collect();
        Ok(Self { uring, flights, free: (0..SLOTS).collect(), file, pool })
    }

    /// Memory for one call.
    pub(super) fn take(&mut self) -> io::Result<Slot> {
        let chain = self.pool.take(HEAD_ROOM + PAYLOAD_MAX, 0);
        chain
            .map(Slot)
            .ok_or_else(|| io::Error::other("more calls at a time than the ceiling has memory for"))
    }

    /// Reads the extent of a call; its reply leaves behind it.
    pub(super) fn read(
        &mut self,
        connection: usize,
        call: &Call,
        extent: (usize, bool),
        mut slot: Slot,
        patterns: &Patterns,
    ) {
        let head = patterns.answer(call, extent, slot.bytes());
        // The head ends where the data begins.
        slot.bytes().copy_within(..head, HEAD_ROOM - head);
        let reply = HEAD_ROOM - head..HEAD_ROOM + extent.0;
        let data = slot.data().as_mut_ptr();
        let file = types::Fd(self.file.as_raw_fd());
        let entry = opcode::ReadFixed::new(file, data, extent.0 as u32, 0).offset(call.offset).build();
        self.push(entry, Flight { connection, slot, bytes: extent.0, reply });
    }

    /// Writes the data of a call; its reply leaves behind it.
    pub(super) fn write(&mut self, connection: usize, call: &Call, mut slot: Slot, patterns: &Patterns) {
        let head = patterns.answer(call, (0, false), slot.bytes());
        let data = slot.data().as_mut_ptr();
        let file = types::Fd(self.file.as_raw_fd());
        let entry = opcode::WriteFixed::new(file, data, call.length as u32, 0).offset(call.offset).build();
        self.push(entry, Flight { connection, slot, bytes: call.length, reply: 0..head });
    }

    fn push(&mut self, entry: io_uring::squeue::Entry, flight: Flight) {
        let index = self.free.pop().expect("memory runs out before places do");
        self.flights[index] = Some(flight);
        // SAFETY: the entry's addresses are in the slot that now stands in the table, until its completion is taken.
        unsafe { self.uring.submission().push(&entry.user_data(index as u64)) }
            .expect("the queue has room for every place");
    }

    pub(super) fn submit(&mut self) -> io::Result<()> {
        if !self.uring.submission().is_empty() {
            self.uring.submit()?;
        }
        Ok(())
    }

    /// Sends the replies of what is done.
    pub(super) fn reap(&mut self, connections: &mut [Option<Connection>]) -> io::Result<()> {
        while let Some(completion) = { self.uring.completion().next() } {
            let index = completion.user_data() as usize;
            let mut flight = self.flights[index].take().expect("completed once");
            self.free.push(index);
            if completion.result() != flight.bytes as i32 {
                return Err(io::Error::other(format!("the ring answered {}", completion.result())));
            }
            if let Some(connection) = &mut connections[flight.connection] {
                connection.socket.write_all(&flight.slot.bytes()[flight.reply])?;
            }
        }
        Ok(())
    }
}

impl AsFd for Ring {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor lives as long as the ring that is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.uring.as_raw_fd()) }
    }
}
