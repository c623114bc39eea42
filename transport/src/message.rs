//! Messages as they leave, and what any message begins with.

use bytes::BytesMut;
use rpc::{Bulk, Insert, Inserts, Reply};

/// RPC message type of a call (RFC 5531 §9).
pub const CALL: u32 = 0;
/// RPC message type of a reply.
pub const REPLY: u32 = 1;

/// Transaction id and message type, if the message is long enough to have them.
pub fn prefix(message: &[u8]) -> Option<(u32, u32)> {
    let word = |at: usize| message.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
    Some((word(0)?, word(4)?))
}

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
    pub fn memory(&self) -> usize {
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
