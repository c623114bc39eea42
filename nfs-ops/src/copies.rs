//! What the operations of one core have copied of payload in user space, so that it can be shown how little that is.

use std::cell::Cell;

/// Payload bytes copied; they only grow.
#[derive(Debug, Default)]
pub struct Copies {
    /// Of READs whose reply a slot keeps, as its client wished.
    pub read_bytes: Cell<u64>,
    /// Of WRITEs too short for the transport to place.
    pub written_bytes: Cell<u64>,
}

/// Adds to one of them.
pub fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get().wrapping_add(bytes as u64));
}
