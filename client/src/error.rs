//! What can go wrong.

use std::io;

use transport_tcp::CallError;
use wire::{nfs4::Status, rpc::ReplyBody};

/// The result of something that talks to a server.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(#[from] io::Error),
    /// No reply came. Whether the call was executed is not known.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The server answered at the level of RPC only; the text says what.
    #[error("the call was refused: {0}")]
    Refused(String),
    /// The reply is not what the protocol says.
    #[error("malformed reply: {0}")]
    Malformed(#[from] wire::xdr::Error),
    /// An operation failed.
    #[error("operation {operation} failed with {status}")]
    Status {
        /// Number of the operation.
        operation: u32,
        /// Its status.
        status: Status,
    },
}

impl Error {
    /// The status, if it is an operation's that failed.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Status { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What a reply that is no success says.
    pub(crate) fn refused(body: &ReplyBody<'_>) -> Self {
        Self::Refused(match body {
            ReplyBody::Accepted { status, .. } => format!("{status:?}"),
            ReplyBody::Denied(denied) => format!("{denied:?}"),
        })
    }
}
