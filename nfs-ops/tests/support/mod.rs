//! A small deterministic world around the operations, and clients that read like the compounds they send.

mod client;
mod env;
mod executor;
pub mod nfs3;
mod operations;
mod reply;
mod world;

pub use client::{Client, Connection, message, received};
pub use env::{Manner, next_random};
pub use executor::Running;
pub use operations::*;
pub use reply::{Reply, Segment};
pub use world::{EXPORT, World, export_settings};
