//! Admission: who may start work on storage now, and who waits.
//!
//! Everything here is plain deterministic code: no I/O, no threads, and no clock of its own (the time is an
//! argument, in nanoseconds of whatever monotonic clock the caller keeps). It belongs to one core, but for the
//! table of [`limits`]. A request passes [`Admission::admit`] before it touches storage: it is charged to its
//! limits, then goes through the gate. Where it may not go on, its task parks in this crate's own
//! [queues](Admission::parked), where it can be listed and counted; it is held, not failed.
//!
//! What passed holds a [`Pass`]: it is in flight until the pass is dropped. Between taking a pass and
//! submitting the work nothing may park, so a closed [`Gate`] drains as fast as the device.

#![forbid(unsafe_code)]

mod admission;
mod gate;
mod held;
pub mod limits;
mod queue;
mod request;
mod waiters;
mod work;

#[cfg(test)]
mod tests;

pub use admission::{Admission, Admit, Bounds, Busy};
pub use gate::{CLOSED_NS_MAX, ClosedAlready, Drained, Enter, Epoch, Gate, GateStatus, Lapsed, Pass};
pub use queue::Parked;
pub use request::{Kind, Request};
pub use work::Work;
