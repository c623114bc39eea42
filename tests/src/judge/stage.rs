//! A server whose admissions are logged, loads on it, and limits set while they run.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::log::Admissions;
use crate::server::{Scratch, Server, ServerPlan, export, program};
use nfs_ops::limits::Limited;

/// The file that is read and written: in the page cache, so that nothing is scarce but what is limited.
const FILE_SIZE: &str = "64MiB";

/// How much nicer a load is that gives way.
const GIVES_WAY: &str = "15";

/// Limits that the server takes at a time.
const TOGETHER_MAX: usize = 1000;

/// Lines of the log are on their way to its file for so long at most.
const LOG_DELAY: Duration = Duration::from_millis(300);

/// Connections whose calls all are outstanding at one time need so many slots.
const SLOTS_MAX: u32 = 64;

/// Later by more than the burst that limits have by default, and tokens are lost.
const STALL_NS: u64 = 1_000_000;

/// What clients ask for.
#[derive(Clone, Debug)]
pub struct Load {
    /// As `penstock bench` calls it.
    pub workload: &'static str,
    /// Bytes of one READ or WRITE.
    pub block_bytes: u64,
    /// TCP connections.
    pub connections: u32,
    /// Calls outstanding.
    pub depth: u32,
    /// Calls begun per second; `None`: one as soon as another is answered.
    pub rate: Option<f64>,
    /// Time that is measured.
    pub duration: Duration,
    /// The address it asks, which is also the one it comes from.
    pub address: IpAddr,
    /// Gives way on the cores to the server and to other loads, as what runs on another machine does.
    pub gives_way: bool,
}

impl Load {
    /// Calls of so many bytes over so many connections, as many outstanding as there is use for.
    pub fn new(workload: &'static str, block_bytes: u64, connections: u32, duration: Duration) -> Self {
        // What waits is to last for some milliseconds at the rate of the limit.
        let depth = if block_bytes >= 1 << 20 { 16 } else { SLOTS_MAX * connections.min(4) };
        let address = Ipv4Addr::LOCALHOST.into();
        Self { workload, block_bytes, connections, depth, rate: None, duration, address, gives_way: false }
    }
}

/// What a load measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// When it began to, in nanoseconds of CLOCK_MONOTONIC.
    pub from_ns: u64,
    /// When it ended.
    pub to_ns: u64,
    /// What was read or written.
    pub bytes: u64,
    /// Calls that succeeded.
    pub operations: u64,
    /// Those that failed.
    pub errors: u64,
    /// What a hundredth of the calls took longer than, in microseconds.
    pub p99_us: f64,
}

impl Measured {
    /// Calls per second.
    pub fn operations_rate(&self) -> f64 {
        self.operations as f64 * 1e9 / (self.to_ns - self.from_ns) as f64
    }

    /// Bytes per second.
    pub fn bytes_rate(&self) -> f64 {
        self.bytes as f64 * 1e9 / (self.to_ns - self.from_ns) as f64
    }
}

/// A load that runs.
pub struct Running(Child);

impl Running {
    /// Waits for its end.
    ///
    /// # Panics
    /// When it could not run.
    pub fn finish(self) -> Measured {
        let output = self.0.wait_with_output().expect("a child");
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let number = |name: &str| report[name].as_f64().unwrap_or_else(|| panic!("no {name} in {report}"));
        // The generator tells the time of day.
        let wall_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as f64;
        let from_ns = now_ns() as f64 - wall_ns + number("start_unix_seconds") * 1e9;
        Measured {
            from_ns: from_ns as u64,
            to_ns: (from_ns + number("seconds") * 1e9) as u64,
            bytes: number("bytes") as u64,
            operations: number("operations") as u64,
            errors: number("errors") as u64,
            p99_us: report["latency_us"]["p99"].as_f64().expect("a percentile"),
        }
    }
}

/// Where a server is and how loads reach it.
enum Place {
    /// On all cores, as its loads.
    Usual,
    /// On a core of its own, beside that of its loads.
    Apart,
    /// In a network of its own, on all cores.
    Network(Network),
}

impl Place {
    /// The words of a command that runs the server there.
    fn of_server(&self) -> Vec<String> {
        match self {
            Self::Usual => Vec::new(),
            Self::Apart => on_core(0),
            Self::Network(network) => network.launcher(),
        }
    }

    /// The words of a command that runs a load.
    fn of_load(&self) -> Vec<String> {
        match self {
            Self::Apart => on_core(1),
            Self::Usual | Self::Network(_) => self.of_server(),
        }
    }
}

fn on_core(core: u32) -> Vec<String> {
    ["taskset", "-c", &core.to_string()].map(str::to_owned).to_vec()
}

/// A server with one export, and loads on it. It logs admissions unless it is to be measured.
pub struct Stage {
    server: Server,
    log: PathBuf,
    place: Place,
}

impl Stage {
    /// One that is asked from one address, 127.0.0.1.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start(name: &str) -> Self {
        Self::new(name, true, Place::Usual, 1)
    }

    /// One that does not log admissions, and has a core to itself.
    ///
    /// # Panics
    /// When it does not start.
    pub fn apart(name: &str) -> Self {
        Self::new(name, false, Place::Apart, 1)
    }

    /// One that is asked from so many addresses, from 127.0.0.1 on: in a network of its own, where who asks one of them
    /// also comes from it.
    ///
    /// # Panics
    /// When it does not start, or there is no such network.
    pub fn of_clients(name: &str, clients: u8) -> Self {
        Self::new(name, true, Place::Network(Network::new(clients)), clients)
    }

    fn new(name: &str, logs: bool, place: Place, clients: u8) -> Self {
        let scratch = Scratch::new(name);
        let (data, log) = (scratch.directory("data"), scratch.path().join("admissions"));
        let section = if logs { format!("[qos]\nadmission_log = {log:?}\n") } else { String::new() };
        let mut plan = ServerPlan::new(section + &export(&data, "pseudo = \"/data\""));
        plan.addresses = (1..=clients).map(address).collect();
        "warn".clone_into(&mut plan.log_filter);
        plan.launcher = place.of_server();
        Self { server: Server::start(scratch, plan), log, place }
    }

    /// Begins a load, which is measured after a second; its file stays for the next.
    ///
    /// # Panics
    /// When the program does not run.
    pub fn begin(&self, load: &Load) -> Running {
        let url = format!("nfs://{}:{}/data", load.address, self.server.port());
        let sessions = load.depth.div_ceil(SLOTS_MAX);
        let launcher = self.place.of_load();
        let nice = ["nice", "-n", GIVES_WAY].map(OsStr::new);
        let nice = nice.iter().filter(|_| load.gives_way).copied();
        let mut words = launcher.iter().map(OsStr::new).chain(nice).chain([program().as_os_str()]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command.args(words);
        command.args(["bench", &url, "--json", "--quiet", "--keep", "--file-size", FILE_SIZE]);
        for (option, value) in [
            ("--workload", load.workload.to_owned()),
            ("--block-size", load.block_bytes.to_string()),
            ("--connections", load.connections.to_string()),
            ("--depth", load.depth.to_string()),
            ("--sessions", sessions.to_string()),
            ("--duration", format!("{}ms", load.duration.as_millis())),
        ] {
            command.arg(option).arg(value);
        }
        command.args(load.rate.map(|rate| format!("--rate={rate}")));
        Running(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs"))
    }

    /// Sets fields of a limit. Answers when that was begun and when it was answered, in nanoseconds of CLOCK_MONOTONIC.
    ///
    /// # Panics
    /// When it is refused.
    pub fn set(&self, entity: &str, fields: &Value) -> (u64, u64) {
        self.patch(&format!("/v1/limits/{entity}"), fields)
    }

    /// Sets these fields of many limits.
    ///
    /// # Panics
    /// When they are refused.
    pub fn set_all(&self, entities: &[String], fields: &Value) {
        let limit = |entity: &String| {
            let mut limit = fields.clone();
            limit["entity"] = entity.as_str().into();
            limit
        };
        for some in entities.chunks(TOGETHER_MAX) {
            self.patch("/v1/limits", &json!({ "limits": some.iter().map(limit).collect::<Vec<_>>() }));
        }
    }

    fn patch(&self, target: &str, body: &Value) -> (u64, u64) {
        let socket = self.server.scratch().path().join("state/admin.sock");
        let mut stream = UnixStream::connect(socket).expect("the server is administered");
        let body = body.to_string();
        let length = body.len();
        let request = format!(
            "PATCH {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        let begun_ns = now_ns();
        stream.write_all(request.as_bytes()).expect("the server listens");
        let mut answer = [0; 4096];
        let count = stream.read(&mut answer).expect("an answer");
        let answered_ns = now_ns();
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(answer.starts_with("HTTP/1.1 20"), "{target}: {answer}");
        (begun_ns, answered_ns)
    }

    /// What was logged until now of requests that are charged to `limited`.
    ///
    /// # Errors
    /// When nothing can be judged by it.
    pub fn admissions(&self, limited: Limited) -> Result<Admissions, String> {
        // A file that another process writes tells nobody when.
        std::thread::sleep(LOG_DELAY);
        Admissions::read(&self.log, limited, STALL_NS)
    }
}

/// The address of the client with this number, from 1 on.
pub fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number).into()
}

/// A network of its own, with nothing but a loopback.
struct Network(String);

impl Network {
    fn new(addresses: u8) -> Self {
        let network = Self(format!("penstock-judge-{}", std::process::id()));
        network.ip(&["netns", "add", &network.0]);
        network.ip(&["-n", &network.0, "link", "set", "lo", "up"]);
        for number in 2..=addresses {
            // Who asks an address that is the interface's own comes from it.
            let address = format!("{}/32", address(number));
            network.ip(&["-n", &network.0, "address", "add", &address, "dev", "lo"]);
        }
        network
    }

    /// The words of a command that runs another one there.
    fn launcher(&self) -> Vec<String> {
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.0)]
    }

    fn ip(&self, words: &[&str]) {
        let done = Command::new("ip").args(words).status().expect("ip of iproute2 runs");
        assert!(done.success(), "ip {words:?}");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

/// Now, in nanoseconds of CLOCK_MONOTONIC.
pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
