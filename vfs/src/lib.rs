//! The storage interface: what the operations ask of a file system, and nothing about how it is kept.
//!
//! One value of a [`Vfs`] stands for one exported file system on one core. It is cheap to clone and never
//! leaves its core; what must outlive a core's view (an open file held by a stateid) is a [`Vfs::File`],
//! which is `Send + Sync`. Every call runs with the caller's [`Identity`] wherever the outcome may depend on
//! who asks, so that permissions, quotas and POSIX ACLs are the storage's own and not imitated here.
//!
//! Two implementations: `vfs-local` for Linux file systems, and [`mem`] for tests and simulation.

#![forbid(unsafe_code)]

mod attribute;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod directory;
mod error;
mod handle;
mod identity;
mod interface;
mod io;
pub mod mem;
pub mod trace;

pub use attribute::{Access, Attributes, FileKind, Fsid, SetAttributes, SetTime, Space, Time};
pub use directory::{
    Created, DirectoryChange, DirectoryEntry, DirectoryPage, DirectoryRequest, NewObject, Removed,
};
pub use error::{Error, Result};
pub use handle::{NODE_HANDLE_BYTES_MAX, NodeHandle};
pub use identity::Identity;
pub use interface::{Capabilities, Vfs};
pub use io::{
    Advice, Authority, CROSSOVER_BYTES, Copied, CreateHow, OpenAccess, Opened, ReadDone, SeekTarget,
    Stability, Written, XattrSet,
};
