//! What requests of every protocol do: the work itself, without stateids, slots or XDR. It speaks NFSv4's statuses.

pub mod access;
pub mod attributes;
pub mod create;
pub mod data;
pub mod names;
pub mod open_file;
pub mod read_directory;
