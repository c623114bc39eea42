//! What a power cut must not take: a load that journals every acknowledged operation, and the comparison afterwards.
//!
//! `tests/client/powercut` boots a server in a virtual machine, runs `powercut load`, kills the machine, boots it again and
//! runs `powercut verify`. The journal is on this side of the cut.

#![forbid(unsafe_code)]

mod journal;
mod load;
mod model;
mod pattern;
mod reclaim;
mod verify;
mod worker;

use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "powercut load|verify ADDRESS FOLDER ROUND";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [command, address, folder, round] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let Ok(address) = address.parse() else {
        eprintln!("{USAGE}: {address} is no address with a port");
        return ExitCode::from(2);
    };
    let outcome = match command.as_str() {
        "load" => load::run(address, Path::new(folder), round),
        "verify" => verify::run(address, Path::new(folder), round),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("powercut {command}: {error}");
            ExitCode::FAILURE
        }
    }
}
