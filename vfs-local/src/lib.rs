//! Linux file systems behind the storage interface.
//!
//! [`LocalStorage`] is an export as the process has it: the directory, what was found by probing it, and the
//! objects kept open. [`Local`] is that export on one core and implements [`vfs::Vfs`].
//!
//! What runs where:
//!
//! - on the core itself: what only looks at memory. Attributes, a lookup that is answered by the kernel's name
//!   cache, permissions once they have been read, reads that the page cache answers, opening for reading.
//! - in the ring: reads that wait for the disk, writes, syncs.
//! - on helper threads: all else, one trip per call, the sync included.
//!
//! Nothing that a frozen or hung file system stops is done on the core itself. What is done elsewhere has a bound
//! per export and core ([`Options::helper_jobs_max`], [`Options::ring_workers_max`]), so that such a file system
//! stops only itself.
//!
//! Objects are open as O_PATH descriptors, which carry no permission; every use is by the caller's identity through
//! /proc/self/fd. Names are resolved one component at a time, below a directory and following nothing.

#![deny(unsafe_code)]

mod access;
mod attribute;
mod cache;
mod change;
mod changing;
mod close;
mod commit;
mod copy;
mod create;
mod direct;
mod directory;
mod durable;
mod fsid;
mod identity;
mod inode;
mod link_text;
mod local;
mod lookup;
mod mounts;
mod name;
mod names;
mod object;
mod open;
mod open_create;
mod open_files;
mod options;
mod personality;
mod places;
mod probe;
mod process;
mod procfs;
mod range;
mod read;
mod set_attributes;
mod space;
mod storage;
mod sys;
mod trace;
mod turns;
mod write;
mod xattr;

pub use local::{File, Kept, Local, Node};
pub use options::{Io, OpenError, Options};
pub use read::ReadStats;
pub use storage::LocalStorage;
pub use sys::capability::drop_quota_override;
