//! A server whose cores do what a test commands.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use engine::sync::cross;
use engine::{Engine, EngineConfig, Shard};
use rpc::ConnectionId;
use transport::{CallError, Message};
use transport_rdma::{Endpoint, Intake, Limits, StatsSnapshot, WORKS_MAX};
use verbs::Options;
use verbs::loopback::{Control, Fabric};

use super::PATIENCE;
use super::service::TestService;

/// Commands that wait for one core.
const COMMANDS_MAX: usize = 64;

/// What a core of the server can tell.
#[derive(Clone, Debug)]
pub struct State {
    pub stats: StatsSnapshot,
    /// Bytes of payload memory that are out.
    pub payload_bytes: usize,
    pub begun: usize,
    pub brought: usize,
    pub lost: usize,
    pub gone: Vec<ConnectionId>,
    pub unread: Vec<bool>,
}

/// What a call back came to.
pub type Called = Result<Vec<u8>, CallError>;

enum Command {
    State(mpsc::Sender<State>),
    Drain(Duration, mpsc::Sender<bool>),
    CallBack(Vec<u8>, Duration, mpsc::Sender<Called>),
    Close,
    Release,
    Stop,
}

/// How a server is to be.
#[derive(Clone)]
pub struct Setting {
    pub shards: usize,
    pub region_bytes: usize,
    pub limits: Limits,
}

impl Default for Setting {
    fn default() -> Self {
        let limits = Limits { receives_max: 512, ..Limits::default() };
        Self { shards: 1, region_bytes: 16 << 20, limits }
    }
}

/// What the main task of a core begins with.
struct Beginning {
    commands: cross::Receiver<Command>,
    started: mpsc::Sender<(usize, Option<SocketAddr>, Control)>,
}

/// A server on cores of its own, on a network of its own.
pub struct Server {
    engine: Option<Engine>,
    commands: Vec<cross::Sender<Command>>,
    pub fabric: Fabric,
    /// The adapters of its cores.
    pub controls: Vec<Control>,
    pub address: SocketAddr,
}

impl Server {
    pub fn start() -> Self {
        Self::with(&Setting::default())
    }

    pub fn with(setting: &Setting) -> Self {
        let (fabric, (started, starts)) = (Fabric::seeded(7), mpsc::channel());
        let (commands, beginnings): (Vec<_>, Vec<_>) = (0..setting.shards)
            .map(|_| {
                let (commands, receiver) = cross::channel(COMMANDS_MAX);
                (commands, Mutex::new(Some(Beginning { commands: receiver, started: started.clone() })))
            })
            .unzip();
        let config = EngineConfig {
            shards: Some(setting.shards),
            region_bytes: setting.region_bytes,
            ..EngineConfig::small()
        };
        let intake = Intake::new(setting.shards);
        let (network, limits) = (fabric.clone(), setting.limits.clone());
        let engine = Engine::start(config, move |shard| {
            let beginning = beginnings[shard.index()].lock().expect("not poisoned").take();
            serve(shard, network.clone(), limits.clone(), intake.clone(), beginning.expect("once"))
        });
        let engine = engine.expect("io_uring");
        let mut cores: Vec<_> =
            (0..setting.shards).map(|_| starts.recv_timeout(PATIENCE).expect("each core starts")).collect();
        cores.sort_by_key(|(shard, ..)| *shard);
        let address = cores[0].1.expect("the first core listens");
        let controls = cores.into_iter().map(|(.., control)| control).collect();
        Self { engine: Some(engine), commands, fabric, controls, address }
    }

    /// The adapter of its first core.
    pub fn control(&self) -> &Control {
        &self.controls[0]
    }

    pub fn state(&self) -> State {
        self.state_of(0)
    }

    pub fn state_of(&self, shard: usize) -> State {
        let (sender, receiver) = mpsc::channel();
        self.command(shard, Command::State(sender));
        receiver.recv_timeout(PATIENCE).expect("the server answers")
    }

    /// Waits until its first core says so.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        self.wait_until_of(0, what, condition);
    }

    pub fn wait_until_of(&self, shard: usize, what: &str, condition: impl Fn(&State) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let state = self.state_of(shard);
            if condition(&state) {
                return;
            }
            assert!(Instant::now() < deadline, "it does not happen: {what}: {state:?}");
            std::thread::yield_now();
        }
    }

    /// Waits until no connection is left, and no memory is out.
    pub fn wait_until_empty(&self) {
        self.wait_until_empty_but_for(0);
    }

    /// Waits until each core has so many connections left, and no memory is out.
    pub fn wait_until_empty_but_for(&self, connections: u64) {
        for (shard, control) in self.controls.iter().enumerate() {
            let is_empty = |state: &State| state.stats.connections == connections && state.payload_bytes == 0;
            self.wait_until_of(shard, "all comes back", is_empty);
            assert_eq!(control.held(), 0);
        }
    }

    /// Lets held calls go on.
    pub fn release(&self) {
        self.command(0, Command::Release);
    }

    /// Begins to drain; the channel tells whether all ended by themselves.
    pub fn drain(&self, grace: Duration) -> mpsc::Receiver<bool> {
        let (sender, receiver) = mpsc::channel();
        self.command(0, Command::Drain(grace, sender));
        receiver
    }

    /// Calls back who called last; the channel tells what came of it.
    pub fn call_back(&self, message: &[u8], timeout: Duration) -> mpsc::Receiver<Called> {
        let (sender, receiver) = mpsc::channel();
        self.command(0, Command::CallBack(message.to_vec(), timeout, sender));
        receiver
    }

    /// Closes the connection of who called last.
    pub fn close_last(&self) {
        self.command(0, Command::Close);
    }

    fn command(&self, shard: usize, command: Command) {
        assert!(self.commands[shard].try_send(command).is_ok(), "the server takes commands");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for commands in &self.commands {
            let _ = commands.try_send(Command::Stop);
        }
        let engine = self.engine.take().expect("dropped once");
        engine.shut_down(Duration::ZERO);
        if !std::thread::panicking() {
            engine.join().expect("no shard failed");
        }
    }
}

async fn serve(shard: Shard, fabric: Fabric, limits: Limits, intake: Intake, beginning: Beginning) {
    let Beginning { mut commands, started } = beginning;
    let options = Options { receives_max: limits.receives_max, works_max: WORKS_MAX, connections_max: 64 };
    let adapter = fabric.adapter(options);
    let control = adapter.control();
    let endpoint = Endpoint::new(&shard, Box::new(adapter), limits).expect("memory");
    let listens = || endpoint.listen("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let address = (shard.index() == 0).then(listens);
    let service = Rc::new(TestService::new(&shard));
    shard.spawn_detached(endpoint.clone().run(Rc::clone(&service), intake));
    started.send((shard.index(), address, control)).expect("the test waits");
    while let Some(command) = commands.recv().await {
        if matches!(command, Command::Stop) {
            break;
        }
        obey(&shard, &endpoint, &service, command);
    }
}

fn obey(shard: &Shard, endpoint: &Endpoint, service: &Rc<TestService>, command: Command) {
    match command {
        Command::State(sender) => {
            let _ = sender.send(state(shard, endpoint, service));
        }
        Command::Release => service.release.notify_all(),
        Command::Close => {
            let connection = service.last.get().and_then(|id| endpoint.connection(id));
            connection.expect("somebody has called").close();
        }
        Command::Drain(grace, sender) => {
            let endpoint = endpoint.clone();
            shard.spawn_detached(async move {
                let _ = sender.send(endpoint.drain(grace).await);
            });
        }
        Command::CallBack(message, timeout, sender) => {
            let (endpoint, id) = (endpoint.clone(), service.last.get().expect("somebody has called"));
            shard.spawn_detached(async move {
                let message = Message::new(BytesMut::from(&message[..]));
                let called = endpoint.call_back(id, message, timeout).await;
                let _ = sender.send(called.map(|answer| answer.to_vec()));
            });
        }
        Command::Stop => unreachable!("it was looked for"),
    }
}

fn state(shard: &Shard, endpoint: &Endpoint, service: &TestService) -> State {
    State {
        stats: endpoint.stats().snapshot(),
        payload_bytes: shard.pool().bytes_taken(),
        begun: service.begun.get(),
        brought: service.brought.get(),
        lost: service.lost.get(),
        gone: service.gone.borrow().clone(),
        unread: service.unread.borrow().clone(),
    }
}
