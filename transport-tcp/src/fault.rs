//! Why a connection is given up.

use std::io;

use buf::TakeError;
use wire::record::RecordError;

/// Why nothing more is received on a connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The peer closed it between two records.
    #[error("closed by the peer")]
    Closed,
    /// The peer closed it, or we did, inside a record.
    #[error("closed inside a record")]
    Truncated,
    /// The marks announce what we do not accept.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// The record is no RPC message.
    #[error("a record that is neither call nor reply")]
    NotRpc,
    /// The service cannot read whose call it is.
    #[error("a call whose header cannot be read")]
    Header,
    /// We closed the connection ourselves.
    #[error("closed by this end")]
    Stopped,
    /// There is no memory for the payload, and there never will be.
    #[error("the payload cannot be held: {0}")]
    Memory(#[from] TakeError),
    /// The socket failed.
    #[error("{0}")]
    Socket(#[from] io::Error),
}

impl Fault {
    /// Whether the peer sent what no correct peer sends.
    pub(crate) fn is_misbehaviour(&self) -> bool {
        matches!(self, Self::Record(_) | Self::NotRpc | Self::Header)
    }
}
