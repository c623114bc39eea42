//! RPC-over-RDMA, version 1 (RFC 8166, 8167, 8267, 8797).
//!
//! Each core has one [`Endpoint`] over what it has of the machine's adapters ([`verbs::Verbs`]). A message of 4 KiB at most is
//! sent and received; what is longer, and all payload where the client offers a place for it, moves between memory of the
//! client and ours, where it lies aligned: read from there once a WRITE is admitted, written there before the reply is sent.
//!
//! Connections are accepted ([`Endpoint::run`]) or opened ([`Endpoint::connect`]), and differ in who offers memory: the calls of who
//! opened them do ([`Connection::ask`]), for their payload and for their replies; calls back fit one message.
//!
//! **Receives** are shared by all connections of a core. Each connection is promised as many as it may have calls outstanding
//! (credits), and some for the answers to calls back; who has more outstanding loses its connection.
//!
//! **Keys** of a client's memory are kept with the call that named them, and used for nothing else. Once the reply has been
//! asked for they are forgotten.

mod adapter;
mod asking;
mod batch;
mod call;
mod connection;
mod endpoint;
mod intake;
mod limits;
mod memory;
mod opening;
mod reply;
mod served;
mod stats;

pub use asking::{Answered, Room, Turn};
pub use connection::Connection;
pub use endpoint::Endpoint;
pub use intake::Intake;
pub use limits::{BULK_MAX, Limits, MESSAGE_BYTES, WORKS_MAX};
pub use stats::{Stats, StatsSnapshot};
