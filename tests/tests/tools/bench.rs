//! The load generator: every workload, and whether its result adds up.

use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use testkit::server::program;

use crate::{Served, good, penstock, said};

/// Options of a short run.
const SHORT: &[&str] =
    &["--duration", "400ms", "--warm-up", "100ms", "--file-size", "4MiB", "--json", "--quiet"];

/// How long a run may take to end when its server has gone.
const ENDING_MAX: Duration = Duration::from_secs(60);

fn bench(served: &Served, more: &[&str]) -> Value {
    let output = penstock(&[&["bench", &served.url("")], more].concat());
    let value: Value = serde_json::from_str(&good(&output)).expect("one JSON object");
    assert_eq!(value["schema"], "penstock-bench/1");
    assert_eq!(value["settings"]["protocol"], served.version);
    assert_eq!((&value["errors"], &value["interrupted"]), (&0.into(), &false.into()), "{value:#}");
    sums_are_right(&value);
    value
}

/// What must hold of any result.
fn sums_are_right(value: &Value) {
    let number =
        |value: &Value, name: &str| value[name].as_f64().unwrap_or_else(|| panic!("{name}: {value:#}"));
    for total in ["operations", "bytes", "errors"] {
        let parts = value["parts"].as_array().expect("a list").iter().map(|part| number(part, total));
        assert_eq!(number(value, total), parts.sum::<f64>(), "{total}");
    }
    assert!(number(value, "operations") > 0.0 && number(value, "seconds") > 0.0, "{value:#}");
    let rate = number(value, "operations") / number(value, "seconds");
    assert!((number(value, "ops_per_second") - rate).abs() <= rate * 1e-6);
    let latency = ["p50", "p90", "p99", "p99_9", "max"].map(|name| number(&value["latency_us"], name));
    assert!(latency[0] > 0.0 && latency.is_sorted(), "{latency:?}");
    assert!(number(value, "client_cpu_seconds") > 0.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    let start = number(value, "start_unix_seconds");
    assert!(start < now && now - start < 600.0, "it began not long ago: {start}, now {now}");
}

#[test]
fn every_workload_measures_something() {
    let workloads = [
        "null",
        "getattr",
        "read",
        "randread",
        "write",
        "randwrite",
        "commit",
        "open",
        "create",
        "create-remove",
        "mkdir",
    ];
    for served in Served::in_each_version("tools-bench") {
        for workload in workloads.into_iter().filter(|name| *name != "open" || served.version != "3") {
            let value = bench(&served, &[SHORT, &["-w", workload, "-q", "4"]].concat());
            let moves_data = matches!(workload, "read" | "randread" | "write" | "randwrite" | "commit");
            let (operations, bytes) = (value["operations"].as_u64(), value["bytes"].as_u64());
            let expected = operations.map(|count| if moves_data { count * 4096 } else { 0 });
            assert_eq!(bytes, expected, "{workload}");
            let left = fs::read_dir(&served.data).expect("a directory").count();
            assert_eq!(left, 0, "{workload} leaves nothing");
        }
        let value = bench(&served, &["-w", "remove", "-n", "100", "-q", "4", "--json", "--quiet"]);
        assert_eq!(value["operations"], 100);
        no_removed_file_is_open(&served);
    }
}

/// The server lets go of what a run has removed. By NFSv3 it keeps files open for a second.
fn no_removed_file_is_open(served: &Served) {
    let deadline = Instant::now() + Duration::from_secs(10);
    let descriptors = format!("/proc/{}/fd", served.server.process().as_raw_nonzero());
    let held = || -> Vec<String> {
        let all = fs::read_dir(&descriptors).expect("a living server");
        let links = all.filter_map(|one| fs::read_link(one.ok()?.path()).ok());
        let texts = links.map(|link| link.display().to_string());
        texts.filter(|text| text.contains("penstock-bench") && text.ends_with("(deleted)")).collect()
    };
    while !held().is_empty() {
        assert!(Instant::now() < deadline, "still open: {:?}", held());
        sleep(Duration::from_millis(50));
    }
}

#[test]
fn connections_sessions_threads_and_mixtures_add_up() {
    for served in Served::in_each_version("tools-bench-shapes") {
        let mixed = ["-w", "randread=70,randwrite=20,getattr=10", "--files", "3", "-q", "12", "-t", "2"];
        let sessions = |count| if served.version == "3" { vec![] } else { vec!["--sessions", count] };
        let value = bench(&served, &[SHORT, &mixed, &sessions("3"), &["-c", "6"]].concat());
        let parts = value["parts"].as_array().expect("a list");
        assert_eq!(parts.len(), 3);
        let operations = |index: usize| parts[index]["operations"].as_f64().expect("a number");
        assert!(operations(0) > operations(1) && operations(1) > operations(2) * 0.5, "by weight: {value:#}");
        // More connections than calls: they take turns.
        bench(&served, &[SHORT, &["-w", "getattr", "-q", "2", "-c", "7"]].concat());
        bench(&served, &[SHORT, &["-w", "getattr", "-q", "64", "-c", "600"], &sessions("20")].concat());
        // Large blocks are received past the end of one buffer, and sent from where they lie; odd ones have a pad.
        for (workload, size, bytes) in
            [("read", "1000KiB", 1_024_000), ("write", "1000KiB", 1_024_000), ("commit", "100001", 100_001)]
        {
            let large = ["-w", workload, "-b", size, "-q", "3", "--send", "single"];
            let value = bench(&served, &[SHORT, &large].concat());
            assert_eq!(value["settings"]["annotate"], false);
            let annotated = bench(&served, &[SHORT, &large, &["--annotate"]].concat());
            assert_eq!(annotated["settings"]["annotate"], true);
            assert_eq!(value["bytes"].as_u64(), value["operations"].as_u64().map(|count| count * bytes));
        }
        let counted =
            bench(&served, &["-n", "1000", "-q", "7", "-t", "2", "--file-size", "1MiB", "--json", "--quiet"]);
        assert_eq!(counted["operations"], 1000);
        let huge = penstock(&["bench", &served.url(""), "-b", "1GiB", "--file-size", "1GiB"]);
        assert!(!huge.status.success() && said(&huge).contains("give --block-size"), "{}", said(&huge));
    }
}

#[test]
fn calls_that_fail_before_the_measurement_are_told() {
    let Some(served) = Served::start("tools-bench-refused") else { return };
    // More connections than the server lets one session have: those beyond are refused their first call, and the rest of the run
    // measures nothing of them.
    let output = penstock(
        &[&["bench", &served.url(""), "-w", "getattr", "-q", "50", "-c", "50", "--sessions", "1"], SHORT]
            .concat(),
    );
    let value: Value = serde_json::from_slice(&output.stdout).expect("one JSON object");
    assert!(!output.status.success() && value["errors"].as_u64() > Some(0), "{value:#}");
}

#[test]
fn many_connections_have_sessions_enough_where_nothing_is_said() {
    let Some(served) = Served::start("tools-bench-many") else { return };
    let value = bench(&served, &[SHORT, &["-w", "getattr", "-q", "50", "-c", "50"]].concat());
    assert_eq!(value["settings"]["sessions"], 4);
}

#[test]
fn a_run_whose_server_dies_ends_soon_and_says_what_may_be_left() {
    let Some(mut served) = Served::start("tools-bench-killed") else { return };
    let mut command = Command::new(program());
    command.args(["bench", &served.url(""), "--file-size", "1MiB", "--duration", "4s"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    let mut said =
        std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("it is piped")));
    assert!(said.by_ref().map_while(Result::ok).any(|line| line.contains("op/s")), "it shows progress");
    served.server.kill();
    let killed = Instant::now();
    let said: Vec<String> = said.map_while(Result::ok).collect();
    let output = child.wait_with_output().expect("a child");
    assert!(killed.elapsed() < ENDING_MAX, "it took {:?}", killed.elapsed());
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success() && shown.contains("with lost"), "{shown}");
    assert!(said.iter().any(|line| line.contains("may be left in penstock-bench")), "{said:?}");
}

#[test]
fn an_open_loop_keeps_its_rate_and_leaves_nothing_out() {
    let Some(served) = Served::start("tools-bench-rate") else { return };
    let value = bench(&served, &[SHORT, &["-w", "getattr", "--rate", "1000", "-q", "4", "-t", "2"]].concat());
    let due = value["operations"].as_f64().expect("a number") + value["missed"].as_f64().expect("a number");
    assert!((399.0..=401.0).contains(&due), "1000 per second for 400 ms: {value:#}");
    // A rate that nobody can keep: what was due and never begun is counted.
    let value = bench(&served, &[SHORT, &["-w", "getattr", "--rate", "20000000", "-q", "2"]].concat());
    let due = value["operations"].as_f64().expect("a number") + value["missed"].as_f64().expect("a number");
    assert!((7_900_000.0..8_100_000.0).contains(&due), "{value:#}");
    assert!(value["missed"].as_u64() > Some(0));
}

#[test]
fn an_interrupted_run_says_what_it_has() {
    let Some(served) = Served::start("tools-bench-interrupt") else { return };
    let mut command = Command::new(program());
    command.args(["bench", &served.url(""), "--file-size", "1MiB", "--json", "--duration", "1h"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program runs");
    // Its first line of progress says that it measures.
    let mut progress =
        std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("it is piped")));
    let measuring = progress.by_ref().map_while(Result::ok).any(|line| line.contains("op/s"));
    assert!(measuring, "it shows progress");
    kill_process(Pid::from_child(&child), Signal::INT).expect("it runs");
    progress.for_each(drop);
    let output = child.wait_with_output().expect("a child");
    let value: Value = serde_json::from_str(&good(&output)).expect("one JSON object");
    assert_eq!(value["interrupted"], true);
    sums_are_right(&value);
    assert!(value["seconds"].as_f64() < Some(Duration::from_secs(600).as_secs_f64()));
    assert_eq!(fs::read_dir(&served.data).expect("a directory").count(), 0, "what was made is removed");
}

#[test]
fn kept_files_are_used_again_and_more_depth_than_slots_is_refused() {
    let Some(served) = Served::start("tools-bench-keep") else { return };
    let output = penstock(&["bench", &served.url(""), "-n", "100", "--file-size", "1MiB", "--keep"]);
    assert!(said(&output).contains("filling"), "{}", said(&output));
    let table = good(&output);
    assert!(table.contains("randread") && table.contains("p99.9"), "{table}");
    let again = penstock(&["bench", &served.url(""), "-n", "100", "--file-size", "1MiB", "--keep"]);
    assert!(again.status.success() && !said(&again).contains("filling"), "{}", said(&again));
    let deep = penstock(&["bench", &served.url(""), "-n", "100", "--file-size", "1MiB", "-q", "5000"]);
    assert!(!deep.status.success() && said(&deep).contains("--sessions"), "{}", said(&deep));
}
