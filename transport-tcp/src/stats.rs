//! Counters of one core.

use std::cell::Cell;

metric::counters! {
    /// Counters of one core's transport; they only grow, except `connections`.
    pub struct Stats;

    /// The counters at one moment.
    pub struct StatsSnapshot {
        /// Connections open now.
        pub connections: Gauge,
        /// Connections ever opened.
        pub connections_opened: Counter,
        /// Calls received.
        pub calls: Counter,
        /// Replies to calls of ours received.
        pub replies: Counter,
        /// Bytes received.
        pub received_bytes: Counter,
        /// Bytes sent.
        pub sent_bytes: Counter,
        /// System calls that sent bytes.
        pub sends: Counter,
        /// System calls that asked the kernel not to copy what they send.
        pub sends_sparing_copy: Counter,
        /// Payload bytes sent from payload memory.
        pub payload_from_memory_bytes: Counter,
        /// Payload bytes sent from pipes, which nobody copied.
        pub payload_spliced_bytes: Counter,
        /// Payload bytes received into their place.
        pub payload_placed_bytes: Counter,
        /// Payload bytes that came with the head of a record in a stream of bulk data and were copied to their place.
        pub payload_caught_bytes: Counter,
        /// Payload bytes that came with small calls, before the connection was known to send bulk data, and were copied to
        /// their place: at most `BURST_BYTES` and one buffer for each of `switches_to_bulk`.
        pub payload_caught_first_bytes: Counter,
        /// Payload bytes of records shorter than `BULK_MIN`, copied to their place.
        pub payload_short_bytes: Counter,
        /// Connections that went over from small calls to bulk data.
        pub switches_to_bulk: Counter,
        /// Connections that went over from bulk data to small calls.
        pub switches_to_small: Counter,
        /// Requests to receive many times that were made again because one had come to its end.
        pub receives_rearmed: Counter,
        /// Records collected in heap memory because no payload was found or they came in fragments.
        pub collected: Counter,
        /// Connections closed for what the peer sent.
        pub faults: Counter,
        /// Connections closed because a record or reply made no progress.
        pub stalled: Counter,
        /// Connections closed early because others waited for their memory.
        pub evicted: Counter,
        /// Connections refused because the core holds as many as it may.
        pub refused: Counter,
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &Cell<u64>, amount: usize) {
    counter.set(counter.get().wrapping_add(amount as u64));
}

/// Takes one from a counter.
pub(crate) fn less(counter: &Cell<u64>) {
    counter.set(counter.get() - 1);
}
