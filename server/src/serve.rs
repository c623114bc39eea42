//! `penstock serve`: puts the parts together, runs them, and takes them apart again.

use std::net::{IpAddr, SocketAddr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use engine::{Engine, EngineConfig, ShardFailed};
use nfs_ops::limits::Limiting;
use nfs_ops::{HandleKey, Mounts, Offloads, Rights, Shared};
use qos::limits::Limits as Table;
use sd_notify::NotifyState;
use state::{State, Store};
use transport_tcp::{BULK_MAX, Intake, Listener};
use vfs_local::File;

use crate::cli::ServeArguments;
use crate::config::{self, Limits, Pace, SHARDS_MAX, ServerSettings, Settings};
use crate::control::{ControlPlane, Listeners};
use crate::environment::{fill, nanoseconds_since};
use crate::exports::{self, OpenExport};
use crate::fatal::Fatal;
use crate::hosts::Hosts;
use crate::limits::{Keeper, Names};
use crate::memory::Memory;
use crate::rdma::Rdma;
use crate::reload::Reloader;
use crate::rpcbind::Registration;
use crate::signals::{self, Event};
use crate::state_directory::{Identity, StateDirectory};
use crate::store::RecordStore;
use crate::traces::Export;
use crate::{announce, bounds, descriptors, logging, process, rdma, shard};

const SECOND_NS: u64 = 1_000_000_000;

/// What the engine waits beyond `drain_seconds`, in which connections that were cut off end.
const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// How long a port that is taken is tried for. The kernel takes a ring apart only after its process is gone, and with the
/// ring the listening socket that it accepts on: whoever starts the server again at once after a crash finds the port
/// taken for some 10 ms, and for longer on a busy machine.
const PORT_WAIT_MAX: Duration = Duration::from_secs(3);

/// Pause between two attempts.
const PORT_PAUSE: Duration = Duration::from_millis(10);

/// What the exports are begun with and reloaded from.
struct Served {
    hosts: Hosts,
    exports: Vec<OpenExport>,
    /// The bounds in force.
    limits: Limits,
    /// What operators call them.
    names: Arc<Names>,
}

/// Serves until told to stop.
///
/// # Errors
/// Whatever keeps the server from starting or going on, with the remedy.
pub fn run(arguments: ServeArguments) -> Result<(), Box<dyn std::error::Error>> {
    process::require_root()?;
    let settings = config::for_serving(&arguments)?;
    // Dropped last, so that the spans of the last calls are exported too.
    let export = Export::start(&settings.tracing)?;
    logging::start(&settings.log, export.as_ref())?;
    process::abort_on_panic();
    let (events_sender, events) = channel();
    signals::watch(events_sender.clone())?;

    let probe =
        engine::probe().map_err(|error| Fatal::new("the engine cannot run here", error.to_string()))?;
    tracing::info!("{probe}");
    let descriptors_max = process::prepare()?;
    let engine_config = engine_config(&settings);
    let shards = engine_config.shard_count();
    warn_of_spare_cores(&settings, shards);
    let limits = descriptors::fit(&settings.limits, shards, settings.exports.len(), descriptors_max);
    descriptors::warn_of_few(&settings.limits, &limits, descriptors_max);

    let directory = StateDirectory::open(&settings.server.state_directory)?;
    let origin = Instant::now();
    let store = Arc::new(RecordStore::open(&directory.records_file())?);
    let shared = Arc::new(shared(&settings, &limits, &directory, &store, origin)?);
    let names = Arc::new(Names::new(&settings.exports, &settings.qos.rules));
    let keeper = Keeper::load(shared.limiting.clone(), Arc::clone(&names), store, origin)?;
    let memory = Memory::of(&limits, shards, settings.exports.len());
    tracing::info!("memory: {memory}");
    if let Some(excess) = memory.excess() {
        tracing::warn!("{excess}");
    }

    let listeners = listen(&settings.server)?;
    let control = Listeners::open(&settings.server)?;
    let addresses = listeners.iter().map(|listener| listener.address().ip());
    let registration = Registration::new(&settings.server, addresses);
    let hosts = Hosts::resolve(&settings.exports, &Hosts::default());
    let exports = exports::open(&settings.exports, &hosts, &[], &limits, shards)?;
    let served = Served { hosts, exports, limits, names };
    process::drop_rights()?;
    let rdma = rdma::prepare(&settings.rdma, &settings.server.addresses, shards)?;
    let rdma_port = rdma.as_ref().map(|_| settings.rdma.port);
    let engine = start_engine(engine_config, &settings, &served, &shared, origin, (listeners, rdma))?;

    // Ends before the store, so that what is stored last is waited for.
    let _control = ControlPlane::start(control, engine.remote().clone(), Arc::clone(&shared), keeper)?;
    registration.offer(&settings.exports);
    announce::print(&settings.exports, &host(&settings.server), &settings.server, rdma_port);
    announce::notify(&[NotifyState::Ready]);
    let drain = Duration::from_secs(settings.server.drain_seconds.into()) + DRAIN_MARGIN;
    let reload = start_reloader(arguments, settings, served, &engine, &shared, origin, &registration)?;
    let ended = until_stopped(engine, &events, events_sender, &reload, &shared, drain, &registration);
    tracing::info!("stopped");
    Ok(ended?)
}

/// The engine as it is configured.
pub fn engine_config(settings: &Settings) -> EngineConfig {
    let of_cores = || EngineConfig::default().shard_count().min(SHARDS_MAX as usize);
    EngineConfig {
        shards: Some(settings.server.shards.unwrap_or_else(of_cores)),
        region_bytes: (settings.limits.payload_memory_mib << 20) as usize,
        helper_threads: settings.limits.helper_threads as usize,
        ..EngineConfig::default()
    }
}

/// Says that a machine has more cores than can share a limit, unless the number of shards was chosen.
fn warn_of_spare_cores(settings: &Settings, shards: usize) {
    let cores = EngineConfig::default().shard_count();
    if settings.server.shards.is_none() && cores > shards {
        tracing::warn!(cores, shards, "more cores than there can be shards: the others have none");
    }
}

/// What all shards share: state, with the records of the last life, and who the server is.
fn shared(
    settings: &Settings,
    limits: &Limits,
    directory: &StateDirectory,
    store: &Arc<RecordStore>,
    origin: Instant,
) -> Result<Shared<File>, Fatal> {
    let identity = directory.identity();
    let config = state_config(settings, limits, identity);
    let state = State::new(config, Arc::clone(store) as Arc<dyn Store>, nanoseconds_since(origin, origin));
    let state = state.map_err(|error| {
        let records = directory.records_file();
        Fatal::new(error.to_string(), format!("restore {}, or move it away", records.display()))
    })?;
    tracing::info!(epoch = identity.epoch, owner = identity.owner, grace = state.is_in_grace(), "identity");
    Ok(Shared {
        state,
        handle_key: HandleKey::new(identity.handle_key),
        settings: nfs_ops::Settings {
            owner: identity.owner.clone().into_bytes(),
            scope: identity.scope.clone().into_bytes(),
            lease_seconds: settings.server.lease_seconds,
            payload_bytes_max: BULK_MAX as u32,
            domain: settings.server.domain.clone(),
            annotations: settings.server.annotations,
        },
        offloads: Offloads::default(),
        mounts: Mounts::default(),
        rights: Rights::default(),
        limiting: Limiting {
            table: match settings.qos.pace {
                Pace::Off => Table::new(),
                Pace::Latency => Table::paced(),
            },
            rules: settings.qos.rules.clone(),
            io_unit_bytes: u64::from(settings.qos.io_unit_kib) << 10,
            ..Limiting::default()
        },
    })
}

fn state_config(settings: &Settings, limits: &Limits, identity: &Identity) -> state::Config {
    let mut key = [0; 16];
    fill(&mut key);
    let key = u128::from_ne_bytes(key);
    state::Config {
        lease_ns: u64::from(settings.server.lease_seconds) * SECOND_NS,
        grace_ns: u64::from(settings.server.grace_seconds) * SECOND_NS,
        courtesy_ns: u64::from(settings.server.courtesy_seconds) * SECOND_NS,
        limits: bounds::of_state(limits),
        ..state::Config::new(identity.epoch, [key as u64, (key >> 64) as u64])
    }
}

fn listen(settings: &ServerSettings) -> Result<Vec<Listener>, Fatal> {
    let mut listeners = Vec::new();
    for port in settings.ports() {
        if settings.addresses.is_empty() {
            let all = once_free(|| Listener::bind_all(port.1));
            listeners.push(all.map_err(|error| no_listener(None, port, &error))?);
        }
        for address in &settings.addresses {
            let one = once_free(|| Listener::bind(SocketAddr::new(*address, port.1)));
            listeners.push(one.map_err(|error| no_listener(Some(*address), port, &error))?);
        }
    }
    Ok(listeners)
}

/// Tries again for a while when the port is taken: perhaps by a server that has just died.
fn once_free(bind: impl Fn() -> std::io::Result<Listener>) -> std::io::Result<Listener> {
    let deadline = Instant::now() + PORT_WAIT_MAX;
    loop {
        match bind() {
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && Instant::now() < deadline => {
                std::thread::sleep(PORT_PAUSE);
            }
            outcome => return outcome,
        }
    }
}

fn no_listener(address: Option<IpAddr>, (key, port): (&str, u16), error: &std::io::Error) -> Fatal {
    let place = address.map_or_else(String::new, |address| format!("{address} "));
    let place = format!("{place}port {port} (`{key}`)");
    let option = if key == "port" { "--port or " } else { "" };
    let remedy = match error.kind() {
        std::io::ErrorKind::AddrInUse => format!(
            "another server has it (the kernel's: systemctl stop nfs-server); stop that, or choose another with \
             {option}`{key}` in [server]"
        ),
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address: correct --address or `addresses` in [server]".to_owned()
        }
        _ => format!("choose another with {option}`{key}`, or another address, in [server]"),
    };
    Fatal::new(format!("cannot listen on {place}: {error}"), remedy)
}

fn start_engine(
    config: EngineConfig,
    settings: &Settings,
    served: &Served,
    shared: &Arc<Shared<File>>,
    origin: Instant,
    (listeners, rdma): (Vec<Listener>, Option<Rdma>),
) -> Result<Engine, Fatal> {
    let shards = config.shard_count();
    let (started, starts) = channel();
    let plan = Arc::new(shard::Plan {
        shared: Arc::clone(shared),
        exports: Mutex::new(served.exports.clone()),
        origin,
        admission_log: settings.qos.admission_log.clone(),
        names: Mutex::new(None),
        transport: bounds::of_transport(&served.limits),
        intake: Intake::new(shards),
        listeners: Mutex::new(listeners),
        rdma,
        drain: Duration::from_secs(settings.server.drain_seconds.into()),
        started: Mutex::new(started),
    });
    let main_plan = Arc::clone(&plan);
    let engine = Engine::start(config, move |shard| shard::run(shard, Arc::clone(&main_plan)))
        .map_err(|error| Fatal::new("the engine cannot start", error.to_string()))?;
    for _ in 0..shards {
        starts.recv().unwrap_or_else(|_| Err(Fatal::new("a shard ended while it started", "see the log")))?;
    }
    // From here on only the reloader and the shards' own tables hold exports: one that goes is let go of.
    plan.forget_exports();
    tracing::info!(shards, "all shards run");
    Ok(engine)
}

fn start_reloader(
    arguments: ServeArguments,
    settings: Settings,
    served: Served,
    engine: &Engine,
    shared: &Arc<Shared<File>>,
    origin: Instant,
    registration: &Registration,
) -> Result<Sender<()>, Fatal> {
    let (reload, requests) = channel();
    let reloader = Reloader {
        arguments,
        settings,
        hosts: served.hosts,
        exports: served.exports,
        limits: served.limits,
        names: served.names,
        remote: engine.remote().clone(),
        shared: Arc::clone(shared),
        origin,
        registration: registration.clone(),
    };
    std::thread::Builder::new()
        .name("exports".into())
        .spawn(move || reloader.run(&requests))
        .map_err(|error| Fatal::new(format!("no thread for reloads: {error}"), "raise the limit on tasks"))?;
    Ok(reload)
}

/// Hands reloads on until a signal says stop or a shard fails; returns when all shards have ended.
fn until_stopped(
    engine: Engine,
    events: &Receiver<Event>,
    events_sender: Sender<Event>,
    reload: &Sender<()>,
    shared: &Arc<Shared<File>>,
    drain: Duration,
    registration: &Registration,
) -> Result<(), Fatal> {
    let remote = engine.remote().clone();
    let joined = std::thread::spawn(move || {
        let ended = engine.join();
        // The main thread may be past listening.
        let _ = events_sender.send(Event::Ended);
        ended
    });
    for event in events {
        match event {
            Event::Reload => {
                if reload.send(()).is_err() {
                    tracing::error!("the thread for reloads has ended");
                }
            }
            Event::Stop => {
                tracing::info!("stopping: calls in progress are finished first");
                announce::notify(&[NotifyState::Stopping]);
                shared.state.close();
                remote.shut_down(drain);
                registration.withdraw();
            }
            Event::Ended => break,
        }
    }
    let failed = |error: ShardFailed| Fatal::new(error.to_string(), "see the log; start the server again");
    joined.join().map_err(|_| ShardFailed::Panicked).and_then(|ended| ended).map_err(failed)
}

/// What clients call this machine, as far as it knows.
fn host(settings: &ServerSettings) -> String {
    match settings.addresses.first() {
        Some(address) if !address.is_unspecified() => address.to_string(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}
