//! The raw programs that servers are compared with, and the machine's condition. `benches/compare/run` drives it.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::process::ExitCode;

use benches::ceiling::Settings;
use benches::plain::Operation;
use clap::Parser;

/// Raw programs to compare a server with.
#[derive(Parser)]
#[command(name = "floor")]
enum Program {
    /// Move the same bytes with the same messages as a server, and do nothing else.
    Ceiling(Settings),
    /// Print the way of a word between two cores, in microseconds.
    Handover,
    /// Print how many operations per second a plain loop of system calls does.
    Plain {
        /// What to do.
        #[arg(value_enum)]
        operation: Operation,
        /// In which folder.
        folder: PathBuf,
        /// How many times.
        #[arg(long, default_value_t = 500)]
        count: u32,
    },
}

fn main() -> ExitCode {
    let done = match Program::parse() {
        Program::Ceiling(settings) => benches::ceiling::serve(&settings),
        Program::Handover => {
            benches::handover::one_way_us().map_or_else(|| println!("none"), |time| println!("{time:.4}"));
            Ok(())
        }
        Program::Plain { operation, folder, count } => {
            benches::plain::per_second(&folder, operation, count).map(|rate| println!("{rate:.1}"))
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {error}");
            ExitCode::FAILURE
        }
    }
}
