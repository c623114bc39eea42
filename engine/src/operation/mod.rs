//! What a shard asks of the kernel, one subject per file.
//!
//! Every operation owns its memory and its descriptor from submission to its last completion, in the in-flight
//! table, and gives the memory back with the result.
//!
//! UNSAFETY: the files here implement an unsafe trait, [`Operation`], whose promise about addresses is argued at each
//! implementation, and queue the few entries that carry no address at all.
#![allow(unsafe_code)]

mod accept;
pub(crate) mod bell;
pub(crate) mod cancel;
mod connect;
mod descriptor;
mod file;
mod pieces;
mod receive;
pub(crate) mod receives;
mod send;
mod zero_copy;

use io_uring::squeue;

use crate::ring::{Completion, Registered};

pub use accept::Accepts;
pub use descriptor::SyncMode;
pub use file::IoOptions;
pub use receives::Receives;
pub use zero_copy::ZeroCopyUsage;

/// Result of an operation that was lent a buffer, and the buffer.
pub type Done<T, B> = (std::io::Result<T>, B);

/// Something the kernel is asked to do.
///
/// # Safety
///
/// Every address in the entry that [`entry`](Self::entry) returns points to memory that the value owns, or keeps
/// alive and unused by others, and that is not touched through the value until `complete` or the value's end. It may be
/// memory inside the value: that is not moved between the two.
pub(crate) unsafe trait Operation: Sized + 'static {
    /// What it yields.
    type Output;

    /// The queue entry. Called once, when the value has its final place.
    fn entry(&mut self, registered: Registered) -> squeue::Entry;

    /// Makes the result of the (last) completion.
    fn complete(self, completion: Completion) -> Self::Output;

    /// Disposes of a completion that nobody waits for and that is not the last.
    fn discard(&mut self, _completion: Completion) {}

    /// Disposes of the last completion, which nobody waits for.
    fn abandon(self, completion: Completion) {
        drop(self.complete(completion));
    }
}
