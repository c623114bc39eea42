//! Every bound of the transport, in one place, with its reason.

use std::time::Duration;

/// Bytes of one RPC message that may surround its bulk data: RPC header, compound and trailing operations.
/// A compound of a Linux client needs about 1 KiB; 64 KiB leaves room for long names, extended attributes
/// and other clients.
pub const RECORD_OVERHEAD: usize = 64 * 1024;

/// Bulk data of one call or reply: the largest `rsize` and `wsize` that Linux clients of any version use.
pub const BULK_MAX: usize = 1024 * 1024;

/// Fragments of one record. A peer may cut a record anywhere (RFC 5531 §11), but no peer has a reason to cut
/// one into more than this.
pub const FRAGMENTS_MAX: u32 = 1024;

/// Shortest record for which a connection leaves the common buffers: what may be a bulk payload is received straight to
/// where it stays. Below it, copying costs less than the extra request.
pub const BULK_MIN: usize = 8 * 1024;

/// Bytes that one request receives into the common buffers, so that no more than this, and what one buffer holds, is
/// caught there of a payload that follows small calls.
pub const BURST_BYTES: u32 = 16 * 1024;

/// Small calls in a row after which a connection that has sent bulk data goes back to the common buffers. A COMMIT or a
/// GETATTR between WRITEs is no reason to.
pub const SMALL_RUN: u32 = 8;

/// Bytes asked for first of a record that may carry a payload, as long as the connection has sent none: most heads of
/// Linux clients are shorter, and what is caught behind them is little.
pub const HEAD_FIRST: usize = 256;

/// Most bytes asked for so because the last head was as long. The longest that a Linux client sends before its data
/// has 412 bytes, the longest that AUTH_SYS and NFSv4 allow about 600.
pub const HEAD_FORECAST_MAX: usize = 1024;

/// Bytes asked for at least when a head turns out longer than expected.
pub const HEAD_STEP: usize = 64;

/// Bytes of a record without its payloads that are looked through for payloads.
pub const HEAD_MAX: usize = 4096;

/// Longest end of a record behind its payload that is received together with it.
pub const TAIL_MAX: usize = 1024;

/// Shortest payload worth a place of its own. Below it the data stays in the head, where it was received.
pub const PAYLOAD_MIN: usize = 2048;

/// Payloads of one record that get places of their own. No client is known to send more than one; what is beyond stays
/// in the head.
pub const PAYLOADS_MAX: usize = 8;

/// Memory for received bytes that a connection keeps between records.
pub const WINDOW_KEPT: usize = 2048;

/// Memory for more than that, of so many connections, that a core keeps for the next ones.
pub const WINDOWS_SPARE: usize = 16;

/// Bytes of it that are kept of one.
pub const WINDOW_SPARE_MAX: usize = 128 * 1024;

/// Bytes waited for at once, at first: what a peer that is slow may take its time for.
pub const RECEIVE_STEP_MIN: usize = PROGRESS_MIN;

/// As [`RECEIVE_STEP_MIN`], once a peer has shown that it is fast.
pub const RECEIVE_STEP_MAX: usize = BULK_MAX;

/// Time within which the bytes waited for at once must come for the peer to be fast.
pub const FAST: Duration = Duration::from_millis(50);

/// Most bytes that a collected record grows by before they have arrived.
pub const COLLECT_STEP: usize = 64 * 1024;

/// Bytes that must move for a record or reply to count as making progress, unless it becomes complete: a peer
/// that dribbles single bytes does not keep its memory.
pub const PROGRESS_MIN: usize = 16 * 1024;

/// Share of a core's payload memory that received payloads may hold, in eighths: the rest is for what READ
/// sends.
pub const RECEIVE_SHARE_EIGHTHS: usize = 6;

/// Share of the receive memory that the connections from one host may hold together, in eighths: what waits for the limits
/// of one client leaves memory to the others. Less of it would let one frozen export of a host keep its work on others waiting, for
/// what the kernel's workers hold there does not come back.
pub const ADDRESS_SHARE_EIGHTHS: usize = 6;

/// Payload bytes that a connection must have completed to be trusted with memory: as many as one more record may
/// hold, so that holding memory up costs a crowd as much as it gets.
pub const PROVEN_BYTES: usize = BULK_MAX;

/// Share of the receive memory for connections that have not yet completed [`PROVEN_BYTES`], in eighths, so that
/// strangers who stop half way cannot hold up those who work.
pub const NEWCOMER_SHARE_EIGHTHS: usize = 4;

/// Share of the receive memory that is left to those connections, in eighths, so that clients who always have more to
/// send do not keep everybody else from ever being known.
pub const NEWCOMER_RESERVE_EIGHTHS: usize = 2;

/// Replies sent with one system call.
pub const BATCH_REPLIES_MAX: usize = 256;

/// Pieces of one send; the kernel's own bound (`UIO_MAXIOV`) is 1024.
pub const BATCH_PIECES_MAX: usize = 512;

/// Bytes sent with one system call.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Payload from which on it may pay to spare the kernel's copy: pinning the pages costs as much as copying less.
pub const ZERO_COPY_MIN: usize = 64 * 1024;

/// Of the payload memory, one such part may be held by the kernel for peers that have not acknowledged it. Past it payload is
/// copied, so that peers that never acknowledge cannot take all of it.
pub const ZERO_COPY_HELD_PART: usize = 4;

/// Bytes after which a send that still goes on is noticed as progress.
pub const SEND_STEP: usize = 512 * 1024;

/// Bytes of pipes after which the core's other tasks have a turn.
pub const SPLICE_STEP: usize = 1024 * 1024;

/// Longest reply head that is copied next to others instead of becoming a piece of its own: below this the
/// copy is cheaper than one more piece.
pub const COALESCE_MAX: usize = 4096;

/// Backlog of a listening socket: a burst of clients that all reconnect after a restart.
pub const BACKLOG: i32 = 1024;

/// How often connections are looked over for stalls.
pub const WATCH_PERIOD: Duration = Duration::from_millis(100);

/// Time without progress after which a begun record loses its memory to others that wait for some.
pub const RECEIVE_PRESSURE: Duration = Duration::from_secs(1);

/// As [`RECEIVE_PRESSURE`], for connections that have not completed [`PROVEN_BYTES`], when a crowd waits: thousands
/// that each stop half way are to be gone through in seconds.
pub const CROWD_PRESSURE: Duration = Duration::from_millis(100);

/// How many must wait for memory to be a crowd.
pub const CROWD: usize = 4;

/// Time without progress after which a reply that holds payload memory is given up while others wait for
/// memory. Longer than for receiving, as a client that is short of memory reads late but means well.
pub const SEND_PRESSURE: Duration = Duration::from_secs(10);

/// Bounds that an administrator or a test may set.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Longest record in bytes, marks not counted. A longer one closes its connection.
    pub record_max: usize,
    /// Connections per core. More are closed as soon as they are accepted.
    pub connections_max: usize,
    /// Calls of one connection that may be in progress: at the bound the connection is not read.
    pub calls_max: usize,
    /// Payload bytes that the calls in progress of one connection may hold; one payload is always allowed.
    pub payload_max: usize,
    /// Bytes of message heads that the calls in progress of one connection may hold; one head is always
    /// allowed.
    pub heads_max: usize,
    /// Bytes of heap memory per core for records that are collected whole, by all connections together.
    pub collect_max: usize,
    /// Reply bytes queued on one connection above which no further calls are read from it.
    pub queued_max: usize,
    /// Time without progress after which a begun record, or a reply the peer does not take, closes its
    /// connection.
    pub progress_timeout: Duration,
    /// Time for a connection to a peer to be established.
    pub connect_timeout: Duration,
    /// Whether what is sent is cut at its bulk data, so that a receiver that knows the hint sees from the marks where
    /// it lies; see [`Connection::fragment_bulk`](crate::Connection::fragment_bulk).
    pub fragment_bulk: bool,
    /// Whether the kernel is asked to spare its copy of payload also on routes within this machine, where it never can: for
    /// tests of what happens then.
    pub zero_copy_on_local_routes: bool,
    /// Sends of which the kernel has copied every one after which a connection does not ask it to spare the copy any more.
    pub zero_copy_tries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_max: BULK_MAX + RECORD_OVERHEAD,
            connections_max: 8192,
            // Four sessions of 64 slots, the most a Linux client asks of one connection by default.
            calls_max: 256,
            payload_max: 8 * BULK_MAX,
            heads_max: 4 * BULK_MAX,
            collect_max: 64 * BULK_MAX,
            queued_max: 8 * BULK_MAX,
            progress_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            fragment_bulk: false,
            zero_copy_on_local_routes: false,
            zero_copy_tries: 64,
        }
    }
}
