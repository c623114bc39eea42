//! The time after a restart in which recorded clients, and nobody else, get back what they held (RFC 8881
//! §8.4.2.1).

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use wire::nfs4::Status;

use crate::client::Client;
use crate::config::Config;
use crate::state::State;
use crate::store::{ClientRecord, StoreOperation};
use crate::stripes::{KeyedHash, KeyedMap, lock};
use crate::ticket::StoreTicket;

/// Recorded clients may reclaim; nobody gets new state.
const RECLAIMING: u8 = 0;
/// The records of those who have not reclaimed are being removed; neither reclaims nor new state.
const ENDING: u8 = 1;
/// New state only.
const OVER: u8 = 2;

/// The grace period. Its end is durable before the first new state is granted: otherwise a second restart
/// would let a client reclaim what was given to another meanwhile (RFC 8881 §8.4.3).
pub(crate) struct Grace {
    phase: AtomicU8,
    deadline: u64,
    /// Recorded clients that have not finished reclaiming.
    awaited: Mutex<KeyedMap<Box<[u8]>, ClientRecord>>,
}

impl Grace {
    pub(crate) fn new(records: Vec<ClientRecord>, hash: KeyedHash, now: u64, config: &Config) -> Self {
        let phase = if records.is_empty() { OVER } else { RECLAIMING };
        let mut awaited = KeyedMap::with_hasher(hash);
        // Records of earlier epochs stay until this grace period ends, so a restart within it loses nobody.
        for record in records.into_iter().filter(|record| record.reclaimable) {
            awaited.insert(record.owner.clone().into_boxed_slice(), record);
        }
        let deadline = now.saturating_add(config.grace_ns);
        Self { phase: AtomicU8::new(phase), deadline, awaited: Mutex::new(awaited) }
    }

    pub(crate) fn is_reclaiming(&self) -> bool {
        self.phase.load(Ordering::Acquire) == RECLAIMING
    }

    pub(crate) fn is_over(&self) -> bool {
        self.phase.load(Ordering::Acquire) == OVER
    }

    /// Whether this incarnation of the client was recorded. A client that has restarted since holds nothing
    /// that it could reclaim.
    pub(crate) fn may_reclaim(&self, client: &Client) -> bool {
        self.is_reclaiming()
            && lock(&self.awaited).get(client.owner()).is_some_and(|record| {
                record.verifier == client.verifier() && record.principal == client.principal()
            })
    }

    /// The client will not reclaim any more.
    pub(crate) fn forget(&self, owner: &[u8]) {
        lock(&self.awaited).remove(owner);
    }

    /// Number of clients awaited.
    pub(crate) fn awaited(&self) -> usize {
        lock(&self.awaited).len()
    }

    /// Moves on to ENDING when nobody is awaited any more or the time is up. True for the one that did.
    fn start_ending(&self, now: u64) -> bool {
        let due = now >= self.deadline || self.awaited() == 0;
        due && self.phase.compare_exchange(RECLAIMING, ENDING, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// Whether the grace period still runs.
    pub fn is_in_grace(&self) -> bool {
        !self.inner.shared.grace.is_over()
    }

    /// Whether the client may get new state.
    ///
    /// # Errors
    ///
    /// NFS4ERR_GRACE in the grace period, and before the client has said RECLAIM_COMPLETE (RFC 8881 §18.51.3).
    pub fn check_new_state(&self, client: &Client) -> Result<(), Status> {
        let may = self.inner.shared.grace.is_over() && client.reclaim.is_complete();
        if may { Ok(()) } else { Err(Status::Grace) }
    }

    /// Whether the client may reclaim.
    ///
    /// # Errors
    ///
    /// NFS4ERR_NO_GRACE outside of the grace period and after RECLAIM_COMPLETE; NFS4ERR_RECLAIM_BAD for a
    /// client that is not recorded.
    pub(crate) fn check_reclaim(&self, client: &Client) -> Result<(), Status> {
        if !self.inner.shared.grace.is_reclaiming() || client.reclaim.is_complete() {
            return Err(Status::NoGrace);
        }
        if client.reclaim.is_allowed() { Ok(()) } else { Err(Status::ReclaimBad) }
    }

    /// Notes that a client has been confirmed: it gets its right to reclaim, or it is no longer awaited
    /// because it is another incarnation.
    pub(crate) fn admit_to_grace(&self, client: &Arc<Client>, now: u64) {
        let grace = &self.inner.shared.grace;
        if grace.may_reclaim(client) {
            client.reclaim.allow();
        } else {
            grace.forget(client.owner());
            self.end_grace_if_due(now);
        }
    }

    /// Ends the grace period when it is time, by removing the records of those who have not come back.
    pub(crate) fn end_grace_if_due(&self, now: u64) {
        if !self.inner.shared.grace.start_ending(now) {
            return;
        }
        let shared = Arc::clone(&self.inner.shared);
        let (ticket, done) = StoreTicket::new(move |outcome| {
            let phase = match outcome {
                Ok(()) => {
                    tracing::info!("the grace period is over");
                    OVER
                }
                Err(error) => {
                    tracing::warn!(%error, "the grace period cannot end; will try again");
                    RECLAIMING
                }
            };
            shared.grace.phase.store(phase, Ordering::Release);
        });
        // Nobody's reply waits for it: clients get NFS4ERR_GRACE until the phase changes.
        drop(ticket);
        self.inner.store.submit(StoreOperation::RemoveBefore { epoch: self.inner.config.epoch }, done);
    }
}
