//! The kernel calls that rustix lacks, and how its errors read in the storage's words.

pub mod cachestat;
pub mod capability;
pub mod clone;
pub mod credentials;
pub mod errno;
pub mod handle;
pub mod permission;
pub mod uuid;
