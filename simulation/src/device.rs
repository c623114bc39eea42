//! The storage device: a time that every operation takes, and a capacity that all share.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::scheme::Operation;

/// What a device is like.
#[derive(Clone, Copy, Debug)]
pub struct Device {
    /// Least time of an operation, in nanoseconds.
    pub latency_ns: u64,
    /// Mean of the random time on top of it (exponential), in nanoseconds.
    pub jitter_ns: u64,
    /// How many reads of 4 KiB it does per second at most; `None` is a device that is never busy.
    pub reads_4k_per_second: Option<u64>,
}

/// What an operation costs beside a read of 4 KiB: the line of published curves of IOPS by size.
fn cost(bytes: u64) -> f64 {
    0.45 + 0.584 * bytes as f64 / 4096.0
}

/// The capacity of a [`Device`]: all operations in it get the same share (large ones are cut into pieces that take turns), so
/// each takes the longer, the more there are.
#[derive(Debug)]
pub struct Pipe {
    /// Nanoseconds of a read of 4 KiB that is alone.
    read_4k_ns: f64,
    /// How far an operation has got that has been in since the beginning, in nanoseconds alone.
    attained: f64,
    updated_ns: u64,
    /// By what `attained` will be at the end of each.
    inside: BinaryHeap<Reverse<(Finish, Operation)>>,
}

/// A value of `attained` that can be ordered: parts of a nanosecond.
type Finish = u64;
const FINISH_PER_NS: f64 = 1024.0;

impl Pipe {
    /// An empty one.
    pub fn new(reads_4k_per_second: u64) -> Self {
        let read_4k_ns = 1e9 / reads_4k_per_second as f64;
        Self { read_4k_ns, attained: 0.0, updated_ns: 0, inside: BinaryHeap::new() }
    }

    /// Takes an operation in.
    pub fn enter(&mut self, now_ns: u64, operation: Operation) {
        self.update(now_ns);
        let finish = self.attained + cost(operation.bytes) * self.read_4k_ns;
        self.inside.push(Reverse(((finish * FINISH_PER_NS) as Finish, operation)));
    }

    /// An operation that is done by now.
    pub fn leave(&mut self, now_ns: u64) -> Option<Operation> {
        self.update(now_ns);
        let Reverse((finish, _)) = self.inside.peek()?;
        if *finish as f64 > self.attained * FINISH_PER_NS {
            return None;
        }
        self.inside.pop().map(|Reverse((_, operation))| operation)
    }

    /// When the next is done if nothing enters.
    pub fn next_ns(&self) -> Option<u64> {
        let Reverse((finish, _)) = self.inside.peek()?;
        let left = (*finish as f64 / FINISH_PER_NS - self.attained).max(0.0) * self.inside.len() as f64;
        // One more, so that rounding never makes it too early.
        Some(self.updated_ns + left.ceil() as u64 + 1)
    }

    fn update(&mut self, now_ns: u64) {
        if !self.inside.is_empty() {
            self.attained += (now_ns - self.updated_ns) as f64 / self.inside.len() as f64;
        }
        self.updated_ns = now_ns;
    }
}
