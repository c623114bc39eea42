//! One connection: what comes of its messages, and what is asked of its queue pair.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use buf::Chain;
use bytes::Bytes;
use engine::Shard;
use engine::sync::{Notify, Semaphore, oneshot};
use rpc::{ConnectionId, Peer, Reading};
use transport::{CALL, Load, REPLY, Signal, prefix, within};
use verbs::{DeviceId, PairId};
use wire::rdma::{Chunk, Content, Failure, Header, Received, Unacceptable, VERSION};

use crate::asking::Asking;
use crate::batch::{Batch, Part};
use crate::call::Asked;
use crate::endpoint::Shared;
use crate::limits::{COLLECTED_MAX, PULL_MAX, UNEXPECTED_MAX};
use crate::served::Served;
use crate::stats::add;

/// Time after which the service is told that a connection is not read.
const UNREAD_TOLD: Duration = Duration::from_secs(1);

/// How far a connection's life has come; it only goes down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Messages arrive and leave.
    Open,
    /// Calls that come are passed over; those in progress are finished and answered.
    Draining,
    /// Nothing is received or sent.
    Closed,
}

/// What is agreed on when a connection is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub pair: PairId,
    pub device: DeviceId,
    /// Bytes of a message that leaves.
    pub send_bytes: usize,
    /// Bytes of a message that comes.
    pub receive_bytes: usize,
    /// Whether a reply of ours may end the registration of memory that its call named.
    pub remote_invalidation: bool,
    /// Calls that the peer may have outstanding.
    pub credits: u32,
    /// Calls of ours that may be outstanding, however many the peer grants.
    pub asks_max: u32,
    /// Reads that may be outstanding.
    pub reads_max: usize,
    /// Whether calls of ours may name memory for the peer to use: those of who opened the connection.
    pub offers: bool,
}

impl Terms {
    /// Receives that it takes: one for each call of the peer's, and one for each answer to ours.
    pub fn receives(&self) -> u32 {
        self.credits + self.asks_max
    }
}

/// A connection, accepted or opened. It lives on one core.
pub struct Connection {
    pub(crate) peer: Peer,
    pub(crate) shared: Rc<Shared>,
    pub(crate) terms: Terms,
    served: Box<dyn Served>,
    phase: Cell<Phase>,
    /// Calls in progress, and errors that are being told.
    calls: Cell<u32>,
    /// Calls that wait until the connection is read again, and since when.
    backlog: RefCell<VecDeque<(Asked, Bytes, Instant)>>,
    reading: Reading,
    /// Told when the backlog, or whether it may be read, has changed.
    readable: Rc<Signal>,
    /// Works that the queue pair has, and how many of them are reads.
    works: Cell<usize>,
    reads: Cell<usize>,
    /// Bytes of payload that are read from the peer.
    pulled: Cell<usize>,
    /// When a message came last, and when works last ended or began to be outstanding.
    received_at: Cell<Instant>,
    moved_at: Cell<Instant>,
    /// Messages that nobody waited for.
    unexpected: Cell<u32>,
    /// Turns of its calls that are collected.
    pub(crate) collecting: Semaphore,
    /// Told when works have ended.
    ended: Notify,
    /// Calls of ours.
    pub(crate) asking: Asking,
    /// Told when a call has ended.
    idle: Notify,
    _load: Option<Load>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("peer", &self.peer).field("phase", &self.phase).finish()
    }
}

impl Connection {
    pub(crate) fn start(
        shared: &Rc<Shared>,
        peer: Peer,
        terms: Terms,
        served: Box<dyn Served>,
        load: Option<Load>,
    ) -> Rc<Self> {
        let readable = Rc::<Signal>::default();
        let resumed = Rc::clone(&readable);
        let connection = Rc::new(Self {
            peer,
            shared: Rc::clone(shared),
            terms,
            served,
            phase: Cell::new(Phase::Open),
            calls: Cell::default(),
            backlog: RefCell::default(),
            reading: Reading::new(move || resumed.notify()),
            readable,
            works: Cell::default(),
            reads: Cell::default(),
            pulled: Cell::default(),
            received_at: Cell::new(shared.shard.now()),
            moved_at: Cell::new(shared.shard.now()),
            unexpected: Cell::default(),
            collecting: Semaphore::new(COLLECTED_MAX),
            ended: Notify::new(),
            asking: Asking::default(),
            idle: Notify::new(),
            _load: load,
        });
        shared.shard.spawn_detached(read_backlog(Rc::clone(&connection)));
        connection
    }

    /// The connection's name within this process.
    pub fn id(&self) -> ConnectionId {
        self.peer.connection
    }

    /// The other end's address.
    pub fn address(&self) -> SocketAddr {
        self.peer.address
    }

    /// The core it lives on.
    pub fn shard(&self) -> &Shard {
        &self.shared.shard
    }

    /// Whether messages still arrive and leave.
    pub fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.phase.get() == Phase::Closed
    }

    /// A message has come. While the connection drains only answers to calls of ours are taken: calls in progress may wait for
    /// them.
    pub(crate) fn receive(self: &Rc<Self>, message: &[u8]) {
        self.received_at.set(self.shared.shard.now());
        let stats = &self.shared.stats;
        match Received::parse(message) {
            _ if self.is_closed() => {}
            Ok(Received { header, stream }) => self.receive_usable(&header, stream),
            Err(Unacceptable::Ignored) => {
                add(&stats.ignored, 1);
                self.note_unexpected();
            }
            Err(Unacceptable::Answered { xid, version, failure }) => self.refuse(xid, version, failure),
        }
    }

    fn receive_usable(self: &Rc<Self>, header: &Header, stream: &[u8]) {
        let (chunks, is_here) = match header.content {
            Content::Message(chunks) => (chunks, true),
            Content::NoMessage(chunks) => (chunks, false),
            // Of a call of ours, which nobody else can answer.
            Content::Error(_) => return self.lose_answer(header.xid),
        };
        let xid = header.xid;
        if !is_here && self.is_written_answer(xid, &chunks) {
            return self.receive_answer(header, &chunks, None);
        }
        // The stream is in the message or in memory of the client, and never in both.
        if is_here == chunks.reads.stream.is_some() {
            return self.refuse(xid, VERSION, Failure::Chunk);
        }
        if !is_here {
            return self.accept_call(Asked { xid, chunks }, &[]);
        }
        match prefix(stream) {
            Some((of_stream, CALL)) if of_stream == xid => self.accept_call(Asked { xid, chunks }, stream),
            Some((of_stream, REPLY)) if of_stream == xid => {
                self.receive_answer(header, &chunks, Some(stream));
            }
            _ => self.refuse(xid, VERSION, Failure::Chunk),
        }
    }

    /// Answers a message that cannot be used. One that would have been a reply is never answered, and its call would wait for ever.
    fn refuse(self: &Rc<Self>, xid: u32, version: u32, failure: Failure) {
        // Calls of either side may have the same name; of who only calls back the other's are more likely.
        if self.terms.offers && self.asking.waits_for(xid) {
            return self.fault(&"a reply that cannot be read");
        }
        if !self.begin() {
            return;
        }
        let connection = Rc::clone(self);
        self.shared.shard.start_detached(move || async move {
            connection.error(xid, version, failure).await;
            connection.end();
        });
    }

    fn accept_call(self: &Rc<Self>, asked: Asked, stream: &[u8]) {
        if !self.begin() {
            return;
        }
        add(&self.shared.stats.calls, 1);
        if self.reading.is_held() || !self.backlog.borrow().is_empty() {
            let message = Bytes::copy_from_slice(stream);
            self.backlog.borrow_mut().push_back((asked, message, self.shared.shard.now()));
            return self.readable.notify();
        }
        self.served.start(self, asked, stream, Duration::ZERO);
    }

    /// Counts one more call, unless none is begun any more, or the peer has more than it may: then its connection ends, as it
    /// takes receives from others.
    fn begin(self: &Rc<Self>) -> bool {
        if !self.is_open() {
            return false;
        }
        if self.calls.get() < self.terms.credits {
            self.calls.update(|calls| calls + 1);
            return true;
        }
        self.fault(&"it has more calls outstanding than it was granted");
        false
    }

    /// A call has ended.
    pub(crate) fn end(&self) {
        self.calls.update(|calls| calls - 1);
        self.idle.notify_all();
    }

    /// Whether it is read, for who answers its calls.
    pub(crate) fn reading(&self) -> Reading {
        self.reading.clone()
    }

    /// Reads from the peer's chunk so many bytes into aligned memory, which is taken when it is its turn; `None` when that cannot
    /// be.
    pub(crate) async fn pull(&self, chunk: &Chunk, length: usize, modulo: usize) -> Option<Chain> {
        let _turn = self.pull_turn(length).await;
        let chain = self.shared.shard.pool().take_wait(length, modulo).await.ok()?;
        let mut batch = Batch::default();
        batch.read(&self.shared.adapter.memory, chain, chunk);
        let reads = batch.reads();
        // More than are borne at a time go when they go alone: the adapter has the rest wait.
        while self.reads.get() > 0 && self.reads.get() + reads > self.terms.reads_max && !self.is_closed() {
            self.ended.notified().await;
        }
        self.reads.update(|outstanding| outstanding + reads);
        let (sender, ended) = oneshot::channel();
        self.post(batch, Some(sender)).await;
        let (status, mut held) = ended.await.ok()?;
        match held.pop() {
            Some(Part::Payload(chain)) if status.is_success() => Some(chain),
            _ => None,
        }
    }

    /// Waits until what is read from the peer leaves room for so much more: who reads slowly holds little memory.
    async fn pull_turn(&self, bytes: usize) -> PullTurn<'_> {
        while self.pulled.get() > 0 && self.pulled.get() + bytes > PULL_MAX && !self.is_closed() {
            self.ended.notified().await;
        }
        self.pulled.update(|pulled| pulled + bytes);
        PullTurn { connection: self, bytes }
    }

    /// Asks the queue pair for all of a batch, when there is room for it; whether it did. Nobody hears of one on a closed
    /// connection.
    pub(crate) async fn post(
        &self,
        batch: Batch,
        ended: Option<oneshot::Sender<crate::adapter::Ended>>,
    ) -> bool {
        let works = batch.works.len();
        while self.works.get() > 0
            && self.works.get() + works > self.shared.adapter.works_max
            && !self.is_closed()
        {
            self.ended.notified().await;
        }
        if self.is_closed() {
            return false;
        }
        if self.works.get() == 0 {
            self.moved_at.set(self.shared.shard.now());
        }
        let posted = self.shared.adapter.post(self.terms.pair, batch, ended);
        match &posted {
            Ok(()) => self.works.update(|outstanding| outstanding + works),
            Err(error) => self.give_up(error),
        }
        posted.is_ok()
    }

    /// Works have ended, and reads among them, whether or not somebody still waits for them.
    pub(crate) fn ended(&self, works: usize, reads: usize) {
        self.works.update(|outstanding| outstanding - works);
        self.reads.update(|outstanding| outstanding - reads);
        self.moved_at.set(self.shared.shard.now());
        self.ended.notify_all();
    }

    /// Ends it when the peer takes nothing any more, or has been silent for so long that it may be gone: what it holds is wanted
    /// by others. Clients that are there renew their leases more often.
    pub(crate) fn look_after(&self, now: Instant) {
        let limits = &self.shared.limits;
        let since = |at: &Cell<Instant>| now.saturating_duration_since(at.get());
        if self.works.get() > 0 && since(&self.moved_at) >= limits.stall_max {
            self.fault(&"it takes nothing that is sent");
        } else if self.calls.get() == 0 && since(&self.received_at) >= limits.idle_max {
            tracing::debug!(peer = %self.peer.address, "RDMA connection ends: nothing came for long");
            self.close();
        }
    }

    /// A message that nobody waited for. Few are late answers; many take receives from others.
    pub(crate) fn note_unexpected(&self) {
        self.unexpected.update(|unexpected| unexpected + 1);
        if self.unexpected.get() > UNEXPECTED_MAX {
            self.fault(&"it sends messages that nobody waits for");
        }
    }

    fn give_up(&self, error: &io::Error) {
        tracing::debug!(peer = %self.peer.address, %error, "RDMA connection ends");
        self.close();
    }

    /// What the peer did ends the connection.
    pub(crate) fn fault(&self, what: &dyn std::fmt::Display) {
        if !self.is_closed() {
            add(&self.shared.stats.faults, 1);
            self.shared.warnings.closed(self.peer.address, what);
            self.close();
        }
    }

    /// Takes no further call; those in progress are finished and answered, then the connection closes.
    pub(crate) fn drain(self: &Rc<Self>) {
        if self.phase.get() != Phase::Open {
            return;
        }
        self.phase.set(Phase::Draining);
        self.readable.notify();
        let connection = Rc::clone(self);
        self.shared.shard.spawn_detached(async move {
            while connection.calls.get() > 0 && !connection.is_closed() {
                connection.idle.notified().await;
            }
            // The last reply is on its way until its work has ended.
            while connection.works.get() > 0 && !connection.is_closed() {
                connection.ended.notified().await;
            }
            connection.close();
        });
    }

    /// Closes the connection at once. Calls in progress go on, but nobody hears their answers.
    pub fn close(&self) {
        if self.phase.replace(Phase::Closed) < Phase::Closed {
            self.shared.adapter.verbs().disconnect(self.terms.pair);
            self.asking.end();
            self.readable.notify();
            self.ended.notify_all();
            self.idle.notify_all();
        }
    }

    /// The queue pair has ended: nothing arrives any more, and nothing is sent. Tells the service at once, and again when the
    /// last of the connection's calls has ended.
    pub(crate) fn finished(self: &Rc<Self>) {
        self.asking.forget();
        self.served.disconnected(self.id());
        if self.calls.get() == 0 {
            return;
        }
        let connection = Rc::clone(self);
        self.shared.shard.spawn_detached(async move {
            while connection.calls.get() > 0 {
                connection.idle.notified().await;
            }
            connection.served.disconnected(connection.id());
        });
    }

    /// Calls that came while the connection was not read, one after the other, as soon as it is.
    async fn next_of_backlog(&self) -> Option<(Asked, Bytes, Instant)> {
        let may_go_on = || self.is_closed() || (!self.reading.is_held() && !self.backlog.borrow().is_empty());
        self.readable.until(may_go_on).await;
        if self.is_closed() { None } else { self.backlog.borrow_mut().pop_front() }
    }
}

/// A payload in the count of what is read from its connection's peer.
struct PullTurn<'a> {
    connection: &'a Connection,
    bytes: usize,
}

impl Drop for PullTurn<'_> {
    fn drop(&mut self) {
        self.connection.pulled.update(|pulled| pulled - self.bytes);
        self.connection.ended.notify_all();
    }
}

/// Reads what waits, until the connection is closed, and tells the service when it waits for long.
async fn read_backlog(connection: Rc<Connection>) {
    loop {
        let nothing = || connection.is_closed() || !connection.backlog.borrow().is_empty();
        connection.readable.until(nothing).await;
        let mut next = within(&connection.shared.shard, UNREAD_TOLD, connection.next_of_backlog()).await;
        if next.is_none() {
            connection.served.unread(connection.id(), true);
            next = Some(connection.next_of_backlog().await);
            connection.served.unread(connection.id(), false);
        }
        let Some((asked, stream, since)) = next.flatten() else { break };
        let unread = connection.shared.shard.now().saturating_duration_since(since);
        connection.served.start(&connection, asked, &stream, unread);
    }
    // They were never begun.
    let left = connection.backlog.take().len();
    (0..left).for_each(|_| connection.end());
}
