//! Every bound of the transport, in one place, with its reason.

use std::time::Duration;

/// Bytes of one Send in either direction: what Linux clients take and offer, and one page.
pub const MESSAGE_BYTES: usize = 4096;

/// Calls that one connection may have outstanding, at most: what Linux clients ask for by default.
pub const CREDITS_MAX: u32 = 128;

/// Fewer are worth no connection.
pub const CREDITS_MIN: u32 = 8;

/// Calls back that one connection has outstanding, at most: Linux clients take 16.
pub const CALLBACKS_MAX: u32 = 8;

/// Of the receives that connections share, one such part is promised to none: a peer that sends more than it may takes from it
/// until its connection is closed, and not from the others.
pub const RECEIVES_SPARE_PART: u32 = 4;

/// Of those that are promised, one such part is promised to other hosts than the one that has most.
pub const HOST_SPARE_PART: u32 = 4;

/// Works that one connection may have outstanding: replies of as many pieces as chunks can have, some at a time.
pub const WORKS_MAX: u32 = 256;

/// Bulk data of one call or reply: the largest `rsize` and `wsize` that Linux clients of any version use.
pub const BULK_MAX: usize = 1024 * 1024;

/// Bytes of a call that may surround its bulk data; see transport-tcp's bound of the same name.
pub const MESSAGE_OVERHEAD: usize = 64 * 1024;

/// Bytes of calls that are being collected from the memory of their clients, on one core.
pub const COLLECT_MAX: usize = 64 * BULK_MAX;

/// Calls of one connection among them.
pub const COLLECTED_MAX: usize = 8;

/// Payload that is read from one client at a time, if it is not one payload alone: more than the fastest link has on its way.
pub const PULL_MAX: usize = 4 * BULK_MAX;

/// How often connections are looked over.
pub const WATCH_PERIOD: Duration = Duration::from_secs(1);

/// Messages of one connection that nobody waited for: answers to calls back that were given up.
pub const UNEXPECTED_MAX: u32 = 64;

/// Receives of a core that calls, however few connections it has.
const CALLING_RECEIVES_MIN: u32 = 256;

/// What an administrator or a test may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Receives that the connections of a core share, and so many messages that leave.
    pub receives_max: u32,
    /// Calls that one connection may have outstanding.
    pub credits_max: u32,
    /// Whether a core looks for messages without pause instead of being told of them: fewer microseconds for all of a processor.
    pub busy_poll: bool,
    /// Time in which nothing that was asked of a connection ends, after which it is closed: a peer that takes no messages holds
    /// payload memory that others want. Longer than adapters try again by themselves.
    pub stall_max: Duration,
    /// Time in which nothing comes of a connection without calls, after which it is closed: nobody else says that a client is
    /// gone. Linux's closes its own after five minutes.
    pub idle_max: Duration,
}

impl Limits {
    /// Of a core that calls, over so many connections at a time, of which each is to have so many calls outstanding.
    pub fn for_calls(connections: u32, calls: u32) -> Self {
        let credits_max = calls.clamp(CREDITS_MIN, CREDITS_MAX);
        // A new one gets half of what is left at most.
        let promised =
            connections.saturating_add(1).saturating_mul(credits_max + CALLBACKS_MAX) + credits_max;
        let receives_max = promised / (RECEIVES_SPARE_PART - 1) * RECEIVES_SPARE_PART;
        Self { receives_max: receives_max.max(CALLING_RECEIVES_MIN), credits_max, ..Self::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            receives_max: 4096,
            credits_max: CREDITS_MAX,
            busy_poll: false,
            stall_max: Duration::from_secs(15),
            idle_max: Duration::from_secs(360),
        }
    }
}
