//! A server with a small service, and clients that say exactly what a test wants said.

pub mod caller;
pub mod client;
pub mod machine;
pub mod message;
pub mod peer;
pub mod server;
pub mod service;

use std::time::Duration;

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

pub use client::{Answer, Client, LINUX, Lent, chunk};
pub use message::{Write, call, checksum, header, inline, message, no_message, pattern, reply, word, words};
pub use server::{Server, Setting, State};
pub use service::*;
