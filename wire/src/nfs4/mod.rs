//! NFSv4.1 and NFSv4.2 (RFC 8881, RFC 7862) with extended attributes (RFC 8276), mode_umask (RFC 8275) and
//! the numbers of RFC 9754.
//!
//! Every operation's arguments are an `XArgs`, every result body an `XResult`; a result body follows
//! [`ResultHead`] only when its status calls for one. Everything is re-exported here.

mod arguments;
mod attribute_types;
mod attributes;
mod bitmap;
mod callback;
mod compound;
mod copy;
mod delegation;
mod directory;
mod file;
mod layout;
mod lock;
mod name;
mod open;
mod operation;
mod security;
mod session;
mod space;
mod status;
mod types;
mod xattr;

pub use arguments::Arguments;
pub use attribute_types::*;
pub use attributes::*;
pub use bitmap::Bitmap;
pub use callback::*;
pub use compound::*;
pub use copy::*;
pub use delegation::*;
pub use directory::*;
pub use file::*;
pub use layout::*;
pub use lock::*;
pub use name::*;
pub use open::*;
pub use operation::Operation;
pub use security::*;
pub use session::*;
pub use space::*;
pub use status::Status;
pub use types::*;
pub use xattr::*;

/// RPC program number of NFS (RFC 8881 §4.1 and its XDR).
pub const PROGRAM: u32 = 100_003;
/// The only version of the program here; NFSv4.1 and 4.2 are minor versions of it.
pub const VERSION: u32 = 4;
/// Procedure that does nothing.
pub const PROCEDURE_NULL: u32 = 0;
/// Procedure that carries operations.
pub const PROCEDURE_COMPOUND: u32 = 1;
