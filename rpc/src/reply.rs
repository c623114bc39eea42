//! A reply as it goes out.

use buf::{Chain, Piped};
use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;

/// Bulk data of a message, where it lies.
#[derive(Debug)]
pub enum Bulk {
    /// In payload memory.
    Chain(Chain),
    /// In a pipe, as pages of a file. Only a transport over a socket can send it.
    Piped(Piped),
    /// On the heap of a client, which may have to send it again.
    Shared(Bytes),
}

impl Bulk {
    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Chain(chain) => chain.len(),
            Self::Piped(piped) => piped.len(),
            Self::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same once more: what lies in payload memory or in a pipe has one owner, and is sent once.
    pub fn again(&self) -> Option<Self> {
        if let Self::Shared(bytes) = self { Some(bytes.clone().into()) } else { None }
    }
}

impl From<Chain> for Bulk {
    fn from(chain: Chain) -> Self {
        Self::Chain(chain)
    }
}

impl From<Bytes> for Bulk {
    fn from(bytes: Bytes) -> Self {
        Self::Shared(bytes)
    }
}

impl From<Piped> for Bulk {
    fn from(piped: Piped) -> Self {
        Self::Piped(piped)
    }
}

/// Bulk data of one message whose places are noted elsewhere.
pub type Bulks = SmallVec<[Bulk; 1]>;

/// Bulk data to be sent in the middle of a reply.
#[derive(Debug)]
pub struct Insert {
    /// Offset in [`Reply::head`] before which the data goes.
    pub position: usize,
    /// The data. The XDR padding that follows it is part of the head.
    pub data: Bulk,
}

/// Bulk data of one message, by ascending position. Hardly any has more than one, which needs no allocation.
pub type Inserts = SmallVec<[Insert; 1]>;

/// One RPC reply message, without record marks.
#[derive(Debug)]
pub struct Reply {
    /// All of the message that is not bulk data.
    pub head: BytesMut,
    /// Bulk data.
    pub inserts: Inserts,
}

impl Reply {
    /// A reply without bulk data.
    pub fn new(head: BytesMut) -> Self {
        Self { head, inserts: Inserts::new() }
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
