//! Counters of one core.

use std::cell::Cell;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Counters of one core's transport; they only grow, except `connections`.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Cell<u64>,)*
        }

        /// The counters at one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct StatsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// The counters now.
            pub fn snapshot(&self) -> StatsSnapshot {
                StatsSnapshot { $($name: self.$name.get(),)* }
            }
        }
    };
}

counters! {
    /// Connections open now.
    connections,
    /// Connections ever opened.
    connections_total,
    /// Calls received.
    calls,
    /// Replies to calls of ours received.
    replies,
    /// Bytes received.
    bytes_in,
    /// Bytes sent.
    bytes_out,
    /// System calls that sent them.
    sends,
    /// Those of them that asked the kernel not to copy what they send.
    sends_sparing_copy,
    /// Payload bytes sent from payload memory.
    payload_from_memory,
    /// Payload bytes sent from pipes, which nobody copied.
    payload_spliced,
    /// Payload bytes received into their place.
    payload_placed,
    /// Payload bytes that came with the head of a record in a stream of bulk data and were copied to their place.
    payload_caught,
    /// Payload bytes that came with small calls, before the connection was known to send bulk data, and were copied to
    /// their place: at most [`BURST_BYTES`](crate::BURST_BYTES) and one buffer for each of `switches_to_bulk`.
    payload_caught_first,
    /// Payload bytes of records shorter than [`BULK_MIN`](crate::BULK_MIN), copied to their place.
    payload_short,
    /// Connections that went over from small calls to bulk data.
    switches_to_bulk,
    /// Connections that went over from bulk data to small calls.
    switches_to_small,
    /// Requests to receive many times that were made again because one had come to its end.
    receives_rearmed,
    /// Records collected in heap memory because no payload was found or they came in fragments.
    collected,
    /// Connections closed for what the peer sent.
    faults,
    /// Connections closed because a record or reply made no progress.
    stalled,
    /// Connections closed early because others waited for their memory.
    evicted,
    /// Connections refused because the core holds as many as it may.
    refused,
}

/// Adds to a counter.
pub(crate) fn add(counter: &Cell<u64>, amount: usize) {
    counter.set(counter.get().wrapping_add(amount as u64));
}

/// Takes one from a counter.
pub(crate) fn less(counter: &Cell<u64>) {
    counter.set(counter.get() - 1);
}
