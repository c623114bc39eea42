//! What requests use of an entity, and how they wait for it: counted by each core for itself, read by who asks.

use super::limit::Cost;

metric::metrics! {
    /// What requests have used of one entity, and how they waited for it, apart from how long they were served.
    pub struct Usage {
        /// Bytes of payload read, without what READs asked for beyond the end of files.
        pub read_bytes: Counter,
        /// Bytes of payload written.
        pub written_bytes: Counter,
        /// Operations that only look, as limits count them.
        pub reads: Counter,
        /// Operations that change something, as limits count them.
        pub writes: Counter,
        /// Requests that had to wait because nothing was left here, and wait no longer.
        pub waits: Counter,
        /// Nanoseconds that requests waited because nothing was left here, all of them together.
        pub waited_ns: Counter,
        /// Requests that were told to come again: their turn here would have come too late, or they stood in the way.
        pub refused: Counter,
        /// Requests that wait now because nothing is left here.
        pub parked: Gauge,
    }
}

/// What one core has counted of it, but for who waits now: that its queue says.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counted {
    read_bytes: u64,
    written_bytes: u64,
    reads: u64,
    writes: u64,
    pub(super) waits: u64,
    pub(super) waited_ns: u64,
    pub(super) refused: u64,
}

impl Counted {
    /// Counts what was charged.
    pub(super) fn add(&mut self, cost: Cost) {
        let (bytes, operations) = self.of(cost);
        *bytes += cost.bytes;
        *operations += cost.operations;
    }

    /// No longer.
    pub(super) fn take_back(&mut self, cost: Cost) {
        let (bytes, operations) = self.of(cost);
        *bytes = bytes.saturating_sub(cost.bytes);
        *operations = operations.saturating_sub(cost.operations);
    }

    /// The same where so many wait now.
    pub(super) fn told(self, parked: u64) -> Usage {
        let Self { read_bytes, written_bytes, reads, writes, waits, waited_ns, refused } = self;
        Usage { read_bytes, written_bytes, reads, writes, waits, waited_ns, refused, parked }
    }

    fn of(&mut self, cost: Cost) -> (&mut u64, &mut u64) {
        if cost.kind.mutates() {
            (&mut self.written_bytes, &mut self.writes)
        } else {
            (&mut self.read_bytes, &mut self.reads)
        }
    }
}
