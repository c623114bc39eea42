//! The bounds an administrator may set, in one table: name, default, range, what it bounds and what happens there.

use serde::Deserialize;
use toml::Spanned;

use super::diagnostic::Source;

/// One row of the table, for messages and documents.
#[derive(Clone, Copy, Debug)]
pub struct LimitRow {
    /// The key in `[limits]`.
    pub name: &'static str,
    /// What it is when not set.
    pub default: u64,
    /// Least and greatest value accepted.
    pub range: (u64, u64),
    /// What it bounds.
    pub bounds: &'static str,
    /// What a client sees at the bound.
    pub at_bound: &'static str,
}

macro_rules! limits {
    ($($name:ident = $default:literal in $least:literal ..= $greatest:literal, $bounds:literal, $at_bound:literal;)*) => {
        /// The bounds in force. Every field is a row of [`LIMIT_ROWS`].
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Limits {
            $(#[doc = $bounds] pub $name: u64,)*
        }

        /// The table.
        pub const LIMIT_ROWS: &[LimitRow] = &[
            $(LimitRow {
                name: stringify!($name),
                default: $default,
                range: ($least, $greatest),
                bounds: $bounds,
                at_bound: $at_bound,
            },)*
        ];

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// `[limits]` as written.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct LimitsSection {
            $($name: Option<Spanned<i64>>,)*
        }

        impl LimitsSection {
            /// The bounds, defaults where nothing is written; values out of range are noted in `source`.
            pub fn resolve(&self, source: &mut Source<'_>) -> Limits {
                Limits {
                    $($name: within(stringify!($name), self.$name.as_ref(), $default, ($least, $greatest), source),)*
                }
            }
        }
    };
}

limits! {
    payload_memory_mib = 128 in 16..=262_144,
        "MiB of aligned memory per shard for the bytes of READ and WRITE",
        "requests wait for their turn; what is received has at most three quarters, one host three quarters of that";
    connections = 8192 in 1..=1_000_000,
        "connections per shard",
        "a further connection is closed at once";
    calls_per_connection = 256 in 1..=16_384,
        "calls of one connection in progress at a time",
        "the connection is not read until a call is done";
    collect_memory_mib = 64 in 2..=65_536,
        "MiB of memory per shard for records that are collected whole, all connections together",
        "connections with such a record wait for their turn";
    record_seconds = 30 in 1..=3600,
        "seconds a begun record or an untaken reply may make no progress",
        "the connection is closed and its memory freed";
    clients = 4096 in 1..=1_000_000,
        "clients known at a time",
        "expired clients are forgotten first, then EXCHANGE_ID: NFS4ERR_DELAY";
    sessions_per_client = 16 in 1..=1024,
        "sessions of one client",
        "CREATE_SESSION: NFS4ERR_NOSPC";
    slots_per_session = 128 in 1..=1024,
        "requests of one session in progress at a time",
        "CREATE_SESSION grants no more";
    reply_cache_mib = 256 in 1..=65_536,
        "MiB for slots and the replies they keep for retries, all sessions together",
        "expired clients are forgotten, CREATE_SESSION grants fewer slots, others are asked for some, then NFS4ERR_NOSPC";
    duplicate_requests = 65_536 in 128..=16_777_216,
        "NFSv3 calls remembered for when they are sent again, all clients together; one source address has at most half of it",
        "who has most forgets its oldest; where all are in progress, a call is executed without being remembered";
    operations_per_compound = 64 in 16..=1024,
        "operations in one request",
        "NFS4ERR_TOO_MANY_OPS";
    opens = 262_144 in 16..=16_777_216,
        "opens of all clients together",
        "OPEN: NFS4ERR_DELAY";
    opens_per_client = 65_536 in 16..=16_777_216,
        "opens of one client",
        "OPEN: NFS4ERR_DELAY";
    locks = 262_144 in 16..=16_777_216,
        "byte-range locks of all clients together",
        "LOCK: NFS4ERR_DELAY";
    locks_per_client = 65_536 in 16..=16_777_216,
        "byte-range locks of one client",
        "LOCK: NFS4ERR_DELAY";
    cached_objects = 16_384 in 64..=16_777_216,
        "objects of one export each shard keeps open to save opening them again; each costs a descriptor",
        "the one used longest ago is closed";
    helper_threads = 4096 in 16..=131_072,
        "helper threads in all, for calls that may sleep in the kernel; started when needed",
        "an export that finds no share left is refused when exports are loaded";
    helper_threads_per_export = 8 in 1..=1024,
        "helper threads of each shard that one export may hold at a time",
        "calls on that export wait for their turn, others go on";
    kernel_workers_per_export = 8 in 1..=16,
        "kernel workers of each shard that writes and cold reads of one export may hold at a time; syncs have 16 more",
        "calls on that export wait for their turn, others go on";
}

fn within(
    name: &str,
    written: Option<&Spanned<i64>>,
    default: u64,
    (least, greatest): (u64, u64),
    source: &mut Source<'_>,
) -> u64 {
    let Some(written) = written else { return default };
    match u64::try_from(*written.get_ref()) {
        Ok(value) if (least..=greatest).contains(&value) => value,
        _ => {
            source.wrong(
                written.span(),
                format!("`{name}` is {}, out of range", written.get_ref()),
                format!("give a number from {least} to {greatest}, or leave it out for {default}"),
            );
            default
        }
    }
}
