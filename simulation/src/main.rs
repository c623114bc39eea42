//! The tool: what the simulator shows, as tables, JSON and plots.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use simulation::results::Plan;
use simulation::{plot, report};

/// Parts of the server under a virtual clock.
#[derive(Parser)]
#[command(name = "simulation")]
enum Program {
    QosSim(Settings),
}

/// Hold our limits beside simpler ways to limit.
///
/// A server is simulated whose cores share one limit: connections ask on all cores, on one, on some that change all the time, or
/// mostly on a few. Every scheme gets the same demand:
///
///   rate/cores per core     each core has its part of the limit, whether it needs it or not
///   full rate per core      each core has all of the limit
///   rebalanced each 10 ms   the parts follow demand, ten milliseconds behind
///   one shared word         all cores take from one word in memory, operation by operation
///
/// A table shows how far achieved rates are from the limit in windows of 100 ms and 1 s during which something was asked for
/// all the time, and the most that went on above the limit's share of any time. The same seed gives the same figures on every machine.
#[derive(clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  cargo run --release -p simulation -- qos-sim
  cargo run --release -p simulation -- qos-sim --cores 64 --seconds 20 --svg plots
  cargo run --release -p simulation -- qos-sim --json | jq '.schemes[] | select(.pattern == \"moving on/off\")'"
)]
struct Settings {
    /// Cores where schemes are held beside each other, 1 to 64.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=64))]
    cores: u64,
    /// Simulated seconds of each run, 2 to 600.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(2..=600))]
    seconds: u64,
    /// Of the random choices.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// So many seeds, from that on, are tried where the worst is judged, 1 to 100.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Print JSON, with more figures than the tables have.
    #[arg(long)]
    json: bool,
    /// Draw plots into this folder as SVG; needs python3.
    #[arg(long, value_name = "DIR")]
    svg: Option<PathBuf>,
    /// Show no progress.
    #[arg(long, short)]
    quiet: bool,
}

fn main() -> ExitCode {
    let Program::QosSim(settings) = Program::parse();
    match run(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("simulation: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(settings: &Settings) -> std::io::Result<()> {
    let plan = Plan {
        cores: settings.cores as usize,
        seconds: settings.seconds,
        seed: settings.seed,
        seeds: settings.seeds,
    };
    let bar = if settings.quiet { ProgressBar::hidden() } else { ProgressBar::new(plan.steps() as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:20} {pos}/{len} {msg}").expect("a sound template"));
    let results = plan.run(&mut |step| {
        bar.set_message(step.to_owned());
        bar.inc(1);
    });
    bar.finish_and_clear();
    if settings.json {
        println!("{:#}", report::json(&results));
    } else {
        print!("{}", report::text(&results));
    }
    settings.svg.as_ref().map_or(Ok(()), |folder| plot::draw(&results, folder))
}
