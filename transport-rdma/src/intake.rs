//! Peers that wish to connect, on their way to the core with the fewest connections.

use std::net::SocketAddr;

use engine::sync::cross::{Mailbox, Receiver};
use transport::{Load, Loads};
use verbs::{DeviceId, Event, RequestId};
use wire::rdma::PrivateData;

/// Wishes on their way to one core; at the bound a peer is rejected.
const WISHES_MAX: usize = 1024;

/// A peer that wishes to connect.
#[derive(Debug)]
pub(crate) struct Wish {
    pub request: RequestId,
    pub device: DeviceId,
    pub peer: SocketAddr,
    /// Reads that it bears at a time.
    pub reads_max: u32,
    /// What it can, if it has told.
    pub told: Option<PrivateData>,
}

impl Wish {
    pub fn of(event: &Event) -> Self {
        let peer = SocketAddr::from(event.peer);
        Self {
            request: event.request,
            device: event.device,
            peer: SocketAddr::new(peer.ip().to_canonical(), peer.port()),
            reads_max: event.reads_max,
            told: PrivateData::find(event.private()),
        }
    }
}

/// The way of accepted connections to their cores. Clones share it.
#[derive(Clone)]
pub struct Intake {
    mailbox: Mailbox<(Wish, Load)>,
    loads: Loads,
}

impl Intake {
    /// The way to `shards` cores.
    pub fn new(shards: usize) -> Self {
        Self { mailbox: Mailbox::new(shards, WISHES_MAX), loads: Loads::new(shards) }
    }

    /// What comes to a core.
    pub(crate) fn receiver(&self, shard: usize) -> Receiver<(Wish, Load)> {
        self.mailbox.receiver(shard).expect("a core serves its connections once")
    }

    /// A core serves no more: it gets no further peers.
    pub fn leave(&self, shard: usize) {
        self.loads.leave(shard);
    }

    /// Hands a peer to the core with the fewest; gives it back when that takes none.
    pub(crate) fn hand_over(&self, wish: Wish) -> Result<(), RequestId> {
        let (request, load) = (wish.request, self.loads.add());
        self.mailbox.to(load.shard()).try_send((wish, load)).map_err(|_| request)
    }
}
