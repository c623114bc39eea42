//! NFSv3 (RFC 1813).
//!
//! A procedure's arguments are an `XArgs`; they name, as a [`Call`], what comes back: [`Outcome`], a status with the
//! result's body or with what a failure tells. What is the same in NFSv4 is the same type. Everything is re-exported
//! here.

mod attributes;
mod directory;
mod file;
mod file_system;
mod name;
mod procedure;
mod status;
mod types;

pub use attributes::*;
pub use directory::*;
pub use file::*;
pub use file_system::*;
pub use name::*;
pub use procedure::*;
pub use status::*;
pub use types::*;

pub use crate::nfs4::{PROGRAM, Specdata, StableHow, Verifier, access};

/// The version of the program (RFC 1813 §2.1).
pub const VERSION: u32 = 3;
