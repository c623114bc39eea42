//! Limits as operators handle them: set, shown, kept over the server's death, refused with reasons.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export, program};

/// How long the server may take for what it does by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// Kills of a server right after it has answered.
const KILLS: u64 = 5;

const RULE: &str = "[[qos.rule]]\nname = \"batch\"\nusers = [1000]\ntier = \"background\"\n";

/// A server that exports `/data`, and has the group `batch`.
fn start(name: &str) -> Option<Server> {
    if !can_serve() {
        return None;
    }
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    let exports = format!("{RULE}{}", export(&data, "pseudo = \"/data\""));
    Some(Server::start(scratch, ServerPlan::new(exports)))
}

fn socket(server: &Server) -> PathBuf {
    server.scratch().path().join("state/admin.sock")
}

fn qos(server: &Server, arguments: &[&str]) -> Output {
    let mut command = Command::new(program());
    command.arg("qos").args(arguments).arg("--socket").arg(socket(server));
    command.output().expect("the program runs")
}

/// What a command prints, when it succeeds.
fn good(server: &Server, arguments: &[&str]) -> String {
    let output = qos(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What it complains of, when it fails.
fn bad(server: &Server, arguments: &[&str]) -> String {
    let output = qos(server, arguments);
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{arguments:?}: {said}");
    said
}

/// All limits, as the server tells them.
fn list(server: &Server) -> Value {
    serde_json::from_str(&good(server, &["list", "--json"])).expect("JSON")
}

/// Status, head and body of what a request is answered.
fn exchange(server: &Server, request: &[u8]) -> (u16, String, String) {
    let mut stream = UnixStream::connect(socket(server)).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // Who is refused early may not take all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn request(method: &str, target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

#[test]
fn limits_are_set_shown_changed_and_taken_away() {
    let Some(server) = start("limits") else { return };
    let empty = "ENTITY       BURST  TIER        GENERATION\ngroup:batch    1ms  background           0\n";
    assert_eq!(good(&server, &["list"]), empty, "the group has the tier of its rule");

    let set = good(&server, &["set", "client:192.0.2.7", "--bytes", "10MB/s", "--ops", "5k ops"]);
    let shown =
        "entity      client:192.0.2.7\nbytes       10 MB/s\nops         5k\nburst       1ms\ngeneration  1\n";
    assert_eq!((set.as_str(), good(&server, &["get", "client:192.0.2.7"]).as_str()), (shown, shown));
    good(&server, &["set", "export:/data", "--write-bytes", "64MiB/s", "--tier", "protected"]);
    good(&server, &["set", "client:192.0.2.7", "--ops", "none", "--burst", "5ms", "--if-generation", "1"]);
    let table = "\
ENTITY              BYTES  WRITE BYTES  BURST  TIER        GENERATION
client:192.0.2.7  10 MB/s            -    5ms  -                    3
export:/data            -     64 MiB/s    1ms  protected            2
group:batch             -            -    1ms  background           0
";
    assert_eq!(good(&server, &["list"]), table);
    let path = good(&server, &["explain", "192.0.2.7", "--user", "1000", "--export", "/data", "--json"]);
    let path: Value = serde_json::from_str(&path).expect("JSON");
    let names: Vec<_> = path["path"].as_array().expect("a list").iter().map(|one| &one["entity"]).collect();
    assert_eq!(names, ["client:192.0.2.7", "group:batch", "export:/data", "server"]);

    assert_eq!(good(&server, &["get", "server"]), "entity      server\ngeneration  0\nno limit of its own\n");
    good(&server, &["rm", "client:192.0.2.7", "--if-generation", "3"]);
    good(&server, &["rm", "export:/data"]);
    assert_eq!(good(&server, &["list"]), empty);
}

#[test]
fn limits_survive_a_kill_at_any_time() {
    let Some(mut server) = start("limits-kill") else { return };
    good(&server, &["set", "server", "--bytes", "1GB/s"]);
    for round in 1..=KILLS {
        let (rate, name) = (format!("{round}MB/s"), format!("client:2001:db8::{round}"));
        good(&server, &["set", &name, "--read-bytes", &rate, "--weight", "7"]);
        if round == 3 {
            good(&server, &["rm", "client:2001:db8::1"]);
        }
        let before = list(&server);
        server.kill();
        server.start_again();
        assert_eq!(list(&server), before);
    }
    let limits = list(&server);
    assert_eq!(limits["generation"], KILLS + 2);
    // The group of the rule, the server, and all clients but one.
    assert_eq!(limits["limits"].as_array().expect("a list").len() as u64, KILLS + 1);
    let last: Value =
        serde_json::from_str(&good(&server, &["get", "client:2001:db8::5", "--json"])).expect("JSON");
    assert_eq!((&last["read_bytes_per_second"], &last["weight"]), (&json!(5_000_000), &json!(7)));
}

#[test]
fn a_limit_goes_when_its_time_is_up_also_while_the_server_is_down() {
    let Some(mut server) = start("limits-ttl") else { return };
    good(&server, &["set", "client:192.0.2.1", "--bytes", "1MB/s", "--ttl", "1h"]);
    good(&server, &["set", "client:192.0.2.2", "--bytes", "1MB/s", "--ttl", "1s"]);
    let told = good(&server, &["get", "client:192.0.2.1"]);
    assert!(told.contains("expires     in 59m ") || told.contains("expires     in 1h 0m"), "{told}");
    let count = |server: &Server| list(server)["limits"].as_array().expect("a list").len();
    let begun = Instant::now();
    while count(&server) > 2 {
        assert!(begun.elapsed() < PATIENCE, "the limit stays");
        std::thread::sleep(PAUSE);
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "the limit goes too early");
    server.log().wait_for("the time of a limit is up");

    let set = Instant::now();
    good(&server, &["set", "client:192.0.2.3", "--bytes", "1MB/s", "--ttl", "2s"]);
    good(&server, &["set", "client:192.0.2.1", "--ttl", "none"]);
    assert!(!good(&server, &["get", "client:192.0.2.1"]).contains("expires"));
    server.kill();
    // What ends it is the time of day, nothing that could be awaited.
    std::thread::sleep(Duration::from_secs(3).saturating_sub(set.elapsed()));
    server.start_again();
    assert_eq!(good(&server, &["get", "client:192.0.2.3"]).lines().last(), Some("no limit of its own"));
    assert_eq!(count(&server), 2);
}

#[test]
fn mistakes_are_told_with_what_is_in_force() {
    let Some(server) = start("limits-mistakes") else { return };
    good(&server, &["set", "export:/data", "--bytes", "10MB/s"]);
    let before = list(&server);
    let in_force = "in force for export:/data: bytes 10 MB/s, burst 1ms, generation 1";
    for (arguments, words) in [
        (&["set", "export:/data", "--bytes", "1MB/s", "--if-generation", "7"][..], "has generation 1, not 7"),
        (&["set", "export:/data", "--bytes", "1MB/s", "--if-generation", "0"], "has generation 1, not 0"),
        (&["rm", "export:/data", "--if-generation", "2"], "has generation 1, not 2"),
        (&["set", "export:/data", "--bytes", "0B/s"], "bytes_per_second is 0: give a whole number from 1"),
        (&["set", "export:/data", "--ops", "99T"], "operations_per_second is 99000000000000"),
        (&["set", "export:/data", "--weight", "10001"], "weight is 10001"),
        (&["set", "export:/data", "--bytes", "none"], "take the limit away"),
    ] {
        let said = bad(&server, arguments);
        assert!(said.starts_with("penstock: ") && said.contains(words) && said.contains(in_force), "{said}");
    }
    for (arguments, words) in [
        (&["set", "export:/nowhere", "--bytes", "1MB/s"][..], "no export \"/nowhere\"; there are /data"),
        (&["get", "group:other"], "no group \"other\""),
        (&["rm", "client:filer"], "no address"),
        (&["get", "fileset:/data"], "a whole export: write export:/data"),
        (&["rm", "server"], "server has no limit"),
        (&["set", "server"], "nothing is said"),
    ] {
        let said = bad(&server, arguments);
        assert!(said.starts_with("penstock: ") && said.contains(words), "{said}");
    }
    for rate in ["10", "10Mbit/s", "fast"] {
        let output = qos(&server, &["set", "server", "--bytes", rate]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("10MB/s"), "{said}");
    }
    for time in ["0.0005ms", "0.0015ms"] {
        let output = qos(&server, &["set", "server", "--burst", time]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(2) && said.contains("whole microseconds"), "{said}");
    }
    assert_eq!(list(&server), before);
}

#[test]
fn the_limits_of_a_server_are_kept_in_a_file_and_set_again() {
    let Some(server) = start("limits-file") else { return };
    let address = |number: u32| format!("192.0.{}.{}", number >> 8, number & 255);
    let set = |rate: u32| {
        let of =
            |number| json!({ "entity": format!("client:{}", address(number)), "bytes_per_second": rate });
        json!({ "limits": (0..2500).map(of).collect::<Vec<_>>() })
    };
    let write = |name: &str, limits: &Value| {
        let file = server.scratch().path().join(name);
        std::fs::write(&file, limits.to_string()).expect("a file");
        file.to_str().expect("UTF-8").to_owned()
    };
    assert_eq!(good(&server, &["apply", &write("all", &set(1000))]), "2500 limits set\n");
    good(&server, &["set", "server", "--bytes", "1GB/s"]);
    let reserving = format!("client:{}", address(7));
    good(&server, &["set", &reserving, "--reserve", "100MB/s"]);
    let before = list(&server);
    assert_eq!((before["limits"].as_array().unwrap().len(), &before["generation"]), (2502, &json!(5)));
    let kept = write("kept", &before);
    good(&server, &["rm", &reserving]);
    good(&server, &["rm", "server"]);

    let mut wrong = set(2000);
    wrong["limits"][1500]["entity"] = json!("client:filer");
    let said = bad(&server, &["apply", &write("wrong", &wrong)]);
    assert!(said.contains("\"filer\" is no address") && said.contains("the first 1000 are set"), "{said}");
    let limits = list(&server);
    let changed =
        limits["limits"].as_array().unwrap().iter().filter(|limit| limit["bytes_per_second"] == 2000);
    assert_eq!(changed.count(), 1000, "of a thousand with a mistake nothing is set");

    assert_eq!(good(&server, &["apply", &kept]), "2501 limits set\n", "the group's is the configuration's");
    let mut after = list(&server);
    for limit in before["limits"].as_array().unwrap() {
        let entity = &limit["entity"];
        let again =
            after["limits"].as_array_mut().unwrap().iter_mut().find(|limit| limit["entity"] == *entity);
        let again = again.expect("the limit is there");
        assert_eq!(again["generation"] == 0, limit["generation"] == 0, "{again}");
        again["generation"] = limit["generation"].clone();
        assert_eq!(again, limit);
    }
    for (text, words) in [
        ("[]", "no list `limits`"),
        ("{", "no JSON"),
        ("{\"limits\": [7]}", "limit 1 of the list is no object"),
    ] {
        let file = server.scratch().path().join("bad");
        std::fs::write(&file, text).expect("a file");
        let said = bad(&server, &["apply", file.to_str().unwrap()]);
        assert!(said.contains(words) && said.contains("list --json"), "{said}");
    }
}

#[test]
fn no_more_is_reserved_than_can_be() {
    let Some(mut server) = start("limits-reserved") else { return };
    good(&server, &["set", "server", "--bytes", "100MB/s"]);
    good(&server, &["set", "export:/data", "--reserve", "60MB/s"]);
    let before = list(&server);
    for (arguments, words) in [
        (
            &["set", "client:192.0.2.7", "--reserve", "31MB/s"][..],
            "90000000: 31000000 are more than is left beside the 60000000",
        ),
        (&["set", "server", "--bytes", "50MB/s"], "45000000, and 60000000 are reserved already"),
        (&["set", "server", "--reserve", "1MB/s"], "nothing can be reserved for the server"),
    ] {
        let said = bad(&server, arguments);
        assert!(
            said.starts_with("penstock: ") && said.contains(words) && said.contains("in force for"),
            "{said}"
        );
    }
    server.kill();
    server.start_again();
    assert_eq!(list(&server), before);
    assert!(good(&server, &["list"]).contains("60 MB/s"));
    good(&server, &["set", "export:/data", "--reserve", "none", "--weight", "7"]);
    good(&server, &["set", "client:192.0.2.7", "--reserve", "90MB/s"]);
}

#[test]
fn the_socket_is_the_servers_users_alone_and_goes_with_the_server() {
    let Some(mut server) = start("limits-socket") else { return };
    let path = socket(&server);
    let metadata = std::fs::metadata(&path).expect("it is there");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    server.log().wait_for(&format!("administered at {}", path.display()));
    assert!(server.stop().success() && !path.exists());
    let said = bad(&server, &["list"]);
    assert!(said.contains("no answer at") && said.contains("start the server"), "{said}");

    // What is not a dead server's is not taken away.
    std::fs::write(&path, "precious").expect("a file");
    let config = server.scratch().path().join("penstock.toml");
    let mut command = Command::new(program());
    command.arg("serve").arg("--config").arg(config).arg("--port").arg(server.port().to_string());
    let output =
        command.arg("--state-dir").arg(path.parent().expect("a directory")).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("`admin` in [server]"), "{said}");
    assert_eq!(std::fs::read(&path).expect("a file"), b"precious");
}

#[test]
fn the_api_answers_what_it_describes_and_nothing_else() {
    let Some(server) = start("limits-api") else { return };
    let (status, head, body) = exchange(&server, &request("GET", "/v1/openapi.json", ""));
    let description: Value = serde_json::from_str(&body).expect("JSON");
    assert!(status == 200 && head.contains("content-type: application/json"), "{head}");
    assert_eq!(description["openapi"], "3.1.0");

    let (status, _, body) =
        exchange(&server, &request("PATCH", "/v1/limits/export:%2Fdata?if_generation=0", "{\"weight\": 5}"));
    let told: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!((status, &told["entity"], &told["weight"]), (200, &json!("export:/data"), &json!(5)));
    let (status, _, same) = exchange(&server, &request("GET", "/v1/limits/export:/data", ""));
    assert_eq!((status, same), (200, body), "a / may be sent as it is");

    let too_long = format!("{{\"weight\": 5{}}}", " ".repeat(1 << 20));
    for (method, target, body, status, words) in [
        ("PATCH", "/v1/limits/server", "5", 400, "no JSON object"),
        ("PATCH", "/v1/limits/server", "", 400, "no JSON object"),
        ("PATCH", "/v1/limits/server", &too_long, 413, "16384 bytes"),
        ("PATCH", "/v1/limits/server?if_generation=x", "{}", 400, "if_generation"),
        ("PATCH", "/v1/limits/server?force=1", "{}", 400, "no parameter"),
        ("PATCH", "/v1/limits/export:/data?if_generation=9", "{\"weight\": 1}", 409, "\"in_force\""),
        ("GET", "/v1/limits/%ff", "", 400, "UTF-8"),
        ("GET", "/v1/limits/tenant:a", "", 404, "nothing that can have a limit"),
        ("GET", "/v1/path", "", 400, "no client"),
        ("GET", "/v1/path?client=::1&user=-1", "", 400, "user"),
        ("PUT", "/v1/limits/server", "{}", 405, "GET, PATCH, DELETE"),
        ("GET", "/", "", 404, "/v1/openapi.json"),
    ] {
        let (answered, _, said) = exchange(&server, &request(method, target, body));
        assert!(answered == status && said.contains(words), "{method} {target}: {answered} {said}");
    }
    // Who says nothing keeps nobody else from the socket.
    let silent: Vec<_> =
        (0..20).map(|_| UnixStream::connect(socket(&server)).expect("a connection")).collect();
    assert_eq!(list(&server)["generation"], 1);
    drop(silent);
}

#[test]
fn exports_are_known_by_their_names_after_a_reload() {
    let Some(mut server) = start("limits-reload") else { return };
    good(&server, &["set", "export:/data", "--bytes", "10MB/s"]);
    let (data, more) = (server.scratch().directory("data"), server.scratch().directory("more"));
    bad(&server, &["set", "export:/more", "--bytes", "1MB/s"]);
    let exports = export(&data, "pseudo = \"/data\"") + &export(&more, "pseudo = \"/more\"");
    server.reload(format!("{RULE}{exports}"));
    let by_path = format!("export:{}", more.display());
    assert!(good(&server, &["set", &by_path, "--bytes", "1MB/s"]).starts_with("entity      export:/more\n"));
    server.reload(format!("{RULE}{}", export(&more, "pseudo = \"/more\"")));
    // What is not exported any more can still be taken out.
    assert!(good(&server, &["list"]).contains("export:/data"));
    good(&server, &["rm", "export:/data"]);
    assert!(bad(&server, &["get", "export:/data"]).contains("there are /more"));
}

/// READs of 64 KiB, 8 outstanding, over 4 connections.
fn bench(server: &Server, place: &str, duration: &str) -> Command {
    let url = format!("nfs://{}{place}", server.address());
    let mut command = Command::new(program());
    command.args(["bench", &url, "--json", "-w", "randread", "-b", "64KiB", "-q", "8", "-c", "4"]);
    command.args(["-d", duration, "--file-size", "16MiB"]).stdout(Stdio::piped());
    command
}

/// Bytes per second of READs from all connections together, and how many failed.
fn read_rate(server: &Server, version: &str) -> (f64, u64) {
    let mut command = bench(server, &format!("/data?version={version}"), "2s");
    if version != "3" {
        command.args(["--sessions", "2"]);
    }
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (report["bytes_per_second"].as_f64().expect("a rate"), report["errors"].as_u64().expect("a count"))
}

#[test]
fn what_is_reserved_is_had_beside_those_who_want_all() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("limits-reserve");
    let [data, more] = ["data", "more"].map(|name| scratch.directory(name));
    let exports = export(&data, "pseudo = \"/data\"") + &export(&more, "pseudo = \"/more\"");
    let server = Server::start(scratch, ServerPlan::new(exports));
    good(&server, &["set", "server", "--bytes", "40MB/s"]);
    // By weight it would have a hundredth.
    good(&server, &["set", "export:/more", "--weight", "9900"]);
    good(&server, &["set", "export:/data", "--reserve", "20MB/s"]);
    let mut others = bench(&server, "/more?version=4.2", "8s").spawn().expect("the program runs");
    let (rate, errors) = read_rate(&server, "4.2");
    others.kill().expect("it runs");
    others.wait().expect("it ends");
    assert!((18e6..=24e6).contains(&rate) && errors == 0, "{rate} bytes per second, {errors} errors");
}

/// What a command prints, as JSON.
fn told(server: &Server, arguments: &[&str]) -> Value {
    serde_json::from_str(&good(server, &[arguments, &["--json"]].concat())).expect("JSON")
}

#[test]
fn who_waits_is_told_for_what_and_what_is_used_of_it() {
    let Some(server) = start("limits-usage") else { return };
    good(&server, &["set", "client:127.0.0.1", "--bytes", "20MB/s"]);
    good(&server, &["set", "client:192.0.2.7", "--bytes", "1MB/s"]);
    good(&server, &["set", "export:/data", "--ops", "1M"]);
    let idle = told(&server, &["explain", "127.0.0.1", "--interval", "100ms"]);
    assert_eq!((&idle["waiting"], &idle["binds"]), (&json!(0), &Value::Null));
    let said = good(&server, &["explain", "127.0.0.1", "--interval", "10ms"]);
    assert!(said.ends_with("\nnothing binds: none of these requests waits for a limit\n"), "{said}");

    let mut load = bench(&server, "/data?version=4.2", "20s").spawn().expect("the program runs");
    let begun = Instant::now();
    while told(&server, &["explain", "127.0.0.1", "--interval", "100ms"])["waiting"].as_u64() < Some(4) {
        assert!(begun.elapsed() < PATIENCE, "nobody waits");
    }
    // The preparation writes; from here on it is read, as much as the limit lets through.
    let rates = |arguments: &[&str]| {
        let told = told(&server, arguments);
        let one = told["usage"].as_array().expect("a list")[0].clone();
        let rate = |name: &str| one["usage"][name].as_u64().unwrap_or_else(|| panic!("{name} in {told}"));
        (
            one["entity"].clone(),
            rate("read_bytes_per_second"),
            rate("write_bytes_per_second"),
            one["usage"].clone(),
        )
    };
    while rates(&["watch", "client:127.0.0.1", "-n", "1", "-i", "200ms"]).2 > 0 {
        assert!(begun.elapsed() < PATIENCE, "it does not begin");
    }
    let (entity, read, _, usage) = rates(&["top", "-n", "1", "-i", "1s"]);
    assert_eq!(entity, "client:127.0.0.1", "who uses most is first");
    assert!((18_000_000..=20_600_000).contains(&read), "{usage}");
    assert!(usage["used"].as_f64() > Some(0.9) && usage["used_most"] == "bytes_per_second", "{usage}");
    assert!(
        usage["parked"].as_u64() > Some(0) && usage["wait_microseconds"].as_u64() > Some(1000),
        "{usage}"
    );

    for (subject, more) in [("127.0.0.1", &[][..]), ("/data/any/file", &["--client", "127.0.0.1"])] {
        let path = told(&server, &[&["explain", subject], more].concat());
        assert_eq!(path["binds"], "client:127.0.0.1", "{path}");
        let levels = path["path"].as_array().expect("a list");
        let waiting = |name: &str| {
            levels.iter().find(|level| level["entity"] == name).map(|level| level["waiting"].clone())
        };
        assert_eq!(
            (waiting("client:127.0.0.1").as_ref(), waiting("server")),
            (Some(&path["waiting"]), Some(json!(0))),
            "{path}"
        );
    }
    let said = good(&server, &["explain", "127.0.0.1"]);
    assert!(said.contains("client:127.0.0.1 binds, with its bytes: "), "{said}");
    // Of the file alone it is seen that it is not the export that they wait for.
    let file = told(&server, &["explain", "/data/any/file"]);
    assert!(file["binds"].is_null() && file["waiting"].as_u64() > Some(0), "{file}");
    let other = told(&server, &["explain", "192.0.2.7"]);
    assert_eq!((&other["waiting"], &other["binds"]), (&json!(0), &Value::Null));
    load.kill().expect("it runs");
    load.wait().expect("it ends");
}

#[test]
fn rates_are_shown_again_and_again() {
    let Some(server) = start("limits-watch") else { return };
    good(&server, &["set", "export:/data", "--bytes", "10MB/s"]);
    let lines =
        |arguments: &[&str]| -> Vec<String> { good(&server, arguments).lines().map(str::to_owned).collect() };
    let watched = lines(&["watch", "export:/data", "-i", "10ms", "-n", "3"]);
    assert_eq!(watched.len(), 4, "heads once, then a line for each interval: {watched:?}");
    assert!(watched[0].starts_with("ENTITY ") && watched[3].contains("0 B/s of 10 MB/s"), "{watched:?}");
    assert!(watched.iter().all(|line| line.len() == watched[0].len()), "{watched:?}");
    let objects = lines(&["watch", "export:/data", "-i", "10ms", "-n", "2", "--json"]);
    let parsed = objects.iter().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert!(parsed.map(|one| one["usage"][0]["entity"].clone()).eq(["export:/data"; 2]));
    let top = lines(&["top", "-i", "10ms", "-n", "1", "--rows", "1"]);
    assert_eq!(top.len(), 2, "{top:?}");
    let all = lines(&["top", "-i", "10ms", "-n", "1"]);
    assert_eq!(all.len(), 4, "the group, the export, and the server that it is a part of: {all:?}");

    for (arguments, words) in [
        (&["watch", "client:192.0.2.7"][..], "has no limit, and only what is limited is counted"),
        (&["watch", "export:/nowhere"], "there are /data"),
        (&["explain", "filer"], "the path of a file begins with /"),
        (&["explain", "data/file"], "the path of a file begins with /"),
        (&["explain", "/data/file", "--client", "filer"], "no address of a client"),
        (&["explain", "192.0.2.7", "--client", "192.0.2.8"], "leave --client out"),
        (&["explain", "/elsewhere/file"], "no export holds"),
        (&["explain", "/data/file", "--export", "/data"], "leave one of them out"),
    ] {
        let said = bad(&server, arguments);
        assert!(said.contains(words), "{said}");
    }
    for (target, words) in [
        ("/v1/usage?interval_ms=9", "interval_ms is 9: give 10 to 10000"),
        ("/v1/usage?interval_ms=10001", "interval_ms is 10001"),
        ("/v1/usage?top=0", "top is 0: give 1 to 1000"),
        ("/v1/usage?top=x", "no number"),
        ("/v1/path?client=::1&interval_ms=0", "interval_ms is 0"),
    ] {
        let (status, _, said) = exchange(&server, &request("GET", target, ""));
        assert!(status == 400 && said.contains(words), "{target}: {said}");
    }
}

#[test]
fn what_is_set_is_what_clients_get() {
    let Some(server) = start("limits-enforced") else { return };
    for (version, limited) in [("4.2", "client:127.0.0.1"), ("3", "export:/data"), ("4.2", "server")] {
        good(&server, &["set", limited, "--bytes", "20MB/s"]);
        let (rate, errors) = read_rate(&server, version);
        // More only by the burst and by what was outstanding; less by what the machine does meanwhile.
        assert!((10e6..=20.6e6).contains(&rate), "{limited} by {version}: {rate} bytes per second");
        assert_eq!(errors, 0, "{limited} by {version}");
        good(&server, &["rm", limited]);
    }
    let (rate, errors) = read_rate(&server, "4.2");
    assert!(rate > 40e6 && errors == 0, "nothing is limited any more: {rate} bytes per second");
}

#[test]
fn a_directory_is_limited_with_all_below_it() {
    let Some(server) = start("limits-files") else { return };
    let data = server.scratch().path().join("data");
    std::fs::create_dir_all(data.join("set/below")).expect("a directory");
    let file = server.scratch().path().join("two-megabytes");
    std::fs::write(&file, vec![7; 2_000_000]).expect("a file");
    let put = |version: &str, name: &str| {
        let url = format!("nfs://{}/data/{name}?version={version}", server.address());
        let begun = Instant::now();
        let put = Command::new(program()).arg("put").arg(&file).arg(url).output().expect("the program runs");
        assert!(put.status.success(), "{}", String::from_utf8_lossy(&put.stderr));
        begun.elapsed()
    };
    good(&server, &["set", "fileset:/data/set", "--bytes", "500kB/s"]);
    // What is written last is not waited for: nearly half of it is paid before.
    let paid = Duration::from_millis(1800);
    for version in ["4.2", "3"] {
        let took = put(version, "set/below/a");
        assert!(took >= paid, "{version}: {took:?}");
    }
    assert!(put("4.2", "beside") < paid, "what lies beside is not limited");
    let listed = list(&server);
    assert!(listed.to_string().contains("fileset:/data/set"), "{listed}");
    let refused = bad(&server, &["set", "fileset:/data/nowhere", "--bytes", "1MB/s"]);
    assert!(refused.contains("No such file"), "{refused}");
}
