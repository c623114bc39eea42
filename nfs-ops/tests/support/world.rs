//! A server over a file system in memory.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use nfs_ops::limits::Limiting;
use nfs_ops::{
    Export, ExportId, ExportSettings, ExportTable, HandleKey, Mounts, Network, NfsService, Offloads,
    Protocols, Rights, Server, Settings, Shared, Squash,
};
use rpc::{ConnectionId, Transport};
use state::{Config, Limits, MemoryStore, State};
use vfs::mem::{Mem, MemFile, MemOptions, MemStorage};

use super::client::{Client, Connection};
use super::env::{Callback, Manner, TestEnv};
use super::executor::Executor;

/// Where the export of a world stands unless the test says otherwise.
pub const EXPORT: &str = "export";

/// A server on one core and what it stands on. Clones are the same world.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    executor: Executor,
    env: TestEnv,
    storages: Vec<MemStorage>,
    settings: Vec<ExportSettings>,
    store: Arc<MemoryStore>,
    epoch: Cell<u32>,
    server: RefCell<Rc<Server<Mem, TestEnv>>>,
    connections: Cell<u64>,
}

/// Settings of an export that everybody may write, at `/path` of the pseudo file system.
pub fn export_settings(id: u32, path: &str) -> ExportSettings {
    ExportSettings {
        id: ExportId(id),
        pseudo_path: path.split('/').map(String::from).collect(),
        clients: Network::EVERYBODY.to_vec(),
        read_only_clients: Vec::new(),
        read_only: false,
        squash: Squash::Nobody,
        anonymous_uid: 65534,
        anonymous_gid: 65534,
        privileged_port: false,
        lookup_groups: false,
        read_plus: false,
        protocols: Protocols::ALL,
    }
}

impl World {
    /// One export.
    pub fn new() -> Self {
        Self::with(vec![export_settings(1, EXPORT)])
    }

    /// One export, of a server that takes no annotated calls.
    pub fn without_annotations() -> Self {
        let world = Self::new();
        let mut shared = shared(1, world.0.store.clone(), 0);
        shared.settings.annotations = false;
        world.serve(shared)
    }

    /// One export, of a server with these limits.
    pub fn with_limits(limits: Limits) -> Self {
        Self::with_config(Config { limits, ..Config::new(1, [1, 2]) })
    }

    /// One export, of a server that paces what goes on where shares are set.
    pub fn paced() -> Self {
        let world = Self::new();
        let mut shared = shared(1, world.0.store.clone(), 0);
        shared.limiting.table = qos::limits::Limits::paced();
        world.serve(shared)
    }

    /// One export, of a server with this configuration of state.
    pub fn with_config(config: Config) -> Self {
        let world = Self::new();
        let store = world.0.store.clone();
        let state = State::new(config, store.clone(), 0).unwrap();
        world.serve(Shared { state, ..shared(1, store, 0) })
    }

    fn serve(self, shared: Shared<MemFile>) -> Self {
        let inner = &self.0;
        let exports = exports(&inner.settings, &inner.storages);
        *inner.server.borrow_mut() = Server::new(Arc::new(shared), inner.env.clone(), exports, 0);
        self
    }

    /// These exports, each over a storage of its own.
    pub fn with(settings: Vec<ExportSettings>) -> Self {
        let storage = |minor| {
            let fsid = vfs::Fsid { major: 7, minor };
            MemStorage::new(MemOptions { fsid, seed: minor, ..MemOptions::default() })
        };
        let storages = (1..=settings.len() as u64).map(storage).collect();
        Self::over(settings, storages)
    }

    /// These exports, all of one storage.
    pub fn over_one_storage(settings: Vec<ExportSettings>) -> Self {
        let storages = vec![MemStorage::default(); settings.len()];
        Self::over(settings, storages)
    }

    fn over(settings: Vec<ExportSettings>, storages: Vec<MemStorage>) -> Self {
        let executor = Executor::default();
        let env = TestEnv::new(executor.clone());
        let store = Arc::new(MemoryStore::new());
        let shared = Arc::new(shared(1, store.clone(), 0));
        let server = Server::new(shared, env.clone(), exports(&settings, &storages), 0);
        Self(Rc::new(Inner {
            executor,
            env,
            storages,
            settings,
            store,
            epoch: Cell::new(1),
            server: RefCell::new(server),
            connections: Cell::new(0),
        }))
    }

    /// The server dies and comes back over the same storage and client records. Its clients' connections break.
    pub fn restart(&self) {
        let inner = &self.0;
        inner.server.borrow().shared.state.close();
        inner.epoch.set(inner.epoch.get() + 1);
        let shared = Arc::new(shared(inner.epoch.get(), inner.store.clone(), self.now_ns()));
        let exports = exports(&inner.settings, &inner.storages);
        *inner.server.borrow_mut() = Server::new(shared, inner.env.clone(), exports, 0);
    }

    /// The server on another core: the same state, its own caches.
    pub fn on_another_core(&self) -> Self {
        let inner = &self.0;
        let shared = inner.server.borrow().shared.clone();
        let exports = exports(&inner.settings, &inner.storages);
        Self(Rc::new(Inner {
            executor: inner.executor.clone(),
            env: inner.env.clone(),
            storages: inner.storages.clone(),
            settings: inner.settings.clone(),
            store: inner.store.clone(),
            epoch: inner.epoch.clone(),
            server: RefCell::new(Server::new(shared, inner.env.clone(), exports, 1)),
            // Numbers that the first core does not reach.
            connections: Cell::new(1 << 32),
        }))
    }

    pub fn server(&self) -> Rc<Server<Mem, TestEnv>> {
        self.0.server.borrow().clone()
    }

    pub fn service(&self) -> NfsService<Mem, TestEnv> {
        NfsService(self.server())
    }

    pub fn env(&self) -> &TestEnv {
        &self.0.env
    }

    pub fn executor(&self) -> &Executor {
        &self.0.executor
    }

    /// The storage of the first export.
    pub fn storage(&self) -> &MemStorage {
        &self.0.storages[0]
    }

    pub fn now_ns(&self) -> u64 {
        self.0.executor.now_ns()
    }

    pub fn advance_seconds(&self, seconds: u64) {
        self.0.executor.advance(seconds * 1_000_000_000);
    }

    pub fn advance_milliseconds(&self, milliseconds: u64) {
        self.0.executor.advance(milliseconds * 1_000_000);
    }

    /// Lets everything run that can without time passing, and answers the callbacks sent.
    pub fn callbacks(&self) -> Vec<Callback> {
        self.0.executor.settle();
        self.0.env.take_callbacks()
    }

    pub fn set_manner(&self, connection: ConnectionId, manner: Manner) {
        self.0.env.set_manner(connection, manner);
    }

    /// A new connection from an address that every export admits.
    pub fn connection(&self) -> Connection {
        self.connection_from("10.0.0.1:800")
    }

    pub fn connection_from(&self, address: &str) -> Connection {
        self.0.connections.set(self.0.connections.get() + 1);
        let id = ConnectionId::new(0, Transport::Tcp, self.0.connections.get());
        Connection::new(self.clone(), id, address.parse().unwrap())
    }

    /// A client of minor version 2 with a session, as the superuser.
    pub fn client(&self, name: &str) -> Client {
        self.connection().client(name, 2)
    }
}

fn shared(epoch: u32, store: Arc<MemoryStore>, now_ns: u64) -> Shared<MemFile> {
    let config = Config::new(epoch, [1, 2]);
    let lease_seconds = (config.lease_ns / 1_000_000_000) as u32;
    Shared {
        state: State::new(config, store, now_ns).unwrap(),
        handle_key: HandleKey::new([7; 16]),
        settings: Settings {
            owner: b"owner".to_vec(),
            scope: b"scope".to_vec(),
            lease_seconds,
            payload_bytes_max: 1 << 20,
            domain: Some("example.org".into()),
            annotations: true,
        },
        offloads: Offloads::default(),
        mounts: Mounts::default(),
        rights: Rights::default(),
        limiting: Limiting::default(),
    }
}

fn exports(settings: &[ExportSettings], storages: &[MemStorage]) -> ExportTable<Mem> {
    let pairs = settings.iter().zip(storages);
    let exports = pairs
        .map(|(settings, storage)| Export { settings: Arc::new(settings.clone()), storage: storage.view() });
    ExportTable::new(exports.collect()).unwrap()
}
