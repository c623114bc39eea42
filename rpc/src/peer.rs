//! Where a call came from.

use std::net::SocketAddr;

/// Names one connection within this server process; never reused.
///
/// The upper 16 bits are the core the connection lives on, and one bit more is what carries it, so that whoever holds the id (a
/// session's list of back channels) can reach it from any core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// Set in the ids of connections over RDMA.
const RDMA: u64 = 1 << 47;

impl ConnectionId {
    /// The `serial`-th connection of `core` by this transport.
    pub fn new(core: usize, transport: Transport, serial: u64) -> Self {
        debug_assert!(serial < RDMA, "a core has seen more connections than an id can count");
        let transport = if transport == Transport::Rdma { RDMA } else { 0 };
        Self(((core as u64) << 48) | transport | (serial & (RDMA - 1)))
    }

    /// What carries it.
    pub fn transport(self) -> Transport {
        if self.0 & RDMA == 0 { Transport::Tcp } else { Transport::Rdma }
    }

    /// The core the connection lives on.
    pub fn core(self) -> usize {
        (self.0 >> 48) as usize
    }

    /// The id as one number, for tables that know nothing of connections.
    pub fn to_u64(self) -> u64 {
        self.0
    }

    /// The id that [`ConnectionId::to_u64`] gave.
    pub fn from_u64(number: u64) -> Self {
        Self(number)
    }
}

/// What carries the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Record-marked TCP.
    Tcp,
    /// RPC-over-RDMA.
    Rdma,
}

/// The other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// The connection.
    pub connection: ConnectionId,
    /// The peer's address and port.
    pub address: SocketAddr,
    /// What carries it.
    pub transport: Transport,
}
