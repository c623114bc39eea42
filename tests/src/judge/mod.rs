//! Limits judged from outside: a real server, loads over real sockets, and the server's own log of admissions.
//!
//! A limit is never exceeded by more than its bound in any time at all, whatever the machine does meanwhile. That it is also
//! reached is judged only where clients asked for enough and the cores ran: in windows without a stall.

pub mod accuracy;
pub mod changes;
pub mod crowd;
pub mod isolation;
pub mod log;
pub mod stage;
pub mod verdict;

use std::net::{IpAddr, Ipv4Addr};

use nfs_ops::limits::Limited;

/// Whom limits are set for: all clients of the loopback are one.
pub const CLIENT: &str = "client:127.0.0.1";

/// The same, as the log knows it.
pub const LIMITED: Limited = Limited::Client(IpAddr::V4(Ipv4Addr::LOCALHOST));
