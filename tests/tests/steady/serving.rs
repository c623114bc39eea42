//! The server in this process: the real parts, put together as the program does, and a word from each of its threads that
//! it is one of them.

use std::cell::Cell;
use std::future::Future;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buf::{Chain, PAGE_BYTES, PipePool, Piped};
use bytes::{Bytes, BytesMut};
use engine::{Engine, EngineConfig, Shard};
use nfs_ops::limits::Limiting;
use nfs_ops::{
    Backchannel, BackchannelError, Env, Export, ExportId, ExportSettings, ExportTable, HandleKey, Mounts,
    Network, NfsService, Offloads, Protocols, Rights, Server, Settings, Shared, Squash,
};
use rpc::ConnectionId;
use state::{Config, MemoryStore, State};
use transport_tcp::{BULK_MAX, Endpoint, Intake, Limits, Listener};
use vfs_local::{File, Local, LocalStorage, Options};

use crate::counting;

const SHARDS: usize = 2;

/// How the payload of READs leaves.
#[derive(Clone, Copy, Debug)]
pub enum Leaving {
    /// As it does by default on this machine: in pipes, what is long enough.
    Usual,
    /// From memory, without the kernel's copy as far as the server can tell: a local route makes one all the same.
    SparingCopy,
}

/// The world around the operations on one shard.
#[derive(Clone)]
struct World(Rc<Inner>);

struct Inner {
    shard: Shard,
    origin: Instant,
    transactions: Cell<u32>,
    pipes: Option<PipePool>,
}

impl Env for World {
    fn now_ns(&self) -> u64 {
        self.0.shard.now().saturating_duration_since(self.0.origin).as_nanos() as u64 + 1
    }

    fn wall_clock(&self) -> vfs::Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        vfs::Time { seconds: since.as_secs() as i64, nanoseconds: since.subsec_nanos() }
    }

    async fn sleep(&self, duration_ns: u64) {
        self.0.shard.sleep(Duration::from_nanos(duration_ns)).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(bytes)).expect("randomness");
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.shard.spawn_detached(task);
    }

    async fn payload(&self, bytes: usize, offset: u64) -> Chain {
        let modulo = (offset % PAGE_BYTES as u64) as usize;
        self.0.shard.pool().take_wait(bytes, modulo).await.expect("few requests are under way")
    }

    fn pipe(&self) -> Option<Piped> {
        self.0.pipes.as_ref()?.take()
    }

    async fn groups_of(&self, _uid: u32) -> Option<Vec<u32>> {
        None
    }

    async fn id_of(&self, _name: &str, _group: bool) -> Option<u32> {
        None
    }
}

impl Backchannel for World {
    async fn call_back(
        &self,
        _connection: ConnectionId,
        _message: BytesMut,
        _timeout_ns: u64,
    ) -> Result<Bytes, BackchannelError> {
        // The clients here offer no back channel.
        Err(BackchannelError::Lost)
    }

    fn next_transaction(&self) -> u32 {
        self.0.transactions.replace(self.0.transactions.get() + 1)
    }
}

/// A server that runs.
pub struct Serving {
    engine: Engine,
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared<File>>,
    storage: Arc<LocalStorage>,
    spared: Arc<AtomicU64>,
}

/// What every shard begins with.
struct Plan {
    shared: Arc<Shared<File>>,
    storage: Arc<LocalStorage>,
    leaving: Leaving,
    /// Where it says at its end how many sends asked the kernel not to copy.
    spared: Arc<AtomicU64>,
    intake: Intake,
    listener: Mutex<Option<Listener>>,
    origin: Instant,
}

impl Serving {
    /// Serves a directory to everybody, from two shards.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(directory: &Path, leaving: Leaving) -> Self {
        let options = Options { shards: SHARDS, ..Options::new(directory, 1) };
        let storage = LocalStorage::open(options).expect("a directory that can be exported");
        println!("{}", storage.summary());
        let state = State::new(Config::new(1, [1, 2]), Arc::new(MemoryStore::new()), 1).expect("no records");
        let settings = Settings {
            owner: b"steady".to_vec(),
            scope: b"steady".to_vec(),
            lease_seconds: 90,
            payload_bytes_max: BULK_MAX as u32,
            domain: None,
            annotations: true,
        };
        let handle_key = HandleKey::new([7; 16]);
        let shared = Arc::new(Shared {
            state,
            handle_key,
            settings,
            offloads: Offloads::default(),
            mounts: Mounts::default(),
            rights: Rights::default(),
            limiting: Limiting::default(),
        });
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = listener.address();
        let spared = Arc::default();
        let plan = Arc::new(Plan {
            shared: Arc::clone(&shared),
            storage: Arc::clone(&storage),
            leaving,
            spared: Arc::clone(&spared),
            intake: Intake::new(SHARDS),
            listener: Mutex::new(Some(listener)),
            origin: Instant::now(),
        });
        let config = EngineConfig { shards: Some(SHARDS), ..EngineConfig::default() };
        let engine = Engine::start(config, move |shard| serve(shard, Arc::clone(&plan))).expect("an engine");
        Self { engine, address, shared, storage, spared }
    }

    /// Times a lock that cores share was taken, since the start.
    pub fn locks_taken(&self) -> u64 {
        self.shared.state.locks_taken() + self.storage.locks_taken()
    }

    /// Ends the server; answers how many of its sends asked the kernel not to copy.
    ///
    /// # Panics
    /// When a shard has failed.
    pub fn stop(self) -> u64 {
        self.shared.state.close();
        self.engine.shut_down(Duration::from_secs(5));
        self.engine.join().expect("the shards end well");
        self.spared.load(Ordering::Relaxed)
    }
}

/// The life of one shard.
async fn serve(shard: Shard, plan: Arc<Plan>) {
    counting::count_this_thread();
    let (pipes, limits) = match plan.leaving {
        Leaving::Usual => (Some(PipePool::new()), Limits::default()),
        Leaving::SparingCopy => {
            let (zero_copy_on_local_routes, zero_copy_tries) = (true, u64::MAX);
            (None, Limits { zero_copy_on_local_routes, zero_copy_tries, ..Limits::default() })
        }
    };
    let origin = plan.origin;
    let inner = Inner { shard: shard.clone(), origin, transactions: Cell::new(1), pipes };
    let storage = Local::new(Arc::clone(&plan.storage), shard.clone()).expect("helper threads");
    let exports = ExportTable::new(vec![Export { settings: Arc::new(everybody()), storage }]);
    let exports = exports.expect("one export stands in nobody's way");
    let server = Server::new(Arc::clone(&plan.shared), World(Rc::new(inner)), exports, shard.index() as u32);
    let endpoint = Endpoint::new(&shard, limits);
    let listener = plan.listener.lock().expect("nobody panicked with it").take();
    if let Some(listener) = listener {
        shard.spawn_detached(listener.accept_all(shard.clone(), plan.intake.clone()));
    }
    // None of them sweeps: once a second that takes every lock there is, whatever is asked meanwhile.
    shard.spawn_detached(Rc::clone(&server).maintain(false));
    shard.spawn_detached(Rc::clone(&server).serve_parked());
    let (intake, serving) = (plan.intake.clone(), endpoint.clone());
    shard.spawn_detached(async move { intake.serve(serving, Rc::new(NfsService(server))).await });
    shard.shutting_down().await;
    endpoint.drain(Duration::from_secs(1)).await;
    plan.spared.fetch_add(endpoint.stats().snapshot().sends_sparing_copy, Ordering::Relaxed);
}

fn everybody() -> ExportSettings {
    ExportSettings {
        id: ExportId(1),
        pseudo_path: Vec::new(),
        clients: Network::EVERYBODY.to_vec(),
        read_only_clients: Vec::new(),
        read_only: false,
        squash: Squash::Nobody,
        anonymous_uid: 65_534,
        anonymous_gid: 65_534,
        privileged_port: false,
        lookup_groups: false,
        read_plus: false,
        protocols: Protocols::ALL,
    }
}
