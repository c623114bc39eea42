//! Messages as they leave and as they arrive, without record marks.

use bytes::{Bytes, BytesMut};
use rpc::{Bulk, Insert, Inserts, Payloads, Reply};

use crate::share::Holds;

/// RPC message type of a call (RFC 5531 §9).
pub(crate) const CALL: u32 = 0;
/// RPC message type of a reply.
pub(crate) const REPLY: u32 = 1;

/// One RPC message to be sent.
#[derive(Debug)]
pub struct Message {
    /// All of the message that is not bulk data.
    pub head: BytesMut,
    /// Bulk data by ascending position in the head.
    pub inserts: Inserts,
}

impl Message {
    /// A message without bulk data.
    pub fn new(head: BytesMut) -> Self {
        Self { head, inserts: Inserts::new() }
    }

    /// Bytes of the whole message.
    pub fn length(&self) -> usize {
        self.head.len() + self.inserts.iter().map(|insert| insert.data.len()).sum::<usize>()
    }

    /// Bytes of it that lie in payload memory.
    pub(crate) fn memory(&self) -> usize {
        let in_memory = |insert: &Insert| match &insert.data {
            Bulk::Chain(chain) => chain.len(),
            Bulk::Piped(_) | Bulk::Shared(_) => 0,
        };
        self.inserts.iter().map(in_memory).sum()
    }
}

impl From<Reply> for Message {
    fn from(reply: Reply) -> Self {
        Self { head: reply.head, inserts: reply.inserts }
    }
}

/// One RPC message as it arrived. The memory it counts against is given back when it is dropped.
#[derive(Debug)]
pub struct Received {
    /// The message without the payloads that were cut out of it.
    pub head: Bytes,
    /// What was cut out, in stream order.
    pub payloads: Payloads,
    /// What it holds of its core's shares.
    pub(crate) holds: Holds,
}

impl Received {
    /// A message that came through the window alone and counts against nothing.
    pub(crate) fn small(head: Bytes) -> Self {
        Self { head, payloads: Payloads::new(), holds: Holds::new() }
    }

    /// Bytes of payload.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.iter().map(|payload| payload.data.len()).sum()
    }

    /// Transaction id and message type, if the message is long enough to have them.
    pub(crate) fn prefix(&self) -> Option<(u32, u32)> {
        let word = |at: usize| self.head.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        Some((word(0)?, word(4)?))
    }
}
