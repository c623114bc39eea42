//! One call and one reply, as they pass between a transport and the operations.
//!
//! A transport (TCP, RDMA, a simulator's network) makes a [`Call`] of every complete RPC call message it
//! receives, hands it to its [`Service`], and sends the [`Outcome`]. Bulk data never stands inside the head
//! bytes when the transport could place it elsewhere: a call's payload is cut out of the stream into an
//! aligned [`Chain`](buf::Chain), and a reply's payload is inserted where the head says.

#![forbid(unsafe_code)]

mod call;
mod peer;
mod reading;
mod reply;
mod service;
mod spare;

pub use call::{Call, Data, Payload, Payloads, Remote};
pub use peer::{ConnectionId, Peer, Transport};
pub use reading::{Reading, ReadingHold};
pub use reply::{Bulk, Bulks, Insert, Inserts, Outcome, Reply};
pub use service::Service;
pub use spare::{keep_frozen_head, keep_head, take_head};
