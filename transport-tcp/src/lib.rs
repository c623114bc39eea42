//! Record-marked RPC over TCP (RFC 5531 §11), both ends.
//!
//! Each core has one [`Endpoint`] with its connections. A [`Connection`] has two tasks, one that receives and
//! one that sends, and one task per call in progress. Both ends are the same: either may call the other, so a
//! back channel is [`Connection::call`] on a connection that was accepted.
//!
//! **Receiving.** Small calls come into buffers that all connections of the core share, many with one request to the
//! kernel; a connection that says nothing costs no buffer. When a record announces more, the connection leaves them:
//! from then on it receives a head, as long as the last one was, looks for the payloads in it, takes memory for
//! exactly those, aligned as their file offsets demand, and receives the rest straight into it. Anything else is
//! collected in heap memory that grows as bytes arrive. Some small calls in a row bring it back.
//!
//! **Memory.** What a peer announces sizes nothing. Payload memory is taken when bytes beyond the head arrive;
//! it counts against the connection, and against a share of the core's pool in which connections that have
//! completed enough payload go before those that have not. A record that makes no progress closes its connection
//! after a set time, or much earlier when others wait for the memory it holds.
//!
//! **Sending.** Replies leave in the order in which they become ready; all that are ready in one turn of the
//! core's loop leave with one system call, bulk data from where it lies. What lies in a pipe is spliced to the socket on the
//! spot, behind text that waits for it; what follows it leaves with the replies that are ready by then.

#![forbid(unsafe_code)]

mod backchannel;
mod backlog;
mod connect;
mod connection;
mod endpoint;
mod fault;
mod fragments;
mod limits;
mod listener;
mod marks;
mod message;
mod outbox;
mod payload;
mod pieces;
mod progress;
mod receive;
mod send;
mod share;
mod socket;
mod source;
mod stats;
mod watch;
mod window;
mod zero_copy;

pub use backchannel::Backchannels;
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use limits::{BULK_MAX, BULK_MIN, BURST_BYTES, Limits, RECORD_OVERHEAD};
pub use listener::{Intake, Listener};
pub use message::Received;
pub use stats::{Stats, StatsSnapshot};
pub use transport::{CallError, Message};
