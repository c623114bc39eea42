//! The real server over a file system in memory, on the client's own core, with replies that get lost when told: over TCP, and
//! over RDMA adapters within the process.

use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use buf::{Chain, PAGE_BYTES, PipePool, Piped};
use bytes::{Bytes, BytesMut};
use client::{Client, ClientOptions, Network};
use engine::{EngineConfig, Shard, block_on};
use nfs_ops::limits::Limiting;
use nfs_ops::{
    Backchannel, BackchannelError, Env, Export, ExportId, ExportSettings, ExportTable, HandleKey, Mounts,
    NfsService, Offloads, Protocols, Rights, Server, Settings, Shared, Squash,
};
use rpc::{Call, ConnectionId, Outcome, Reply, Service};
use state::{Config, MemoryStore, State};
use transport::{CallError, Message};
use transport_tcp::{Intake, Limits, Listener};
use verbs::Options;
use verbs::loopback::Fabric;
use vfs::mem::{Mem, MemStorage};
use wire::nfs3;
use wire::nfs4::{CompoundResultFrame, Operation, ResultHead, Status};
use wire::rpc::{Accepted, CallHeader, ReplyHeader};
use wire::xdr::{Decoder, Encoder};

/// The name of the only export.
pub const EXPORT: &str = "export";

/// Receives of either end over RDMA.
const RECEIVES: u32 = 4096;

/// What carries the calls.
#[derive(Clone, Copy, Debug)]
enum Carrier {
    Tcp,
    Rdma,
}

/// The server's end of the wire.
#[derive(Clone)]
enum ServerEnd {
    Tcp(transport_tcp::Endpoint),
    Rdma(transport_rdma::Endpoint),
}

impl ServerEnd {
    async fn call_back(
        &self,
        connection: ConnectionId,
        message: Message,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        match self {
            Self::Tcp(endpoint) => Ok(endpoint.call_back(connection, message, timeout).await?.head),
            Self::Rdma(endpoint) => endpoint.call_back(connection, message, timeout).await,
        }
    }
}

/// Both ends of the wire.
pub struct Wire {
    network: Network,
    server: ServerEnd,
}

impl Wire {
    /// The core that both are on.
    pub fn shard(&self) -> &Shard {
        self.network.shard()
    }

    /// Calls the client of a connection.
    pub async fn call_back(&self, connection: ConnectionId, message: Message) -> Result<Bytes, CallError> {
        self.server.call_back(connection, message, Duration::from_secs(10)).await
    }
}

impl From<&Wire> for Network {
    fn from(wire: &Wire) -> Self {
        wire.network.clone()
    }
}

/// The world of the server: the clock, the tasks and the memory of the core.
#[derive(Clone)]
pub struct World(Rc<Inner>);

struct Inner {
    shard: Shard,
    end: ServerEnd,
    random: Cell<u64>,
    transactions: Cell<u32>,
    pipes: PipePool,
}

impl Env for World {
    fn now_ns(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64
    }

    fn wall_clock(&self) -> vfs::Time {
        let nanoseconds = self.now_ns();
        let (seconds, nanoseconds) = (nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000);
        vfs::Time { seconds: seconds as i64, nanoseconds: nanoseconds as u32 }
    }

    async fn sleep(&self, duration_ns: u64) {
        self.0.shard.sleep(Duration::from_nanos(duration_ns)).await;
    }

    fn random(&self, bytes: &mut [u8]) {
        for byte in bytes {
            // Different each time is all that these tests need.
            self.0.random.set(
                self.0.random.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f),
            );
            *byte = (self.0.random.get() >> 56) as u8;
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.0.shard.spawn(task);
    }

    async fn payload(&self, bytes: usize, offset: u64) -> Chain {
        let modulo = (offset % PAGE_BYTES as u64) as usize;
        self.0.shard.pool().take_wait(bytes, modulo).await.expect("the pool is larger than any payload")
    }

    fn pipe(&self) -> Option<Piped> {
        self.0.pipes.take()
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
        connection: ConnectionId,
        message: BytesMut,
        timeout_ns: u64,
    ) -> Result<Bytes, BackchannelError> {
        let timeout = Duration::from_nanos(timeout_ns);
        self.0.end.call_back(connection, Message::new(message), timeout).await.map_err(|error| match error {
            CallError::Lost | CallError::Refused | CallError::Unsendable => BackchannelError::Lost,
            CallError::TimedOut => BackchannelError::TimedOut,
        })
    }

    fn next_transaction(&self) -> u32 {
        self.0.transactions.update(|last| last + 1);
        self.0.transactions.get()
    }
}

/// The server's service over a network that loses replies when told: the connection breaks after the call was executed.
pub struct Faulty {
    service: NfsService<Mem, World>,
    losses: Cell<u32>,
    delays: Cell<u32>,
    connection: Cell<Option<ConnectionId>>,
}

impl Faulty {
    /// So many of the next replies are lost.
    pub fn lose(&self, replies: u32) {
        self.losses.set(replies);
    }

    /// So many of the next requests are put off: SEQUENCE fails with NFS4ERR_DELAY, or GETATTR with NFS3ERR_JUKEBOX, and
    /// nothing is executed.
    pub fn delay(&self, requests: u32) {
        self.delays.set(requests);
    }

    /// Requests that are still to be put off.
    pub fn delays(&self) -> u32 {
        self.delays.get()
    }

    /// Replies that are still to be lost.
    pub fn losses(&self) -> u32 {
        self.losses.get()
    }

    /// The connection of the last call.
    pub fn connection(&self) -> ConnectionId {
        self.connection.get().expect("a call came")
    }
}

impl Service for Faulty {
    async fn call(&self, call: Call) -> Outcome {
        self.connection.set(Some(call.peer.connection));
        if self.delays.get() > 0 {
            self.delays.set(self.delays.get() - 1);
            return put_off(&call);
        }
        let outcome = self.service.call(call).await;
        if self.losses.get() > 0 {
            self.losses.set(self.losses.get() - 1);
            return Outcome::Disconnect;
        }
        outcome
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.service.disconnected(connection);
    }
}

/// What a server that cannot take a request now says, as RFC 8881 §18.46.3 and RFC 1813 §2.6 have it.
fn put_off(call: &Call) -> Outcome {
    let header = CallHeader::decode(&mut Decoder::new(&call.head)).expect("our client sends calls");
    let mut encoder = Encoder::new(BytesMut::new(), 1024);
    encoder.put(&ReplyHeader::accepted(header.xid, Accepted::Success)).expect("room");
    if header.version == nfs3::VERSION {
        encoder.put(&nfs3::Status::Jukebox).expect("room");
        return Outcome::Reply(Reply::new(encoder.finish().head));
    }
    let frame = CompoundResultFrame::begin(&mut encoder, b"").expect("room");
    ResultHead::encode(&mut encoder, Operation::Sequence.number(), Status::Delay).expect("room");
    frame.finish(&mut encoder, Status::Delay, 1);
    Outcome::Reply(Reply::new(encoder.finish().head))
}

/// Runs a test with a server and a connected client on one shard, whatever carries their calls.
pub fn with_client<F>(test: impl FnOnce(Wire, Rc<Faulty>, Client) -> F + Clone + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    for carrier in [Carrier::Tcp, Carrier::Rdma] {
        let test = test.clone();
        let config = EngineConfig { region_bytes: 64 << 20, ..EngineConfig::small() };
        let run = block_on(config, move |shard| async move {
            println!("{carrier:?}");
            let (wire, server, address) = start(&shard, carrier);
            let options = ClientOptions::named("test").slots(8);
            let client = Client::connect(&wire, address, options).await.expect("connected");
            test(wire, server, client).await;
        });
        run.expect("io_uring");
    }
}

fn start(shard: &Shard, carrier: Carrier) -> (Wire, Rc<Faulty>, SocketAddr) {
    match carrier {
        Carrier::Tcp => start_tcp(shard),
        Carrier::Rdma => start_rdma(shard),
    }
}

fn start_tcp(shard: &Shard) -> (Wire, Rc<Faulty>, SocketAddr) {
    let endpoint = transport_tcp::Endpoint::new(shard, Limits::default());
    let end = ServerEnd::Tcp(endpoint.clone());
    let server = server(shard, end.clone());
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let (address, intake) = (listener.address(), Intake::new(1));
    shard.spawn(listener.accept_all(shard.clone(), intake.clone()));
    let (serving, service) = (endpoint.clone(), Rc::clone(&server));
    shard.spawn(async move { intake.serve(serving, service).await });
    (Wire { network: Network::Tcp(endpoint), server: end }, server, address)
}

fn start_rdma(shard: &Shard) -> (Wire, Rc<Faulty>, SocketAddr) {
    let fabric = Fabric::new();
    let adapter = || {
        let works_max = transport_rdma::WORKS_MAX;
        Box::new(fabric.adapter(Options { receives_max: RECEIVES, works_max, connections_max: 64 }))
    };
    let limits = || transport_rdma::Limits { receives_max: RECEIVES, ..transport_rdma::Limits::default() };
    let endpoint = transport_rdma::Endpoint::new(shard, adapter(), limits()).expect("memory");
    let address = endpoint.listen("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let end = ServerEnd::Rdma(endpoint.clone());
    let server = server(shard, end.clone());
    shard.spawn_detached(endpoint.run(Rc::clone(&server), transport_rdma::Intake::new(1)));
    let calling = transport_rdma::Endpoint::for_calls(shard, adapter(), limits()).expect("memory");
    (Wire { network: Network::Rdma(calling), server: end }, server, address)
}

fn server(shard: &Shard, end: ServerEnd) -> Rc<Faulty> {
    let world = World(Rc::new(Inner {
        shard: shard.clone(),
        end,
        random: Cell::new(1),
        transactions: Cell::new(0),
        pipes: PipePool::new(),
    }));
    let config = Config::new(1, [1, 2]);
    let lease_seconds = (config.lease_ns / 1_000_000_000) as u32;
    let shared = Shared {
        state: State::new(config, Arc::new(MemoryStore::new()), world.now_ns()).expect("no records yet"),
        handle_key: HandleKey::new([7; 16]),
        settings: Settings {
            owner: b"owner".to_vec(),
            scope: b"scope".to_vec(),
            lease_seconds,
            payload_bytes_max: 1 << 20,
            domain: None,
            annotations: true,
        },
        offloads: Offloads::default(),
        mounts: Mounts::default(),
        rights: Rights::default(),
        limiting: Limiting::default(),
    };
    let export = Export { settings: Arc::new(export()), storage: MemStorage::default().view() };
    let exports = ExportTable::new(vec![export]).expect("one export");
    let service = NfsService(Server::new(Arc::new(shared), world, exports, 0));
    Rc::new(Faulty { service, losses: Cell::new(0), delays: Cell::new(0), connection: Cell::new(None) })
}

fn export() -> ExportSettings {
    ExportSettings {
        id: ExportId(1),
        pseudo_path: vec![EXPORT.to_owned()],
        clients: nfs_ops::Network::EVERYBODY.to_vec(),
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
