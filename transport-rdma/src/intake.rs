//! Peers that wish to connect, on their way to the core with the fewest connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::sync::cross::{Mailbox, Receiver};
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
    loads: Arc<[AtomicUsize]>,
}

impl Intake {
    /// The way to `shards` cores.
    pub fn new(shards: usize) -> Self {
        Self {
            mailbox: Mailbox::new(shards, WISHES_MAX),
            loads: (0..shards).map(|_| AtomicUsize::new(0)).collect(),
        }
    }

    /// What comes to a core.
    pub(crate) fn receiver(&self, shard: usize) -> Receiver<(Wish, Load)> {
        self.mailbox.receiver(shard).expect("a core serves its connections once")
    }

    /// A core serves no more: it gets no further peers.
    pub fn leave(&self, shard: usize) {
        self.loads[shard].fetch_add(usize::MAX / 2, Ordering::Relaxed);
    }

    /// Hands a peer to the core with the fewest; gives it back when that takes none.
    pub(crate) fn hand_over(&self, wish: Wish) -> Result<(), RequestId> {
        let (request, load) = (wish.request, Load::of_least(&self.loads));
        self.mailbox.to(load.shard).try_send((wish, load)).map_err(|_| request)
    }
}

/// One connection in the count of its core.
#[derive(Debug)]
pub(crate) struct Load {
    loads: Arc<[AtomicUsize]>,
    shard: usize,
}

impl Load {
    fn of_least(loads: &Arc<[AtomicUsize]>) -> Self {
        let counts = loads.iter().enumerate().map(|(shard, load)| (load.load(Ordering::Relaxed), shard));
        let (_, shard) = counts.min().expect("there is at least one core");
        loads[shard].fetch_add(1, Ordering::Relaxed);
        Self { loads: Arc::clone(loads), shard }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.loads[self.shard].fetch_sub(1, Ordering::Relaxed);
    }
}
