//! One connection of a pipeline and its two tasks.

use std::{
    cell::{Cell, RefCell},
    io,
    net::SocketAddr,
    os::fd::OwnedFd,
    rc::Rc,
};

use engine::{Shard, sync::Notify};
use rustix::net::{Shutdown, shutdown, sockopt};

use super::{
    Run, Source,
    incoming::Incoming,
    outgoing::{Outgoing, Sending},
};
use crate::Result;

/// A connection.
pub(super) struct Link {
    shard: Shard,
    socket: Rc<OwnedFd>,
    pub(super) outgoing: RefCell<Outgoing>,
    /// Told when `outgoing` is no longer empty. The sending task then empties it, whatever comes meanwhile.
    pub(super) to_send: Notify,
    is_open: Cell<bool>,
}

impl Link {
    pub(super) async fn connect(shard: &Shard, address: SocketAddr, sending: Sending) -> Result<Self> {
        let socket: OwnedFd = shard.connect_tcp(address).await?;
        sockopt::set_tcp_nodelay(&socket, true).map_err(io::Error::from)?;
        Ok(Self {
            shard: shard.clone(),
            socket: Rc::new(socket),
            outgoing: RefCell::new(Outgoing::new(sending)),
            to_send: Notify::new(),
            is_open: Cell::new(true),
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open.get()
    }

    /// Ends both directions.
    pub(super) fn close(&self) {
        if self.is_open.replace(false) {
            // A connection that the peer has reset has nothing left to shut down.
            let _ = shutdown(&self.socket, Shutdown::Both);
            self.outgoing.borrow_mut().clear();
        }
        self.to_send.notify_all();
    }
}

/// Sends what is queued until the connection closes.
pub(super) async fn send_all(link: Rc<Link>) {
    while link.is_open() {
        if link.outgoing.borrow().is_empty() {
            link.to_send.notified().await;
            continue;
        }
        let pieces = link.outgoing.borrow_mut().take();
        let (result, pieces) = link.shard.send(Rc::clone(&link.socket), pieces, false).await;
        if result.is_err() {
            // The receiving task finds the end of the stream and reports it.
            let _ = shutdown(&link.socket, Shutdown::Both);
            return;
        }
        link.outgoing.borrow_mut().recycle(pieces);
    }
}

/// Receives replies until the connection closes.
pub(super) async fn receive_all<S: Source>(run: Rc<Run<S>>, index: usize) {
    let link = Rc::clone(&run.links[index]);
    let mut incoming = Incoming::new();
    while let Ok(true) = incoming.fill(&link.shard, &link.socket).await {
        run.source.borrow_mut().arriving();
        while let Some(head) = incoming.next_reply() {
            run.reply(index, head);
        }
        run.send();
    }
    run.lost(index);
}
