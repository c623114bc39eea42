//! What can go wrong.

use std::io;

use transport::CallError;
use wire::{mount3, nfs3, nfs4::Status, rpc::ReplyBody};

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
    /// A procedure of NFSv3 failed.
    #[error("{procedure} failed with {status}")]
    Procedure {
        /// The procedure.
        procedure: nfs3::Procedure,
        /// Its status.
        status: nfs3::Status,
    },
    /// MOUNT, which NFSv3 needs first, is not served where it was looked for.
    #[error("MOUNT at port {port}: {error}")]
    MountPort {
        /// The port: that of NFS, or another one if so told.
        port: u16,
        /// What is wrong there.
        error: Box<Error>,
    },
    /// The server does not let a path be mounted.
    #[error("MNT of {path} failed with {status}{}", exported(exports))]
    Mount {
        /// The path.
        path: String,
        /// How MNT ended.
        status: mount3::Status,
        /// What could be mounted, where the server was asked.
        exports: Vec<String>,
    },
}

impl Error {
    /// The status, if it is an operation's that failed. One of NFSv3 or MOUNT is told as that of NFSv4 with the same number,
    /// which means the same.
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::Procedure { status, .. } => Status::from_u32(status.number()),
            Self::Mount { status, .. } => Status::from_u32(status.number()),
            _ => None,
        }
    }

    /// Whether an object is not there any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.status(), Some(Status::Noent | Status::Stale))
    }

    /// What a reply that is no success says.
    pub(crate) fn refused(body: &ReplyBody<'_>) -> Self {
        Self::Refused(match body {
            ReplyBody::Accepted { status, .. } => format!("{status:?}"),
            ReplyBody::Denied(denied) => format!("{denied:?}"),
        })
    }
}

fn exported(exports: &[String]) -> String {
    if exports.is_empty() { String::new() } else { format!("; the server exports {}", exports.join(", ")) }
}
