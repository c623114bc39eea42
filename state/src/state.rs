//! The whole of it: the striped tables and what they share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use wire::nfs4::{ClientId, SessionId, Status};

use crate::client::{Client, ClientTable};
use crate::config::Config;
use crate::connection::ConnectionTable;
use crate::duplicate::DuplicateRequests;
use crate::effects::{EffectPile, Effects};
use crate::file_table::FileTable;
use crate::grace::Grace;
use crate::host::Hosts;
use crate::session::Session;
use crate::stateid::client_stripe;
use crate::store::{Store, StoreError};
use crate::stripes::{KeyedHash, Stripes};

/// The state of a server, shared by its cores: cloning it clones a reference. `F` is the storage's open file,
/// held by the opens.
pub struct State<F> {
    pub(crate) inner: Arc<Inner<F>>,
}

pub(crate) struct Inner<F> {
    pub(crate) config: Config,
    pub(crate) hash: KeyedHash,
    pub(crate) shared: Arc<Shared>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clients: Stripes<ClientTable>,
    pub(crate) connections: Stripes<ConnectionTable>,
    pub(crate) files: Stripes<FileTable<F>>,
    pub(crate) duplicates: DuplicateRequests,
    pub(crate) effects: EffectPile<F>,
    pub(crate) hosts: Hosts,
    /// Clients that are gone but whose state still stands in others' way until their record is removed.
    pub(crate) departing: Mutex<Vec<Arc<Client>>>,
}

/// What sessions need to know without the tables.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) grace: Grace,
    pub(crate) closing: AtomicBool,
    /// Bytes of the reply cache reserved by sessions.
    pub(crate) reply_bytes: AtomicU64,
    /// Somebody got fewer slots than it asked for, or has been asked to give some back.
    pub(crate) slots_short: AtomicBool,
    pub(crate) clients: AtomicU64,
    pub(crate) sessions: AtomicU64,
    /// A client was turned away for lack of room: expired clients are to go.
    pub(crate) pressed: AtomicBool,
    pub(crate) opens: AtomicU64,
    pub(crate) locks: AtomicU64,
    pub(crate) waiters: AtomicU64,
    /// Opens, reservations and opens that end which deny something; changed under the file's lock, and never to less than
    /// there are.
    pub(crate) denials: AtomicU64,
}

impl Shared {
    /// Room is short: with the next sweep clients go that have missed their lease, courtesy or not.
    pub(crate) fn press(&self) {
        self.pressed.store(true, Ordering::Release);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// The state of a server that starts at `now`: reads the records of clients that may reclaim and, if there
    /// are any, enters the grace period (RFC 8881 §8.4.2).
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub fn new(config: Config, store: Arc<dyn Store>, now: u64) -> Result<Self, StoreError> {
        let hash = KeyedHash::new(config.hash_key);
        let records = store.load()?;
        let grace = Grace::new(records, hash, now, &config);
        let shared = Arc::new(Shared {
            config: config.clone(),
            grace,
            closing: AtomicBool::new(false),
            reply_bytes: AtomicU64::new(0),
            slots_short: AtomicBool::new(false),
            clients: AtomicU64::new(0),
            sessions: AtomicU64::new(0),
            pressed: AtomicBool::new(false),
            opens: AtomicU64::new(0),
            locks: AtomicU64::new(0),
            waiters: AtomicU64::new(0),
            denials: AtomicU64::new(0),
        });
        let files = Stripes::new(|stripe| FileTable::new(stripe, hash, &shared));
        let effects = EffectPile::new(config.limits.notices_max);
        let inner = Inner {
            hash,
            shared,
            store,
            clients: Stripes::new(|_| ClientTable::new(hash)),
            connections: Stripes::new(|_| ConnectionTable::new(hash)),
            files,
            duplicates: DuplicateRequests::new(hash, &config.limits),
            effects,
            hosts: Hosts::new(hash, config.limits.clients_max),
            departing: Mutex::new(Vec::new()),
            config,
        };
        let state = Self { inner: Arc::new(inner) };
        state.end_grace_if_due(now);
        Ok(state)
    }

    /// How it was configured.
    pub fn config(&self) -> &Config {
        &self.inner.config
    }

    /// The session of this id. Cores keep the result while [`Session::is_alive`].
    ///
    /// # Errors
    ///
    /// NFS4ERR_BADSESSION.
    pub fn session(&self, id: &SessionId) -> Result<Arc<Session>, Status> {
        let client = session_client(id);
        let table = self.inner.clients.lock(client_stripe(client));
        let entry = table.entries.get(&client).ok_or(Status::Badsession)?;
        entry.sessions.iter().find(|session| session.id() == *id).cloned().ok_or(Status::Badsession)
    }

    /// The client of this id.
    ///
    /// # Errors
    ///
    /// NFS4ERR_STALE_CLIENTID.
    pub fn client(&self, id: ClientId) -> Result<Arc<Client>, Status> {
        let table = self.inner.clients.lock(client_stripe(id));
        table.entries.get(&id).map(|entry| Arc::clone(&entry.client)).ok_or(Status::StaleClientid)
    }

    /// A session of the client that has a backchannel, for a callback to the client.
    pub fn callback_session(&self, client: ClientId) -> Option<Arc<Session>> {
        let table = self.inner.clients.lock(client_stripe(client));
        let entry = table.entries.get(&client)?;
        entry.sessions.iter().find(|session| session.has_backchannel()).cloned()
    }

    /// The duplicate request cache of NFSv3.
    pub fn duplicates(&self) -> &DuplicateRequests {
        &self.inner.duplicates
    }

    /// What is to be done since the last call: callbacks to send, files to drop. One load when there is
    /// nothing; to be called after every compound and every [`sweep`](State::sweep).
    pub fn take_effects(&self) -> Effects<F> {
        self.inner.effects.take()
    }

    /// How often a lock was taken that cores share: one of a table's stripes, or of the effects that piled up. READ, WRITE
    /// and GETATTR in steady state take none.
    pub fn locks_taken(&self) -> u64 {
        let Inner { clients, connections, files, duplicates, effects, .. } = &*self.inner;
        clients.taken() + connections.taken() + files.taken() + duplicates.taken() + effects.taken()
    }

    /// The server stops: claims may be dropped without completion from now on.
    pub fn close(&self) {
        self.inner.shared.closing.store(true, Ordering::Release);
    }

    /// Whether the server stops.
    pub fn is_closing(&self) -> bool {
        self.inner.shared.is_closing()
    }
}

impl<F> Clone for State<F> {
    fn clone(&self) -> Self {
        Self { inner: Arc::clone(&self.inner) }
    }
}

impl<F> std::fmt::Debug for State<F> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// A session id: the client id, then a counter of the client's stripe.
pub(crate) fn session_id(client: ClientId, counter: u64) -> SessionId {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&client.0.to_be_bytes());
    bytes[8..].copy_from_slice(&counter.to_be_bytes());
    SessionId(bytes)
}

/// The client id inside a session id.
pub(crate) fn session_client(session: &SessionId) -> ClientId {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&session.0[..8]);
    ClientId(u64::from_be_bytes(bytes))
}

/// Takes one of `counter` unless `bound` are taken.
pub(crate) fn take_within(counter: &AtomicU64, amount: u64, bound: u64) -> bool {
    let taken = counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |count| {
        count.checked_add(amount).filter(|count| *count <= bound)
    });
    taken.is_ok()
}
