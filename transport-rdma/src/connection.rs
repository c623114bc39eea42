//! One connection: what comes of its messages, and what is asked of its queue pair.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use buf::Chain;
use bytes::Bytes;
use engine::sync::{Notify, Semaphore, oneshot};
use rpc::{Call, ConnectionId, Outcome, Peer, Reading, Service};
use transport::{CALL, CallError, Load, Message, Pending, REPLY, Signal, prefix, within};
use verbs::{DeviceId, PairId};
use wire::rdma::{Chunk, Chunks, Content, Failure, Header, Inline, Received, Unacceptable, VERSION};

use crate::batch::{Batch, Part};
use crate::call::{Asked, Assembled, BadChunk, assemble, assemble_here};
use crate::endpoint::Shared;
use crate::limits::{CALLBACKS_MAX, COLLECTED_MAX, PULL_MAX, UNEXPECTED_MAX};
use crate::reply::encoded;
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
    pub inline: Inline,
    /// Calls that the peer may have outstanding.
    pub credits: u32,
    /// Reads that may be outstanding.
    pub reads_max: usize,
}

/// A connection that was accepted. It lives on one core.
pub struct Connection {
    pub(crate) peer: Peer,
    pub(crate) shared: Rc<Shared>,
    pair: PairId,
    pub(crate) device: DeviceId,
    pub(crate) inline: Inline,
    pub(crate) credits: u32,
    reads_max: usize,
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
    pending: Rc<Pending<Bytes>>,
    /// Calls back that may be outstanding, as the peer told last.
    callbacks_max: Cell<u32>,
    callbacks: Cell<u32>,
    /// Told when one more call back may go.
    callback_room: Notify,
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
    pub(crate) fn start<S: Service>(
        shared: &Rc<Shared>,
        peer: Peer,
        terms: Terms,
        service: &Rc<S>,
        load: Option<Load>,
    ) -> Rc<Self> {
        let readable = Rc::<Signal>::default();
        let resumed = Rc::clone(&readable);
        let connection = Rc::new(Self {
            peer,
            shared: Rc::clone(shared),
            pair: terms.pair,
            device: terms.device,
            inline: terms.inline,
            credits: terms.credits,
            reads_max: terms.reads_max,
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
            pending: Rc::default(),
            callbacks_max: Cell::new(1),
            callbacks: Cell::default(),
            callback_room: Notify::new(),
            idle: Notify::new(),
            _load: load,
        });
        shared.shard.spawn_detached(read_backlog(Rc::clone(&connection), Rc::clone(service)));
        connection
    }

    /// The connection's name within this process.
    pub fn id(&self) -> ConnectionId {
        self.peer.connection
    }

    /// Whether messages still arrive and leave.
    pub fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    fn is_closed(&self) -> bool {
        self.phase.get() == Phase::Closed
    }

    /// A message has come. While the connection drains only answers to calls of ours are taken: calls in progress may wait for
    /// them.
    pub(crate) fn receive<S: Service>(self: &Rc<Self>, service: &Rc<S>, message: &[u8]) {
        self.received_at.set(self.shared.shard.now());
        let stats = &self.shared.stats;
        match Received::parse(message) {
            _ if self.is_closed() => {}
            Ok(Received { header, stream }) => self.receive_usable(service, &header, stream),
            Err(Unacceptable::Ignored) => {
                add(&stats.ignored, 1);
                self.note_unexpected();
            }
            Err(Unacceptable::Answered { xid, version, failure }) => self.refuse(xid, version, failure),
        }
    }

    fn receive_usable<S: Service>(self: &Rc<Self>, service: &Rc<S>, header: &Header, stream: &[u8]) {
        let (chunks, is_here) = match header.content {
            Content::Message(chunks) => (chunks, true),
            Content::NoMessage(chunks) => (chunks, false),
            // Of a call of ours, which nobody else can answer.
            Content::Error(_) => return self.lose_answer(header.xid),
        };
        let xid = header.xid;
        // The stream is in the message or in memory of the client, and never in both.
        if is_here == chunks.reads.stream.is_some() {
            return self.refuse(xid, VERSION, Failure::Chunk);
        }
        if !is_here {
            return self.accept_call(service, Asked { xid, chunks }, &[]);
        }
        match prefix(stream) {
            Some((of_stream, CALL)) if of_stream == xid => {
                self.accept_call(service, Asked { xid, chunks }, stream);
            }
            Some((of_stream, REPLY)) if of_stream == xid => self.receive_answer(header, stream),
            _ => self.refuse(xid, VERSION, Failure::Chunk),
        }
    }

    /// Answers a message that cannot be used.
    fn refuse(self: &Rc<Self>, xid: u32, version: u32, failure: Failure) {
        if !self.begin() {
            return;
        }
        let connection = Rc::clone(self);
        self.shared.shard.start_detached(move || async move {
            connection.error(xid, version, failure).await;
            connection.end();
        });
    }

    fn accept_call<S: Service>(self: &Rc<Self>, service: &Rc<S>, asked: Asked, stream: &[u8]) {
        if !self.begin() {
            return;
        }
        add(&self.shared.stats.calls, 1);
        if self.reading.is_held() || !self.backlog.borrow().is_empty() {
            let message = Bytes::copy_from_slice(stream);
            self.backlog.borrow_mut().push_back((asked, message, self.shared.shard.now()));
            return self.readable.notify();
        }
        self.start_call(service, asked, stream, Duration::ZERO);
    }

    /// Counts one more call, unless none is begun any more, or the peer has more than it may: then its connection ends, as it
    /// takes receives from others.
    fn begin(self: &Rc<Self>) -> bool {
        if !self.is_open() {
            return false;
        }
        if self.calls.get() < self.credits {
            self.calls.update(|calls| calls + 1);
            return true;
        }
        self.fault(&"it has more calls outstanding than it was granted");
        false
    }

    fn end(&self) {
        self.calls.update(|calls| calls - 1);
        self.idle.notify_all();
    }

    /// Runs a call as a task of its own, which ends only with its answer.
    fn start_call<S: Service>(
        self: &Rc<Self>,
        service: &Rc<S>,
        asked: Asked,
        stream: &[u8],
        unread: Duration,
    ) {
        let (connection, service) = (Rc::clone(self), Rc::clone(service));
        if !asked.is_here(stream) {
            let stream = Bytes::copy_from_slice(stream);
            self.shared.shard.spawn_detached(async move {
                match assemble(&connection, &asked, stream).await {
                    Ok(assembled) => connection.answer(service, &asked, assembled, unread).await,
                    Err(BadChunk) => connection.error(asked.xid, VERSION, Failure::Chunk).await,
                }
                connection.end();
            });
            return;
        }
        let Ok(assembled) = assemble_here(self, &asked, stream) else {
            unreachable!("what is here was just looked at");
        };
        self.shared.shard.start_detached(move || async move {
            connection.answer(service, &asked, assembled, unread).await;
            connection.end();
        });
    }

    async fn answer<S: Service>(
        self: &Rc<Self>,
        service: Rc<S>,
        asked: &Asked,
        assembled: Assembled,
        unread: Duration,
    ) {
        let Assembled { head, payloads, turn: _turn } = assembled;
        // What the RPC header says must be the transport's: by that alone are replies found.
        if prefix(&head) != Some((asked.xid, CALL)) {
            return self.error(asked.xid, VERSION, Failure::Chunk).await;
        }
        let reading = self.reading.clone();
        let unread_ns = unread.as_nanos() as u64;
        let outcome = service.call(Call { head, payloads, peer: self.peer, unread_ns, reading }).await;
        match outcome {
            Outcome::Reply(reply) => self.reply(asked, reply).await,
            Outcome::Discard => {}
            Outcome::Disconnect => self.fault(&"a call whose header cannot be read"),
        }
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
        while self.reads.get() > 0 && self.reads.get() + reads > self.reads_max && !self.is_closed() {
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

    /// Asks the queue pair for all of a batch, when there is room for it. Nobody hears of one on a closed connection.
    pub(crate) async fn post(&self, batch: Batch, ended: Option<oneshot::Sender<crate::adapter::Ended>>) {
        let works = batch.works.len();
        while self.works.get() > 0
            && self.works.get() + works > self.shared.adapter.works_max
            && !self.is_closed()
        {
            self.ended.notified().await;
        }
        if self.is_closed() {
            return;
        }
        if self.works.get() == 0 {
            self.moved_at.set(self.shared.shard.now());
        }
        match self.shared.adapter.post(self.pair, batch, ended) {
            Ok(()) => self.works.update(|outstanding| outstanding + works),
            Err(error) => self.give_up(&error),
        }
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
    fn note_unexpected(&self) {
        self.unexpected.update(|unexpected| unexpected + 1);
        if self.unexpected.get() > UNEXPECTED_MAX {
            self.fault(&"it sends messages that nobody waits for");
        }
    }

    fn give_up(&self, error: &io::Error) {
        tracing::debug!(peer = %self.peer.address, %error, "RDMA connection ends");
        self.close();
    }

    /// Sends a call and waits for its reply. The message's first word, its transaction id, is set here.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the connection ends before the reply or the call is longer than one message,
    /// [`CallError::TimedOut`].
    ///
    /// # Panics
    /// When the message is shorter than a transaction id: the caller's mistake.
    pub async fn call(&self, message: Message, timeout: Duration) -> Result<Bytes, CallError> {
        let called = async {
            let _turn = self.callback_turn().await;
            self.call_now(message).await
        };
        within(&self.shared.shard, timeout, called).await.unwrap_or(Err(CallError::TimedOut))
    }

    async fn callback_turn(&self) -> CallbackTurn<'_> {
        while !self.is_closed() && self.callbacks.get() >= self.callbacks_max.get().min(CALLBACKS_MAX) {
            self.callback_room.notified().await;
        }
        self.callbacks.update(|callbacks| callbacks + 1);
        CallbackTurn { connection: self }
    }

    async fn call_now(&self, mut message: Message) -> Result<Bytes, CallError> {
        let answer = self.pending.begin().ok_or(CallError::Lost)?;
        message.head[..4].copy_from_slice(&answer.xid.to_be_bytes());
        let content = Content::Message(Chunks::default());
        let header = Header { xid: answer.xid, version: VERSION, credits: CALLBACKS_MAX, content };
        let header = encoded(&header);
        if header.len() + message.head.len() > self.inline.reply_bytes as usize || !message.inserts.is_empty()
        {
            return Err(CallError::Lost);
        }
        let mut batch = Batch::default();
        let part = self.message(&[&header, &message.head]).await;
        batch.send(&self.shared.adapter.memory, [part].into_iter().collect(), None);
        self.post(batch, None).await;
        answer.await.ok_or(CallError::Lost)
    }

    fn receive_answer(&self, header: &Header, stream: &[u8]) {
        add(&self.shared.stats.replies, 1);
        self.callbacks_max.set(header.credits.max(1));
        self.callback_room.notify_all();
        if !self.pending.complete(header.xid, Bytes::copy_from_slice(stream)) {
            tracing::debug!(peer = %self.peer.address, xid = header.xid, "reply to no call");
            self.note_unexpected();
        }
    }

    /// The peer could not use a call of ours.
    fn lose_answer(&self, xid: u32) {
        if !self.pending.fail(xid) {
            self.note_unexpected();
        }
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
            self.shared.adapter.verbs().disconnect(self.pair);
            self.pending.end();
            self.readable.notify();
            self.ended.notify_all();
            self.callback_room.notify_all();
            self.idle.notify_all();
        }
    }

    /// The queue pair has ended: nothing arrives any more, and nothing is sent. Tells the service at once, and again when the
    /// last of the connection's calls has ended.
    pub(crate) fn finished<S: Service>(self: &Rc<Self>, service: &Rc<S>) {
        service.disconnected(self.id());
        if self.calls.get() == 0 {
            return;
        }
        let (connection, service) = (Rc::clone(self), Rc::clone(service));
        self.shared.shard.spawn_detached(async move {
            while connection.calls.get() > 0 {
                connection.idle.notified().await;
            }
            service.disconnected(connection.id());
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

/// One call back in the count of its connection.
struct CallbackTurn<'a> {
    connection: &'a Connection,
}

impl Drop for CallbackTurn<'_> {
    fn drop(&mut self) {
        self.connection.callbacks.update(|callbacks| callbacks - 1);
        self.connection.callback_room.notify_all();
    }
}

/// Reads what waits, until the connection is closed, and tells the service when it waits for long.
async fn read_backlog<S: Service>(connection: Rc<Connection>, service: Rc<S>) {
    loop {
        let nothing = || connection.is_closed() || !connection.backlog.borrow().is_empty();
        connection.readable.until(nothing).await;
        let mut next = within(&connection.shared.shard, UNREAD_TOLD, connection.next_of_backlog()).await;
        if next.is_none() {
            service.unread(connection.id(), true);
            next = Some(connection.next_of_backlog().await);
            service.unread(connection.id(), false);
        }
        let Some((asked, stream, since)) = next.flatten() else { break };
        let unread = connection.shared.shard.now().saturating_duration_since(since);
        connection.start_call(&service, asked, &stream, unread);
    }
    // They were never begun.
    let left = connection.backlog.take().len();
    (0..left).for_each(|_| connection.end());
}
