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
        /// Connections refused for want of receives, or because the core is shutting down.
        pub refused: Counter,
        /// Connections closed for what the peer sent.
        pub faults: Counter,
        /// Calls received.
        pub calls: Counter,
        /// Replies to calls of ours received.
        pub replies: Counter,
        /// Messages that were passed over.
        pub ignored: Counter,
        /// Messages that were answered with an error of the transport.
        pub errors_sent: Counter,
        /// Calls that were collected from the memory of their clients.
        pub calls_collected: Counter,
        /// Replies that were written into the memory of their clients.
        pub replies_written: Counter,
        /// Payload bytes that left with the message of their reply.
        pub payload_inline_sent_bytes: Counter,
        /// Payload bytes read from the memory of clients, into their place.
        pub payload_read_bytes: Counter,
        /// Payload bytes written into the memory of clients, from where they lay.
        pub payload_written_bytes: Counter,
        /// Payload bytes that were copied because they lay in too many pieces for one message.
        pub payload_copied_bytes: Counter,
        /// Replies that ended a registration of their client.
        pub invalidated: Counter,
    }
}

/// Adds to a counter.
pub(crate) fn add(counter: &Cell<u64>, amount: usize) {
    counter.set(counter.get().wrapping_add(amount as u64));
}
