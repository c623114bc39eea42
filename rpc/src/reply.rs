//! A reply as it goes out.

use buf::Chain;
use bytes::BytesMut;

/// Bulk data to be sent in the middle of a reply.
#[derive(Debug)]
pub struct Insert {
    /// Offset in [`Reply::head`] before which the data goes.
    pub position: usize,
    /// The data. The XDR padding that follows it is part of the head.
    pub data: Chain,
}

/// One RPC reply message, without record marks.
#[derive(Debug)]
pub struct Reply {
    /// All of the message that is not bulk data.
    pub head: BytesMut,
    /// Bulk data, by ascending position.
    pub inserts: Vec<Insert>,
}

impl Reply {
    /// A reply without bulk data.
    pub fn new(head: BytesMut) -> Self {
        Self { head, inserts: Vec::new() }
    }

    /// Bytes of the whole message.
    pub fn length(&self) -> usize {
        self.head.len() + self.inserts.iter().map(|insert| insert.data.len()).sum::<usize>()
    }
}

/// What a service made of a call. The transport must act on it: a call that is not answered costs its
/// client a time-out.
#[must_use = "every call is owed an answer"]
#[derive(Debug)]
pub enum Outcome {
    /// Send this.
    Reply(Reply),
    /// Say nothing: the message was no call this service can even refuse (RFC 5531 §9).
    Discard,
    /// Close the connection: what follows on it cannot be trusted.
    Disconnect,
}
