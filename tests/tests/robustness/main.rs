//! The whole server over real sockets, under clients that misbehave, storage that hangs, and an administrator who changes
//! everything: whatever happens, others are not disturbed.

mod containment;
mod crowds;
mod frozen;
mod identity;
mod operation;
mod reads;
mod records;
mod session;
mod space;
