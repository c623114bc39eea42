//! What the tests of the program share.

#![allow(dead_code, reason = "each test program uses a part")]

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

/// A directory of a test's own, removed with it. Under the target directory, whose file system has file handles more often
/// than the one for temporary files.
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new one.
    pub fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a new directory");
        Self(path)
    }

    /// A directory in it.
    pub fn directory(&self, name: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).expect("a new directory");
        path
    }

    /// The configuration in it, as written now.
    pub fn config(&self, text: &str) -> PathBuf {
        let path = self.0.join("penstock.toml");
        std::fs::write(&path, text).expect("a written file");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program.
pub fn penstock() -> Command {
    Command::new(env!("CARGO_BIN_EXE_penstock"))
}

/// Whether a server can be started at all.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("it is bound").port()
}

/// A running server, killed with the test.
pub struct Server {
    /// The process.
    pub child: Child,
    /// Where it listens.
    pub port: u16,
    /// What it printed at start.
    pub said: Vec<String>,
    /// Its log.
    pub log: Log,
}

/// What a server logs. Clones read the same lines, each line once.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Receiver<String>>>);

impl Log {
    /// Waits until a line has these words.
    pub fn wait_for(&self, words: &str) {
        let lines = self.0.lock().expect("one reads at a time");
        assert!(lines.iter().any(|line| line.contains(words)), "the log never says {words:?}");
    }
}

impl Server {
    /// Starts the server and waits until it has printed a mount command.
    pub fn start(scratch: &Scratch, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        let port = free_port();
        let mut command = penstock();
        command.arg("serve").args(arguments).args(["--address", "127.0.0.1", "--port", &port.to_string()]);
        command.arg("--state-dir").arg(scratch.0.join("state")).args(["--shards", "2", "--rpcbind", "off"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program runs");
        let (line, log) = channel();
        let errors = BufReader::new(child.stderr.take().expect("it is piped"));
        std::thread::spawn(move || {
            for text in errors.lines().map_while(Result::ok) {
                eprintln!("{text}");
                let _ = line.send(text);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let mut said = Vec::new();
        while !said.last().is_some_and(|line: &String| line.contains("mount -t nfs")) {
            said.push(lines.next().expect("it says how to mount").expect("text"));
        }
        Self { child, port, said, log: Log(Arc::new(Mutex::new(log))) }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let child = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(child, signal).expect("it runs");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
