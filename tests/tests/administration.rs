//! Administration over TCP: within TLS, for those who have the token, and not at all where that is not sure.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export, program};

/// More than the server takes at a time.
const CROWD: usize = 40;

/// How long an answer may take that nobody holds up.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// How long the server may take to be rid of a crowd that says nothing: they come in two turns.
const SILENCE_MAX: Duration = Duration::from_secs(35);

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// What a server needs for it, for the address that it has in tests.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    token: PathBuf,
}

impl Files {
    fn new(scratch: &Scratch, name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let file = |what: &str, text: &str| {
            let path = scratch.path().join(format!("{name}.{what}"));
            std::fs::write(&path, text).expect("a file");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner");
            path
        };
        Self {
            certificate: file("crt", &made.cert.pem()),
            key: file("key", &made.signing_key.serialize_pem()),
            token: file("token", &format!("{TOKEN}\n")),
        }
    }

    /// As the configuration has it.
    fn setting(&self) -> String {
        let [certificate, key, token] =
            [&self.certificate, &self.key, &self.token].map(|path| path.display());
        format!(
            "admin_tcp = {{ address = \"127.0.0.1:0\", certificate = \"{certificate}\", key = \"{key}\", \
             token_file = \"{token}\" }}\n"
        )
    }
}

fn plan(scratch: &Scratch, files: &Files) -> ServerPlan {
    let data = scratch.directory("data");
    let mut plan = ServerPlan::new(export(&data, "pseudo = \"/data\""));
    plan.settings.push_str(&files.setting());
    plan
}

/// A server, where it is administered, and what that needs.
fn start(name: &str) -> Option<(Server, SocketAddr, Files)> {
    if !can_serve() {
        return None;
    }
    let scratch = Scratch::new(name);
    let files = Files::new(&scratch, "admin");
    let plan = plan(&scratch, &files);
    let server = Server::start(scratch, plan);
    let lines = server.log().lines();
    let place = lines.iter().find_map(|line| line.split_once("administered at https://"));
    let address = place.expect("the log says where").1.trim().parse().expect("an address");
    Some((server, address, files))
}

fn qos(address: SocketAddr, token: &Path, ca: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("qos").args(arguments).args(["--server", &format!("https://{address}")]);
    command.arg("--token-file").arg(token).arg("--ca").arg(ca).output().expect("the program runs")
}

#[test]
fn who_has_the_token_administers_the_server() {
    let Some((server, address, files)) = start("administration") else { return };
    let good = |arguments: &[&str]| {
        let output = qos(address, &files.token, &files.certificate, arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let set = good(&["set", "export:/data", "--bytes", "10MB/s"]);
    assert!(set.contains("bytes       10 MB/s"), "{set}");
    let socket = server.scratch().path().join("state/admin.sock");
    let output = Command::new(program()).args(["qos", "list", "--json", "--socket"]).arg(&socket).output();
    let there: Value = serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON");
    assert_eq!(serde_json::from_str::<Value>(&good(&["list", "--json"])).expect("JSON"), there);
    assert_eq!(good(&["watch", "export:/data", "-n", "2", "-i", "10ms"]).lines().count(), 3);
}

#[test]
fn who_has_it_not_learns_nothing_and_changes_nothing() {
    let Some((server, address, files)) = start("administration-refused") else { return };
    let other = Files::new(server.scratch(), "other");
    let wrong = server.scratch().path().join("wrong.token");
    std::fs::write(&wrong, TOKEN.replace('0', "1")).expect("a file");
    for (token, ca, words) in [
        (&wrong, &files.certificate, "has to send the token"),
        (&files.token, &other.certificate, "give --ca the certificate of the server"),
        (&files.token, &files.key, "has no certificate in PEM"),
    ] {
        for arguments in [&["list"][..], &["set", "server", "--bytes", "1MB/s"]] {
            let output = qos(address, token, ca, arguments);
            let said = String::from_utf8(output.stderr).expect("text");
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
            assert!(said.contains(words), "{said}");
        }
    }
    server.log().wait_for("administration is refused to one without the token peer=127.0.0.1:");
    let by_name = format!("https://localhost:{}", address.port());
    let mut command = Command::new(program());
    command
        .args(["qos", "list", "--server", &by_name, "--token-file"])
        .arg(&files.token)
        .arg("--ca")
        .arg(&files.certificate);
    let output = command.output().expect("it runs");
    assert!(!output.status.success(), "the certificate is that of an address");

    // Nothing is said in the clear.
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a socket");
    let request = format!("GET /v1/limits HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("it is taken");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|part| part == b"HTTP"), "{}", String::from_utf8_lossy(&answer));
    let list = qos(address, &files.token, &files.certificate, &["list"]);
    assert_eq!(String::from_utf8_lossy(&list.stdout), "ENTITY  GENERATION\n");
}

#[test]
fn who_says_nothing_holds_nobody_up_for_long() {
    let Some((server, address, files)) = start("administration-silent") else { return };
    let silent: Vec<_> = (0..CROWD).map(|_| TcpStream::connect(address).expect("a connection")).collect();
    let socket = server.scratch().path().join("state/admin.sock");
    let begun = Instant::now();
    let list =
        || Command::new(program()).args(["qos", "list", "--socket"]).arg(&socket).output().expect("it runs");
    assert!(list().status.success() && begun.elapsed() < ANSWER_MAX, "the socket is nobody else's");
    // Those who agree on no key are let go.
    let output = qos(address, &files.token, &files.certificate, &["list"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(begun.elapsed() < SILENCE_MAX, "{:?}", begun.elapsed());
    drop(silent);
    // And so are those who have begun and ask for nothing.
    let silent: Vec<_> = (0..CROWD).map(|_| UnixStream::connect(&socket).expect("a connection")).collect();
    let begun = Instant::now();
    assert!(list().status.success() && begun.elapsed() < SILENCE_MAX, "{:?}", begun.elapsed());
    drop(silent);
}

#[test]
fn a_server_that_would_not_be_safe_does_not_start() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("administration-unsafe");
    let (files, other) = (Files::new(&scratch, "admin"), Files::new(&scratch, "other"));
    let data = scratch.directory("data");
    let said = |arguments: &[&OsStr]| {
        let output = Command::new(program()).args(arguments).output().expect("it runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let config = scratch.path().join("penstock.toml");
    let check = || said(&["check".as_ref(), config.as_ref()]);
    let write = |files: &Files| {
        let (state, port) = (scratch.path().join("state"), testkit::server::free_port());
        let server = format!("[server]\nport = {port}\nrpcbind = \"off\"\nstate_directory = {state:?}\n");
        let text = format!("{server}{}{}", files.setting(), export(&data, "pseudo = \"/data\""));
        std::fs::write(&config, text).expect("a file");
    };
    let refused = |files: &Files, words: &str| {
        write(files);
        let (is_good, served) = said(&["serve".as_ref(), "--config".as_ref(), config.as_ref()]);
        assert!(!is_good && served.contains(words) && served.contains("remedy: "), "{served}");
        let (is_good, checked) = check();
        assert!(!is_good && checked.contains(words) && served.ends_with(&checked), "{served}{checked}");
    };
    write(&files);
    assert!(check().0, "{}", check().1);
    let mode = |path: &Path, mode: u32| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("its owner");
    };
    for (path, name) in [(&files.token, "token_file"), (&files.key, "key")] {
        mode(path, 0o644);
        refused(&files, &format!("`{name}` {} can be read by everybody", path.display()));
        mode(path, 0o600);
    }
    let mixed = Files { key: other.key, certificate: files.certificate.clone(), token: files.token.clone() };
    refused(&mixed, "do not serve TLS");
    let missing = Files {
        certificate: scratch.path().join("nothing"),
        key: files.key.clone(),
        token: files.token.clone(),
    };
    refused(&missing, "cannot be read");
    let no_certificate =
        Files { certificate: files.key.clone(), key: files.key.clone(), token: files.token.clone() };
    refused(&no_certificate, "is no certificate in PEM");
    std::fs::write(&files.token, "secret\n").expect("a file");
    refused(&files, "no token that is safe");
}
