//! RDMA adapters as a transport sees them.
//!
//! [`Verbs`] is what one core has of all adapters: memory that they know, receives that all its connections share, reliable
//! connections (queue pairs), and what came of what was asked of them. [`Library`] has it from libibverbs and librdmacm, by
//! way of a shared library of ours that is opened at run time and need not be there; [`loopback`] has it within the process,
//! with faults to inject.

mod event;
mod library;
pub mod loopback;
mod table;
mod verbs;
mod work;

pub use event::{Completion, CompletionKind, Event, EventKind, PRIVATE_MAX, Status};
pub use library::{Library, Unavailable};
pub use table::{Instance, NativeAddress, NativeDevice, Options, TABLE_SYMBOL, TABLE_VERSION, Table};
pub use verbs::{Access, Device, Verbs};
pub use work::{DeviceId, MemoryId, PLACES_MAX, PairId, Place, Remote, RequestId, Work, WorkKind};
