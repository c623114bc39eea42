//! The tool: limits judged from outside, as tables or JSON.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rustix::process::setpriority_process;
use serde_json::{Value, json};
use simulation::report::aligned;
use testkit::judge::accuracy::{Case, Row};
use testkit::judge::changes::{self, Change};
use testkit::judge::crowd::{self, Crowd};
use testkit::judge::isolation::{self, Equality, Isolation};

/// Limits judged from outside: a real server, loads over loopback, and the server's own log of admissions.
///
/// accuracy   a limit of a quarter of what goes on without one, or less: how far what goes on is from it, in bytes and in
///            operations, READ and WRITE, 4 KiB to 1 MiB, one connection and 16
/// changes    a limit raised and lowered under load: what goes on from 10 ms after the answer
/// isolation  a protected client beside neighbours, and clients that are alike, under a limit of the server
/// crowd      throughput with 100,000 limits beside none and beside three, in rounds
///
/// Needs root. The exit code is 1 when anything is not met.
#[derive(Parser)]
#[command(
    name = "qos-judge",
    verbatim_doc_comment,
    after_help = "\
Examples:
  cargo run --release -p testkit --bin qos-judge
  cargo run --release -p testkit --bin qos-judge -- accuracy --seconds 10 --rows 'READ 64 KiB'
  cargo run --release -p testkit --bin qos-judge -- changes --json"
)]
struct Settings {
    /// What is judged. [default: all]
    #[arg(value_parser = ["accuracy", "changes", "isolation", "crowd"])]
    parts: Vec<String>,
    /// Seconds of each run of `accuracy`.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=3600))]
    seconds: u64,
    /// Only rows of `accuracy` whose name has these words.
    #[arg(long, default_value = "")]
    rows: String,
    /// How often a run is repeated of which too little can be judged.
    #[arg(long, default_value_t = 3)]
    tries: u32,
    /// How often all changes are made.
    #[arg(long, default_value_t = 3)]
    turns: u32,
    /// Rounds of `crowd`, and half as many pairs of each row of `isolation`.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(15..))]
    pairs: u64,
    /// Print JSON, with more figures than the tables have.
    #[arg(long)]
    json: bool,
}

/// The server and the loads that are measured run before what else there is on the machine.
const PRIORITY: i32 = -15;

/// How long each run of `isolation` and of `crowd` is.
const ISOLATION_TIME: Duration = Duration::from_secs(4);
const EQUALITY_TIME: Duration = Duration::from_secs(10);
const CROWD_TIME: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    let settings = Settings::parse();
    if let Err(error) = setpriority_process(None, PRIORITY) {
        eprintln!("qos-judge: it cannot run at priority {PRIORITY}: {error}\n  remedy: run it as root");
        return ExitCode::FAILURE;
    }
    match judge(&settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("qos-judge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge(settings: &Settings) -> Result<bool, String> {
    let wants = |part: &str| settings.parts.is_empty() || settings.parts.iter().any(|one| one == part);
    let (mut is_met, mut told) = (true, json!({}));
    if wants("accuracy") {
        let mut rows = Vec::new();
        for case in Case::all().into_iter().filter(|case| case.name().contains(&settings.rows)) {
            eprintln!("accuracy: {}, {} s", case.name(), settings.seconds);
            let row = case.run(Duration::from_secs(settings.seconds), settings.tries)?;
            row.misses().iter().for_each(|miss| eprintln!("{}: {miss}", case.name()));
            rows.push(row);
        }
        is_met &= rows.iter().all(|row| row.misses().is_empty() && row.verdict.is_judged());
        told["accuracy"] = rows.iter().map(Row::json).collect();
        show(settings, Row::head(), rows.iter().map(Row::cells));
    }
    if wants("changes") {
        eprintln!("changes: {} turns", settings.turns);
        let rows = changes::run(settings.turns)?;
        is_met &= rows.iter().all(Change::is_met);
        told["changes"] = rows.iter().map(Change::json).collect();
        show(settings, Change::head(), rows.iter().map(Change::cells));
    }
    if wants("isolation") {
        let pairs = settings.pairs as usize / 2;
        let rows: Vec<Isolation> = [("randread", 4 << 10), ("randread", 1 << 20), ("randwrite", 1 << 20)]
            .map(|(neighbours, bytes)| {
                eprintln!("isolation: {pairs} pairs beside {neighbours} of {} KiB", bytes >> 10);
                isolation::protected(neighbours, bytes, pairs, ISOLATION_TIME)
            })
            .into();
        let equal = isolation::equal(EQUALITY_TIME)?;
        is_met &= rows.iter().all(Isolation::is_met) && equal.is_met();
        told["isolation"] = rows.iter().map(Isolation::json).collect();
        told["equality"] = equal.json();
        show(settings, Isolation::head(), rows.iter().map(Isolation::cells));
        show(settings, Equality::head(), std::iter::once(equal.cells()));
    }
    if wants("crowd") {
        eprintln!("crowd: {} rounds", settings.pairs);
        let crowd = crowd::run(settings.pairs as usize, CROWD_TIME);
        is_met &= crowd.is_met();
        told["crowd"] = crowd.json();
        show(settings, Crowd::head(), crowd.rows().into_iter());
    }
    told["met"] = Value::Bool(is_met);
    if settings.json {
        println!("{told:#}");
    }
    Ok(is_met)
}

fn show(settings: &Settings, head: Vec<String>, rows: impl Iterator<Item = Vec<String>>) {
    if !settings.json {
        println!("{}", aligned(&std::iter::once(head).chain(rows).collect::<Vec<_>>()));
    }
}
