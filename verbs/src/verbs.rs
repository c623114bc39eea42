//! What a core has of the adapters.
//!
//! UNSAFETY: adapters use memory after the call that told them of it has returned, so that who calls has to promise what the
//! compiler cannot see.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

use crate::{Completion, DeviceId, Event, MemoryId, PairId, Place, RequestId, Work};

/// Who may touch registered memory.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// This side alone, with what it sends, receives, reads and writes.
    Local = 0,
    /// Peers too, who know the key.
    Remote = 1,
}

/// An adapter's port, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// As events and completions name it.
    pub id: DeviceId,
    /// `mlx5_0`
    pub name: String,
    /// `InfiniBand`, `RoCE`, `iWARP`, `loopback`
    pub link: String,
    /// The port's state as libibverbs says it: `ACTIVE`.
    pub state: String,
    /// Bytes of payload in a packet.
    pub mtu_bytes: u32,
    /// Reads that one connection may have outstanding.
    pub reads_max: u32,
    /// Receives that connections of one core can share.
    pub receives_max: u32,
}

/// All adapters, as one core has them: it stays on its thread. Connections belong to the core that accepted or opened them.
///
/// Nothing here waits. What was asked ends with a [`Completion`], and what happens comes as an [`Event`].
pub trait Verbs {
    /// Adapters that are there.
    fn devices(&self) -> Vec<Device>;

    /// Can be read from when, after [`arm`](Self::arm), there is a completion or an event.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Has the descriptor tell of the next completion. What came before is not told of, so it is looked for once more.
    ///
    /// # Errors
    /// As `ibv_req_notify_cq`.
    fn arm(&self) -> io::Result<()>;

    /// Takes completions that are there, those of one queue pair in their order; more than a few hundred come with the next call.
    fn completions(&self, into: &mut Vec<Completion>);

    /// Takes events that are there.
    fn events(&self, into: &mut Vec<Event>);

    /// Makes memory known to all adapters, for as long as this value lives.
    ///
    /// # Errors
    /// As `ibv_reg_mr`: mostly the limit of locked memory.
    ///
    /// # Safety
    /// The memory stays mapped for as long as this value lives. What is registered for peers is not looked at while one that
    /// knows a key of it may use it.
    unsafe fn register(&self, address: *mut u8, bytes: usize, access: Access) -> io::Result<MemoryId>;

    /// The key by which peers name memory that was registered for them.
    fn remote_key(&self, device: DeviceId, memory: MemoryId) -> Option<u32>;

    /// Has a message received into a place, whichever connection of the adapter's it comes from.
    ///
    /// # Errors
    /// When the adapter has as many as it can.
    ///
    /// # Safety
    /// The place is left alone until the completion, or until this value is gone.
    unsafe fn receive(&self, device: DeviceId, id: u64, place: Place) -> io::Result<()>;

    /// Listens; requests come as events. Returns the address, with the port that was chosen for 0.
    ///
    /// # Errors
    /// As `rdma_bind_addr` and `rdma_listen`.
    fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr>;

    /// Listens no more.
    fn close_listeners(&self);

    /// Accepts a peer of any core, which may have so many reads of ours outstanding, and tells it something.
    ///
    /// # Errors
    /// When there is no queue pair to be had; the request is rejected then.
    fn accept(&self, request: RequestId, reads_max: u32, private: &[u8]) -> io::Result<PairId>;

    /// Turns a peer away.
    fn reject(&self, request: RequestId);

    /// Asks a peer for a connection, which allows it so many outstanding reads here, and tells it something.
    ///
    /// # Errors
    /// When there is no way to the address, or no queue pair to be had. What comes later is an event.
    fn connect(&self, address: SocketAddr, reads_max: u32, private: &[u8]) -> io::Result<PairId>;

    /// Asks a queue pair for these, in their order. Either all are asked for or none. An adapter may refuse them later: then the
    /// connection ends, and so do they.
    ///
    /// # Errors
    /// When there is no room for so many, or the connection has ended.
    ///
    /// # Safety
    /// The places are left alone, or only read where they are sent or written from, until a completion tells that the work has
    /// ended, or until this value is gone.
    unsafe fn post(&self, pair: PairId, works: &[Work]) -> io::Result<()>;

    /// Works that one queue pair can have outstanding.
    fn works_max(&self) -> usize;

    /// Ends a connection: what is outstanding completes, then [`EventKind::Ended`](crate::EventKind::Ended) comes. More than
    /// once is no more than once.
    fn disconnect(&self, pair: PairId);

    /// Forgets a queue pair that has ended.
    fn destroy(&self, pair: PairId);
}
