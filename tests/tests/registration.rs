//! Registration with a real rpcbind, in a network of the test's own: what clients of NFSv3 ask it, and its own tools show.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use testkit::namespace::Namespace;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export, free_port};

/// How long rpcbind may take to answer.
const START_MAX: Duration = Duration::from_secs(30);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

const NFS: u32 = 100_003;
const MOUNT: u32 = 100_005;

/// A network where rpcbind can run.
struct Network {
    namespace: Namespace,
    rpcbind: Option<Child>,
}

impl Network {
    /// One in which nothing runs yet; `None`, with a notice, where there is no rpcbind or nobody could serve.
    fn new() -> Option<Self> {
        if !can_serve() {
            return None;
        }
        let namespace = Namespace::new();
        for tool in ["rpcbind", "rpcinfo", "showmount"] {
            let found = namespace.command("sh").args(["-c", &format!("command -v {tool}")]).output();
            if !found.expect("a shell").status.success() {
                println!("skipped: {tool} is not installed");
                return None;
            }
        }
        Some(Self { namespace, rpcbind: None })
    }

    fn with_rpcbind() -> Option<Self> {
        let mut network = Self::new()?;
        network.start_rpcbind();
        Some(network)
    }

    fn start_rpcbind(&mut self) {
        let mut rpcbind = self.namespace.command("rpcbind");
        self.rpcbind = Some(rpcbind.arg("-f").stdin(Stdio::null()).spawn().expect("rpcbind"));
        let begun = Instant::now();
        while !succeeds(&mut self.namespace.command("rpcinfo")) {
            assert!(begun.elapsed() < START_MAX, "rpcbind does not answer");
            std::thread::sleep(PAUSE);
        }
    }

    /// A server in it that exports one directory by these protocols, with further lines of `[server]`.
    fn server(&self, name: &str, protocols: &str, settings: &str) -> Server {
        let scratch = Scratch::new(name);
        let exports = exporting(&scratch.directory("data"), protocols);
        self.server_of(scratch, exports, settings)
    }

    fn server_of(&self, scratch: Scratch, exports: String, settings: &str) -> Server {
        let mut plan = ServerPlan::new(exports);
        plan.settings.push_str(settings);
        plan.addresses = families().into_iter().map(|(_, address)| address).collect();
        plan.rpcbind = true;
        plan.launcher = self.namespace.launcher();
        Server::start(scratch, plan)
    }

    /// Program, version and address of every registration of NFS and MOUNT.
    fn registered(&self) -> BTreeSet<String> {
        let listed = self.namespace.command("rpcinfo").arg("127.0.0.1").output().expect("rpcinfo");
        assert!(listed.status.success(), "{listed:?}");
        let text = String::from_utf8(listed.stdout).expect("text");
        let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.filter(|row| [NFS, MOUNT].iter().any(|program| row[0] == program.to_string()))
            .map(|row| row[..4].join(" "))
            .collect()
    }

    /// What a tool says that succeeds.
    fn said(&self, program: &str, arguments: &[&str]) -> String {
        let output = self.namespace.command(program).args(arguments).output().expect("a tool");
        assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).expect("text")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(rpcbind) = &mut self.rpcbind {
            let _ = rpcbind.kill();
            let _ = rpcbind.wait();
        }
    }
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn exporting(data: &std::path::Path, protocols: &str) -> String {
    export(data, &format!("pseudo = \"/data\"\nprotocols = [{protocols}]"))
}

/// Network ids and addresses of this machine's families.
fn families() -> Vec<(&'static str, IpAddr)> {
    let both = [("tcp", IpAddr::V4(Ipv4Addr::LOCALHOST)), ("tcp6", Ipv6Addr::LOCALHOST.into())];
    both.into_iter().filter(|(_, address)| TcpListener::bind((*address, 0)).is_ok()).collect()
}

/// The registrations of a version of a program at a port.
fn at(program: u32, version: u32, port: u16) -> Vec<String> {
    let [high, low] = port.to_be_bytes();
    let of = |(network_id, address)| format!("{program} {version} {network_id} {address}.{high}.{low}");
    families().into_iter().map(of).collect()
}

fn all(server: &Server, mount_port: u16) -> BTreeSet<String> {
    let port = server.port();
    [at(NFS, 4, port), at(NFS, 3, port), at(MOUNT, 3, mount_port)].concat().into_iter().collect()
}

#[test]
fn what_is_served_is_registered_until_it_is_not() {
    let Some(network) = Network::with_rpcbind() else { return };
    let mount_port = free_port();
    let every = "\"3\", \"4.2\"";
    let mut server = network.server("registered", every, &format!("mount_port = {mount_port}\n"));
    let everything = all(&server, mount_port);
    assert_eq!(network.registered(), everything);
    // The way of a client: it asks rpcbind for the port, and the program there.
    network.said("rpcinfo", &["-t", "127.0.0.1", &NFS.to_string(), "3"]);
    network.said("rpcinfo", &["-t", "127.0.0.1", &MOUNT.to_string(), "3"]);
    assert!(network.said("showmount", &["-e", "127.0.0.1"]).contains("/data "));

    let data = server.scratch().path().join("data");
    server.reload(exporting(&data, "\"4.1\""));
    let newer = at(NFS, 4, server.port()).into_iter().collect();
    assert_eq!(network.registered(), newer, "nothing of NFSv3 is served");
    server.reload(exporting(&data, every));
    assert_eq!(network.registered(), everything);
    assert!(server.stop().success());
    assert_eq!(network.registered(), BTreeSet::new());
}

#[test]
fn a_dead_server_is_replaced_and_a_living_one_is_left_alone() {
    let Some(network) = Network::with_rpcbind() else { return };
    let every = "\"3\", \"4.1\", \"4.2\"";
    let mut dead = network.server("dead", every, "");
    dead.kill();
    assert_eq!(network.registered(), all(&dead, dead.port()), "nobody has taken it back");
    let mut living = network.server("living", every, "");
    assert_eq!(network.registered(), all(&living, living.port()));
    let mut second = network.server("second", every, "");
    let theirs =
        format!(":{} of another server, which answers: clients of NFSv3 must be told `port=", living.port());
    second.log().wait_for(&theirs);
    assert!(second.stop().success());
    assert_eq!(network.registered(), all(&living, living.port()));
    // The same place as before: there is nothing to be taken for another server.
    living.kill();
    living.start_again();
    assert_eq!(network.registered(), all(&living, living.port()));
    assert!(living.stop().success());
    assert_eq!(network.registered(), BTreeSet::new());
}

#[test]
fn without_rpcbind_it_serves_and_says_what_follows() {
    let Some(mut network) = Network::new() else { return };
    let server = network.server("alone", "\"3\"", "");
    let port = server.port();
    server.log().wait_for(&format!(
        "no rpcbind answers on this machine: clients of NFSv3 must be told `port={port},mountport={port}`"
    ));
    network.start_rpcbind();
    assert_eq!(network.registered(), BTreeSet::new());
    let before = server.log().len();
    server.signal(Signal::HUP);
    server.log().wait_for_after(before, "registered with rpcbind");
    let expected: BTreeSet<_> = [at(NFS, 3, port), at(MOUNT, 3, port)].concat().into_iter().collect();
    assert_eq!(network.registered(), expected);
}

#[test]
fn exports_and_mounts_are_shown() {
    let Some(network) = Network::with_rpcbind() else { return };
    let found = network.namespace.command("sh").args(["-c", "command -v nfs-ls"]).output();
    if !found.expect("a shell").status.success() {
        println!("skipped: nfs-ls is not installed");
        return;
    }
    let scratch = Scratch::new("shown");
    let directory = |name: &str| scratch.directory(name);
    let exports = [
        export(&directory("open"), "pseudo = \"/open\""),
        export(&directory("some"), "pseudo = \"/deep/some\"\nclients = [\"127.0.0.1\", \"10.0.0.0/8\"]"),
        export(&directory("others"), "pseudo = \"/others\"\nclients = [\"192.0.2.0/24\"]"),
        export(&directory("newer"), "pseudo = \"/newer\"\nprotocols = [\"4.2\"]"),
    ];
    std::fs::create_dir(scratch.path().join("some/below")).expect("a directory");
    let _server = network.server_of(scratch, exports.concat(), "");
    let shown = |option: &str| {
        let said = network.said("showmount", &["--no-headers", option, "127.0.0.1"]);
        said.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect::<BTreeSet<_>>()
    };
    let sorted = |lines: &[&str]| lines.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(
        shown("-e"),
        sorted(&["/open (everyone)", "/deep/some 127.0.0.1,10.0.0.0/8", "/others 192.0.2.0/24"])
    );
    assert_eq!(shown("-a"), BTreeSet::new());
    // A client that is told no port.
    for path in ["/open", "/deep/some", "/deep/some/below"] {
        network.said("nfs-ls", &[&format!("nfs://127.0.0.1{path}?version=3")]);
    }
    assert_eq!(
        shown("-a"),
        sorted(&["127.0.0.1:/open", "127.0.0.1:/deep/some", "127.0.0.1:/deep/some/below"])
    );
    assert_eq!(shown("-d"), sorted(&["/open", "/deep/some", "/deep/some/below"]));
}

#[test]
fn an_rpcbind_without_a_local_socket_is_told_from_a_privileged_port() {
    let Some(network) = Network::with_rpcbind() else { return };
    network.said("rm", &["/run/rpcbind.sock"]);
    let mut server = network.server("privileged", "\"3\", \"4.2\"", "");
    assert_eq!(network.registered(), all(&server, server.port()));
    assert!(server.stop().success());
    assert_eq!(network.registered(), BTreeSet::new());
}
