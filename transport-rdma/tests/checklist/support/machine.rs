//! A client's adapter, and the memory it knows.
//!
//! UNSAFETY: [`Verbs`] takes memory by its address, and peers reach what is lent to them. All of it is one allocation that
//! outlives the adapter. A test looks at lent memory, or changes it, only when no peer uses it: before it names the key, or
//! after the reply. Such looks go through raw pointers, so that no reference lives while the adapter moves bytes.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;
use std::time::Duration;

use verbs::loopback::{Adapter, Fabric, Permission};
use verbs::{
    Access, Completion, CompletionKind, DeviceId, Event, MemoryId, Options, PairId, Place, Verbs, Work,
    WorkKind,
};

/// Bytes that can be lent to peers.
pub const LENT_BYTES: usize = 6 << 20;

/// Receives that are always posted: more than calls and calls back together can need.
const RECEIVES: usize = 192;

/// Bytes of the longest message that is sent: more than any server takes.
const SEND_BYTES: usize = 16 << 10;

/// Bytes of the longest message that is received.
const RECEIVE_BYTES: usize = 4096;

const OWN_BYTES: usize = RECEIVES * RECEIVE_BYTES + SEND_BYTES;

/// Where messages leave from.
const SEND_AT: usize = RECEIVES * RECEIVE_BYTES;

/// Memory that is given back when everything that knows it is gone.
struct Memory {
    base: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(bytes: usize) -> Self {
        let layout = Layout::from_size_align(bytes, 4096).expect("a small power of two");
        // SAFETY: the layout is not empty.
        let base = unsafe { alloc_zeroed(layout) };
        Self { base: NonNull::new(base).expect("memory is to be had"), layout }
    }

    /// The address of so many bytes.
    fn at(&self, offset: usize, bytes: usize) -> *mut u8 {
        assert!(offset + bytes <= self.layout.size(), "within the memory");
        self.base.as_ptr().wrapping_add(offset)
    }

    fn put(&self, offset: usize, bytes: &[u8]) {
        // SAFETY: `at` checks the range, and no peer uses it now (see above).
        unsafe { self.at(offset, bytes.len()).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) }
    }

    fn get(&self, offset: usize, bytes: usize) -> Vec<u8> {
        let mut copy = vec![0; bytes];
        // SAFETY: as in `put`; all of the memory is initialised.
        unsafe { self.at(offset, bytes).copy_to_nonoverlapping(copy.as_mut_ptr(), bytes) };
        copy
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it came from `alloc_zeroed` with this layout, and the adapter that knew it is gone.
        unsafe { dealloc(self.base.as_ptr(), self.layout) }
    }
}

/// A client's side of the network.
pub struct Machine {
    // Before the memory that it knows.
    pub adapter: Adapter,
    own: Memory,
    lent: Memory,
    own_id: MemoryId,
    lent_id: MemoryId,
    receive_bytes: usize,
}

impl Machine {
    /// With receives of so many bytes posted.
    pub fn new(fabric: &Fabric, receive_bytes: usize) -> Self {
        let options = Options { receives_max: RECEIVES as u32, works_max: 64, connections_max: 64 };
        let adapter = fabric.adapter(options);
        let (own, lent) = (Memory::new(OWN_BYTES), Memory::new(LENT_BYTES));
        // SAFETY: both outlive the adapter.
        let own_id = unsafe { adapter.register(own.at(0, OWN_BYTES), OWN_BYTES, Access::Local) };
        // SAFETY: as above.
        let lent_id = unsafe { adapter.register(lent.at(0, LENT_BYTES), LENT_BYTES, Access::Remote) };
        let (own_id, lent_id) = (own_id.expect("registered"), lent_id.expect("registered"));
        let machine = Self { adapter, own, lent, own_id, lent_id, receive_bytes };
        (0..RECEIVES).for_each(|index| machine.receive(index));
        machine
    }

    fn place(&self, offset: usize, bytes: usize) -> Place {
        let address = self.own.at(offset, bytes).expose_provenance() as u64;
        Place { address, length: bytes as u32, memory: self.own_id }
    }

    fn receive(&self, index: usize) {
        let place = self.place(index * RECEIVE_BYTES, self.receive_bytes);
        // SAFETY: each index has a place of its own, which is looked at only after its completion.
        unsafe { self.adapter.receive(DeviceId(0), index as u64, place).expect("as many as there may be") }
    }

    /// Sends any bytes as one message.
    pub fn send(&self, pair: PairId, message: &[u8]) -> io::Result<()> {
        self.own.put(SEND_AT, message);
        let work = Work::new(u64::MAX, WorkKind::Send, &[self.place(SEND_AT, message.len())]);
        // SAFETY: nothing is held on this adapter, so that the message has left, or never will, when this returns.
        unsafe { self.adapter.post(pair, &[work]) }
    }

    /// What has come since: messages of each connection, and events.
    pub fn take(&self) -> (Vec<(PairId, Vec<u8>)>, Vec<Event>) {
        let (mut completions, mut events) = (Vec::new(), Vec::new());
        self.adapter.completions(&mut completions);
        self.adapter.events(&mut events);
        let received = |completion: &Completion| completion.kind == CompletionKind::Receive;
        let messages = completions.into_iter().filter(received).filter_map(|completion| {
            let index = completion.id as usize;
            let message = self.own.get(index * RECEIVE_BYTES, completion.bytes as usize);
            self.receive(index);
            completion.status.is_success().then_some((completion.pair, message))
        });
        (messages.collect(), events)
    }

    /// Waits until there may be something to take, at most so long.
    pub fn wait(&self, at_most: Duration) {
        let descriptor = self.adapter.descriptor().as_raw_fd();
        let mut poll = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        // SAFETY: one entry, which lives as long as the call.
        unsafe { libc::poll(&raw mut poll, 1, at_most.as_millis() as libc::c_int) };
    }

    /// Opens bytes of the memory for peers, with a key of their own.
    pub fn open(&self, offset: usize, bytes: usize, permission: Permission) -> u32 {
        let window = self.adapter.window(self.lent_id, offset as u64, bytes as u64, permission);
        window.expect("within the memory that was registered")
    }

    /// The address by which peers name a byte of the memory.
    pub fn address(&self, offset: usize) -> u64 {
        self.lent.at(offset, 0).expose_provenance() as u64
    }

    /// Changes memory that no peer uses now.
    pub fn put(&self, offset: usize, bytes: &[u8]) {
        self.lent.put(offset, bytes);
    }

    /// A copy of memory that no peer uses now.
    pub fn get(&self, offset: usize, bytes: usize) -> Vec<u8> {
        self.lent.get(offset, bytes)
    }
}
