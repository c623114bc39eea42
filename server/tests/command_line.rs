//! What the program says when it is told something wrong, and when it is told to begin and to end.

mod support;

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Command, Output};

use support::{Scratch, Server, free_port, is_root, penstock};

fn run(command: &mut Command) -> (bool, String, String) {
    let Output { status, stdout, stderr } = command.output().expect("the program runs");
    (status.success(), String::from_utf8_lossy(&stdout).into(), String::from_utf8_lossy(&stderr).into())
}

/// Asserts that the program refuses, and says all of `words`.
fn refused(command: &mut Command, words: &[&str]) {
    let (good, _, message) = run(command);
    assert!(!good, "{message}");
    for word in words.iter().chain(&["remedy: "]) {
        assert!(message.contains(word), "{word:?} is not in\n{message}");
    }
}

#[test]
fn a_good_configuration_is_described() {
    let scratch = Scratch::new("good");
    let directory = scratch.directory("data");
    let server = "[server]\nmetrics = \"127.0.0.1:9469\"\n";
    let export = format!("[[export]]\npath = {directory:?}\npseudo = \"/a\"\naccess = \"ro\"\n");
    let config = scratch.config(&(server.to_owned() + &export));
    let (good, said, _) = run(penstock().arg("check").arg(&config));
    assert!(good && said.contains(" as /a (id ") && said.contains("ro, squash root"), "{said}");
    assert!(said.contains("protocols: 3 4.1 4.2"), "{said}");
    assert!(said.contains("metrics: http://127.0.0.1:9469/metrics"), "{said}");
    assert!(said.contains("administration: /var/lib/penstock/admin.sock\n"), "{said}");
    assert!(said.contains("memory: at most ") && said.contains(" MiB payload"), "{said}");
    let (good, said, _) = run(penstock().args(["check", "--json"]).arg(&config));
    let report: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert!(good && report["valid"] == true && report["exports"][0]["pseudo"] == "/a", "{said}");
    assert!(report["memory_bytes_max"].as_u64().is_some_and(|bytes| bytes > 0), "{said}");
    assert!(report["port"] == 2049 && report["metrics"] == "127.0.0.1:9469", "{said}");
}

#[test]
fn bounds_beyond_the_machines_memory_are_warned_of() {
    let scratch = Scratch::new("memory");
    let directory = scratch.directory("data");
    let config =
        scratch.config(&format!("[[export]]\npath = {directory:?}\n[limits]\npayload_memory_mib = 262144\nreply_cache_mib = 65536\nopens = 16777216\n"));
    let (good, _, warned) = run(penstock().arg("check").arg(&config));
    assert!(good && warned.contains("less than the bounds allow"), "{warned}");
}

#[test]
fn a_bad_configuration_is_refused_with_its_place() {
    let scratch = Scratch::new("bad");
    let config = scratch.config("[server]\nport = 2049\nleese_seconds = 4\n");
    let place = format!("{}:3:1: unknown field `leese_seconds`", config.display());
    refused(penstock().arg("check").arg(&config), &[&place, "config-example"]);
    let config = scratch.config("[[export]]\npath = \"/no/such/place\"\n");
    refused(penstock().arg("check").arg(&config), &[":2:8: ", "/no/such/place does not exist", "mkdir"]);
    let (good, said, _) = run(penstock().args(["check", "--json"]).arg(&config));
    let report: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert!(!good && report["problems"][0]["line"] == 2, "{said}");
    refused(
        penstock().args(["check", "/no/such/file"]),
        &["/no/such/file: the configuration cannot be read"],
    );
}

#[test]
fn check_refuses_a_state_directory_as_serve_does() {
    use std::os::unix::fs::PermissionsExt;
    if !is_root() {
        eprintln!("not root: nobody else may look into a state directory");
        return;
    }
    let scratch = Scratch::new("state-mode");
    let (data, state) = (scratch.directory("data"), scratch.directory("state"));
    let config =
        scratch.config(&format!("[server]\nstate_directory = {state:?}\n[[export]]\npath = {data:?}\n"));
    let with_mode = |mode| std::fs::set_permissions(&state, PermissionsExt::from_mode(mode)).expect("a mode");
    with_mode(0o755);
    let words = ["is open to other users", "chmod 0700"];
    refused(penstock().arg("check").arg(&config), &words);
    refused(penstock().arg("serve").arg("--config").arg(&config), &words);
    let (_, said, _) = run(penstock().args(["check", "--json"]).arg(&config));
    let report: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert!(report["valid"] == false && report["problems"][0]["reason"].is_string(), "{said}");
    with_mode(0o700);
    assert!(run(penstock().arg("check").arg(&config)).0);
    assert_eq!(std::fs::read_dir(&state).expect("a directory").count(), 0, "nothing is made by a check");
    std::fs::write(state.join("identity.toml"), "not a table").expect("a file");
    refused(penstock().arg("check").arg(&config), &["identity.toml"]);
}

#[test]
fn the_example_is_a_configuration() {
    let scratch = Scratch::new("example");
    let directory = scratch.directory("data");
    let (_, example, _) = run(penstock().arg("config-example"));
    let config = scratch.config(&example.replace("/srv/data", directory.to_str().expect("a plain name")));
    let (good, said, problems) = run(penstock().arg("check").arg(&config));
    assert!(good, "{said}{problems}");
}

#[test]
fn without_root_it_refuses_and_says_why() {
    use std::os::unix::process::CommandExt;
    let mut command = penstock();
    if is_root() {
        // The binary must be reachable for nobody; where it is not, there is nothing to see.
        let copy = std::env::temp_dir().join(format!("penstock-nobody-{}", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_penstock"), &copy).expect("a copy");
        command = Command::new(&copy);
        command.uid(65534).gid(65534).current_dir("/");
        refused(command.args(["serve", "/"]), &["needs root", "identities"]);
        std::fs::remove_file(copy).expect("the copy goes");
    } else {
        refused(command.args(["serve", "/"]), &["needs root", "identities"]);
    }
}

#[test]
fn what_keeps_it_from_starting_is_named() {
    if !is_root() {
        eprintln!("not root: `penstock serve` refuses before it comes this far");
        return;
    }
    let scratch = Scratch::new("start");
    let data = scratch.directory("data");
    let serve = |arguments: &[&str]| {
        let mut command = penstock();
        command
            .arg("serve")
            .args(arguments)
            .arg("--state-dir")
            .arg(scratch.0.join("state"))
            .args(["--shards", "1"]);
        command
    };
    refused(&mut serve(&["/no/such/place"]), &["/no/such/place does not exist"]);
    refused(
        serve(&["--log-level", "a=b=c"]).current_dir(data.parent().expect("it has one")),
        &["/export does not exist"],
    );
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = taken.local_addr().expect("it is bound").port().to_string();
    let path = data.to_str().expect("a plain name");
    refused(&mut serve(&[path, "--address", "127.0.0.1", "--port", &port]), &[&port, "in use", "--port"]);
    let config = scratch.config(&format!("[server]\nmount_port = {port}\n[[export]]\npath = {data:?}\n"));
    let config = config.to_str().expect("a plain name");
    refused(
        &mut serve(&["--config", config, "--address", "127.0.0.1", "--port", &free_port().to_string()]),
        &[&port, "in use", "another with `mount_port`"],
    );
    refused(
        &mut serve(&[path, "--address", "192.0.2.1", "--port", &port]),
        &["192.0.2.1", "no such address"],
    );
    refused(&mut serve(&[path, "--log-level", "a=b=c"]), &["--log-level a=b=c"]);
    let mut loose = penstock();
    std::fs::set_permissions(&data, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("its owner may");
    refused(loose.args(["serve", path, "--state-dir", path]), &["open to other users", "chmod 0700"]);
}

#[test]
fn it_serves_says_how_to_mount_keeps_others_out_and_stops() {
    if !is_root() {
        eprintln!("not root: nothing can be served");
        return;
    }
    let scratch = Scratch::new("serve");
    let data = scratch.directory("data");
    let path = data.to_str().expect("a plain name");
    let mut server = Server::start(&scratch, [path]);
    let command = format!("mount -t nfs4 -o vers=4.2,port={} 127.0.0.1:/ /mnt", server.port);
    assert!(server.said.iter().any(|line| line.contains(&command)), "{:?}", server.said);
    TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).expect("it listens");

    let holder = format!("process {}", server.child.id());
    let mut second = penstock();
    second.args(["serve", path, "--state-dir"]).arg(scratch.0.join("state"));
    refused(&mut second, &["in use by another penstock", &holder]);

    server.signal(rustix::process::Signal::HUP);
    server.signal(rustix::process::Signal::TERM);
    let status = server.child.wait().expect("it ends");
    assert!(status.success(), "{status}");
}
