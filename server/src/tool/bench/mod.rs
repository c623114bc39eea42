//! `penstock bench`: load of a known kind, and what became of it. `docs/BENCH.md` describes it to users.

pub mod arguments;
mod figures;
mod load;
mod plan;
mod prepare;
mod progress;
mod report;
mod target;
mod thread;
mod workload;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use engine::{Engine, EngineConfig};
use rustix::time::{ClockId, clock_gettime};
use signal_hook::consts::{SIGINT, SIGTERM};
use transport_rdma::Limits;

use self::arguments::BenchArguments;
use self::figures::ThreadFigures;
use self::plan::{Done, Plan};
use self::progress::Progress;
use self::report::Outcome;
use self::thread::Report;
use crate::fatal::Fatal;
use crate::tool::location::Transport;

/// Payload memory of each thread: over TCP only what prepares the files needs any.
const REGION_BYTES: usize = 8 << 20;

/// Over RDMA, what preparing lends to the server, besides a block for each call.
const LENT_BYTES: usize = 64 << 20;

/// From the moment when all threads are ready until they begin.
const START_DELAY: Duration = Duration::from_millis(5);

/// Between two looks at the threads and the progress.
const TICK: Duration = Duration::from_millis(100);

/// How long the threads may take to end.
const DRAIN: Duration = Duration::from_secs(5);

/// How long it is tried to remove what was made, of a server that has lost calls.
const CLEANING_WITHOUT_SERVER: Duration = Duration::from_secs(10);

/// The status of a program whose command line is wrong.
const USAGE_STATUS: u8 = 2;

/// Measures, prints, and says how it went.
pub fn run(arguments: BenchArguments) -> ExitCode {
    if let Err(fatal) = arguments.check() {
        eprintln!("penstock: {fatal}");
        return ExitCode::from(USAGE_STATUS);
    }
    match measure(arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(fatal) => {
            eprintln!("penstock: {fatal}");
            ExitCode::FAILURE
        }
    }
}

/// True when no operation failed.
fn measure(arguments: BenchArguments) -> Result<bool, Fatal> {
    engine::raise_file_limit()
        .map_err(|error| Fatal::new(format!("the limit on open files: {error}"), "raise it"))?;
    let address = arguments.url.address()?;
    let threads = arguments.threads as usize;
    let plan = Arc::new(Plan {
        arguments,
        address,
        prepared: OnceLock::new(),
        go: OnceLock::new(),
        stop: AtomicBool::new(false),
        finish: AtomicBool::new(false),
        done: (0..threads).map(|_| Done::default()).collect(),
    });
    let interrupted = watch_interrupts()?;
    let (reports, reported) = channel();
    let engine = start(&plan, reports)?;
    let measured = conduct(&plan, &reported, &interrupted);
    if let Ok(outcome) = &measured {
        outcome.print();
    }
    plan.stop.store(true, Ordering::Relaxed);
    plan.finish.store(true, Ordering::Release);
    let cleaned = match &measured {
        Ok(outcome) => wait_for_cleaning(&reported, outcome, &interrupted),
        Err(_) => Ok(()),
    };
    engine.shut_down(DRAIN);
    let ended = engine.join().map_err(|error| Fatal::new(error.to_string(), "please report this"));
    let outcome = measured?;
    cleaned.and(ended)?;
    Ok(outcome.is_good())
}

fn start(plan: &Arc<Plan>, reports: Sender<Report>) -> Result<Engine, Fatal> {
    let config = EngineConfig {
        shards: Some(plan.arguments.threads as usize),
        pin: false,
        region_bytes: region_bytes(&plan.arguments),
        // A generator that waits for company measures its own waiting.
        min_wait_us: 0,
        ..EngineConfig::default()
    };
    let plan = Arc::clone(plan);
    let reports = std::sync::Mutex::new(reports);
    Engine::start(config, move |shard| {
        let reports = reports.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        thread::run(shard, Arc::clone(&plan), reports)
    })
    .map_err(|error| Fatal::new("the engine cannot start", error.to_string()))
}

fn region_bytes(arguments: &BenchArguments) -> usize {
    if arguments.url.transport == Transport::Tcp {
        return REGION_BYTES;
    }
    let block = (arguments.block_size.0 as usize).next_power_of_two().max(buf::PAGE_BYTES);
    let connections = arguments.connections_of_thread();
    let each = Limits::for_calls(connections, arguments.calls_of_connection()).credits_max;
    let calls = connections.saturating_mul(each).min(arguments.depth.div_ceil(arguments.threads));
    LENT_BYTES + (calls as usize * block).next_multiple_of(LENT_BYTES)
}

/// A flag that SIGINT and SIGTERM set. The second signal ends the process.
fn watch_interrupts() -> Result<Arc<AtomicBool>, Fatal> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)));
        registered
            .map_err(|error| Fatal::new(format!("signals cannot be watched: {error}"), "raise the limits"))?;
    }
    Ok(flag)
}

/// Waits for the threads, lets them begin, and collects what they measured.
fn conduct(
    plan: &Arc<Plan>,
    reported: &Receiver<Report>,
    interrupted: &AtomicBool,
) -> Result<Outcome, Fatal> {
    let threads = plan.arguments.threads as usize;
    let mut ready = 0;
    while ready < threads {
        match reported.recv_timeout(TICK) {
            Ok(Report::Ready) => ready += 1,
            Ok(Report::Failed(fatal)) => return Err(fatal),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) if interrupted.load(Ordering::Relaxed) => {
                return Err(Fatal::new("interrupted before anything was measured", "start it again"));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(thread_lost()),
        }
    }
    let go = Instant::now() + START_DELAY;
    plan.go.set(go).expect("set once");
    let window = plan.window(go);
    let mut clock = CpuClock::new(window.start, window.end);
    let mut progress = Progress::new(plan, go);
    let mut figures = ThreadFigures::new(plan.arguments.workload.parts.len());
    let mut stopped = None;
    let mut measured = 0;
    while measured < threads {
        let pause =
            clock.next().map_or(TICK, |next| next.saturating_duration_since(Instant::now()).min(TICK));
        match reported.recv_timeout(pause) {
            Ok(Report::Measured(of_thread)) => {
                figures.add(&of_thread);
                measured += 1;
            }
            Ok(Report::Failed(fatal)) => return Err(fatal),
            Ok(_) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(thread_lost()),
        }
        clock.look();
        if interrupted.load(Ordering::Relaxed) && stopped.is_none() {
            plan.stop.store(true, Ordering::Relaxed);
            stopped = Some(Instant::now());
            clock.stop();
        }
        progress.show();
    }
    progress.clear();
    let end = window.end.or(figures.last).unwrap_or(window.start);
    let end = stopped.map_or(end, |stopped| stopped.min(end.max(window.start)));
    Ok(Outcome {
        plan: Arc::clone(plan),
        figures,
        start: SystemTime::now() - window.start.elapsed(),
        seconds: end.saturating_duration_since(window.start).as_secs_f64(),
        cpu_seconds: clock.spent(),
        interrupted: stopped.is_some(),
    })
}

/// Waits until what was made is removed; not for long where the server has gone, and not against a signal.
fn wait_for_cleaning(
    reported: &Receiver<Report>,
    outcome: &Outcome,
    interrupted: &AtomicBool,
) -> Result<(), Fatal> {
    let was_interrupted = interrupted.load(Ordering::Relaxed);
    let deadline = outcome.has_lost_calls().then(|| Instant::now() + CLEANING_WITHOUT_SERVER);
    loop {
        match reported.recv_timeout(TICK) {
            Ok(Report::Cleaned) => return Ok(()),
            Ok(Report::Failed(fatal)) => return Err(fatal),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => {
                let is_late = deadline.is_some_and(|deadline| deadline <= Instant::now());
                if is_late || interrupted.load(Ordering::Relaxed) && !was_interrupted {
                    let why = if is_late { "the server does not answer" } else { "interrupted" };
                    let folder = prepare::BASE;
                    return Err(Fatal::new(
                        format!("{why}, so that files that were made may be left in {folder}"),
                        format!("remove that folder when the server is there: penstock rm -r URL/{folder}"),
                    ));
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Err(thread_lost()),
        }
    }
}

fn thread_lost() -> Fatal {
    Fatal::new("a thread ended before its time", "please report this")
}

/// The processor time of the whole process between two moments.
struct CpuClock {
    start: Instant,
    end: Option<Instant>,
    at_start: Option<f64>,
    at_end: Option<f64>,
}

impl CpuClock {
    fn new(start: Instant, end: Option<Instant>) -> Self {
        Self { start, end, at_start: None, at_end: None }
    }

    /// When it is to be read next.
    fn next(&self) -> Option<Instant> {
        if self.at_start.is_none() { Some(self.start) } else { self.end.filter(|_| self.at_end.is_none()) }
    }

    /// Reads it if it is time.
    fn look(&mut self) {
        let now = Instant::now();
        if self.at_start.is_none() && now >= self.start {
            self.at_start = Some(cpu_seconds());
        }
        if self.end.is_some_and(|end| now >= end) {
            self.stop();
        }
    }

    fn stop(&mut self) {
        self.at_end.get_or_insert_with(cpu_seconds);
    }

    /// Seconds between the two, or until now.
    fn spent(&self) -> f64 {
        let end = self.at_end.unwrap_or_else(cpu_seconds);
        self.at_start.map_or(0.0, |start| end - start)
    }
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
