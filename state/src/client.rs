//! A client as every core sees it, and the stripe's table of clients.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};

use wire::nfs4::{ClientId, Verifier};

use crate::create_session::CreateSlot;
use crate::host::Host;
use crate::lease::{Lease, LeaseHold, Standing};
use crate::session::Session;
use crate::stripes::{KeyedHash, KeyedMap};

/// One incarnation of a client: a client id and what all of its sessions share (RFC 8881 §2.4).
pub struct Client {
    id: ClientId,
    owner: Box<[u8]>,
    verifier: Verifier,
    principal: Box<[u8]>,
    host: Arc<Host>,
    pub(crate) lease: Lease,
    pub(crate) record: RecordWord,
    /// Opens and reservations, revoked ones included until they are freed.
    pub(crate) opens: AtomicU32,
    /// Locked ranges and lock stateids, likewise.
    pub(crate) locks: AtomicU32,
    /// Blocked lock requests that are remembered.
    pub(crate) waiters: AtomicU32,
    /// Stateids revoked because the lease expired and not yet freed.
    pub(crate) revoked_expired: AtomicU32,
    /// Stateids revoked by the administrator and not yet freed.
    pub(crate) revoked_admin: AtomicU32,
    pub(crate) reclaim: ReclaimWord,
    /// Whether any session ever had a backchannel.
    pub(crate) back_wanted: AtomicBool,
    /// Connections that carry a backchannel of any session.
    pub(crate) back_paths: AtomicU32,
}

impl Client {
    pub(crate) fn new(
        id: ClientId,
        owner: &[u8],
        verifier: Verifier,
        principal: &[u8],
        host: Arc<Host>,
        now: u64,
    ) -> Self {
        Self {
            id,
            owner: owner.into(),
            verifier,
            principal: principal.into(),
            host,
            lease: Lease::new(now),
            record: RecordWord::default(),
            opens: AtomicU32::new(0),
            locks: AtomicU32::new(0),
            waiters: AtomicU32::new(0),
            revoked_expired: AtomicU32::new(0),
            revoked_admin: AtomicU32::new(0),
            reclaim: ReclaimWord::default(),
            back_wanted: AtomicBool::new(false),
            back_paths: AtomicU32::new(0),
        }
    }

    /// The client id (`clientid4`).
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The name that the client gives itself (`co_ownerid`).
    pub fn owner(&self) -> &[u8] {
        &self.owner
    }

    /// The verifier of this incarnation (`co_verifier`).
    pub fn verifier(&self) -> Verifier {
        self.verifier
    }

    /// Who established it.
    pub fn principal(&self) -> &[u8] {
        &self.principal
    }

    /// Where it came from.
    pub(crate) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Holds its lease up.
    pub fn hold_lease(self: &Arc<Self>) -> LeaseHold {
        LeaseHold::new(Arc::clone(self))
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        self.lease.standing()
    }

    /// Once the last revoked stateid is freed, the client has acknowledged its loss and starts anew (RFC 8881
    /// §18.46.3). It has no record from then on, so it will not reclaim what it gets now unless it establishes
    /// a new client id.
    pub(crate) fn acknowledge_if_freed(&self) {
        let unfreed = [&self.revoked_admin, &self.revoked_expired];
        if unfreed.iter().all(|count| count.load(Ordering::Acquire) == 0) {
            self.lease.set_standing(Standing::Live);
        }
    }

    /// Whether it has opens, locks or unfreed revoked state.
    pub fn has_state(&self) -> bool {
        self.opens.load(Ordering::Acquire) > 0
            || self.locks.load(Ordering::Acquire) > 0
            || self.revoked_expired.load(Ordering::Acquire) > 0
            || self.revoked_admin.load(Ordering::Acquire) > 0
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "client {:x} \"{}\"", self.id.0, self.owner.escape_ascii())
    }
}

/// What the stable store has of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Record {
    /// Nothing: it was never confirmed.
    None,
    /// A record; the client may reclaim by it after a restart, so nobody else may get what the client holds.
    Stored,
    /// The removal is under way.
    Removing,
    /// No longer a record: what the client held may go to others.
    Removed,
}

/// A [`Record`] that a store's completion can change on any thread.
#[derive(Debug, Default)]
pub(crate) struct RecordWord {
    word: AtomicU8,
}

impl RecordWord {
    pub(crate) fn get(&self) -> Record {
        match self.word.load(Ordering::Acquire) {
            0 => Record::None,
            1 => Record::Stored,
            2 => Record::Removing,
            _ => Record::Removed,
        }
    }

    pub(crate) fn set(&self, record: Record) {
        self.word.store(record as u8, Ordering::Release);
    }
}

/// How far a client has come with reclaiming.
#[derive(Debug, Default)]
pub(crate) struct ReclaimWord {
    word: AtomicU8,
}

const MAY_RECLAIM: u8 = 1;
const COMPLETING: u8 = 2;
const COMPLETE: u8 = 4;

impl ReclaimWord {
    pub(crate) fn allow(&self) {
        self.word.fetch_or(MAY_RECLAIM, Ordering::AcqRel);
    }

    /// Whether it was recorded before the restart.
    pub(crate) fn is_allowed(&self) -> bool {
        self.word.load(Ordering::Acquire) & MAY_RECLAIM != 0
    }

    /// Whether it has said RECLAIM_COMPLETE and that is durable.
    pub(crate) fn is_complete(&self) -> bool {
        self.word.load(Ordering::Acquire) & COMPLETE != 0
    }

    /// Starts a RECLAIM_COMPLETE; false when one is under way or done.
    pub(crate) fn start_completing(&self) -> bool {
        self.word.fetch_or(COMPLETING, Ordering::AcqRel) & (COMPLETING | COMPLETE) == 0
    }

    /// Ends it.
    pub(crate) fn completed(&self, done: bool) {
        if done {
            self.word.fetch_or(COMPLETE, Ordering::AcqRel);
        }
        self.word.fetch_and(!COMPLETING, Ordering::AcqRel);
    }
}

/// One stripe of the clients. All incarnations of one client are in the same stripe, found by the name that
/// the client gives itself; the client id carries the stripe's index.
pub(crate) struct ClientTable {
    pub(crate) entries: KeyedMap<ClientId, ClientEntry>,
    pub(crate) by_owner: KeyedMap<Box<[u8]>, Incarnations>,
    pub(crate) next_counter: u64,
    pub(crate) next_session: u64,
}

/// The records with one `co_ownerid`: at most one of each (RFC 8881 §18.35.4).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Incarnations {
    pub(crate) confirmed: Option<ClientId>,
    pub(crate) unconfirmed: Option<ClientId>,
}

pub(crate) struct ClientEntry {
    pub(crate) client: Arc<Client>,
    pub(crate) confirmed: bool,
    pub(crate) create: CreateSlot,
    pub(crate) sessions: Vec<Arc<Session>>,
}

impl ClientTable {
    pub(crate) fn new(hash: KeyedHash) -> Self {
        Self {
            entries: KeyedMap::with_hasher(hash),
            by_owner: KeyedMap::with_hasher(hash),
            next_counter: 1,
            next_session: 1,
        }
    }

    /// The unconfirmed client that was made first, if there is one that is not just being confirmed; for who has clients
    /// already, one of the same host.
    pub(crate) fn oldest_unconfirmed(&self, host: &Arc<Host>) -> Option<ClientId> {
        let is_new = host.clients.load(Ordering::Acquire) == 0;
        let may_go = |client: &Client| is_new || Arc::ptr_eq(client.host(), host);
        let unconfirmed = self
            .entries
            .values()
            .filter(|entry| !entry.confirmed && !entry.create.is_busy() && may_go(&entry.client));
        // Ids of a stripe grow with time.
        unconfirmed.map(|entry| entry.client.id()).min_by_key(|id| id.0)
    }

    /// Takes a client out of the table, with its sessions.
    pub(crate) fn remove(&mut self, id: ClientId) -> Option<ClientEntry> {
        let entry = self.entries.remove(&id)?;
        if let Some(incarnations) = self.by_owner.get_mut(entry.client.owner()) {
            incarnations.confirmed.take_if(|confirmed| *confirmed == id);
            incarnations.unconfirmed.take_if(|unconfirmed| *unconfirmed == id);
            if incarnations.confirmed.is_none() && incarnations.unconfirmed.is_none() {
                self.by_owner.remove(entry.client.owner());
            }
        }
        Some(entry)
    }
}
