//! One connection: what both its tasks and everyone else know of it.

use std::{
    cell::{Cell, RefCell},
    net::SocketAddr,
    rc::Rc,
    time::{Duration, Instant},
};

use rpc::{Call, ConnectionId, Outcome, Peer, Reading, Service, Transport};

use transport::{Answer, CALL, Load, Pending, REPLY, Signal};

use crate::{
    CallError, Message, Received,
    backlog::Backlog,
    endpoint::Shared,
    fault::Fault,
    limits::PROVEN_BYTES,
    outbox::Outbox,
    progress::Progress,
    receive::Stream,
    share::{Share, Standing},
    socket::Socket,
    stats::add,
    zero_copy::ZeroCopy,
};

/// How far a connection's life has come; it only goes down this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Messages arrive and leave.
    Open,
    /// Nothing further is received; calls in progress are finished and answered.
    Draining,
    /// Nothing is received or sent.
    Closed,
}

/// A connection, at either end. It lives on one core; both ends receive calls and replies alike, so that a
/// back channel needs nothing of its own.
pub struct Connection {
    pub(crate) peer: Peer,
    pub(crate) socket: Socket,
    pub(crate) shared: Rc<Shared>,
    pub(crate) phase: Cell<Phase>,
    /// Bytes of a begun record that the peer owes.
    pub(crate) receiving: Progress,
    /// Room for a reply that the peer owes.
    pub(crate) sending: Progress,
    pub(crate) standing: Cell<Standing>,
    /// Bytes received.
    pub(crate) received: Cell<u64>,
    pub(crate) backlog: RefCell<Backlog>,
    /// For how long it was not read by our choice until it was read the last time.
    pub(crate) unread_time: Cell<Duration>,
    /// Since when it is not read by our choice.
    pub(crate) unread_since: Cell<Option<Instant>>,
    pub(crate) unread_told: Cell<bool>,
    /// Tells the service whether it is read.
    pub(crate) tell_unread: Box<dyn Fn(bool)>,
    /// Payload bytes completed, until they are enough to be trusted.
    completed: Cell<usize>,
    pub(crate) calls: Cell<usize>,
    /// A call on its way into its task, and for how long it was not read: there only between the making of the task and its
    /// first line. If the task captured the call, rustc would copy all of the task once more, 6 KiB for each call.
    starting: Cell<Option<(Received, Duration)>>,
    pub(crate) payload_held: Cell<usize>,
    /// What the connections from its address may hold of the payload memory.
    pub(crate) address_share: Rc<Share>,
    heads_held: Cell<usize>,
    pub(crate) outbox: Outbox,
    pub(crate) zero_copy: Rc<ZeroCopy>,
    pending: Rc<Pending<Received>>,
    /// Told when calls end or replies leave: the receiving task may go on.
    pub(crate) room: Rc<Signal>,
    /// Whether its service wants more of it.
    reading: Reading,
    /// Told when there is something to send or nothing ever will be.
    pub(crate) to_send: Signal,
    /// Counts towards the core's load as long as the connection exists.
    _load: Option<Load>,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Connection").field("peer", &self.peer).field("phase", &self.phase).finish()
    }
}

impl Connection {
    /// Takes a connected socket over and starts its two tasks.
    pub(crate) fn start<S: Service>(
        shared: &Rc<Shared>,
        socket: Socket,
        address: SocketAddr,
        standing: Standing,
        service: Rc<S>,
        load: Option<Load>,
    ) -> Rc<Self> {
        let peer = Peer { connection: shared.next_id(), address, transport: Transport::Tcp };
        let zero_copy =
            ZeroCopy::new(address, socket.local_address(), &shared.limits, &shared.held_by_kernel);
        let told = Rc::clone(&service);
        let room = Rc::<Signal>::default();
        let resumed = Rc::clone(&room);
        let connection = Rc::new(Self {
            peer,
            socket,
            shared: Rc::clone(shared),
            phase: Cell::new(Phase::Open),
            receiving: Progress::default(),
            sending: Progress::default(),
            standing: Cell::new(standing),
            received: Cell::default(),
            backlog: RefCell::default(),
            unread_time: Cell::default(),
            unread_since: Cell::default(),
            unread_told: Cell::default(),
            tell_unread: Box::new(move |is_unread| told.unread(peer.connection, is_unread)),
            completed: Cell::new(0),
            calls: Cell::new(0),
            starting: Cell::default(),
            payload_held: Cell::new(0),
            address_share: shared.address_share(address.ip()),
            heads_held: Cell::new(0),
            outbox: Outbox::default(),
            zero_copy,
            pending: Rc::default(),
            room,
            reading: Reading::new(move || resumed.notify()),
            to_send: Signal::default(),
            _load: load,
        });
        connection.fragment_bulk(shared.limits.fragment_bulk);
        shared.register(&connection);
        shared.shard.spawn_detached(receive_all(Rc::clone(&connection), service));
        shared.shard.spawn_late(crate::send::send_all(Rc::clone(&connection)));
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

    /// Whether messages still arrive and leave.
    pub fn is_open(&self) -> bool {
        self.phase.get() == Phase::Open
    }

    /// Whether each piece of bulk data in what is sent from now on is a fragment of its own: head, data, what follows,
    /// and so on for several. Every receiver puts fragments together (RFC 5531 §11), so that none needs to be asked;
    /// one that knows the hint finds place and length of the data in two words.
    pub fn fragment_bulk(&self, fragments: bool) {
        self.outbox.fragment_bulk.set(fragments);
    }

    /// Sends a call and waits for its reply. The message's first word, its transaction id, is set here.
    ///
    /// # Errors
    /// [`CallError::Lost`] when the connection ends before the reply, [`CallError::TimedOut`].
    ///
    /// # Panics
    /// When the message is shorter than a transaction id: the caller's mistake.
    pub async fn call(&self, message: Message, timeout: Duration) -> Result<Received, CallError> {
        self.wait(self.pending.begin(), message, timeout).await
    }

    /// As [`Connection::call`], with a transaction id of the caller's choice: what was sent over a connection that broke goes
    /// over another as the call that it is, so that it need not be executed twice.
    ///
    /// # Errors
    /// As [`Connection::call`].
    ///
    /// # Panics
    /// When another call that waits has the same id, and as [`Connection::call`]: the caller's mistake.
    pub async fn call_as(
        &self,
        xid: u32,
        message: Message,
        timeout: Duration,
    ) -> Result<Received, CallError> {
        self.wait(self.pending.begin_as(xid), message, timeout).await
    }

    async fn wait(
        &self,
        answer: Option<Answer<Received>>,
        mut message: Message,
        timeout: Duration,
    ) -> Result<Received, CallError> {
        let answer = answer.ok_or(CallError::Lost)?;
        message.head[..4].copy_from_slice(&answer.xid.to_be_bytes());
        self.post(message);
        match self.within_read_time(timeout, answer).await {
            Some(Some(reply)) => Ok(reply),
            Some(None) => Err(CallError::Lost),
            None => Err(CallError::TimedOut),
        }
    }

    /// Sends a message as it is and expects no answer. Nothing is sent on a closed connection.
    pub fn post(&self, message: Message) {
        if self.phase.get() < Phase::Closed {
            self.outbox.push(message);
            self.to_send.notify();
        }
    }

    /// Receives nothing further; calls in progress are finished and answered, then the connection closes.
    pub fn drain(&self) {
        if self.phase.get() == Phase::Open {
            self.phase.set(Phase::Draining);
            self.socket.shutdown_receive();
            self.room.notify();
            self.to_send.notify();
        }
    }

    /// Closes the connection at once. Calls in progress go on, but nobody hears their answers.
    pub fn close(&self) {
        if self.phase.replace(Phase::Closed) < Phase::Closed {
            self.socket.shutdown();
            self.outbox.clear();
            self.pending.end();
            self.room.notify();
            self.to_send.notify();
        }
    }

    /// Counts bytes that were received.
    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.update(|received| received + bytes as u64);
        add(&self.shared.stats.received_bytes, bytes);
    }

    /// Whether one more call may be in progress.
    fn has_room_for_a_call(&self) -> bool {
        let limits = &self.shared.limits;
        self.calls.get() < limits.calls_max
            && self.heads_held.get() < limits.heads_max
            && self.outbox.bytes() < limits.queued_max
    }

    /// Waits until one more call may be in progress.
    async fn room_for_a_call(&self) {
        self.room.until(|| self.phase.get() == Phase::Closed || self.has_room_for_a_call()).await;
    }

    /// Whether the calls in progress leave room for a payload of `bytes`.
    pub(crate) fn has_room_for_payload(&self, bytes: usize) -> bool {
        let held = self.payload_held.get();
        held == 0 || held + bytes <= self.shared.limits.payload_max
    }

    /// Waits until the calls in progress leave room for a payload of `bytes`.
    pub(crate) async fn room_for_payload(&self, bytes: usize) -> Result<(), Fault> {
        self.room.until(|| self.phase.get() != Phase::Open || self.has_room_for_payload(bytes)).await;
        if self.phase.get() == Phase::Open { Ok(()) } else { Err(Fault::Stopped) }
    }

    /// A payload of `bytes` has arrived to its end.
    pub(crate) fn completed_payload(&self, bytes: usize) {
        let completed = self.completed.get().saturating_add(bytes);
        self.completed.set(completed);
        if completed >= PROVEN_BYTES {
            self.standing.set(Standing::Proven);
        }
    }

    /// The call's answer, or its absence, is known.
    fn finish_call(&self, outcome: Outcome) {
        match outcome {
            Outcome::Reply(reply) => self.post(reply.into()),
            Outcome::Discard => {}
            // Of several such calls the first closes it.
            Outcome::Disconnect if self.phase.get() == Phase::Closed => {}
            Outcome::Disconnect => {
                self.note(&Fault::Header);
                self.close();
            }
        }
        less_by(&self.calls, 1);
        self.room.notify();
        self.to_send.notify();
    }

    /// Counts and says why the connection ends.
    fn note(&self, fault: &Fault) {
        if fault.is_misbehaviour() {
            add(&self.shared.stats.faults, 1);
            self.shared.warnings.closed(self.peer.address, fault);
        } else {
            tracing::debug!(peer = %self.peer.address, "connection ends: {fault}");
        }
    }

    /// No message arrives any more.
    fn received_all(&self, fault: &Fault) {
        self.receiving.done();
        self.pending.end();
        self.note(fault);
        match fault {
            Fault::Closed | Fault::Stopped => self.drain(),
            _ => self.close(),
        }
        self.to_send.notify();
    }
}

/// Receives until the connection ends, and starts a task for every call.
async fn receive_all<S: Service>(connection: Rc<Connection>, service: Rc<S>) {
    let mut stream = Stream::new(Rc::clone(&connection));
    let fault = loop {
        if connection.reading.is_held() {
            stream.pause().await;
            let may_go_on = || connection.phase.get() != Phase::Open || !connection.reading.is_held();
            connection.unread(connection.room.until(may_go_on)).await;
        }
        let received = match stream.next_message().await {
            Ok(received) => received,
            Err(fault) => break fault,
        };
        match received.prefix() {
            Some((_, CALL)) => {
                if !connection.has_room_for_a_call() {
                    stream.pause().await;
                    connection.unread(connection.room_for_a_call()).await;
                }
                let unread = connection.unread_for(stream.record_at);
                start_call(&connection, &service, received, unread);
            }
            Some((xid, REPLY)) => {
                add(&connection.shared.stats.replies, 1);
                if !connection.pending.complete(xid, received) {
                    tracing::debug!(peer = %connection.peer.address, xid, "reply to no call");
                }
            }
            _ => break Fault::NotRpc,
        }
    };
    connection.received_all(&fault);
    service.disconnected(connection.id());
    if connection.calls.get() > 0 {
        // What a call that still ran has tied to the connection meanwhile is to be untied, too.
        connection.room.until(|| connection.calls.get() == 0).await;
        service.disconnected(connection.id());
    }
}

/// Runs one call as a task of its own, which ends only with its answer; most have it at once.
fn start_call<S: Service>(
    connection: &Rc<Connection>,
    service: &Rc<S>,
    received: Received,
    unread: Duration,
) {
    add(&connection.shared.stats.calls, 1);
    let (head_bytes, payload_bytes) = (received.head.len(), received.payload_bytes());
    connection.calls.update(|calls| calls + 1);
    connection.heads_held.update(|bytes| bytes + head_bytes);
    connection.payload_held.update(|bytes| bytes + payload_bytes);
    let (connection, service) = (Rc::clone(connection), Rc::clone(service));
    let shared = Rc::clone(&connection.shared);
    shared.shard.start_detached(move || {
        connection.starting.set(Some((received, unread)));
        async move {
            let (received, unread) = connection.starting.take().expect("the task runs at once");
            let Received { head, payloads, holds } = received;
            let unread_ns = unread.as_nanos() as u64;
            let reading = connection.reading.clone();
            let call = Call { head, payloads, peer: connection.peer, unread_ns, reading };
            let outcome = service.call(call).await;
            drop(holds);
            less_by(&connection.heads_held, head_bytes);
            less_by(&connection.payload_held, payload_bytes);
            connection.finish_call(outcome);
        }
    });
}

fn less_by(counter: &Cell<usize>, amount: usize) {
    counter.set(counter.get() - amount);
}
