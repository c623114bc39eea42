//! The transport of one core: its connections, and what they share.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    os::fd::OwnedFd,
    rc::{Rc, Weak},
    time::Duration,
};

use buf::{Chain, Pool, TakeError};
use engine::Shard;
use rpc::{ConnectionId, Service, Transport};
use wire::origin::origin;

use transport::{Load, Signal, Warnings, within};

use crate::{
    CallError, Connection, Limits, Message, Received, Stats,
    limits::{
        ADDRESS_SHARE_EIGHTHS, NEWCOMER_RESERVE_EIGHTHS, NEWCOMER_SHARE_EIGHTHS, RECEIVE_SHARE_EIGHTHS,
    },
    share::{Share, Standing},
    socket::Socket,
    stats::{add, less},
    watch::watch,
};

/// The transport of one core. A handle: clones name the same transport; it stays on its core.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) shared: Rc<Shared>,
}

/// What a core's connections share.
pub(crate) struct Shared {
    pub(crate) shard: Shard,
    pub(crate) limits: Limits,
    pub(crate) stats: Stats,
    pool: Pool,
    /// Payload memory that receiving may hold.
    pub(crate) payload_share: Rc<Share>,
    /// What of it the connections from one host may hold, for those that have connections.
    address_shares: RefCell<HashMap<u128, Weak<Share>>>,
    address_share_bytes: usize,
    /// Payload memory that the kernel holds for what was sent without a copy.
    pub(crate) held_by_kernel: Rc<Cell<usize>>,
    /// Heap memory that collected records may hold.
    pub(crate) collect_share: Rc<Share>,
    connections: RefCell<HashMap<ConnectionId, Rc<Connection>>>,
    serial: Cell<u64>,
    draining: Cell<bool>,
    finished: Cell<bool>,
    /// Told when there is something to watch.
    pub(crate) watched: Signal,
    /// Told when a connection is gone.
    emptier: Signal,
    pub(crate) warnings: Warnings,
}

impl Endpoint {
    /// The transport of the calling core, with no connection yet.
    pub fn new(shard: &Shard, limits: Limits) -> Self {
        let pool = shard.pool().clone();
        let receive = pool.bytes() / 8 * RECEIVE_SHARE_EIGHTHS;
        let shared = Rc::new(Shared {
            shard: shard.clone(),
            stats: Stats::default(),
            pool,
            payload_share: share(receive),
            address_shares: RefCell::default(),
            address_share_bytes: receive / 8 * ADDRESS_SHARE_EIGHTHS,
            held_by_kernel: Rc::default(),
            collect_share: share(limits.collect_max),
            limits,
            connections: RefCell::default(),
            serial: Cell::new(0),
            draining: Cell::new(false),
            finished: Cell::new(false),
            watched: Signal::default(),
            emptier: Signal::default(),
            warnings: Warnings::default(),
        });
        shard.spawn(watch(Rc::downgrade(&shared)));
        Self { shared }
    }

    /// Takes a connection that was accepted over and serves it; `None`, and the connection is closed, when the
    /// core holds as many as it may or is shutting down.
    pub fn serve<S: Service>(
        &self,
        socket: OwnedFd,
        address: SocketAddr,
        service: Rc<S>,
    ) -> Option<Rc<Connection>> {
        self.serve_counted(socket, address, service, None)
    }

    /// As [`Endpoint::serve`], for a connection that counts towards its core's load.
    pub(crate) fn serve_counted<S: Service>(
        &self,
        socket: OwnedFd,
        address: SocketAddr,
        service: Rc<S>,
        load: Option<Load>,
    ) -> Option<Rc<Connection>> {
        let shared = &self.shared;
        if shared.draining.get() || shared.connections.borrow().len() >= shared.limits.connections_max {
            add(&shared.stats.refused, 1);
            shared.warnings.closed(address, &"refused: the core holds as many connections as it may");
            return None;
        }
        let socket = Socket::new(&shared.shard, socket);
        Some(Connection::start(shared, socket, address, Standing::Newcomer, service, load))
    }

    /// The connection with this id, if it is still there.
    pub fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.shared.connections.borrow().get(&id).cloned()
    }

    /// Sends a call to whoever opened a connection, over that connection, and waits for the reply.
    ///
    /// # Errors
    /// [`CallError::Lost`] when there is no such connection or it ends before the reply,
    /// [`CallError::TimedOut`].
    pub async fn call_back(
        &self,
        id: ConnectionId,
        message: Message,
        timeout: Duration,
    ) -> Result<Received, CallError> {
        let connection = self.connection(id).ok_or(CallError::Lost)?;
        connection.call(message, timeout).await
    }

    /// The core.
    pub fn shard(&self) -> &Shard {
        &self.shared.shard
    }

    /// The counters of this core.
    pub fn stats(&self) -> &Stats {
        &self.shared.stats
    }

    /// The bounds this transport keeps.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Ends all connections: nothing further is received, calls in progress are finished and answered; what is
    /// not finished within `grace` is cut off. Connections that come later are refused. Returns whether all
    /// ended by themselves.
    pub async fn drain(&self, grace: Duration) -> bool {
        let shared = &self.shared;
        shared.draining.set(true);
        shared.connections().iter().for_each(|connection| connection.drain());
        let ended = within(&shared.shard, grace, shared.emptier.until(|| !shared.has_connections())).await;
        shared.connections().iter().for_each(|connection| connection.close());
        if ended.is_none() {
            // Closed sockets end their tasks within a turn or two.
            shared.emptier.until(|| !shared.has_connections()).await;
        }
        shared.finished.set(true);
        shared.watched.notify();
        ended.is_some()
    }
}

impl Shared {
    /// A name for a new connection.
    pub(crate) fn next_id(&self) -> ConnectionId {
        self.serial.set(self.serial.get() + 1);
        ConnectionId::new(self.shard.index(), Transport::Tcp, self.serial.get())
    }

    /// What of the payload memory the connections from this address's host may hold together.
    pub(crate) fn address_share(&self, address: IpAddr) -> Rc<Share> {
        let address = origin(address);
        let mut shares = self.address_shares.borrow_mut();
        if let Some(share) = shares.get(&address).and_then(Weak::upgrade) {
            return share;
        }
        // Those without a connection go before there would be room for twice as many.
        if shares.len() == shares.capacity() {
            shares.retain(|_, share| share.strong_count() > 0);
        }
        let share = share(self.address_share_bytes);
        shares.insert(address, Rc::downgrade(&share));
        share
    }

    pub(crate) fn register(&self, connection: &Rc<Connection>) {
        add(&self.stats.connections, 1);
        add(&self.stats.connections_opened, 1);
        self.connections.borrow_mut().insert(connection.id(), Rc::clone(connection));
        self.watched.notify();
    }

    /// The connection is closed and its tasks have ended or are about to.
    pub(crate) fn forget(&self, id: ConnectionId) {
        if self.connections.borrow_mut().remove(&id).is_some() {
            less(&self.stats.connections);
            self.emptier.notify();
        }
    }

    pub(crate) fn has_connections(&self) -> bool {
        !self.connections.borrow().is_empty()
    }

    pub(crate) fn connections(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    /// The same into a list that is there.
    pub(crate) fn collect_connections(&self, connections: &mut Vec<Rc<Connection>>) {
        connections.extend(self.connections.borrow().values().cloned());
    }

    /// Whether the transport has been drained.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.get()
    }

    /// Payload memory for a connection that holds its share.
    pub(crate) async fn take_chain(&self, length: usize, modulo: usize) -> Result<Chain, TakeError> {
        self.pool.take_wait(length, modulo).await
    }

    /// As [`take_chain`](Self::take_chain), if nobody has to wait for it.
    pub(crate) fn take_chain_now(&self, length: usize, modulo: usize) -> Option<Chain> {
        self.pool.take(length, modulo)
    }

    /// How many wait for memory that anybody may hold, those who want to read files included.
    pub(crate) fn waiting_for_memory(&self) -> usize {
        self.payload_share.waiting() + self.collect_share.waiting() + self.pool.waiting()
    }

    /// How many wait for memory that others of their host hold.
    pub(crate) fn waiting_by_address(&self) -> HashMap<u128, usize> {
        let shares = self.address_shares.borrow();
        let waiting =
            shares.iter().filter_map(|(address, share)| Some((*address, share.upgrade()?.waiting())));
        waiting.filter(|(_, waiting)| *waiting > 0).collect()
    }
}

/// A share of so many bytes, with a part for newcomers.
fn share(bytes: usize) -> Rc<Share> {
    Share::new(bytes, bytes / 8 * NEWCOMER_SHARE_EIGHTHS, bytes / 8 * NEWCOMER_RESERVE_EIGHTHS)
}
