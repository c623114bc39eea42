//! The server on one core, and what all cores share.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::HashMap;
use qos::limits::Core;
use qos::{Admission, Bounds, Gate};
use rpc::ConnectionId;
use state::{LeaseHold, Session, State};
use vfs::Vfs;
use wire::nfs4::{SessionId, Status};

use crate::annotation::AnnotationCounters;
use crate::charges::Charges;
use crate::common::attributes::Rights;
use crate::copies::Copies;
use crate::env::{Backchannel, Env};
use crate::export::ExportTable;
use crate::grants::Grants;
use crate::handle::HandleKey;
use crate::identity::Callers;
use crate::limits::Limiting;
use crate::mount::Mounts;
use crate::offload::Offloads;
use crate::procedure::anonymous::AnonymousFiles;

/// What is the same on all cores and does not change while the server runs.
pub struct Shared<F> {
    /// Clients, sessions, opens, locks.
    pub state: State<F>,
    /// Authenticates file handles.
    pub handle_key: HandleKey,
    /// Who this server says it is.
    pub settings: Settings,
    /// Copies that go on after their COPY was answered.
    pub offloads: Offloads,
    /// Whether rights to objects have changed.
    pub rights: Rights,
    /// Who has mounted what by the MOUNT protocol.
    pub mounts: Mounts,
    /// What operators allow whom.
    pub limiting: Limiting,
}

/// Who the server says it is, and what it grants.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Server owner's major id: equal on every address of this server (RFC 8881 §2.5). At most 256 bytes.
    pub owner: Vec<u8>,
    /// Scope within which state and handles mean the same. At most 256 bytes.
    pub scope: Vec<u8>,
    /// Lease time in seconds.
    pub lease_seconds: u32,
    /// Largest READ and WRITE payload in bytes.
    pub payload_bytes_max: u32,
    /// The domain appended to names of owners that clients may send; numbers are what the server sends.
    pub domain: Option<String>,
    /// Whether annotated calls (docs/ANNOTATIONS.md) are taken; otherwise their flavor is one that is not served.
    pub annotations: bool,
}

/// The server on one core: answers calls with what all cores share and this core's view of the exports.
pub struct Server<V: Vfs, E> {
    /// What all cores share.
    pub shared: Arc<Shared<V::File>>,
    /// The world around the operations.
    pub env: E,
    /// Callers kept ready.
    pub callers: Callers,
    /// What stands between a request and storage on this core.
    pub admission: Admission,
    /// What its requests are charged to.
    pub charges: Charges,
    /// What this core's operations have copied of payload.
    pub copies: Copies,
    /// What became of the annotations of calls on this core.
    pub annotations: AnnotationCounters,
    /// Which I/O was granted on this core.
    pub(crate) grants: Grants<V::File>,
    /// Files that are open on this core for calls that have no open of their own.
    pub(crate) anonymous_files: AnonymousFiles<V::Kept>,
    exports: RefCell<Rc<ExportTable<V>>>,
    /// Sessions by the connections of this core that carry them, so that their requests need no table that cores share.
    sessions: RefCell<HashMap<ConnectionId, HashMap<SessionId, Arc<Session>>>>,
    /// What keeps the leases up of those whose connections are not read.
    unread: RefCell<HashMap<ConnectionId, Vec<LeaseHold>>>,
}

impl<V: Vfs, E: Env + Backchannel> Server<V, E> {
    /// The server on core `number`, of which there is one.
    pub fn new(shared: Arc<Shared<V::File>>, env: E, exports: ExportTable<V>, number: u32) -> Rc<Self> {
        let limits = Core::new(&shared.limiting.table, number);
        let io_unit_bytes = shared.limiting.io_unit_bytes;
        let charges = Charges::new(shared.limiting.clone());
        Rc::new(Self {
            shared,
            env,
            callers: Callers::default(),
            admission: Admission::new(Gate::new(), Bounds::default(), limits, io_unit_bytes),
            charges,
            copies: Copies::default(),
            annotations: AnnotationCounters::default(),
            grants: Grants::default(),
            anonymous_files: AnonymousFiles::default(),
            exports: RefCell::new(Rc::new(exports)),
            sessions: RefCell::default(),
            unread: RefCell::default(),
        })
    }

    /// The exports as of now. What holds the table keeps it over a reload.
    pub fn exports(&self) -> Rc<ExportTable<V>> {
        self.exports.borrow().clone()
    }

    /// Puts other exports in force; calls that are running finish with the table they began with.
    pub fn replace_exports(&self, exports: ExportTable<V>) {
        *self.exports.borrow_mut() = Rc::new(exports);
        self.callers.forget();
    }

    /// The session, which `connection` carries from now on (RFC 8881 §2.10.3.1).
    ///
    /// # Errors
    /// `NFS4ERR_BADSESSION`; `NFS4ERR_DELAY` when too many connections carry it.
    pub fn session(&self, id: &SessionId, connection: ConnectionId) -> Result<Arc<Session>, Status> {
        let mut sessions = self.sessions.borrow_mut();
        let carried = sessions.entry(connection).or_default();
        if let Some(session) = carried.get(id).filter(|session| session.is_alive()) {
            return Ok(session.clone());
        }
        let session = self.shared.state.session(id)?;
        // A client that makes and destroys sessions does not fill the table.
        carried.retain(|_, session| session.is_alive());
        self.shared.state.connection_seen(&session, state::ConnectionId(connection.to_u64()))?;
        carried.insert(*id, session.clone());
        Ok(session)
    }

    /// Drops the sessions that have ended elsewhere, and with them the part of the reply cache that they hold.
    pub fn prune_sessions(&self) {
        let mut sessions = self.sessions.borrow_mut();
        sessions.values_mut().for_each(|carried| carried.retain(|_, session| session.is_alive()));
    }

    /// Drops the grants that have ended, and with them the open files they hold, and closes files that were open long enough.
    pub fn prune_grants(&self) {
        self.grants.prune();
        self.anonymous_files.prune(self.env.now_ns());
    }

    /// Grants kept on this core.
    pub fn grants_kept(&self) -> usize {
        self.grants.count()
    }

    /// The connection is not read for a while, or is read again: the leases of its clients stand meanwhile.
    pub fn unread(&self, connection: ConnectionId, is_unread: bool) {
        if is_unread {
            let sessions = self.sessions.borrow();
            let carried = sessions.get(&connection).into_iter().flat_map(HashMap::values);
            let holds = carried.map(|session| session.client().hold_lease()).collect();
            self.unread.borrow_mut().insert(connection, holds);
        } else {
            let holds = self.unread.borrow_mut().remove(&connection).unwrap_or_default();
            holds.into_iter().for_each(|hold| hold.end(self.env.now_ns(), self.shared.state.config()));
        }
    }

    /// The connection is gone.
    pub fn disconnected(&self, connection: ConnectionId) {
        self.sessions.borrow_mut().remove(&connection);
        self.shared.state.connection_lost(state::ConnectionId(connection.to_u64()));
    }
}
