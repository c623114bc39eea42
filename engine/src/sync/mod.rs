//! Waiting for each other.
//!
//! [`oneshot`], [`Notify`] and [`Semaphore`] are for the tasks of one shard and cost no atomic operation;
//! [`cross`] holds what threads use with each other.

pub mod cross;
mod notify;
pub mod oneshot;
mod semaphore;

pub use notify::{Notified, Notify};
pub use semaphore::{Acquire, Permit, Semaphore};
