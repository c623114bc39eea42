//! Record-marked RPC over TCP (RFC 5531 §11), both ends.
//!
//! Each core has one [`Endpoint`] with its connections. A [`Connection`] has two tasks, one that receives and
//! one that sends, and one task per call in progress. Both ends are the same: either may call the other, so a
//! back channel is [`Connection::call`] on a connection that was accepted.
//!
//! **Receiving.** Marks and heads come through a small window; many small calls arrive with one system call.
//! When a record announces more than the window holds, the payload is looked for in its head; if there is
//! one, memory for exactly that payload is taken, aligned as its file offset demands, and the rest is received
//! straight into it. Anything else is collected in heap memory that grows as bytes arrive.
//!
//! **Memory.** What a peer announces sizes nothing. Payload memory is taken when bytes beyond the head arrive;
//! it counts against the connection, and against a share of the core's pool in which connections that have
//! completed enough payload go before those that have not. A record that makes no progress closes its connection
//! after a set time, or much earlier when others wait for the memory it holds.
//!
//! **Sending.** Replies leave in the order in which they become ready; all that are ready in one turn of the
//! core's loop leave with one system call, bulk data from where it lies.

#![forbid(unsafe_code)]

mod backchannel;
mod connect;
mod connection;
mod endpoint;
mod error;
mod fault;
mod limits;
mod listener;
mod message;
mod outbox;
mod payload;
mod pending;
mod progress;
mod receive;
mod send;
mod share;
mod signal;
mod socket;
mod stats;
mod timeout;
mod watch;
mod window;

pub use backchannel::Backchannels;
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use error::CallError;
pub use limits::{BULK_MAX, Limits, RECORD_OVERHEAD, WINDOW_BYTES};
pub use listener::{Intake, Listener};
pub use message::{Message, Received};
pub use stats::{Stats, StatsSnapshot};
