//! A call as it came in.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

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
    /// The bytes.
    pub data: Data,
}

/// Where the bulk data of a call is.
#[derive(Debug)]
pub enum Data {
    /// Here, in aligned memory.
    Here(Chain),
    /// Still with the client.
    Remote(Remote),
}

impl Data {
    /// The bytes if they are here.
    pub fn here(&self) -> Option<&Chain> {
        if let Self::Here(chain) = self { Some(chain) } else { None }
    }

    /// The bytes in aligned memory, brought here if they are not here yet; `None` when the client has gone away with them.
    pub async fn bring(self) -> Option<Chain> {
        match self {
            Self::Here(chain) => Some(chain),
            Self::Remote(Remote(bringing)) => bringing.await,
        }
    }
}

impl From<Chain> for Data {
    fn from(chain: Chain) -> Self {
        Self::Here(chain)
    }
}

/// Bulk data in memory of the client. Neither memory for it is taken nor anything moved before somebody wants it.
pub struct Remote(Pin<Box<dyn Future<Output = Option<Chain>>>>);

impl Remote {
    /// What `bringing` brings here, once it is asked to.
    pub fn new(bringing: impl Future<Output = Option<Chain>> + 'static) -> Self {
        Self(Box::pin(bringing))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Remote")
    }
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
