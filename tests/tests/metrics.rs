//! The metrics of a server: what the text is, and that it tells what happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::server::{Scratch, Server, ServerPlan, can_serve, program};

/// How long any answer may take, with all connections in the hands of those who send nothing.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// More than the server takes at a time.
const CROWD: usize = 40;

const FILE_BYTES: u64 = 4 << 20;

/// A server with metrics, on a port of the kernel's choice.
fn start(name: &str) -> Option<(Server, SocketAddr)> {
    if !can_serve() {
        return None;
    }
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    let mut plan = ServerPlan::exporting(&[&data]);
    plan.settings.push_str("metrics = \"127.0.0.1:0\"\n");
    let server = Server::start(scratch, plan);
    // Told beside the line that says that it serves, and perhaps after it.
    server.log().wait_for("metrics at http://");
    let lines = server.log().lines();
    let place = lines.iter().find_map(|line| line.split_once("metrics at http://"));
    let address = place.expect("the log says where").1.trim_end_matches("/metrics");
    Some((server, address.parse().expect("an address")))
}

/// Sends bytes to the metrics; what comes back until the end.
fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a socket");
    // Who is refused early may not take all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).expect("text")
}

/// Status, head and body of what is asked.
fn ask(address: SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    let answer = exchange(address, request.as_bytes());
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest[..3].parse().ok()).expect("a status");
    (status, head.to_ascii_lowercase(), body.to_owned())
}

/// A time series: its name and labels as they are written.
type Series = (String, String);

/// The metrics now, from text that must be as OpenMetrics 1.0 has it.
fn scrape(address: SocketAddr) -> BTreeMap<Series, u64> {
    let (status, head, body) = ask(address, "GET", "/metrics");
    assert_eq!(status, 200, "{head}");
    assert!(
        head.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{head}"
    );
    parse(&body)
}

fn parse(text: &str) -> BTreeMap<Series, u64> {
    let text = text.strip_suffix("# EOF\n").expect("the end is marked");
    assert!(text.ends_with('\n') && !text.contains("# EOF"));
    let mut lines = text.lines().peekable();
    let (mut families, mut found) = (BTreeSet::new(), BTreeMap::new());
    while let Some(line) = lines.next() {
        let (name, help) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect(line);
        assert!(name.starts_with("penstock_") && name.bytes().all(is_of_names), "{line}");
        assert!(families.insert(name), "{name} comes twice");
        assert!(help.ends_with('.') && help.len() > 5, "a sentence: {line}");
        assert!(
            !help.contains(['\\', '[', '"']) && !help.contains("  "),
            "for readers of plain text: {line}"
        );
        let kind = lines.next().and_then(|line| line.strip_prefix(&format!("# TYPE {name} ")));
        let series = match kind {
            Some("counter") => format!("{name}_total"),
            Some("gauge") => name.to_owned(),
            _ => panic!("{kind:?} of {name}"),
        };
        assert!(kind != Some("gauge") || !name.ends_with("_total"), "{name}");
        let before = found.len();
        while let Some(sample) = lines.next_if(|line| !line.starts_with('#')) {
            let (place, value) = sample.split_once(' ').expect(sample);
            let (of, labels) = place.split_at(place.find('{').unwrap_or(place.len()));
            assert_eq!(of, series, "{sample}");
            let within = |of: &str| labels.strip_prefix(&format!("{{{of}=\""))?.strip_suffix("\"}");
            let is_shard = within("shard").is_some_and(|shard| shard.parse::<u16>().is_ok());
            let is_entity = within("entity").is_some() && name.starts_with("penstock_limit_");
            assert!(labels.is_empty() || is_shard || is_entity, "{sample}");
            let value = value.parse().unwrap_or_else(|_| panic!("{sample}"));
            assert!(
                found.insert((of.to_owned(), labels.to_owned()), value).is_none(),
                "{sample} comes twice"
            );
        }
        assert!(found.len() > before, "{name} has no value");
    }
    found
}

fn is_of_names(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// The sum of a metric over the shards.
fn sum(metrics: &BTreeMap<Series, u64>, name: &str) -> u64 {
    let mut found = metrics.iter().filter(|((of, _), _)| of == name).map(|(_, value)| *value).peekable();
    assert!(found.peek().is_some(), "there is no {name}");
    found.sum()
}

/// Runs a command of the program that is a client; it must succeed.
fn penstock(arguments: &[&str], input: &[u8]) {
    let mut command = Command::new(program());
    let mut child =
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("it runs");
    child.stdin.take().expect("it is piped").write_all(input).expect("it reads");
    assert!(child.wait().expect("a child").success(), "{arguments:?}");
}

#[test]
fn what_clients_do_is_counted() {
    let Some((server, address)) = start("metrics") else { return };
    let before = scrape(address);
    let url = |path: &str| format!("nfs://{}/{path}", server.address());
    penstock(&["put", "--annotate", "-", &url("file")], &vec![7; FILE_BYTES as usize]);
    penstock(&["get", &url("file"), "-"], b"");
    penstock(&["mkdir", &url("directory?version=3")], b"");
    let after = scrape(address);

    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "series come and go");
    for ((name, labels), value) in &before {
        let now = after[&(name.clone(), labels.clone())];
        assert!(!name.ends_with("_total") || now >= *value, "{name}{labels} went back from {value} to {now}");
    }
    let moved = |names: &[&str]| {
        let of = |metrics| names.iter().map(|name| sum(metrics, &format!("penstock_{name}"))).sum::<u64>();
        of(&after) - of(&before)
    };
    let received =
        ["placed", "caught", "caught_first", "short"].map(|way| format!("tcp_payload_{way}_bytes_total"));
    assert_eq!(moved(&received.each_ref().map(String::as_str)), FILE_BYTES, "written");
    let sent = ["tcp_payload_spliced_bytes_total", "tcp_payload_from_memory_bytes_total"];
    assert_eq!(moved(&sent), FILE_BYTES, "read");
    let calls = FILE_BYTES >> 20;
    assert_eq!(moved(&["annotation_areas_right_total"]), calls, "each WRITE says where its data lies");
    assert_eq!(moved(&["annotation_areas_wrong_total", "tcp_collected_total"]), 0);
    assert_eq!(moved(&["read_piped_bytes_total"]), moved(&sent[..1]), "what was spliced");
    assert!(moved(&["read_piped_slept_total"]) <= moved(&["read_piped_total"]));
    assert!(moved(&["tcp_sent_bytes_total"]) > FILE_BYTES);
    assert!(moved(&["tcp_received_bytes_total"]) > FILE_BYTES);
    assert!(moved(&["tcp_calls_total"]) > 10);
    assert!(moved(&["tcp_connections_opened_total"]) >= 3);
    assert!(moved(&["engine_turns_total"]) > 0);
    assert_eq!(moved(&["duplicate_requests_executed_total"]), 1, "the directory of NFSv3");
    assert_eq!(moved(&["duplicate_requests_calls"]), 1);

    assert_eq!(sum(&after, "penstock_scrape_shards"), 2);
    assert_eq!(sum(&after, "penstock_scrape_unanswered_total"), 0);
    assert_eq!(sum(&after, "penstock_payload_memory_bytes"), 2 * (128 << 20), "of both shards");
    for shard in ["{shard=\"0\"}", "{shard=\"1\"}"] {
        assert!(after.contains_key(&("penstock_tcp_calls_total".to_owned(), shard.to_owned())));
    }
}

#[test]
fn clients_and_sessions_are_shown_while_they_are_there() {
    let Some((server, address)) = start("metrics-state") else { return };
    testkit::asking::ask(server.address(), move |asking| async move {
        let client = asking.client("metrics").await;
        let metrics = scrape(address);
        assert_eq!(sum(&metrics, "penstock_state_clients"), 1);
        assert_eq!(sum(&metrics, "penstock_state_sessions"), 1);
        assert!(sum(&metrics, "penstock_state_reply_cache_bytes") > 0);
        assert_eq!(sum(&metrics, "penstock_tcp_connections"), 1);
        client.destroy().await.expect("the client goes");
    });
    assert_eq!(sum(&scrape(address), "penstock_state_clients"), 0);
}

#[test]
fn nothing_else_is_served() {
    let Some((_server, address)) = start("metrics-paths") else { return };
    for path in ["/", "/metrics/", "/metric", "//metrics", "/../metrics"] {
        assert_eq!(ask(address, "GET", path).0, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PURGE"] {
        let (status, head, _) = ask(address, method, "/metrics");
        assert!(status == 405 && head.contains("allow: get, head"), "{method}: {head}");
    }
    let (status, _, body) = ask(address, "HEAD", "/metrics");
    assert!(status == 200 && body.is_empty(), "{body}");
    assert_eq!(ask(address, "GET", "/metrics?name=x").0, 200);
}

#[test]
fn who_asks_badly_or_never_ends_holds_nobody_up() {
    let Some((server, address)) = start("metrics-crowd") else { return };
    for garbage in [&b"\x16\x03\x01\x02\x00\x01\x00\x01"[..], b"GET\r\n\r\n", b"GET /metrics HTTP/9\r\n\r\n"]
    {
        assert!(!exchange(address, garbage).contains("200 OK"), "{garbage:?}");
    }
    let endless = [b"GET /metrics HTTP/1.1\r\nA: ".as_slice(), &[b'a'; 1 << 20]].concat();
    assert!(!exchange(address, &endless).contains("200 OK"));

    let begun = |_| {
        let mut stream = TcpStream::connect(address).expect("a connection");
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: ").expect("it is taken");
        stream
    };
    let crowd: Vec<_> = (0..CROWD).map(begun).collect();
    let asked = Instant::now();
    penstock(&["mkdir", &format!("nfs://{}/directory", server.address())], b"");
    assert_eq!(sum(&scrape(address), "penstock_scrape_unanswered_total"), 0);
    assert!(asked.elapsed() < ANSWER_MAX);
    for mut stream in crowd {
        // They are sent away, all of them; who was, may find that the server does not listen any more.
        let _ = stream.shutdown(Shutdown::Write);
        stream.set_read_timeout(Some(ANSWER_MAX)).expect("a socket");
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        assert!(!ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock), "still connected");
    }
}

#[test]
fn a_port_that_is_taken_is_named_with_its_key() {
    let Some((server, address)) = start("metrics-taken") else { return };
    let config = server.scratch().directory("second").join("penstock.toml");
    let data = server.scratch().directory("other");
    let text = format!("[server]\nmetrics = \"{address}\"\n[[export]]\npath = {data:?}\n");
    std::fs::write(&config, text).expect("a written file");
    let mut command = Command::new(program());
    command.args(["serve", "--config"]).arg(&config).args(["--address", "127.0.0.1", "--rpcbind", "off"]);
    command.arg("--port").arg(testkit::server::free_port().to_string());
    command.arg("--state-dir").arg(config.with_file_name("state"));
    let output = command.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    for words in
        [&format!("cannot listen on {address} (`metrics`)"), "remedy: ", "another port with `metrics`"]
    {
        assert!(said.contains(words), "{words:?} is not in\n{said}");
    }
}

#[test]
fn those_that_have_a_limit_are_told_what_they_use() {
    let Some((server, address)) = start("metrics-limits") else { return };
    let socket = server.scratch().path().join("state/admin.sock").display().to_string();
    let set =
        |name: &str, rate: &str| penstock(&["qos", "set", name, "--bytes", rate, "--socket", &socket], b"");
    let of = |metrics: &BTreeMap<Series, u64>, name: &str, entity: &str| {
        metrics.get(&(format!("penstock_limit_{name}"), format!("{{entity=\"{entity}\"}}"))).copied()
    };
    let before = scrape(address);
    assert!(!before.keys().any(|(name, _)| name.starts_with("penstock_limit_")), "nobody has a limit");
    assert_eq!(sum(&before, "penstock_limits_entities"), 0);
    set("client:127.0.0.1", "4MB/s");
    let url = format!("nfs://{}/file", server.address());
    penstock(&["put", "-", &url], &vec![7; FILE_BYTES as usize]);
    penstock(&["get", &url, "-"], b"");
    // What was asked for beyond the end of the file waits for its turn, and is given back when nothing was there.
    let begun = Instant::now();
    let mut metrics = scrape(address);
    while of(&metrics, "parked", "client:127.0.0.1") > Some(0)
        || of(&metrics, "read_bytes_total", "client:127.0.0.1") > Some(FILE_BYTES)
    {
        assert!(begun.elapsed() < ANSWER_MAX, "who has gone waits for ever");
        metrics = scrape(address);
    }
    let client = |name: &str| of(&metrics, name, "client:127.0.0.1").expect(name);
    assert_eq!((client("written_bytes_total"), client("read_bytes_total")), (FILE_BYTES, FILE_BYTES));
    assert!(client("writes_total") >= 64 && client("reads_total") >= 64, "one for each 64 KiB");
    // Eight megabytes at four a second.
    assert!(client("waits_total") > 0 && client("waited_ns_total") > 1_000_000_000);
    assert_eq!((client("parked"), client("refused_total")), (0, 0));

    // However many have one, there are not more series.
    for number in 0..300 {
        set(&format!("client:192.0.{}.{}", number / 200, number % 200 + 1), "1MB/s");
    }
    let crowded = scrape(address);
    let series = crowded.keys().filter(|(name, _)| name == "penstock_limit_parked").count();
    assert_eq!(
        (series, sum(&crowded, "penstock_limits_entities"), sum(&crowded, "penstock_limits_unshown")),
        (256, 301, 45)
    );
    assert_eq!(
        of(&crowded, "read_bytes_total", "client:127.0.0.1"),
        Some(FILE_BYTES),
        "the oldest limits are shown"
    );
    assert_eq!(of(&crowded, "parked", "client:192.0.1.100"), None);
}
