//! A call as it came in.

use buf::Chain;
use bytes::Bytes;
use smallvec::SmallVec;
use wire::xdr::Cut;

use crate::{Peer, Reading};

/// Bulk data that came with a call.
#[derive(Debug)]
pub struct Payload {
    /// Where in the unreduced message it stood, and how long it is.
    pub cut: Cut,
    /// The bytes, in aligned memory.
    pub data: Chain,
}

/// Bulk data of one call, in stream order. Hardly any has more than one, which needs no allocation.
pub type Payloads = SmallVec<[Payload; 1]>;

/// One complete RPC call message.
#[derive(Debug)]
pub struct Call {
    /// The message without record marks and without the payload that was cut out.
    pub head: Bytes,
    /// What was cut out of the head, in stream order. Empty for most calls.
    pub payloads: Payloads,
    /// Who sent it.
    pub peer: Peer,
    /// For how long it was here and not read because its connection was not, from its first byte on, in nanoseconds.
    pub unread_ns: u64,
    /// Whether its connection is read on.
    pub reading: Reading,
}
