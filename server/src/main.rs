//! `penstock`: the server and its administrator's commands.

#![forbid(unsafe_code)]

mod admissions;
mod announce;
mod bounds;
mod check;
mod cli;
mod config;
mod control;
mod descriptors;
mod environment;
mod exports;
mod fatal;
mod hosts;
mod limits;
mod logging;
mod memory;
mod names;
mod process;
mod rdma;
mod reload;
mod rpcbind;
mod serve;
mod shard;
mod signals;
mod state_directory;
mod store;
#[cfg(test)]
mod testing;
mod tool;
mod traces;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Command, CommandLine, RdmaCommand};

/// Stays fast with one thread per core and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let good = match CommandLine::parse().command {
        Command::Serve(arguments) => match serve::run(arguments) {
            Ok(()) => true,
            Err(error) => {
                eprintln!("penstock: {error}");
                false
            }
        },
        Command::Bench(arguments) => return tool::bench::run(*arguments),
        Command::Ls(arguments) => tool::list::run(arguments),
        Command::Stat(arguments) => tool::stat::run(arguments),
        Command::Get(arguments) => tool::get::run(arguments),
        Command::Put(arguments) => tool::put::run(arguments),
        Command::Cp(arguments) => tool::copy::run(arguments),
        Command::Rm(arguments) => tool::remove::run(arguments),
        Command::Mkdir(arguments) => tool::make::run(arguments),
        Command::Qos(arguments) => tool::qos::run(arguments),
        Command::Rdma(RdmaCommand::Status(arguments)) => tool::rdma::status(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::ConfigExample => {
            tool::print(&config::example());
            true
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
