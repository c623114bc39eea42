//! Starting and ending the shards.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::rc::Rc;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::executor::Executor;
use crate::helpers::Helpers;
use crate::port::Port;
use crate::probe::{Probe, StartError, probe, refusal};
use crate::remote::{Control, Remote};
use crate::ring::Ring;
use crate::ring::driver::Driver;
use crate::shard::{Inner, Receiving, Shard};
use crate::sync::Notify;
use crate::sync::cross::lock;
use crate::timer::Timers;
use crate::turn;

/// What the engine is started with.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Number of shards; one per core when absent.
    pub shards: Option<usize>,
    /// Whether each shard's thread is pinned to its core.
    pub pin: bool,
    /// Submission queue entries of each ring, rounded up to a power of two.
    pub ring_entries: u32,
    /// Operations in flight on each shard; the next fails with ENOBUFS.
    pub in_flight_max: usize,
    /// Payload memory of each shard in bytes, rounded up to 2 MiB.
    pub region_bytes: usize,
    /// Most kernel workers of each shard's ring for what the kernel cannot do at once (most file system calls).
    /// Without a cap the kernel starts up to RLIMIT_NPROC of them. Operations on one export should be limited,
    /// with a [`Semaphore`](crate::sync::Semaphore), to a small part, so that a hung file system leaves the
    /// others theirs.
    pub kernel_workers: u32,
    /// Most helper threads of all shards together.
    pub helper_threads: usize,
    /// With several completions usual per turn: how many microseconds to wait for company. 0 turns it off.
    pub min_wait_us: u32,
    /// How connections receive at best.
    pub receive: ReceiveMode,
}

/// How [`Shard::receives`] receives, where the kernel can; else as the next in this list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiveMode {
    /// Into shared buffers, many times for one request.
    #[default]
    Multishot,
    /// Into shared buffers, once for each request.
    Shared,
    /// Into memory of each connection's own.
    Own,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            shards: None,
            pin: true,
            ring_entries: 1024,
            in_flight_max: 1 << 16,
            region_bytes: 64 << 20,
            kernel_workers: 128,
            helper_threads: 256,
            min_wait_us: 10,
            receive: ReceiveMode::default(),
        }
    }
}

impl EngineConfig {
    /// One shard on no particular core with little memory: for tools and tests.
    pub fn small() -> Self {
        Self { shards: Some(1), pin: false, ring_entries: 128, region_bytes: 8 << 20, ..Self::default() }
    }

    /// Number of shards that this starts.
    pub fn shard_count(&self) -> usize {
        let cores = || thread::available_parallelism().map_or(1, usize::from);
        self.shards.unwrap_or_else(cores).max(1)
    }
}

/// The running shards. Dropping it does not stop them: see [`Remote::shut_down`] and [`Engine::join`].
pub struct Engine {
    remote: Remote,
    helpers: Helpers,
    probe: Probe,
    threads: Vec<thread::JoinHandle<io::Result<()>>>,
}

/// A shard ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
pub enum ShardFailed {
    /// Its ring failed.
    #[error("the ring of a shard failed: {0}")]
    Ring(#[from] io::Error),
    /// A task panicked.
    #[error("a shard panicked")]
    Panicked,
}

impl Engine {
    /// Probes the kernel, starts the shards, and runs `main` on each of them.
    ///
    /// Returns when all rings are made; fails as a whole when one cannot be.
    pub fn start<M, F>(config: EngineConfig, main: M) -> Result<Self, StartError>
    where
        M: Fn(Shard) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + 'static,
    {
        let mut probe = probe()?;
        let ports: Result<Vec<_>, _> = (0..config.shard_count()).map(Port::new).collect();
        let ports: Vec<Arc<Port>> = ports.map_err(StartError::Thread)?.into_iter().map(Arc::new).collect();
        let control = Arc::new(Control::default());
        let remote = Remote::new(ports.clone(), control.clone());
        let helpers = Helpers::new(config.helper_threads);
        let (started, starts) = mpsc::channel();
        let multishot = probe.multishot;
        let seed = Seed {
            config,
            multishot,
            remote: remote.clone(),
            helpers: helpers.clone(),
            control,
            main: Arc::new(main),
        };
        let mut threads = Vec::new();
        for port in ports {
            let (seed, started) = (seed.clone(), started.clone());
            let name = format!("shard-{}", port.index);
            let thread = thread::Builder::new().name(name).spawn(move || seed.run(port, started));
            threads.push(thread.map_err(|error| stop(&remote, StartError::Thread(error)))?);
        }
        drop(started);
        for registered in starts {
            probe.registered_buffers &= registered.map_err(|error| stop(&remote, error))?;
        }
        Ok(Self { remote, helpers, probe, threads })
    }

    /// The way to the shards, and to stop them.
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    /// The helper threads.
    pub fn helpers(&self) -> &Helpers {
        &self.helpers
    }

    /// What the kernel offers.
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Asks all shards to stop within `drain`; see [`Remote::shut_down`].
    pub fn shut_down(&self, drain: Duration) {
        self.remote.shut_down(drain);
    }

    /// Waits until all shards have ended.
    pub fn join(self) -> Result<(), ShardFailed> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread.join().map_err(|_| ShardFailed::Panicked).and_then(|ended| Ok(ended?));
            result = result.and(ended);
        }
        result
    }
}

/// Stops those shards that did start.
fn stop(remote: &Remote, error: StartError) -> StartError {
    remote.shut_down(Duration::ZERO);
    error
}

/// Runs `main` on one shard of its own and returns what it returns: for tools and tests.
///
/// Tasks that it has spawned are dropped when it ends, unless they hold [`Shard::work`].
///
/// Panics when the shard does.
pub fn block_on<M, F>(config: EngineConfig, main: M) -> Result<F::Output, StartError>
where
    M: FnOnce(Shard) -> F + Send + 'static,
    F: Future + 'static,
    F::Output: Send + 'static,
{
    /// Longest wait for work that outlives the main future.
    const DRAIN: Duration = Duration::from_secs(10);

    let config = EngineConfig { shards: Some(1), ..config };
    let main = Mutex::new(Some(main));
    let (sender, receiver) = mpsc::channel();
    let engine = Engine::start(config, move |shard| {
        let main = lock(&main).take().expect("one shard runs it once");
        let sender = sender.clone();
        async move {
            let result = main(shard.clone()).await;
            shard.remote().shut_down(DRAIN);
            sender.send(result).expect("the caller waits for it");
        }
    })?;
    engine.join().unwrap_or_else(|error| panic!("{error}"));
    Ok(receiver.recv().expect("the main future has ended"))
}

/// What each shard's thread is born with.
struct Seed<M> {
    config: EngineConfig,
    multishot: bool,
    remote: Remote,
    helpers: Helpers,
    control: Arc<Control>,
    main: Arc<M>,
}

impl<M> Clone for Seed<M> {
    fn clone(&self) -> Self {
        Self {
            config: self.config.clone(),
            multishot: self.multishot,
            remote: self.remote.clone(),
            helpers: self.helpers.clone(),
            control: self.control.clone(),
            main: self.main.clone(),
        }
    }
}

impl<M, F> Seed<M>
where
    M: Fn(Shard) -> F,
    F: Future<Output = ()> + 'static,
{
    /// The whole life of a shard's thread. The starter waits until every `started` is gone.
    fn run(self, port: Arc<Port>, started: mpsc::Sender<Result<bool, StartError>>) -> io::Result<()> {
        let last = StopOthers(self.remote.clone());
        if self.config.pin {
            pin(port.index);
        }
        let shard = match self.shard(port) {
            Ok((shard, registered)) => {
                // The starter may have given up because of another shard.
                let _ = started.send(Ok(registered));
                drop(started);
                shard
            }
            Err(error) => {
                let _ = started.send(Err(error));
                return Ok(());
            }
        };
        let work = shard.work();
        let main = (self.main)(shard.clone());
        shard.spawn_detached(async move {
            main.await;
            drop(work);
        });
        let result = turn::run(&shard, &self.control, self.config.min_wait_us);
        drop(last);
        end(shard);
        result
    }

    /// Makes the ring, registers the memory with it, and puts the shard together.
    fn shard(&self, port: Arc<Port>) -> Result<(Shard, bool), StartError> {
        let bytes = self.config.region_bytes;
        let pool = buf::Pool::new(bytes).map_err(|source| StartError::Memory { bytes, source })?;
        let (mut ring, _) =
            Ring::open(self.config.ring_entries.next_power_of_two(), self.config.kernel_workers)
                .map_err(refusal)?;
        let receiving = self.receiving(&mut ring);
        let (driver, registered) = Driver::new(ring, pool.clone(), port.clone(), self.config.in_flight_max);
        let inner = Inner {
            executor: Executor::enter(port.clone()),
            timers: Timers::new(),
            driver,
            pool,
            port,
            remote: self.remote.clone(),
            helpers: self.helpers.clone(),
            retired: Rc::new(RefCell::default()),
            stopping: Cell::new(false),
            stop: Notify::new(),
            work: Cell::new(0),
            receiving,
        };
        Ok((Shard(Rc::new(inner)), registered))
    }
}

impl<M> Seed<M> {
    /// Makes the shared buffers, if they are wanted and the kernel takes them.
    fn receiving(&self, ring: &mut Ring) -> Receiving {
        let mode = self.config.receive;
        if mode == ReceiveMode::Own {
            return Receiving { buffers: None, multishot: false };
        }
        let buffers = ring.lend_buffers();
        if let Err(error) = &buffers {
            tracing::warn!(%error, "receive buffers could not be shared; every connection keeps its own");
        }
        let multishot = self.multishot && mode == ReceiveMode::Multishot && buffers.is_ok();
        Receiving { buffers: buffers.ok(), multishot }
    }
}

/// Stops all shards when one ends, asked to or not: one core less is not a smaller server but a broken one.
struct StopOthers(Remote);

impl Drop for StopOthers {
    fn drop(&mut self) {
        if !self.0.is_shutting_down() {
            self.0.shut_down(Duration::ZERO);
        }
    }
}

/// Pins the thread to a core; more shards than cores share them in turn.
fn pin(shard: usize) {
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let pinned = !cores.is_empty() && core_affinity::set_for_current(cores[shard % cores.len()]);
    if !pinned {
        tracing::warn!(shard, "the shard could not be pinned to a core");
    }
}

/// Drops the tasks, which cancels their operations, and then the shard, whose ring waits for those.
fn end(shard: Shard) {
    shard.0.executor.close();
    while let Some(job) = shard.0.port.jobs.pop() {
        drop(job);
    }
    shard.0.executor.leave();
    shard.retire_personalities();
    drop(shard);
}
