//! Who may do what, and for how long: clients, sessions and slots, opens, byte-range locks, leases, grace and
//! the reply cache (RFC 8881 §2.4, §2.10, §8 and §9); and the duplicate request cache of NFSv3 (RFC 1813 §4.5).
//!
//! [`State`] is shared by all cores. Its tables are striped: clients and sessions by client, opens and locks
//! by file; whoever needs both takes the client's stripe first and never holds a file's while taking a
//! client's. Every call is short, synchronous and deterministic, does no I/O and gets the time as an argument
//! (monotonic nanoseconds). What it cannot do itself it returns as a value: a [`StoreTicket`] to await before
//! the reply, an [`OpenReservation`] to commit once the storage has the file open, a [`SlotClaim`] to complete
//! with the reply, and [`Effects`] to collect with [`State::take_effects`].
//!
//! READ, WRITE and GETATTR take no lock that another core contends for: a [`Session`] and a [`Grant`] may be
//! kept by a core and are checked with one acquire load each.
#![forbid(unsafe_code)]

mod admin;
mod answer;
mod backchannel;
mod client;
mod config;
mod connection;
mod create_session;
mod destroy;
mod duplicate;
mod duplicate_table;
mod effects;
mod exchange_id;
mod file_key;
mod file_table;
mod free_stateid;
mod grace;
mod grant;
mod host;
mod lease;
mod lock;
mod lock_ranges;
mod lock_wait;
mod negotiate;
mod open;
mod open_change;
mod owner;
mod recall;
mod reclaim;
mod revoke;
mod sequence;
mod session;
mod share;
mod slot;
mod state;
mod stateid;
mod store;
mod stripes;
mod sweep;
#[cfg(test)]
mod tests;
mod throttle;
mod ticket;

pub use admin::{ClientSummary, Totals};
pub use backchannel::{CallbackClaim, CallbackCredential};
pub use client::Client;
pub use config::{Config, Limits};
pub use connection::{ConnectionId, Direction};
pub use create_session::{CreateOutcome, CreateSession, PendingSession, SessionCreated};
pub use duplicate::{CallBegin, CallClaim, CallKey, DuplicateCounts, DuplicateRequests, FirstReply};
pub use effects::{Effects, LockNotice};
pub use exchange_id::{ExchangeId, ExchangedId};
pub use file_key::{FILE_KEY_BYTES_MAX, FileKey};
pub use grant::{Grant, InFlight, IoGrant, IoWant};
pub use lease::{LeaseHold, Standing};
pub use lock::{LockDenied, LockKind, LockRange, LockRefusal, LockRequest, Locker};
pub use negotiate::ChannelAttributes;
pub use open::{OpenClaim, OpenFiles, OpenRequest, OpenReservation};
pub use open_change::Closed;
pub use reclaim::{PendingReclaimComplete, ReclaimComplete};
pub use sequence::{Begin, SequenceCall, SequenceReply, SlotClaim, SlotReply, status_flag};
pub use session::Session;
pub use share::{Access, Deny};
pub use state::State;
pub use store::{ClientRecord, Completion, MemoryStore, Store, StoreError, StoreOperation, StoreResult};
pub use throttle::ParkedRequest;
pub use ticket::StoreTicket;
