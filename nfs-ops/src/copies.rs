//! What the operations of one core have copied of payload in user space, so that it can be shown how little that is.

use std::cell::Cell;

metric::counters! {
    /// Payload bytes copied; they only grow.
    pub struct Copies;

    /// [`Copies`] at one moment.
    pub struct CopiesSnapshot {
        /// Payload bytes copied of READs whose reply a slot keeps, as its client wished.
        pub read_bytes: Counter,
        /// Payload bytes copied of WRITEs too short for the transport to place.
        pub written_bytes: Counter,
    }
}

/// Adds to one of them.
pub fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get().wrapping_add(bytes as u64));
}
