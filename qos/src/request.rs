//! What admission knows of a request.

use crate::limits::Cost;

/// What a request does to storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads file data.
    Read,
    /// Changes file data.
    Write,
    /// Looks at names and attributes.
    Look,
    /// Changes names and attributes.
    Change,
}

impl Kind {
    /// Whether storage differs afterwards.
    pub fn mutates(self) -> bool {
        matches!(self, Self::Write | Self::Change)
    }
}

/// A request that asks to be admitted. What keeps a client alive or gives state back (SEQUENCE, CLOSE,
/// unlocking, returns) never asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client it is charged to.
    pub client: u64,
    /// The export it goes to.
    pub export: u64,
    /// Payload in bytes, 0 where there is none.
    pub bytes: u64,
    /// What it does.
    pub kind: Kind,
    /// For how long it was held before it asks, in nanoseconds: unread, or for what came before in the same call.
    pub held_ns: u64,
}

impl Request {
    /// What it is charged, where `io_unit_bytes` of payload count as one operation.
    pub fn cost(self, io_unit_bytes: u64) -> Cost {
        Cost::new(self.kind, self.bytes, io_unit_bytes)
    }
}
