//! The commands that are clients: the load generator, files without a mount, and what operators ask a running server.

pub mod bench;
pub mod copy;
mod display;
pub mod get;
pub mod list;
pub mod location;
pub mod make;
pub mod put;
pub mod qos;
pub mod rdma;
mod remote;
pub mod remove;
pub mod stat;
mod transfer;
mod unit;

use std::io::{ErrorKind, Write, stderr, stdout};
use std::net::SocketAddr;
use std::time::Duration;

use client::{Error, Identity, Network, Patience};
use engine::Shard;
use wire::nfs4::Status;

use crate::fatal::Fatal;
use crate::tool::location::{Location, Transport};

/// How long a server that has just started is waited for: longer than any grace period that is usual.
const PATIENCE: Patience = Patience {
    time: Duration::from_secs(300),
    tell: || {
        eprintln!("penstock: the server has just started and gives its old clients time to return; waiting")
    },
};

/// The status of a program that wrote to a pipe which nobody reads any more, as the shell shows it.
const BROKEN_PIPE_STATUS: i32 = 141;

/// What to do when MOUNT is not where it was looked for.
const MOUNT_PORT_REMEDY: &str = "say with mountport= at which port the server has MOUNT (rpcinfo -p shows it), or leave that out \
                                 where it is the port of NFS";

/// Prints what was asked for. Whoever has read enough of it (`| head`) is no error.
pub fn print(text: &str) {
    let mut output = stdout().lock();
    if let Err(error) = output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("penstock: standard output: {error}");
        }
        std::process::exit(BROKEN_PIPE_STATUS);
    }
}

/// Says how it goes, to whoever still listens.
fn tell(text: &str) {
    // Nobody need read it.
    let _ = writeln!(stderr(), "{text}");
}

/// Who calls: as told, else who runs this.
fn identity(uid: Option<u32>, gid: Option<u32>) -> Identity {
    let uid = uid.unwrap_or_else(|| rustix::process::geteuid().as_raw());
    let gid = gid.unwrap_or_else(|| rustix::process::getegid().as_raw());
    Identity::new(uid, gid)
}

/// The way of one core to the server of a location, for so many connections with so many calls outstanding on each.
fn network(shard: &Shard, location: &Location, connections: u32, calls: u32) -> Result<Network, Fatal> {
    Ok(match location.transport {
        Transport::Tcp => Network::Tcp(transport_tcp::Endpoint::new(shard, transport_tcp::Limits::default())),
        Transport::Rdma => Network::Rdma(crate::rdma::for_calls(shard, connections, calls)?),
    })
}

/// What to do when a server does not answer as it should.
fn unreachable(location: &Location, address: SocketAddr, error: &Error) -> Fatal {
    let remedy = match error {
        Error::Connect(_) if location.transport == Transport::Rdma => {
            "see whether the address is of an RDMA adapter, and whether the server serves RDMA (its log says so at start)".to_owned()
        }
        Error::Connect(_) => "start the server, or correct host and port".to_owned(),
        Error::Status { status: Status::MinorVersMismatch, .. } => format!(
            "the server does not speak NFSv{}: ask for another with ?version=4.1 or ?version=3",
            location.version
        ),
        Error::Refused(_) => {
            format!("what listens there does not serve NFSv{}: correct port or version", location.version)
        }
        _ => "see the server's log".to_owned(),
    };
    Fatal::new(format!("{location} ({address}): {error}"), remedy)
}
