//! NFSv4.1 and NFSv4.2 (RFC 8881, RFC 7862) with extended attributes (RFC 8276), mode_umask (RFC 8275) and
//! the numbers of RFC 9754.

mod bitmap;
mod operation;
mod status;
mod types;

pub use bitmap::Bitmap;
pub use operation::Operation;
pub use status::Status;
pub use types::{
    ChangeInfo, ClientId, FILE_HANDLE_MAX, FileHandle, FileType, Fsid, NfsTime, OPAQUE_MAX, OpaqueOwner,
    SequenceId, SessionId, SlotId, Specdata, StableHow, Stateid, Verifier,
};

/// RPC program number of NFS (RFC 8881 §4.1 and its XDR).
pub const PROGRAM: u32 = 100_003;
/// The only version of the program here; NFSv4.1 and 4.2 are minor versions of it.
pub const VERSION: u32 = 4;
/// Procedure that does nothing.
pub const PROCEDURE_NULL: u32 = 0;
/// Procedure that carries operations.
pub const PROCEDURE_COMPOUND: u32 = 1;
