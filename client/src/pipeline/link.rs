//! One connection of a pipeline, and what it does until it closes.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    rc::Rc,
};

use engine::{JoinHandle, Shard, sync::Notify};
use rustix::net::{Shutdown, shutdown, sockopt};

use super::{
    Run, Source,
    incoming::Incoming,
    messages::{Nobody, call_all},
    outgoing::{Outgoing, Sending},
};
use crate::{Network, Result};

/// A connection.
pub(super) struct Link {
    shard: Shard,
    way: Way,
    pub(super) outgoing: RefCell<Outgoing>,
    /// Told when `outgoing` is no longer empty. The sending task then empties it, whatever comes meanwhile.
    pub(super) to_send: Notify,
    is_open: Cell<bool>,
}

/// What carries the calls.
enum Way {
    /// A stream of records.
    Tcp(Rc<OwnedFd>),
    /// Messages.
    Rdma(Rc<transport_rdma::Connection>),
}

impl Link {
    pub(super) async fn connect(network: &Network, address: SocketAddr, sending: Sending) -> Result<Self> {
        let shard = network.shard().clone();
        let (way, outgoing) = match network {
            Network::Tcp(_) => {
                let socket: OwnedFd = shard.connect_tcp(address).await?;
                sockopt::set_tcp_nodelay(&socket, true).map_err(io::Error::from)?;
                (Way::Tcp(Rc::new(socket)), Outgoing::new(sending))
            }
            Network::Rdma(endpoint) => {
                (Way::Rdma(endpoint.connect(address, Rc::new(Nobody)).await?), Outgoing::of_messages())
            }
        };
        let outgoing = RefCell::new(outgoing);
        Ok(Self { shard, way, outgoing, to_send: Notify::new(), is_open: Cell::new(true) })
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Ends both directions.
    pub(super) fn close(&self) {
        if self.is_open.replace(false) {
            match &self.way {
                Way::Tcp(socket) => end(socket),
                Way::Rdma(connection) => connection.close(),
            }
            self.outgoing.borrow_mut().clear();
        }
        self.to_send.notify_all();
    }
}

/// Ends both directions.
fn end(socket: &OwnedFd) {
    // A connection that the peer has reset has nothing left to shut down.
    let _ = shutdown(socket, Shutdown::Both);
}

/// Begins to call over a connection, until that closes.
pub(super) fn start<S: Source>(run: &Rc<Run<S>>, index: usize) -> Vec<JoinHandle<()>> {
    let link = Rc::clone(&run.links[index]);
    let shard = link.shard.clone();
    match &link.way {
        Way::Tcp(socket) => {
            let socket = Rc::clone(socket);
            let receiving = receive_all(Rc::clone(run), index, Rc::clone(&socket));
            vec![shard.spawn(receiving), shard.spawn(send_all(link, socket))]
        }
        Way::Rdma(connection) => vec![shard.spawn(call_all(Rc::clone(run), index, Rc::clone(connection)))],
    }
}

/// Sends what is queued until the connection closes.
async fn send_all(link: Rc<Link>, socket: Rc<OwnedFd>) {
    while link.is_open() {
        if link.outgoing.borrow().is_empty() {
            link.to_send.notified().await;
            continue;
        }
        let pieces = link.outgoing.borrow_mut().take();
        let (result, pieces) = link.shard.send(Rc::clone(&socket), pieces, false).await;
        if result.is_err() {
            // The receiving task finds the end of the stream and reports it.
            return end(&socket);
        }
        link.outgoing.borrow_mut().recycle(pieces);
    }
}

/// Receives replies until the connection closes.
async fn receive_all<S: Source>(run: Rc<Run<S>>, index: usize, socket: Rc<OwnedFd>) {
    let shard = run.links[index].shard.clone();
    let mut incoming = Incoming::new();
    while let Ok(true) = incoming.fill(&shard, &socket).await {
        run.source.borrow_mut().arriving();
        while let Some(head) = incoming.next_reply() {
            run.reply(index, head);
        }
        run.send();
    }
    run.lost(index);
}
