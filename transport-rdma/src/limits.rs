//! Every bound of the transport, in one place, with its reason.

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

/// Works that one connection may have outstanding: replies of as many pieces as chunks can have, some at a time.
pub const WORKS_MAX: u32 = 256;

/// Bulk data of one call or reply: the largest `rsize` and `wsize` that Linux clients of any version use.
pub const BULK_MAX: usize = 1024 * 1024;

/// Bytes of a call that may surround its bulk data; see transport-tcp's bound of the same name.
pub const MESSAGE_OVERHEAD: usize = 64 * 1024;

/// Bytes of calls that are being collected from the memory of their clients, on one core.
pub const COLLECT_MAX: usize = 64 * BULK_MAX;

/// Warnings about misbehaving peers in one period; further ones are only counted.
pub const WARNINGS_MAX: u32 = 10;

/// What an administrator or a test may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Receives that the connections of a core share, and so many messages that leave.
    pub receives_max: u32,
    /// Calls that one connection may have outstanding.
    pub credits_max: u32,
    /// Whether a core looks for messages without pause instead of being told of them: fewer microseconds for all of a processor.
    pub busy_poll: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self { receives_max: 4096, credits_max: CREDITS_MAX, busy_poll: false }
    }
}
