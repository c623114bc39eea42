//! The server in this process: the real parts, put together as the program does, and a word from each of its threads that
//! it is one of them.

use std::cell::Cell;
use std::future::Future;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::path::Path;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use buf::{Chain, PAGE_BYTES, PipePool, Piped};
use bytes::{Bytes, BytesMut};
use engine::{Engine, EngineConfig, Shard};
use nfs_ops::limits::{Limited, Limiting};
use nfs_ops::{
    Backchannel, BackchannelError, Env, Export, ExportId, ExportSettings, ExportTable, HandleKey, Mounts,
    Network, NfsService, Offloads, Protocols, Rights, Server, Settings, Shared, Squash,
};
use qos::limits::{Limit, Rates};
use rpc::ConnectionId;
use state::{Config, MemoryStore, State};
use transport_tcp::{BULK_MAX, Endpoint, Intake, Limits, Listener};
use vfs_local::{File, Io, Local, LocalStorage, Options};

use crate::counting;

/// Shards of each server.
pub const SHARDS: usize = 2;

const EXPORT: ExportId = ExportId(1);

/// Far more than this machine moves in a second, of operations and of bytes.
const HARDLY_A_LIMIT: NonZeroU64 = NonZeroU64::new(1 << 40).unwrap();

/// How the server is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// As it is by default on this machine: payload of READs that is long enough leaves in pipes.
    Usual,
    /// READs from memory, without the kernel's copy as far as the server can tell: a local route makes one all the same.
    SparingCopy,
    /// Past the page cache.
    Direct,
    /// With limits in force for the server, the export and the client, which nobody comes near.
    Limited,
}

/// What the server has done until its end.
#[derive(Debug, Default)]
pub struct Done {
    /// Sends that asked the kernel not to copy.
    pub spared: AtomicU64,
    /// READs answered with pages in a pipe.
    pub piped: AtomicU64,
    /// Shards that have taken calls.
    pub shards: AtomicU64,
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
    done: Arc<Done>,
}

/// What every shard begins with.
struct Plan {
    shared: Arc<Shared<File>>,
    storage: Arc<LocalStorage>,
    way: Way,
    /// Where it says at its end what it has done.
    done: Arc<Done>,
    intake: Intake,
    listener: Mutex<Option<Listener>>,
    origin: Instant,
}

impl Serving {
    /// Serves a directory to everybody, from two shards.
    ///
    /// # Panics
    /// When it cannot.
    pub fn start(directory: &Path, way: Way) -> Self {
        let io = if way == Way::Direct { Io::Direct } else { Io::Auto };
        let options = Options { shards: SHARDS, io, ..Options::new(directory, 1) };
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
        if way == Way::Limited {
            set_limits(&shared.limiting);
        }
        let listener = Listener::bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
        let address = listener.address();
        let done = Arc::default();
        let plan = Arc::new(Plan {
            shared: Arc::clone(&shared),
            storage: Arc::clone(&storage),
            way,
            done: Arc::clone(&done),
            intake: Intake::new(SHARDS),
            listener: Mutex::new(Some(listener)),
            origin: Instant::now(),
        });
        let config = EngineConfig { shards: Some(SHARDS), ..EngineConfig::default() };
        let engine = Engine::start(config, move |shard| serve(shard, Arc::clone(&plan))).expect("an engine");
        Self { engine, address, shared, storage, done }
    }

    /// Times a lock that cores share was taken, since the start.
    pub fn locks_taken(&self) -> u64 {
        self.shared.state.locks_taken() + self.storage.locks_taken()
    }

    /// Ends the server; answers what it has done.
    ///
    /// # Panics
    /// When a shard has failed.
    pub fn stop(self) -> Arc<Done> {
        self.shared.state.close();
        self.engine.shut_down(Duration::from_secs(5));
        self.engine.join().expect("the shards end well");
        self.done
    }
}

/// The life of one shard.
async fn serve(shard: Shard, plan: Arc<Plan>) {
    counting::count_this_thread();
    let (pipes, limits) = match plan.way {
        Way::Usual | Way::Direct | Way::Limited => (Some(PipePool::new()), Limits::default()),
        Way::SparingCopy => {
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
    let service = Rc::new(NfsService(Rc::clone(&server)));
    shard.spawn_detached(async move { intake.serve(serving, service).await });
    shard.shutting_down().await;
    endpoint.drain(Duration::from_secs(1)).await;
    let stats = endpoint.stats().snapshot();
    plan.done.spared.fetch_add(stats.sends_sparing_copy, Ordering::Relaxed);
    plan.done.shards.fetch_add(u64::from(stats.calls > 0), Ordering::Relaxed);
    let piped = server.exports().iter().map(|export| export.storage.read_stats().piped).sum();
    plan.done.piped.fetch_add(piped, Ordering::Relaxed);
}

/// Limits whoever can be limited here.
fn set_limits(limiting: &Limiting) {
    let rates = Rates { together: Some(HARDLY_A_LIMIT), ..Rates::default() };
    let limit = Limit { operations: rates, bytes: rates, ..Limit::default() };
    let client = Limited::client(Ipv4Addr::LOCALHOST.into()).expect("connections come from there");
    for limited in [Limited::Server, Limited::Export(EXPORT), client] {
        let parent = limited.parent().map(Limited::entity);
        limiting.table.set(limited.entity(), parent, limit, 1).expect("room for three");
    }
}

fn everybody() -> ExportSettings {
    ExportSettings {
        id: EXPORT,
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
