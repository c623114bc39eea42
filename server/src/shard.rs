//! What runs on one shard: the operations, the transport, and the tasks that go on by themselves.

use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use engine::Shard;
use nfs_ops::{ExportTable, NfsService, Shared};
use transport_tcp::{Endpoint, Intake, Listener};
use vfs_local::{File, Local};

use crate::admissions::AdmissionLog;
use crate::environment::Environment;
use crate::exports::{self, NfsServer, OpenExport};
use crate::fatal::Fatal;
use crate::names::{ANSWER_AGE_MAX, Names};
use crate::rdma::Rdma;

/// How often and how many times calls that began before a reload are looked for.
const OLD_CALLS_LOOK: Duration = Duration::from_millis(20);
const OLD_CALLS_LOOKS_MAX: usize = 500;

/// What every shard is started with.
pub struct Plan {
    /// What all shards share of the operations.
    pub shared: Arc<Shared<File>>,
    /// The exports of the start, until all shards have them.
    pub exports: Mutex<Vec<OpenExport>>,
    /// Zero of the monotonic clock.
    pub origin: Instant,
    /// Where admissions are logged, if they are.
    pub admission_log: Option<PathBuf>,
    /// The name service, made when the engine's helper threads are there.
    pub names: Mutex<Option<Arc<Names>>>,
    /// Bounds of the transport.
    pub transport: transport_tcp::Limits,
    /// The way of accepted connections to their shards.
    pub intake: Intake,
    /// Listening sockets; the first shard accepts, and hands over to all.
    pub listeners: Mutex<Vec<Listener>>,
    /// What RDMA is served with, if it is.
    pub rdma: Option<Rdma>,
    /// How long a stop waits for calls in progress.
    pub drain: Duration,
    /// Told once by each shard whether it runs.
    pub started: Mutex<Sender<Result<(), Fatal>>>,
}

impl Plan {
    /// Forgets the exports of the start, so that one that goes is not held by the plan.
    pub fn forget_exports(&self) {
        self.exports.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

struct Parts {
    server: Rc<NfsServer>,
    endpoint: Endpoint,
    rdma: Option<transport_rdma::Endpoint>,
    /// Exports that are ready to be put in force.
    prepared: Option<ExportTable<Local>>,
}

thread_local! {
    /// The parts of the shard whose thread this is, for tasks that come from other threads.
    static PARTS: RefCell<Option<Parts>> = const { RefCell::new(None) };
}

/// The transport of the calling shard, while it runs.
pub fn endpoint() -> Option<Endpoint> {
    PARTS.with_borrow(|parts| parts.as_ref().map(|parts| parts.endpoint.clone()))
}

/// The transport over RDMA of the calling shard, while it runs, if there is one.
pub fn rdma_endpoint() -> Option<transport_rdma::Endpoint> {
    PARTS.with_borrow(|parts| parts.as_ref().and_then(|parts| parts.rdma.clone()))
}

/// The operations of the calling shard, while it runs.
pub fn server() -> Option<Rc<NfsServer>> {
    PARTS.with_borrow(|parts| parts.as_ref().map(|parts| Rc::clone(&parts.server)))
}

/// Makes the calling shard's table of these exports, to be put in force by [`use_prepared_exports`].
///
/// # Errors
/// When an export finds no helper threads. Nothing has changed then.
pub fn prepare_exports(shard: &Shard, exports: &[OpenExport]) -> Result<(), Fatal> {
    let Some(server) = server() else { return Ok(()) };
    let table = exports::table(exports, Some(&server), shard)?;
    PARTS.with_borrow_mut(|parts| {
        if let Some(parts) = parts {
            parts.prepared = Some(table);
        }
    });
    Ok(())
}

/// Puts the prepared exports in force on the calling shard, and waits for the calls that began with the old ones, but
/// not for ever.
pub async fn use_prepared_exports(shard: &Shard) {
    let Some(server) = server() else { return };
    let prepared = PARTS.with_borrow_mut(|parts| parts.as_mut().and_then(|parts| parts.prepared.take()));
    let Some(table) = prepared else { return };
    let old = Rc::downgrade(&server.exports());
    server.replace_exports(table);
    for _ in 0..OLD_CALLS_LOOKS_MAX {
        if old.strong_count() == 0 {
            return;
        }
        shard.sleep(OLD_CALLS_LOOK).await;
    }
    tracing::warn!(
        shard = shard.index(),
        "calls that began before the reload still run; their exports stay until they end"
    );
}

/// The whole life of one shard.
pub async fn run(shard: Shard, plan: Arc<Plan>) {
    let admissions = open_admission_log(&shard, &plan);
    let made = admissions.and_then(|log| Ok((make(&shard, &plan, log.clone())?, log)));
    let (parts, outcome) = match made {
        Ok(parts) => (Some(parts), Ok(())),
        Err(error) => (None, Err(error)),
    };
    // Whoever started the engine waits for this; if it is gone the process is ending.
    let _ = plan.started.lock().unwrap_or_else(PoisonError::into_inner).send(outcome);
    let Some((Made { server, endpoint, rdma }, admissions)) = parts else { return };
    PARTS.set(Some(Parts {
        server: Rc::clone(&server),
        endpoint: endpoint.clone(),
        rdma: rdma.clone(),
        prepared: None,
    }));

    let mut tasks = Vec::new();
    let mut accepting = Vec::new();
    if shard.index() == 0 {
        let listeners = std::mem::take(&mut *plan.listeners.lock().unwrap_or_else(PoisonError::into_inner));
        for listener in listeners {
            accepting.push(shard.spawn(listener.accept_all(shard.clone(), plan.intake.clone())));
        }
    }
    tasks.push(shard.spawn(Rc::clone(&server).maintain(shard.index() == 0)));
    tasks.push(shard.spawn(Rc::clone(&server).serve_parked()));
    tasks.push(shard.spawn(forget_identities(shard.clone(), Rc::clone(&server))));
    if let Some(log) = &admissions {
        tasks.push(shard.spawn(Rc::clone(log).tick(shard.clone(), plan.origin)));
        tasks.push(shard.spawn(Rc::clone(log).keep(shard.clone())));
    }
    let service = Rc::new(NfsService(server));
    if let (Some(rdma), Some(plan)) = (rdma.clone(), &plan.rdma) {
        tasks.push(shard.spawn(rdma.run(Rc::clone(&service), plan.intake.clone())));
    }
    let intake = plan.intake.clone();
    let serving_endpoint = endpoint.clone();
    accepting.push(shard.spawn(async move { intake.serve(serving_endpoint, service).await }));

    shard.shutting_down().await;
    accepting.iter().for_each(engine::JoinHandle::abort);
    let drain = plan.drain;
    let rdma_drained = rdma.map(|rdma| shard.spawn(async move { rdma.drain(plan.drain).await }));
    let mut is_drained = endpoint.drain(drain).await;
    if let Some(rdma) = rdma_drained {
        is_drained &= rdma.await.unwrap_or(false);
    }
    if !is_drained {
        tracing::warn!(
            shard = shard.index(),
            "connections were cut off: their calls took longer than `drain_seconds`"
        );
    }
    tasks.iter().for_each(engine::JoinHandle::abort);
    if let Some(log) = admissions {
        log.finish(&shard).await;
    }
    if let Some(server) = self::server() {
        tell_payload(&shard, &server, &endpoint);
    }
    PARTS.set(None);
}

/// Says what became of payload, in bytes: how much of it was copied by nobody, by the kernel, and by us.
fn tell_payload(shard: &Shard, server: &NfsServer, endpoint: &Endpoint) {
    let sent = endpoint.stats().snapshot();
    let slept = server.exports().iter().map(|export| export.storage.read_stats().piped_slept).sum::<u64>();
    tracing::info!(
        shard = shard.index(),
        calls = sent.calls,
        sent_from_pipes = sent.payload_spliced_bytes,
        sent_from_memory = sent.payload_from_memory_bytes,
        received_into_place = sent.payload_placed_bytes,
        received_and_copied =
            sent.payload_caught_bytes + sent.payload_caught_first_bytes + sent.payload_short_bytes,
        copied_of_reads = server.copies.read_bytes.get(),
        copied_of_writes = server.copies.written_bytes.get(),
        reads_that_slept = slept,
        "payload moved, in bytes"
    );
}

fn open_admission_log(shard: &Shard, plan: &Plan) -> Result<Option<Rc<AdmissionLog>>, Fatal> {
    let open = |directory| AdmissionLog::open(directory, shard.index(), plan.origin).map(Rc::new);
    plan.admission_log.as_deref().map(open).transpose()
}

/// What a shard serves with.
struct Made {
    server: Rc<NfsServer>,
    endpoint: Endpoint,
    rdma: Option<transport_rdma::Endpoint>,
}

fn make(shard: &Shard, plan: &Plan, admissions: Option<Rc<AdmissionLog>>) -> Result<Made, Fatal> {
    let names = {
        let mut names = plan.names.lock().unwrap_or_else(PoisonError::into_inner);
        match &*names {
            Some(names) => Arc::clone(names),
            None => {
                let made = Names::new(shard.helpers())
                    .map_err(|error| Fatal::new(error.to_string(), "raise `helper_threads` in [limits]"))?;
                Arc::clone(names.insert(Arc::new(made)))
            }
        }
    };
    let environment = Environment::new(shard.clone(), plan.origin, names, admissions);
    let exports = plan.exports.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let table = exports::table(&exports, None, shard)?;
    let number = u32::try_from(shard.index()).expect("the configuration bounds it");
    let server = NfsServer::new(Arc::clone(&plan.shared), environment, table, number);
    plan.shared.limiting.table.set_bell(number, bell(shard));
    let rdma = plan.rdma.as_ref().map(|rdma| rdma.endpoint(shard)).transpose()?.flatten();
    Ok(Made { server, endpoint: Endpoint::new(shard, plan.transport.clone()), rdma })
}

/// How others tell this shard that limits changed for requests which wait on it.
fn bell(shard: &Shard) -> Box<dyn Fn() + Send + Sync> {
    let (remote, index) = (shard.remote().clone(), shard.index());
    Box::new(move || {
        let rung = remote.spawn_on(index, |_| async {
            if let Some(server) = self::server() {
                server.charges.rouse();
            }
        });
        // A shard that is too busy to be told looks by itself before long.
        if rung.is_err() {
            tracing::debug!(shard = index, "a shard is too busy to be told of a limit");
        }
    })
}

/// Users change their groups; an identity lives as long as an answer of name service.
async fn forget_identities(shard: Shard, server: Rc<NfsServer>) {
    loop {
        shard.sleep(ANSWER_AGE_MAX).await;
        server.callers.forget();
    }
}
