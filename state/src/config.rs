//! What the server is told at start, and the bound on every table.

use crate::duplicate_table::CALL_BYTES;

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// How a [`State`](crate::State) behaves; fixed for the life of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of this start of the server, greater than that of every earlier start. Its low 24 bits are part
    /// of every client id and stateid, so that those of an earlier instance are recognised as foreign.
    pub epoch: u32,
    /// Random key of the tables' hash functions, so that no client can choose colliding names.
    pub hash_key: [u64; 2],
    /// Lease period in nanoseconds (RFC 8881 §8.3).
    pub lease_ns: u64,
    /// Longest grace period in nanoseconds (RFC 8881 §8.4.2.1). At least a lease, so that a client that renews
    /// once per lease notices the restart in time.
    pub grace_ns: u64,
    /// How long an expired client keeps state that nobody else wants, in nanoseconds from its last renewal.
    pub courtesy_ns: u64,
    /// The bounds.
    pub limits: Limits,
    /// See [`Defect`].
    #[cfg(test)]
    pub(crate) defect: Option<Defect>,
}

/// What a mistake in this code would be, for the tests that show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Leases run while requests of their clients are held.
    LeaseRunsWhileHeld,
}

impl Config {
    /// The defaults for this epoch and hash key: lease and grace of 90 seconds, courtesy of a day.
    pub fn new(epoch: u32, hash_key: [u64; 2]) -> Self {
        Self {
            epoch,
            hash_key,
            // As long as the field's servers: long enough to ride out a switch's restart.
            lease_ns: 90 * SECOND_NS,
            grace_ns: 90 * SECOND_NS,
            // A laptop closed overnight finds its files open in the morning.
            courtesy_ns: 24 * 3600 * SECOND_NS,
            limits: Limits::default(),
            #[cfg(test)]
            defect: None,
        }
    }

    /// Whether the state was made with `defect`, which only tests do.
    #[cfg(not(test))]
    pub(crate) const fn has(&self, _defect: Defect) -> bool {
        false
    }

    /// Whether the state was made with `defect`.
    #[cfg(test)]
    pub(crate) fn has(&self, defect: Defect) -> bool {
        self.defect == Some(defect)
    }
}

/// Bytes of a slot beside the reply it keeps.
pub(crate) const SLOT_BYTES: u64 = 192;

/// The bound on every table. At a bound the client concerned gets the protocol's own error and nobody else
/// notices. Of clients, opens, locks and the reply cache one source address may have no more than it leaves free.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Clients, confirmed or not. Beyond: expired clients go first, then NFS4ERR_DELAY.
    pub clients_max: u32,
    /// Sessions of one client. Beyond: NFS4ERR_NOSPC. Stock clients use one.
    pub sessions_per_client_max: u32,
    /// Connections of one session. Beyond: NFS4ERR_DELAY. Linux's `nconnect` ends at 16.
    pub connections_per_session_max: u32,
    /// Slots of a session's fore channel. Linux asks for 64; more only helps on long fat networks.
    pub fore_slots_max: u32,
    /// Slots of a session's backchannel. Linux grants at most 16.
    pub back_slots_max: u32,
    /// Operations of one compound. Stock clients send at most 16; a client may ask for more.
    pub operations_max: u32,
    /// Bytes of one request: 1 MiB of payload and a page for what is around it.
    pub request_bytes_max: u32,
    /// Bytes of one reply, likewise.
    pub response_bytes_max: u32,
    /// Bytes of one cached reply; the reply of a non-idempotent compound with its GETATTRs fits well.
    pub response_cached_bytes_max: u32,
    /// Bytes reserved for slots and the replies they keep over all sessions. Near it expired clients go, new sessions get
    /// fewer slots, and slots are asked back from the hosts that have most; beyond NFS4ERR_NOSPC.
    pub reply_cache_bytes_max: u64,
    /// Opens over all clients, a bound on memory. Beyond: NFS4ERR_DELAY.
    pub opens_max: u64,
    /// Opens of one client, revoked ones included until they are freed. Beyond: NFS4ERR_DELAY.
    pub opens_per_client_max: u32,
    /// Opens of one file. Beyond: NFS4ERR_DELAY.
    pub opens_per_file_max: u32,
    /// Locked ranges and lock stateids over all clients, a bound on memory. Beyond: NFS4ERR_DELAY.
    pub locks_max: u64,
    /// Locked ranges and lock stateids of one client. Beyond: NFS4ERR_DELAY.
    pub locks_per_client_max: u32,
    /// Locked ranges of one file; finding a conflict looks at them in turn. Beyond: NFS4ERR_DELAY.
    pub locks_per_file_max: u32,
    /// Blocked lock requests remembered per file. Beyond: the client polls, as RFC 8881 §9.6 says it must.
    pub waiters_per_file_max: u32,
    /// Blocked lock requests remembered per client: as many processes as wait on one machine. Beyond: likewise.
    pub waiters_per_client_max: u32,
    /// Blocked lock requests remembered over all clients, a bound on memory. Beyond: likewise.
    pub waiters_max: u64,
    /// A lease renewal is written at most this often, so that requests do not contend for the lease's word.
    pub renewal_interval_ns: u64,
    /// For how long a notified waiter goes before later waiters; covers a callback and the retry.
    pub waiter_turn_ns: u64,
    /// NFSv3 calls remembered for the sake of retransmissions, a bound on memory. One source address has at most half.
    /// Beyond: the oldest of who has most is forgotten; if all are in progress, calls are executed without being remembered.
    pub duplicates_max: u64,
    /// Bytes of one such reply. The longest, of a CREATE with a handle of 64 bytes and a verifier of RPCSEC_GSS, has 344.
    pub duplicate_reply_bytes_max: u32,
    /// For how long such a reply is kept: clients send again after at most a minute, unless they were cut off meanwhile.
    pub duplicate_kept_ns: u64,
    /// Notices kept for collection. Beyond: the oldest are dropped; they are hints and clients poll.
    pub notices_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            clients_max: 4096,
            sessions_per_client_max: 16,
            connections_per_session_max: 32,
            fore_slots_max: 128,
            back_slots_max: 16,
            operations_max: 64,
            request_bytes_max: (1 << 20) + 4096,
            response_bytes_max: (1 << 20) + 4096,
            response_cached_bytes_max: 8192,
            reply_cache_bytes_max: 256 << 20,
            opens_max: 1 << 18,
            opens_per_client_max: 1 << 16,
            opens_per_file_max: 1 << 14,
            locks_max: 1 << 18,
            locks_per_client_max: 1 << 16,
            locks_per_file_max: 1 << 13,
            waiters_per_file_max: 256,
            waiters_per_client_max: 4096,
            waiters_max: 1 << 16,
            renewal_interval_ns: SECOND_NS,
            waiter_turn_ns: SECOND_NS,
            duplicates_max: 1 << 16,
            duplicate_reply_bytes_max: 384,
            duplicate_kept_ns: 600 * SECOND_NS,
            notices_max: 4096,
        }
    }
}

impl Limits {
    /// The most bytes the tables can come to, for the sum printed at start. Sizes of entries are as measured, rounded up,
    /// and include their share of the maps and an owner's name of the greatest length.
    pub fn memory_bytes_max(&self) -> u64 {
        const CLIENT_BYTES: u64 = 4608;
        const SESSION_BYTES: u64 = 768;
        const OPEN_BYTES: u64 = 2560;
        const LOCK_BYTES: u64 = 1024;
        const WAITER_BYTES: u64 = 1536;
        let clients = u64::from(self.clients_max);
        clients * (CLIENT_BYTES + u64::from(self.sessions_per_client_max) * SESSION_BYTES)
            + self.reply_cache_bytes_max
            + self.opens_max * OPEN_BYTES
            + self.locks_max * LOCK_BYTES
            + self.waiters_max * WAITER_BYTES
            + self.duplicates_max * (CALL_BYTES + u64::from(self.duplicate_reply_bytes_max))
    }
}
