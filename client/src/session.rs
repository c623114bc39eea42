//! A session: compounds with exactly-once semantics over one or more connections.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::{Duration, Instant},
};

use engine::Shard;
use transport::CallError;
use wire::nfs4::{
    BindConnToSessionArgs, BindConnToSessionResult, ChannelDirectionArgs, ChannelDirectionResult, ClientId,
    CreateSessionResult, DestroySessionArgs, SequenceArgs, SequenceResult, SessionId, Status,
};

use crate::{
    Channel, ClientOptions, Compound, CompoundReply, Error, Result,
    origin::Origin,
    slots::{Slot, Slots},
};

/// Pause before a request that the server is still executing, or cannot execute now, is sent again.
pub(crate) const DELAY_PAUSE: Duration = Duration::from_millis(20);

/// Pause before something is tried again that has to wait for the end of the server's grace period.
const GRACE_PAUSE: Duration = Duration::from_millis(500);

/// A session. A handle: clones name the same session; it stays on its core.
#[derive(Clone)]
pub struct Session {
    state: Rc<State>,
}

struct State {
    origin: Origin,
    client_id: ClientId,
    created: CreateSessionResult,
    slots: Rc<Slots>,
    channels: RefCell<Vec<Channel>>,
    next_channel: Cell<usize>,
    status_flags: Cell<u32>,
    /// Whether the user was told of a wait.
    told: Cell<bool>,
}

impl Session {
    /// A session that was just created over `channel`.
    pub(crate) fn new(
        origin: Origin,
        client_id: ClientId,
        created: CreateSessionResult,
        channel: Channel,
    ) -> Self {
        let slots = Slots::new(created.session_id, created.fore_channel.requests_max);
        origin.callbacks.add_session(&created, Rc::clone(&slots));
        let state = State {
            origin,
            client_id,
            created,
            slots,
            channels: RefCell::new(vec![channel]),
            next_channel: Cell::new(0),
            status_flags: Cell::new(0),
            told: Cell::new(false),
        };
        Self { state: Rc::new(state) }
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.state.created.session_id
    }

    /// The client whose session it is.
    pub fn client_id(&self) -> ClientId {
        self.state.client_id
    }

    /// What the server granted.
    pub fn granted(&self) -> &CreateSessionResult {
        &self.state.created
    }

    /// The status flags of the last SEQUENCE.
    pub fn status_flags(&self) -> u32 {
        self.state.status_flags.get()
    }

    /// The highest slot that the server wants used.
    pub fn target_slot(&self) -> u32 {
        self.state.slots.target().0
    }

    /// The connections that serve the session now.
    pub fn channels(&self) -> Vec<Channel> {
        self.state.channels.borrow().clone()
    }

    /// Payload memory of the core, for [`Session::write_bulk`].
    pub fn pool(&self) -> &buf::Pool {
        self.shard().pool()
    }

    /// The caller and sizes this session works with.
    pub fn options(&self) -> &ClientOptions {
        &self.state.origin.options
    }

    /// Sends a compound and waits for its results. It is executed exactly once: when the connection breaks, the
    /// same request goes again over a new one. Where the server has executed it and kept no reply, as it was not asked to
    /// ([`Compound::cached`]), a compound of which nothing changes when it is executed twice goes as a new request; with
    /// others that is [`Status::RetryUncachedRep`]. Failed operations are in the reply.
    ///
    /// # Errors
    /// [`Error::Status`] when SEQUENCE itself failed; [`Error::Call`] when no reply came in spite of the retries
    /// (a compound with bulk data in a chain has none); [`Error::Connect`].
    pub async fn call(&self, compound: Compound) -> Result<CompoundReply> {
        let slot = self.state.slots.take().await;
        self.call_in_slot(&slot, compound).await
    }

    /// As [`Session::call`], in a slot of the caller's choice.
    ///
    /// # Errors
    /// As [`Session::call`].
    pub async fn call_in_slot(&self, slot: &Slot, mut compound: Compound) -> Result<CompoundReply> {
        let mut sequence = slot.sequence(compound.cache_reply);
        let mut patience = None;
        loop {
            slot.sent();
            let reply = self.deliver(&mut compound, sequence).await?;
            match reply.next::<SequenceResult>() {
                Ok(result) => {
                    slot.answered();
                    self.learn(&result);
                    // Only a retry is answered so, and the next one is none.
                    if reply.status() == Status::RetryUncachedRep && compound.is_idempotent() {
                        sequence = slot.sequence(compound.cache_reply);
                        continue;
                    }
                    if self.waits_for(&reply, &compound, &mut patience).await {
                        sequence = slot.sequence(compound.cache_reply);
                        continue;
                    }
                    return Ok(reply);
                }
                Err(Error::Status { status: Status::Delay, .. }) if compound.can_repeat() => {
                    self.shard().sleep(DELAY_PAUSE).await;
                }
                Err(error) => {
                    slot.refused();
                    return Err(error);
                }
            }
        }
    }

    /// Waits a moment if the server said that a later try may succeed, for as long as the options allow; true when the
    /// compound is to be tried again.
    async fn waits_for(
        &self,
        reply: &CompoundReply,
        compound: &Compound,
        until: &mut Option<Instant>,
    ) -> bool {
        let Some(patience) = self.state.origin.options.patience else { return false };
        // The results are SEQUENCE's, those of what was executed, and the failure's.
        let executed = reply.results().saturating_sub(2);
        let is_passing = matches!(reply.status(), Status::Grace | Status::Delay);
        if !is_passing || !compound.is_unchanging_up_to(executed) {
            return false;
        }
        let now = self.shard().now();
        let until = until.unwrap_or_else(|| {
            if reply.status() == Status::Grace && !self.state.told.replace(true) {
                (patience.tell)();
            }
            *until.insert(now + patience.time)
        });
        if now >= until {
            return false;
        }
        let pause = if reply.status() == Status::Grace { GRACE_PAUSE } else { DELAY_PAUSE };
        self.shard().sleep(pause).await;
        true
    }

    /// A certain slot, if it is free: for tests that choose.
    pub fn slot(&self, index: u32) -> Option<Slot> {
        self.state.slots.take_this(index)
    }

    /// Sends a compound behind any SEQUENCE whatever, on the channel with this index, and reads nothing of the
    /// reply: for tests that misbehave. No slot is taken.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Refused`], [`Error::Malformed`].
    ///
    /// # Panics
    /// When there is no such channel.
    pub async fn call_raw(
        &self,
        channel: usize,
        sequence: Option<SequenceArgs>,
        mut compound: Compound,
    ) -> Result<CompoundReply> {
        let channel = self.state.channels.borrow()[channel].clone();
        channel.compound(&mut compound, sequence).await
    }

    /// Opens a further connection and binds it to the session.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Status`] of BIND_CONN_TO_SESSION, and as [`Channel::compound`].
    pub async fn add_channel(&self, direction: ChannelDirectionArgs) -> Result<ChannelDirectionResult> {
        let channel = self.state.origin.connect().await?;
        let bound = self.bind(&channel, direction).await.inspect_err(|_| channel.connection().close())?;
        self.state.channels.borrow_mut().push(channel);
        Ok(bound)
    }

    /// Ends the session.
    ///
    /// # Errors
    /// [`Error::Status`] of DESTROY_SESSION, and as [`Channel::compound`].
    pub async fn destroy(&self) -> Result<()> {
        let channel = self.open_channel().await?;
        let arguments = DestroySessionArgs { session_id: self.id() };
        let mut compound = Compound::new().operation(arguments);
        channel.compound(&mut compound, None).await?.next::<()>()?;
        self.state.origin.callbacks.remove_session(self.id());
        Ok(())
    }

    /// Sends one request until it is answered, over whatever connection there is.
    async fn deliver(&self, compound: &mut Compound, sequence: SequenceArgs) -> Result<CompoundReply> {
        let retries = if compound.can_repeat() { self.state.origin.options.retries } else { 0 };
        for _ in 0..retries {
            match self.deliver_once(compound, sequence).await {
                Err(Error::Call(CallError::Lost)) => {}
                other => return other,
            }
        }
        self.deliver_once(compound, sequence).await
    }

    async fn deliver_once(&self, compound: &mut Compound, sequence: SequenceArgs) -> Result<CompoundReply> {
        let channel = self.open_channel().await?;
        channel.compound(compound, Some(sequence)).await
    }

    /// A connection that is open: the next in turn, or a new one in the place of one that broke.
    async fn open_channel(&self) -> Result<Channel> {
        let turn = self.state.next_channel.get();
        self.state.next_channel.set(turn.wrapping_add(1));
        let open = {
            let mut channels = self.state.channels.borrow_mut();
            channels.retain(|channel| channel.connection().is_open());
            if channels.is_empty() { None } else { Some(channels[turn % channels.len()].clone()) }
        };
        match open {
            Some(channel) => Ok(channel),
            None => self.reconnect().await,
        }
    }

    async fn reconnect(&self) -> Result<Channel> {
        let channel = self.state.origin.reconnect().await?;
        // Without state protection any connection serves the fore channel once a SEQUENCE comes over it
        // (RFC 8881 §2.10.3.1); the back channel must be asked for.
        if self.state.origin.options.back_channel.is_some() {
            let direction = self.state.origin.options.bind_direction;
            self.bind(&channel, direction).await.inspect_err(|_| channel.connection().close())?;
        }
        self.state.channels.borrow_mut().push(channel.clone());
        Ok(channel)
    }

    fn shard(&self) -> &Shard {
        self.state.origin.network.shard()
    }

    async fn bind(
        &self,
        channel: &Channel,
        direction: ChannelDirectionArgs,
    ) -> Result<ChannelDirectionResult> {
        let arguments = BindConnToSessionArgs { session_id: self.id(), direction, use_rdma: false };
        let reply = channel.compound(&mut Compound::new().operation(arguments), None).await?;
        Ok(reply.next::<BindConnToSessionResult>()?.direction)
    }

    fn learn(&self, result: &SequenceResult) {
        self.state.status_flags.set(result.status_flags);
        self.state.slots.set_target(result.target_highest_slot_id);
    }
}
