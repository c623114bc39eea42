//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::SHARDS_MAX;
use crate::tool::bench::arguments::BenchArguments;
use crate::tool::{
    copy::CopyArguments, get::GetArguments, list::ListArguments, make::MakeArguments, put::PutArguments,
    qos::QosArguments, remove::RemoveArguments, stat::StatArguments,
};

/// The program and its subcommands.
#[derive(Debug, Parser)]
#[command(name = "penstock", version, about = "A server of NFSv3, NFSv4.1 and NFSv4.2")]
#[command(after_long_help = format!("{EXAMPLES}\n\n{LOCATIONS}"))]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Serve one directory to everybody, on port 2049:
      penstock serve /srv/data
  Another port, the state somewhere else:
      penstock serve ./export --port 20490 --state-dir ./state
  Serve what a configuration file says, after checking it:
      penstock config-example > /etc/penstock.toml
      penstock check /etc/penstock.toml
      penstock serve --config /etc/penstock.toml
  Take over changed exports without stopping:
      kill -HUP $(pidof penstock)";

const LOCATIONS: &str = "\
Commands that are clients take locations: nfs://host[:port]/path. NFSv4.2 is spoken unless ?version=4.1 or ?version=3 is
added, over TCP unless ?transport=rdma is. With NFSv3 the path begins with that of an export, &nfsport=N is another way to say
the port, and &mountport=N the port of MOUNT, where it is not the same. Quote what has ? or & in it from the shell.";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve directories to NFS clients until told to stop (SIGTERM or SIGINT).
    #[command(after_long_help = EXAMPLES)]
    Serve(ServeArguments),
    /// Limit what clients, exports, directories, groups and the server may use, while it runs.
    Qos(QosArguments),
    /// See what there is of RDMA on this machine.
    #[command(subcommand)]
    Rdma(RdmaCommand),
    /// Read a configuration file and say what it would export; nothing is started.
    Check(CheckArguments),
    /// Put a load on any server of NFSv3, NFSv4.1 or NFSv4.2 and measure what becomes of it.
    Bench(Box<BenchArguments>),
    /// List a directory on a server, without a mount.
    Ls(ListArguments),
    /// Show what is known of one object on a server.
    Stat(StatArguments),
    /// Fetch files from a server.
    Get(GetArguments),
    /// Store files on a server.
    Put(PutArguments),
    /// Copy a file on a server, by the server itself.
    Cp(CopyArguments),
    /// Remove files from a server.
    Rm(RemoveArguments),
    /// Make a directory on a server.
    Mkdir(MakeArguments),
    /// Print a configuration file with every setting, its default and what it does.
    ConfigExample,
}

/// Arguments of `penstock serve`.
#[derive(Args, Debug, Default)]
pub struct ServeArguments {
    /// The directory to serve at the root of the name space, to everybody, read-write, with root squashed.
    /// Without it and without --config: ./export.
    #[arg(conflicts_with = "config")]
    pub directory: Option<PathBuf>,
    /// Serve what this file says (see `penstock config-example`).
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Port to listen on. [default: 2049]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Address to listen on; may be given more than once. [default: all]
    #[arg(long = "address", value_name = "ADDRESS")]
    pub addresses: Vec<IpAddr>,
    /// Where the server keeps what must survive a restart. [default: /var/lib/penstock]
    #[arg(long = "state-dir", value_name = "DIRECTORY")]
    pub state_directory: Option<PathBuf>,
    /// How many cores to use. [default: all this process may run on]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=i64::from(SHARDS_MAX)))]
    pub shards: Option<u16>,
    /// Whether to register with rpcbind, of which clients of NFSv3 ask the ports. [default: auto]
    #[arg(long, value_name = "WHEN")]
    pub rpcbind: Option<Rpcbind>,
    /// What to log: error, warn, info, debug, trace, or a filter such as `info,nfs_ops=debug`. [default: info]
    #[arg(long = "log-level", value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How to log. [default: text]
    #[arg(long = "log-format", value_name = "FORMAT")]
    pub log_format: Option<LogFormat>,
}

/// The subcommands of `penstock rdma`.
#[derive(Debug, Subcommand)]
pub enum RdmaCommand {
    /// Show the adapters that NFS can be served over, or why there are none.
    Status(RdmaStatusArguments),
}

/// Arguments of `penstock rdma status`.
#[derive(Args, Debug)]
pub struct RdmaStatusArguments {
    /// The configuration file of the server, for its section `[rdma]`.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `penstock check`.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// The configuration file.
    pub config: PathBuf,
    /// Say it in JSON.
    #[arg(long)]
    pub json: bool,
}

/// Whether what is served is registered with rpcbind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rpcbind {
    /// Where rpcbind runs, and has no living server for any of it.
    #[default]
    Auto,
    /// Never.
    Off,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn directory_and_configuration_exclude_each_other() {
        assert!(CommandLine::try_parse_from(["penstock", "serve", "/a", "--config", "/b"]).is_err());
        assert!(CommandLine::try_parse_from(["penstock", "serve", "/a", "--port", "0"]).is_err());
        assert!(CommandLine::try_parse_from(["penstock", "serve", "/a", "--shards", "1025"]).is_err());
        assert!(CommandLine::try_parse_from(["penstock", "serve"]).is_ok());
    }
}
