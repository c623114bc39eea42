//! Accepting connections and giving each to the core that has the fewest.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    rc::Rc,
    time::Duration,
};

use engine::{Shard, sync::cross::Mailbox};
use rpc::Service;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use transport::{Load, Loads};

use crate::{Endpoint, limits::BACKLOG};

/// Connections on their way to one core: more than the backlog, which may come all at once when the accepting core was
/// held up. At the bound a new connection is closed: the core is stuck.
const HANDED_OVER_MAX: usize = 2 * BACKLOG as usize;

/// Pause after an accept failed, mostly for want of descriptors: asking at once would only spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    address: SocketAddr,
}

impl Listener {
    /// Listens on one address. Port 0 chooses a free one.
    ///
    /// # Errors
    /// As `socket`, `bind` and `listen`.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
        let socket = rustix::net::socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            // [::] takes IPv4 clients too, whatever the system's default.
            sockopt::set_ipv6_v6only(&socket, false)?;
        }
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, BACKLOG)?;
        let address = SocketAddr::try_from(rustix::net::getsockname(&socket)?)?;
        Ok(Self { socket, address })
    }

    /// Listens on all addresses of both families, or of IPv4 alone where there is no IPv6.
    ///
    /// # Errors
    /// As [`Listener::bind`].
    pub fn bind_all(port: u16) -> io::Result<Self> {
        Self::bind((Ipv6Addr::UNSPECIFIED, port).into()).or_else(|error| match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied => Err(error),
            _ => Self::bind((Ipv4Addr::UNSPECIFIED, port).into()),
        })
    }

    /// The address that is listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts connections and hands each to the core with the fewest, before its first byte is read. Runs until
    /// the task is aborted, which closes the listening socket.
    pub async fn accept_all(self, shard: Shard, intake: Intake) {
        let mut accepts = shard.accept(Rc::new(self.socket));
        loop {
            match accepts.next().await {
                Ok(socket) => intake.hand_over(socket),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    shard.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The way of accepted connections to their cores. Clones share it.
#[derive(Clone)]
pub struct Intake {
    mailbox: Mailbox<Accepted>,
    loads: Loads,
}

impl Intake {
    /// The way to `shards` cores.
    pub fn new(shards: usize) -> Self {
        Self { mailbox: Mailbox::new(shards, HANDED_OVER_MAX), loads: Loads::new(shards) }
    }

    /// Serves the connections that come to the calling core until its endpoint is drained or the task is
    /// aborted.
    ///
    /// # Panics
    /// When the core has called this before.
    pub async fn serve<S: Service>(&self, endpoint: Endpoint, service: Rc<S>) {
        let shard = endpoint.shared.shard.index();
        let mut accepted = self.mailbox.receiver(shard).expect("a core serves its connections once");
        while let Some(Accepted { socket, address, load }) = accepted.recv().await {
            endpoint.serve_counted(socket, address, Rc::clone(&service), Some(load));
        }
    }

    fn hand_over(&self, socket: OwnedFd) {
        let peer = rustix::net::getpeername(&socket).ok().flatten();
        let Some(peer) = peer.and_then(|peer| SocketAddr::try_from(peer).ok()) else {
            // It was reset before it was accepted.
            return;
        };
        // An IPv4 client on a socket of both families is an IPv4 client to everyone else.
        let address = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let load = self.loads.add();
        let sender = self.mailbox.to(load.shard());
        if sender.try_send(Accepted { socket, address, load }).is_err() {
            tracing::warn!(peer = %address, "connection closed: its core takes none over");
        }
    }
}

struct Accepted {
    socket: OwnedFd,
    address: SocketAddr,
    load: Load,
}
