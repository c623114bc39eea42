//! A server and its clients.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use wire::nfs4::{ClientId, SequenceId, SlotId, Stateid, Status, Verifier};

use crate::config::SECOND_NS;
use crate::stripes::lock;
use crate::{
    Access, Begin, CallbackCredential, ChannelAttributes, Client, ClientRecord, Completion, Config,
    ConnectionId, CreateOutcome, CreateSession, Deny, ExchangeId, FileKey, LockKind, LockRange, LockRefusal,
    LockRequest, Locker, MemoryStore, OpenClaim, OpenFiles, OpenRequest, ReclaimComplete, SequenceCall,
    Session, SessionCreated, SlotClaim, State, Store, StoreError, StoreOperation,
};

/// What stands for the storage's open files: which open it was.
pub(crate) type File = &'static str;

/// A lease of the fixture's servers.
pub(crate) const LEASE: u64 = 90 * SECOND_NS;

/// A server, its store and a clock.
pub(crate) struct Server {
    pub(crate) state: State<File>,
    pub(crate) store: Arc<Disk>,
    pub(crate) now: u64,
    /// Where clients come from that do not come from a host of their own.
    pub(crate) host: Option<IpAddr>,
    epoch: u32,
}

/// A client with one session.
pub(crate) struct Peer {
    pub(crate) session: Arc<Session>,
    pub(crate) client: Arc<Client>,
}

/// A store on a disk that can be held up and can fail.
#[derive(Default)]
pub(crate) struct Disk {
    memory: MemoryStore,
    faults: Mutex<Faults>,
}

#[derive(Default)]
struct Faults {
    is_held: bool,
    fails: bool,
    queue: VecDeque<(StoreOperation, Completion)>,
}

impl Disk {
    pub(crate) fn hold(&self) {
        lock(&self.faults).is_held = true;
    }

    pub(crate) fn fail(&self, fails: bool) {
        lock(&self.faults).fails = fails;
    }

    /// Lets go of what was held.
    pub(crate) fn release(&self) {
        let queue = {
            let mut faults = lock(&self.faults);
            faults.is_held = false;
            std::mem::take(&mut faults.queue)
        };
        for (operation, done) in queue {
            self.submit(operation, done);
        }
    }

    pub(crate) fn records(&self) -> Vec<ClientRecord> {
        self.memory.load().unwrap()
    }
}

impl Store for Disk {
    fn load(&self) -> Result<Vec<ClientRecord>, StoreError> {
        self.memory.load()
    }

    fn submit(&self, operation: StoreOperation, done: Completion) {
        {
            let mut faults = lock(&self.faults);
            if faults.is_held {
                faults.queue.push_back((operation, done));
                return;
            }
            if faults.fails {
                drop(faults);
                return done(Err(StoreError("no space".into())));
            }
        }
        self.memory.submit(operation, done);
    }
}

impl Server {
    pub(crate) fn new() -> Self {
        Self::with(|_| ())
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Self {
        let store = Arc::new(Disk::default());
        let mut config = Config::new(1, [1, 2]);
        configure(&mut config);
        let state = State::new(config, Arc::clone(&store) as Arc<dyn Store>, 0).unwrap();
        Self { state, store, now: 0, host: None, epoch: 1 }
    }

    /// Kills the server and starts the next.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        let config = Config { epoch: self.epoch, ..self.state.config().clone() };
        self.state.close();
        self.state = State::new(config, Arc::clone(&self.store) as Arc<dyn Store>, self.now).unwrap();
    }

    pub(crate) fn pass(&mut self, nanoseconds: u64) {
        self.now += nanoseconds;
    }

    pub(crate) fn exchange(&self, owner: &str, verifier: u8) -> Result<(ClientId, SequenceId, bool), Status> {
        self.exchange_as(owner, verifier, "root", false)
    }

    pub(crate) fn exchange_as(
        &self,
        owner: &str,
        verifier: u8,
        principal: &str,
        update: bool,
    ) -> Result<(ClientId, SequenceId, bool), Status> {
        let asked = ExchangeId {
            owner: owner.as_bytes(),
            verifier: Verifier([verifier; 8]),
            principal: principal.as_bytes(),
            update,
            address: self.host.unwrap_or_else(|| address_of(owner)),
        };
        let answered = self.state.exchange_id(&asked, self.now)?;
        Ok((answered.client, answered.sequence, answered.confirmed))
    }

    pub(crate) fn create_outcome(&self, client: ClientId, sequence: u32) -> Result<CreateOutcome, Status> {
        self.state.create_session(&create(client, sequence), self.now)
    }

    pub(crate) fn create(&self, client: ClientId, sequence: u32) -> Result<SessionCreated, Status> {
        self.finish(self.create_outcome(client, sequence)?)
    }

    pub(crate) fn finish(&self, outcome: CreateOutcome) -> Result<SessionCreated, Status> {
        match outcome {
            CreateOutcome::Done(created) => Ok(created),
            CreateOutcome::Pending(mut pending) => {
                let stored = pending.stored().outcome().expect("the disk is not held");
                self.state.finish_create_session(pending, stored, self.now)
            }
        }
    }

    /// A client that has a session but has not said RECLAIM_COMPLETE.
    pub(crate) fn mount(&self, owner: &str, verifier: u8) -> Peer {
        let (client, sequence, _) = self.exchange(owner, verifier).unwrap();
        let created = self.create(client, sequence.0).unwrap();
        let session = self.state.session(&created.session).unwrap();
        let client = Arc::clone(session.client());
        Peer { session, client }
    }

    /// A client that is ready to open files.
    pub(crate) fn peer(&self, owner: &str) -> Peer {
        let peer = self.mount(owner, 1);
        self.reclaim_complete(&peer).unwrap();
        peer
    }

    pub(crate) fn reclaim_complete(&self, peer: &Peer) -> Result<(), Status> {
        match self.state.reclaim_complete(&peer.client, false)? {
            ReclaimComplete::Done => Ok(()),
            ReclaimComplete::Pending(mut pending) => {
                let stored = pending.stored().outcome().expect("the disk is not held");
                self.state.finish_reclaim_complete(pending, stored, self.now)
            }
        }
    }

    pub(crate) fn open(
        &self,
        peer: &Peer,
        name: &str,
        access: Access,
        deny: Deny,
    ) -> Result<Stateid, Status> {
        self.open_as(peer, "owner", name, access, deny, OpenClaim::New)
    }

    pub(crate) fn open_as(
        &self,
        peer: &Peer,
        owner: &str,
        name: &str,
        access: Access,
        deny: Deny,
        claim: OpenClaim,
    ) -> Result<Stateid, Status> {
        let asked = OpenRequest { file: file(name), owner: owner.as_bytes(), access, deny, claim };
        self.state.open_reserve(&peer.client, &asked, self.now)?.commit(files(access))
    }

    pub(crate) fn close(&self, peer: &Peer, name: &str, stateid: &Stateid) -> Result<(), Status> {
        self.state.close_file(&peer.client, &file(name), stateid, self.now).map(|_| ())
    }

    pub(crate) fn lock(
        &self,
        peer: &Peer,
        name: &str,
        locker: Locker<'_>,
        kind: LockKind,
        range: (u64, u64),
        blocking: bool,
    ) -> Result<Stateid, LockRefusal> {
        let range = LockRange::new(range.0, range.1)?;
        let asked = LockRequest { file: file(name), locker, kind, blocking, range, reclaim: false };
        self.state.lock(&peer.client, &asked, self.now)
    }

    /// Renews the peer's lease with an empty request on slot 0.
    pub(crate) fn renew(&self, peer: &Peer) {
        let sequence = (1..).find(|sequence| match peer.session.begin(&call(0, *sequence), self.now) {
            Begin::Execute(claim) => {
                claim.complete(crate::SlotReply::Uncached);
                true
            }
            _ => false,
        });
        assert!(sequence.is_some());
    }
}

/// An address for each name.
fn address_of(owner: &str) -> IpAddr {
    let hash = owner.bytes().fold(7_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    IpAddr::V4(hash.into())
}

pub(crate) fn create(client: ClientId, sequence: u32) -> CreateSession<'static> {
    let channel = ChannelAttributes {
        header_pad_bytes: 0,
        request_bytes_max: 1_049_620,
        response_bytes_max: 1_049_480,
        response_cached_bytes_max: 4096,
        operations_max: 8,
        requests_max: 64,
    };
    CreateSession {
        minor_version: 1,
        client,
        sequence: SequenceId(sequence),
        principal: b"root",
        back_channel: true,
        fore: channel,
        back: ChannelAttributes { operations_max: 2, requests_max: 16, ..channel },
        callback_program: 0x4000_0000,
        callback_credential: CallbackCredential::None,
        connection: ConnectionId(client.0),
    }
}

pub(crate) fn file(name: &str) -> FileKey {
    FileKey::new(name.as_bytes()).unwrap()
}

pub(crate) fn files(access: Access) -> OpenFiles<File> {
    OpenFiles { read: access.reads().then_some("read"), write: access.writes().then_some("write") }
}

pub(crate) fn call(slot: u32, sequence: u32) -> SequenceCall {
    SequenceCall {
        slot: SlotId(slot),
        sequence: SequenceId(sequence),
        highest_slot: SlotId(slot),
        cache_this: true,
        fingerprint: None,
    }
}

pub(crate) fn execute(session: &Arc<Session>, call: &SequenceCall) -> SlotClaim {
    match session.begin(call, 0) {
        Begin::Execute(claim) => claim,
        other => panic!("not executed: {other:?}"),
    }
}
