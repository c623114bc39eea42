//! The transport of one core: its connections, and what they share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use engine::Shard;
use engine::sync::Semaphore;
use rpc::{ConnectionId, Peer, Service, Transport};
use transport::{CallError, Load, Message, Signal, Warnings, within};
use verbs::{Access, Completion, DeviceId, Event, EventKind, PairId, Verbs};
use wire::origin::origin;
use wire::rdma::{Inline, PrivateData};

use crate::adapter::{Adapter, Told};
use crate::intake::{Intake, Wish};
use crate::limits::{
    BULK_MAX, CALLBACKS_MAX, COLLECT_MAX, CREDITS_MIN, HOST_SPARE_PART, Limits, MESSAGE_BYTES,
    MESSAGE_OVERHEAD, RECEIVES_SPARE_PART, WATCH_PERIOD,
};
use crate::opening::Opening;
use crate::served::{By, Served};
use crate::stats::{Stats, add};
use crate::{Connection, connection::Terms};

/// How long closed connections are waited for: an adapter that is stuck holds nobody up.
const END_TIME_MAX: Duration = Duration::from_millis(1500);

/// Turns of a loop that always finds completions, after which it looks for events too.
const EVENTS_PERIOD: u32 = 16;

/// What we tell peers that connect.
pub(crate) const TOLD: PrivateData = PrivateData {
    remote_invalidation: true,
    send_bytes: MESSAGE_BYTES as u32,
    receive_bytes: MESSAGE_BYTES as u32,
};

/// The transport of one core. A handle: clones name the same transport; it stays on its core.
#[derive(Clone)]
pub struct Endpoint {
    pub(crate) shared: Rc<Shared>,
}

/// What a core's connections share.
pub(crate) struct Shared {
    pub shard: Shard,
    pub adapter: Adapter,
    pub stats: Stats,
    /// Turns of calls that are collected.
    pub collecting: Semaphore,
    pub limits: Limits,
    /// The one call that gets memory to lend.
    pub lending: Semaphore,
    connections: RefCell<HashMap<PairId, Rc<Connection>>>,
    /// Those that peers have not answered.
    pub opening: RefCell<HashMap<PairId, Opening>>,
    pairs: RefCell<HashMap<ConnectionId, PairId>>,
    /// Receives that are promised to connections, by adapter.
    promised: RefCell<BTreeMap<DeviceId, u32>>,
    serial: Cell<u64>,
    pub draining: Cell<bool>,
    /// Told when a connection is gone.
    emptier: Signal,
    pub warnings: Warnings,
}

impl Endpoint {
    /// The transport of the calling core over these adapters, with no connection yet.
    ///
    /// # Errors
    /// When the adapters cannot be told of the core's memory: mostly the limit of locked memory.
    pub fn new(shard: &Shard, verbs: Box<dyn Verbs>, limits: Limits) -> io::Result<Self> {
        Self::with(shard, verbs, limits, Access::Local)
    }

    /// The same for connections that are opened: the core's payload memory is for peers too, as far as a call lends it to them.
    /// Its connections are served as long as the core.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn for_calls(shard: &Shard, verbs: Box<dyn Verbs>, limits: Limits) -> io::Result<Self> {
        let endpoint = Self::with(shard, verbs, limits, Access::Remote)?;
        let shared = Rc::clone(&endpoint.shared);
        shard.spawn_detached(async move { shared.serve_all(None).await });
        Ok(endpoint)
    }

    fn with(shard: &Shard, verbs: Box<dyn Verbs>, limits: Limits, of_pool: Access) -> io::Result<Self> {
        let adapter = Adapter::new(verbs, shard.pool(), of_pool, &limits)?;
        let shared = Shared {
            shard: shard.clone(),
            adapter,
            stats: Stats::default(),
            collecting: Semaphore::new(COLLECT_MAX / (BULK_MAX + MESSAGE_OVERHEAD)),
            limits,
            lending: Semaphore::new(1),
            connections: RefCell::default(),
            opening: RefCell::default(),
            pairs: RefCell::default(),
            promised: RefCell::default(),
            serial: Cell::default(),
            draining: Cell::default(),
            emptier: Signal::default(),
            warnings: Warnings::default(),
        };
        Ok(Self { shared: Rc::new(shared) })
    }

    /// Listens. Peers that come are handed to the core with the fewest by [`Endpoint::run`]. Returns the address, with the port
    /// that was chosen for 0.
    ///
    /// # Errors
    /// As `rdma_bind_addr` and `rdma_listen`.
    pub fn listen(&self, address: SocketAddr) -> io::Result<SocketAddr> {
        self.shared.adapter.verbs().listen(address)
    }

    /// Serves until the task is aborted: peers that come to this core, and all their messages.
    ///
    /// # Panics
    /// When the core has called this before.
    pub async fn run<S: Service>(self, service: Rc<S>, intake: Intake) {
        let shared = &self.shared;
        let mut wishes = intake.receiver(shared.shard.index());
        let accepting = Rc::clone(shared);
        let _accepting = Aborting(shared.shard.spawn(async move {
            while let Some((wish, load)) = wishes.recv().await {
                accepting.accept(&wish, &service, load);
            }
        }));
        shared.serve_all(Some(&intake)).await;
    }

    /// The connection with this id, if it is still there.
    pub fn connection(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        let pair = *self.shared.pairs.borrow().get(&id)?;
        self.shared.connections.borrow().get(&pair).cloned()
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
    ) -> Result<Bytes, CallError> {
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

    /// Ends all connections: calls in progress are finished and answered; what is not finished within `grace` is cut off. Peers
    /// that come later are rejected. Returns whether all ended by themselves.
    pub async fn drain(&self, grace: Duration) -> bool {
        let shared = &self.shared;
        shared.draining.set(true);
        shared.adapter.verbs().close_listeners();
        shared.all().iter().for_each(Connection::drain);
        let is_empty = || shared.connections.borrow().is_empty();
        let ended = within(&shared.shard, grace, shared.emptier.until(is_empty)).await;
        shared.all().iter().for_each(|connection| connection.close());
        // What they have asked for comes back.
        within(&shared.shard, END_TIME_MAX, shared.emptier.until(is_empty)).await;
        ended.is_some()
    }
}

/// Aborts a task when it is dropped.
struct Aborting<T>(engine::JoinHandle<T>);

impl<T> Drop for Aborting<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Closes all connections when it is dropped, and lets go of them: they and what they share hold each other.
struct Leaving(Rc<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.all().iter().for_each(|connection| connection.close());
        let (connections, opening) = (self.0.connections.take(), self.0.opening.take());
        drop((connections, opening));
    }
}

impl Shared {
    /// Serves all connections until it is dropped. Peers that come are handed over, if any are expected.
    async fn serve_all(self: &Rc<Self>, intake: Option<&Intake>) {
        let _leaving = Leaving(Rc::clone(self));
        let watched = Rc::clone(self);
        let _watching = Aborting(self.shard.spawn(async move { watched.watch().await }));
        if let Err(error) = self.serve(intake).await {
            tracing::error!(%error, "RDMA cannot be served any more on this core");
            intake.inspect(|intake| intake.leave(self.shard.index()));
        }
    }

    /// Looks for messages and events, and waits for them where there are none.
    async fn serve(self: &Rc<Self>, intake: Option<&Intake>) -> io::Result<()> {
        let descriptor = Rc::new(self.adapter.descriptor()?);
        let (mut completions, mut events) = (Vec::new(), Vec::new());
        // Turns without a look at events, and whether the descriptor tells of what comes.
        let (mut turns, mut is_armed) = (0_u32, false);
        loop {
            self.adapter.take_completions(&mut completions);
            turns += 1;
            if is_armed || turns >= EVENTS_PERIOD {
                self.adapter.take_events(&mut events);
                turns = 0;
            }
            if !completions.is_empty() || !events.is_empty() {
                is_armed = false;
                completions.drain(..).for_each(|completion| self.complete(completion));
                events.drain(..).for_each(|event| self.happened(&event, intake));
                self.shard.yield_now().await;
            } else if self.limits.busy_poll && !self.shard.is_shutting_down() {
                // A core that shall end does so only when no task is ready any more.
                self.shard.yield_now().await;
            } else if is_armed {
                self.shard.poll(Rc::clone(&descriptor), libc::POLLIN).await?;
                is_armed = false;
            } else {
                // What came before is not told of: it is looked for once more.
                self.adapter.arm();
                is_armed = true;
            }
        }
    }

    /// Looks over the connections from time to time.
    async fn watch(&self) {
        loop {
            self.shard.sleep(WATCH_PERIOD).await;
            let now = self.shard.now();
            self.all().iter().for_each(|connection| connection.look_after(now));
        }
    }

    fn complete(&self, completion: Completion) {
        match self.adapter.complete(completion) {
            None => {}
            Some(Told::Message { pair, slot, bytes }) => {
                if let Some(connection) = self.of_pair(pair) {
                    connection.receive(&slot.as_slice()[..bytes]);
                }
            }
            Some(Told::Works { pair, works, reads, status }) => {
                let Some(connection) = self.of_pair(pair) else { return };
                connection.ended(works, reads);
                if !status.is_success() {
                    tracing::debug!(peer = %connection.peer.address, ?status, "an RDMA work failed");
                    connection.close();
                }
            }
        }
    }

    fn happened(self: &Rc<Self>, event: &Event, intake: Option<&Intake>) {
        match event.kind {
            EventKind::Request => {
                let wish = Wish::of(event);
                let handed = intake.map_or(Err(event.request), |intake| intake.hand_over(wish));
                if let Err(request) = handed {
                    add(&self.stats.refused, 1);
                    self.adapter.verbs().reject(request);
                }
            }
            EventKind::Disconnected => {
                if let Some(connection) = self.of_pair(event.pair) {
                    connection.close();
                }
            }
            EventKind::Ended => self.forget(event.pair),
            EventKind::DeviceRemoved => tracing::warn!(device = event.device.0, "an RDMA adapter is gone"),
            // Whoever was accepted may send at once.
            EventKind::Established => self.opened(event),
            EventKind::Refused => self.refused(event),
        }
    }

    /// Accepts a peer, if there are receives for it.
    fn accept<S: Service>(self: &Rc<Self>, wish: &Wish, service: &Rc<S>, load: Load) {
        let verbs = self.adapter.verbs();
        let reads_max = wish.reads_max.min(self.adapter.reads_max(wish.device));
        let credits = if self.draining.get() || reads_max == 0 { 0 } else { self.credits(wish) };
        if credits < CREDITS_MIN {
            add(&self.stats.refused, 1);
            self.warnings.closed(wish.peer, &"refused: no receives are left for it, or it bears no reads");
            return verbs.reject(wish.request);
        }
        let pair = match verbs.accept(wish.request, reads_max, &TOLD.to_bytes()) {
            Ok(pair) => pair,
            Err(error) => {
                add(&self.stats.refused, 1);
                return self.warnings.closed(wish.peer, &error);
            }
        };
        let inline = Inline::between(wish.told, Some(TOLD));
        let terms = Terms {
            pair,
            device: wish.device,
            send_bytes: inline.reply_bytes as usize,
            receive_bytes: inline.call_bytes as usize,
            remote_invalidation: inline.remote_invalidation,
            credits,
            asks_max: CALLBACKS_MAX,
            reads_max: reads_max as usize,
            offers: false,
        };
        self.add(wish.peer, terms, Box::new(By(Rc::clone(service))), Some(load));
    }

    /// One more connection.
    pub(crate) fn add(
        self: &Rc<Self>,
        address: SocketAddr,
        terms: Terms,
        served: Box<dyn Served>,
        load: Option<Load>,
    ) -> Rc<Connection> {
        *self.promised.borrow_mut().entry(terms.device).or_default() += terms.receives();
        let peer = Peer { connection: self.next_id(), address, transport: Transport::Rdma };
        let connection = Connection::start(self, peer, terms, served, load);
        add(&self.stats.connections, 1);
        add(&self.stats.connections_opened, 1);
        tracing::debug!(peer = %address, ?terms, "RDMA connection");
        self.pairs.borrow_mut().insert(connection.id(), terms.pair);
        self.connections.borrow_mut().insert(terms.pair, Rc::clone(&connection));
        connection
    }

    /// Calls that one more connection of an adapter can have outstanding: no receive is promised twice, and not all of them to
    /// one host.
    fn credits(&self, wish: &Wish) -> u32 {
        let host = origin(wish.peer.ip());
        let of_host: u32 = self
            .connections
            .borrow()
            .values()
            .filter(|one| one.terms.device == wish.device && origin(one.peer.address.ip()) == host)
            .map(|one| one.terms.receives())
            .sum();
        let all = self.shareable(wish.device);
        let left_to_host =
            (all - all / HOST_SPARE_PART).saturating_sub(of_host).saturating_sub(CALLBACKS_MAX);
        self.asks(wish.device).min(left_to_host)
    }

    /// Receives of an adapter that are there for connections.
    fn shareable(&self, device: DeviceId) -> u32 {
        let posted = self.adapter.posted(device);
        posted - posted / RECEIVES_SPARE_PART
    }

    /// Messages that one more connection of an adapter can be promised receives for, besides those of calls back.
    pub(crate) fn asks(&self, device: DeviceId) -> u32 {
        let promised = self.promised.borrow().get(&device).copied().unwrap_or_default();
        let left = self.shareable(device).saturating_sub(promised).saturating_sub(CALLBACKS_MAX);
        // Half of what is left, so that there is some for the next ones.
        (left / 2).min(self.limits.credits_max)
    }

    /// A queue pair has ended.
    fn forget(&self, pair: PairId) {
        self.adapter.verbs().destroy(pair);
        let opening = self.opening.borrow_mut().remove(&pair);
        drop(opening);
        let Some(connection) = self.connections.borrow_mut().remove(&pair) else { return };
        connection.close();
        self.pairs.borrow_mut().remove(&connection.id());
        *self.promised.borrow_mut().entry(connection.terms.device).or_default() -=
            connection.terms.receives();
        self.stats.connections.set(self.stats.connections.get() - 1);
        connection.finished();
        self.emptier.notify();
    }

    fn of_pair(&self, pair: PairId) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&pair).cloned()
    }

    fn all(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    /// A name for a new connection.
    fn next_id(&self) -> ConnectionId {
        self.serial.set(self.serial.get() + 1);
        ConnectionId::new(self.shard.index(), Transport::Rdma, self.serial.get())
    }
}
