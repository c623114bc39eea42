//! The program itself, run as a process of its own: built, configured, started, signalled, killed, started again.
//!
//! ```no_run
//! use testkit::server::{Scratch, Server, ServerPlan};
//!
//! let scratch = Scratch::new("example");
//! let data = scratch.directory("data");
//! let mut server = Server::start(scratch, ServerPlan::exporting(&[&data]));
//! println!("asked at {}", server.address());
//! server.kill();
//! server.start_again();
//! ```

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

/// How long a start may take, on a machine with much else to do.
const START_MAX: Duration = Duration::from_secs(60);

/// How long the log may take to say something that it is waited for.
const LOG_MAX: Duration = Duration::from_secs(30);

/// How long a server may take to end after it was told to.
const STOP_MAX: Duration = Duration::from_secs(30);

/// Between two looks at something that cannot be waited for.
const LOOK_PAUSE: Duration = Duration::from_millis(10);

/// Ports for servers: below those that the kernel gives to outgoing connections, so that nobody else takes one between
/// the choice and the start.
const PORTS: std::ops::Range<u32> = 10_000..32_000;

/// Said when a server is ready.
const READY_WORDS: &str = "mount -t nfs";

/// Distinguishes what one process makes.
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Whether a server can be started at all; says so when not.
pub fn can_serve() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        println!("skipped: only root can serve");
    }
    root
}

/// Lets this process have as many open files as it may.
///
/// # Panics
/// When the kernel refuses.
pub fn allow_many_files() {
    engine::raise_file_limit().expect("the soft limit rises to the hard one");
}

/// Where the running test was built: `TARGET/PROFILE`.
fn profile_directory() -> PathBuf {
    let test = std::env::current_exe().expect("the test has a path");
    let directory = test.parent().expect("it lies in a directory");
    let directory = if directory.ends_with("deps") { directory.parent() } else { Some(directory) };
    directory.expect("a directory of the profile").to_owned()
}

/// The program: that of PENSTOCK_BIN, or else built with the profile of the running test.
///
/// # Panics
/// When it cannot be built.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        if let Some(program) = std::env::var_os("PENSTOCK_BIN") {
            return program.into();
        }
        let directory = profile_directory();
        let profile = match directory.file_name().and_then(|name| name.to_str()) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        // All packages as for the tests, so that nothing is built twice; likewise without what is said of the test's own package,
        // which build scripts look at.
        build.args(["build", "--quiet", "--workspace", "--bin", "penstock", "--profile", profile]);
        let names = std::env::vars_os().map(|(name, _)| name);
        let of_test = |name: &OsString| {
            ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|start| name.to_string_lossy().starts_with(start))
        };
        for name in names.filter(of_test) {
            build.env_remove(name);
        }
        build.arg("--target-dir").arg(directory.parent().expect("a target directory"));
        let built = build.current_dir(crate::root()).status().expect("cargo runs");
        assert!(built.success(), "the program does not build");
        directory.join("penstock")
    })
}

/// A directory of a test's own, removed with the value. Under the target directory, whose file system has file handles more
/// often than the one for temporary files.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// A new one; `name` is for people.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn new(name: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let parent = profile_directory().parent().expect("a target directory").join("tmp");
        let path = parent.join(format!("{name}-{}-{number}", std::process::id()));
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).expect("a new directory");
        Self { path }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A directory in it where everybody may do everything.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        std::fs::create_dir_all(&path).expect("a new directory");
        let everything = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(&path, everything).expect("a mode");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// An `[[export]]` section with root as it is; `more` are further lines of it.
pub fn export(path: &Path, more: &str) -> String {
    format!("[[export]]\npath = {path:?}\nsquash = \"none\"\n{more}\n")
}

/// What a server is to be. Texts are lines of its configuration.
#[derive(Clone, Debug)]
pub struct ServerPlan {
    /// How many shards.
    pub shards: u32,
    /// Further lines of `[server]`.
    pub settings: String,
    /// Lines of `[limits]`.
    pub limits: String,
    /// The `[[export]]` sections.
    pub exports: String,
    /// What is logged.
    pub log_filter: String,
    /// Variables that the process gets besides those of the test.
    pub environment: Vec<(&'static str, PathBuf)>,
    /// Where it listens.
    pub addresses: Vec<IpAddr>,
    /// Whether it registers with rpcbind. The machine's own is nothing for tests.
    pub rpcbind: bool,
    /// The words of a command that runs the program; none runs it as it is.
    pub launcher: Vec<String>,
}

impl ServerPlan {
    /// Two shards, a short lease, and these directories exported with root as it is: one at the root of the name space,
    /// several under their own names.
    pub fn exporting(directories: &[&Path]) -> Self {
        Self::new(directories.iter().map(|path| export(path, "")).collect())
    }

    /// Two shards and a short lease, with these `[[export]]` sections.
    pub fn new(exports: String) -> Self {
        Self {
            shards: 2,
            settings: "lease_seconds = 15\n".to_owned(),
            limits: String::new(),
            exports,
            log_filter: "info".to_owned(),
            environment: Vec::new(),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
            rpcbind: false,
            launcher: Vec::new(),
        }
    }

    /// The same with lines of `[limits]`.
    #[must_use]
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits = format!("{lines}\n");
        self
    }

    fn text(&self) -> String {
        let Self { shards, settings, limits, exports, log_filter, .. } = self;
        let rpcbind = if self.rpcbind { "auto" } else { "off" };
        format!(
            "[server]\nshards = {shards}\nrpcbind = {rpcbind:?}\n{settings}\n[log]\nlevel = {log_filter:?}\n[limits]\n{limits}\n{exports}"
        )
    }
}

/// A server process. Killed with the value.
pub struct Server {
    child: Child,
    port: u16,
    plan: ServerPlan,
    log: Log,
    scratch: Scratch,
}

impl Server {
    /// Starts a server that keeps its state and configuration in `scratch`, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(scratch: Scratch, plan: ServerPlan) -> Self {
        let state = scratch.path.join("state");
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(state).expect("a state directory");
        let config = scratch.path.join("penstock.toml");
        std::fs::write(&config, plan.text()).expect("a written file");
        let port = free_port();
        let log = Log::default();
        let child = launch(&scratch, port, &plan, &log);
        Self { child, port, plan, log, scratch }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its directory.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// What it logs, over all its starts.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// The process.
    pub fn process(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.process(), signal).expect("the server runs");
    }

    /// Kills it without a warning.
    ///
    /// # Panics
    /// When it had ended before.
    pub fn kill(&mut self) {
        assert!(self.child.try_wait().expect("a child").is_none(), "the server has ended by itself");
        self.child.kill().expect("it runs");
        self.child.wait().expect("a child");
    }

    /// Starts it again after [`Server::kill`] or [`Server::stop`]: same port, same state.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        self.child = launch(&self.scratch, self.port, &self.plan, &self.log);
    }

    /// Tells it to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not end.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub fn wait(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status;
            }
            assert!(begun.elapsed() < STOP_MAX, "the server does not end");
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// Whether it runs.
    ///
    /// # Panics
    /// Never, for a child of this process.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// Gives it other exports (SIGHUP) and waits until they are in force.
    ///
    /// # Panics
    /// When it refuses them.
    pub fn reload(&mut self, exports: String) {
        self.plan.exports = exports;
        let config = self.scratch.path.join("penstock.toml");
        std::fs::write(config, self.plan.text()).expect("a written file");
        let before = self.log.len();
        self.signal(Signal::HUP);
        self.log.wait_for_after(before, "the exports are reloaded");
    }

    /// Bytes of memory it occupies now.
    ///
    /// # Panics
    /// When it does not run.
    pub fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).expect("the server runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
        kibibytes * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server has logged. Clones are the same log.
#[derive(Clone, Default)]
pub struct Log {
    shared: Arc<(Mutex<Vec<String>>, Condvar)>,
}

impl Log {
    /// Lines so far.
    pub fn len(&self) -> usize {
        self.lines().len()
    }

    /// Whether nothing was logged yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines so far.
    pub fn lines(&self) -> Vec<String> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until a line has these words.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_for(&self, words: &str) {
        self.wait_for_after(0, words);
    }

    /// Waits until a line behind the first `skip` has these words.
    ///
    /// # Panics
    /// When none comes.
    pub fn wait_for_after(&self, skip: usize, words: &str) {
        let (lines, added) = &*self.shared;
        let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = |lines: &mut Vec<String>| !lines.iter().skip(skip).any(|line| line.contains(words));
        let (_lines, waited) =
            added.wait_timeout_while(lines, LOG_MAX, missing).unwrap_or_else(PoisonError::into_inner);
        assert!(!waited.timed_out(), "the log never says {words:?}");
    }

    fn push(&self, line: String) {
        let (lines, added) = &*self.shared;
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        added.notify_all();
    }

    /// Takes in what is written to `from`, and shows it with the test's own output.
    fn follow(&self, from: impl Read + Send + 'static) {
        let log = self.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                eprintln!("{line}");
                log.push(line);
            }
        });
    }
}

/// Starts the process and waits until it is ready.
fn launch(scratch: &Scratch, port: u16, plan: &ServerPlan, log: &Log) -> Child {
    let before = log.len();
    let mut command = match &plan.launcher[..] {
        [] => Command::new(program()),
        [first, more @ ..] => {
            let mut command = Command::new(first);
            command.args(more).arg(program());
            command
        }
    };
    command.envs(plan.environment.iter().map(|(name, value)| (name, value)));
    command.arg("serve").arg("--config").arg(scratch.path.join("penstock.toml"));
    command.args(plan.addresses.iter().map(|address| format!("--address={address}")));
    command.arg("--port").arg(port.to_string());
    command.arg("--state-dir").arg(scratch.path.join("state"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program runs");
    log.follow(child.stderr.take().expect("it is piped"));
    log.follow(child.stdout.take().expect("it is piped"));
    let begun = Instant::now();
    while !log.lines().iter().skip(before).any(|line| line.contains(READY_WORDS)) {
        if let Some(status) = child.try_wait().expect("a child") {
            panic!("the server does not start: {status}; it says: {:#?}", log.lines());
        }
        assert!(begun.elapsed() < START_MAX, "the server is not ready in time");
        std::thread::sleep(LOOK_PAUSE);
    }
    child
}

/// A port that nobody has now, and that no other test is likely to try.
pub fn free_port() -> u16 {
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let spread = std::process::id().wrapping_mul(131).wrapping_add(number);
        let port = (PORTS.start + spread % PORTS.len() as u32) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
