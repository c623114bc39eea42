//! `penstock bench`: what is asked for.

use std::time::Duration;

use clap::{Args, ValueEnum};
use client::Version;
use wire::nfs4::StableHow;

use super::workload::{Mix, Workload};
use crate::fatal::Fatal;
use crate::tool::location::Location;
use crate::tool::unit::{Size, Time};

const EXAMPLES: &str = "\
Examples:
  4 KiB random READs, 32 outstanding, for ten seconds:
      penstock bench nfs://server/scratch
  1 MiB sequential WRITEs over four connections of one session, then a COMMIT:
      penstock bench nfs://server/scratch -w write -b 1MiB -q 8 -c 4
  A mix at a fixed rate; times count from the moment a call was due:
      penstock bench nfs://server/scratch -w randread=70,randwrite=30 --rate 20000
  A thousand clients with one connection each and 1000 calls outstanding:
      penstock bench nfs://server/scratch -w getattr -q 1000 -c 1000 --sessions 1000 -t 4
  Over NFSv3, of a server that has MOUNT on a port of its own:
      penstock bench 'nfs://server/scratch?version=3&mountport=20048' -w read -b 64KiB
  How fast can the transport be, without any work:
      penstock bench nfs://server/ -w null
  For a program: the files are kept for the next run, the result is JSON (docs/BENCH.md):
      penstock bench nfs://server/scratch -w randread --keep --json --quiet

Workloads: null, getattr, read, randread, write, randwrite, commit, open (not over NFSv3), create,
create-remove, remove, mkdir. Several may be given with weights.";

/// Connections that a session has at most where nothing else is said: what Penstock allows.
const SESSION_CONNECTIONS: u32 = 16;

/// Arguments of `penstock bench`.
#[derive(Args, Debug)]
#[command(after_long_help = EXAMPLES)]
pub struct BenchArguments {
    /// A directory on the server: nfs://host:port/path, with ?version=3 or ?version=4.1 for that version, and
    /// ?transport=rdma for RDMA.
    pub url: Location,
    /// What is done: one workload, or several with weights.
    #[arg(short, long, value_name = "NAME[=WEIGHT],..", default_value = "randread")]
    pub workload: Mix,
    /// Bytes of one READ or WRITE.
    #[arg(short, long, value_name = "SIZE", default_value = "4KiB")]
    pub block_size: Size,
    /// Calls outstanding at any time, over all connections together.
    #[arg(short = 'q', long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub depth: u32,
    /// Connections. [default: one per session, or per thread where there are none]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub connections: Option<u32>,
    /// Clients, each with a session, that share the connections and the depth; NFSv3 has none. [default: one per thread, and as many
    /// as it takes for 16 connections each, which is what servers give a session]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub sessions: Option<u32>,
    /// Threads.
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub threads: u32,
    /// Time to measure: 10, 10s, 500ms, 2m. [default: 10s]
    #[arg(short, long, value_name = "TIME", conflicts_with = "operations")]
    pub duration: Option<Time>,
    /// Operations to measure, instead of a time.
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub operations: Option<u64>,
    /// Time before, which is not counted. [default: 1s, or none with --operations]
    #[arg(long, value_name = "TIME", conflicts_with = "operations")]
    pub warm_up: Option<Time>,
    /// Open loop: so many operations per second begin, however long they take.
    #[arg(short, long, value_name = "N")]
    pub rate: Option<f64>,
    /// Files.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub files: u32,
    /// Bytes of each file.
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    pub file_size: Size,
    /// What a WRITE asks for.
    #[arg(long, value_name = "HOW", default_value = "unstable")]
    pub stable: Stable,
    /// How calls leave that are ready at the same time.
    #[arg(long, value_name = "HOW", default_value = "batched")]
    pub send: Send,
    /// Cut each call at its bulk data, so that the server sees from the record's marks where it lies
    /// (docs/ANNOTATIONS.md).
    #[arg(long)]
    pub annotate: bool,
    /// Of the random choices: the same seed gives the same offsets.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Leave the files for the next run.
    #[arg(long)]
    pub keep: bool,
    /// The caller's user. [default: this process's]
    #[arg(long, value_name = "N")]
    pub uid: Option<u32>,
    /// The caller's group. [default: this process's]
    #[arg(long, value_name = "N")]
    pub gid: Option<u32>,
    /// Print the result as one JSON object (docs/BENCH.md).
    #[arg(long)]
    pub json: bool,
    /// No progress.
    #[arg(long)]
    pub quiet: bool,
}

/// What a WRITE asks for (`stable_how4`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stable {
    /// Nothing: a COMMIT follows at the end.
    Unstable,
    /// The data in stable storage.
    Data,
    /// Data and attributes in stable storage.
    File,
}

impl Stable {
    /// As the protocol says it.
    pub fn how(self) -> StableHow {
        match self {
            Self::Unstable => StableHow::Unstable,
            Self::Data => StableHow::DataSync,
            Self::File => StableHow::FileSync,
        }
    }
}

/// How calls leave that are ready at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Send {
    /// Together.
    Batched,
    /// Each in a system call of its own.
    Single,
}

/// Until when is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// So long, after a time that does not count.
    Time {
        /// Not counted.
        warm_up: Duration,
        /// Counted.
        measured: Duration,
    },
    /// So many operations.
    Operations(u64),
}

impl BenchArguments {
    /// Until when is measured.
    pub fn span(&self) -> Span {
        match self.operations {
            Some(count) => Span::Operations(count),
            None => Span::Time {
                warm_up: self.warm_up.map_or(Duration::from_secs(1), |time| time.0),
                measured: self.duration.map_or(Duration::from_secs(10), |time| time.0),
            },
        }
    }

    /// Clients; where there are no sessions, one for each thread, which then stands for its share of the connections alone.
    pub fn sessions(&self) -> u32 {
        let by_connections = self.connections.filter(|_| self.has_sessions()).unwrap_or(0);
        self.sessions.unwrap_or(self.threads.max(by_connections.div_ceil(SESSION_CONNECTIONS)))
    }

    /// Whether there are sessions.
    pub fn has_sessions(&self) -> bool {
        self.url.version != Version::V3 && !self.workload.is_null()
    }

    /// Connections.
    pub fn connections(&self) -> u32 {
        self.connections.unwrap_or(self.sessions())
    }

    /// The caller.
    pub fn identity(&self) -> client::Identity {
        crate::tool::identity(self.uid, self.gid)
    }

    /// Whether the settings go together.
    ///
    /// # Errors
    /// Says which do not, and what to do.
    pub fn check(&self) -> Result<(), Fatal> {
        let wrong = |reason: String, remedy: &str| Err(Fatal::new(reason, remedy));
        self.check_shares()?;
        if self.url.version == Version::V3 && self.workload.any(|workload| workload == Workload::Open) {
            return wrong(
                "workload open over NFSv3, which opens no files".to_owned(),
                "choose another workload, or a version of NFSv4",
            );
        }
        if self.rate.is_some_and(|rate| !(rate.is_finite() && rate > 0.0)) {
            return wrong("--rate is not positive".to_owned(), "give operations per second");
        }
        if self.block_size.0 == 0 || self.block_size.0 > self.file_size.0 {
            return wrong(
                format!("--block-size {} with --file-size {}", self.block_size.0, self.file_size.0),
                "a file has at least one block, and a block a byte",
            );
        }
        if self.block_size.0 > u64::from(u32::MAX) {
            return wrong(format!("--block-size {}", self.block_size.0), "give less than 4 GiB");
        }
        if let Span::Time { measured, .. } = self.span() {
            if measured.is_zero() {
                return wrong("--duration is 0".to_owned(), "give a time, or --operations");
            }
            if self.workload.needs_count() {
                return wrong(
                    "workload remove without --operations".to_owned(),
                    "say how many files to remove with --operations",
                );
            }
        }
        Ok(())
    }

    /// Connections that one thread has at a time: its share, one of each session's own and who prepares.
    pub fn connections_of_thread(&self) -> u32 {
        self.connections().div_ceil(self.threads) + self.sessions().div_ceil(self.threads) + 1
    }

    /// Calls that each connection has outstanding.
    pub fn calls_of_connection(&self) -> u32 {
        self.depth.div_ceil(self.connections())
    }

    /// Whether everybody who shares connections and depth has a share.
    fn check_shares(&self) -> Result<(), Fatal> {
        let wrong = |reason: String, remedy: String| Err(Fatal::new(reason, remedy));
        let (sessions, connections) = (self.sessions(), self.connections());
        if self.sessions.is_some() && self.url.version == Version::V3 {
            let reason = format!("--sessions {sessions} over NFSv3, which has none");
            return wrong(reason, "say how many --connections".to_owned());
        }
        if sessions < self.threads {
            let reason = format!("--sessions {sessions} for --threads {}", self.threads);
            return wrong(reason, "every thread needs a session".to_owned());
        }
        let (who, lower) = match self.url.version {
            Version::V3 => ("thread", "--threads"),
            _ => ("session", "--threads or --sessions"),
        };
        if connections < sessions {
            let reason = format!("--connections {connections} for --{who}s {sessions}");
            return wrong(reason, format!("every {who} needs a connection"));
        }
        if self.depth < sessions {
            let reason = format!("--depth {} for --{who}s {sessions}", self.depth);
            return wrong(
                reason,
                format!("every {who} needs a call to make: raise --depth, or lower {lower}"),
            );
        }
        Ok(())
    }
}
