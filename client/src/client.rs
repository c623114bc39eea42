//! A client as the server knows it.

use std::{cell::Cell, net::SocketAddr};

use transport::CallError;
use wire::{
    nfs4::{
        CallbackSecurity, ChannelAttributes, ClientId, ClientOwner, CreateSessionArgs, CreateSessionResult,
        DestroyClientIdArgs, ExchangeIdArgs, ExchangeIdResult, ReclaimCompleteArgs, SequenceId,
        StateProtectArgs, VERSION, create_session_flags,
    },
    rpc::{AuthSys, Gids},
};

use crate::{
    CallbackEvent, Callbacks, Channel, ClientOptions, Compound, Error, Network, Result, Session,
    origin::Origin,
};

/// A client id and its sessions.
pub struct Client {
    origin: Origin,
    id: ClientId,
    exchange_flags: u32,
    /// Of the next CREATE_SESSION.
    sequence: Cell<SequenceId>,
    session: Session,
}

impl Client {
    /// Connects, makes the client known (EXCHANGE_ID), creates a session, and declares that nothing will be
    /// reclaimed, unless the options say otherwise.
    ///
    /// # Errors
    /// [`Error::Connect`], [`Error::Status`], and as [`Channel::compound`].
    pub async fn connect(
        network: impl Into<Network>,
        address: SocketAddr,
        options: ClientOptions,
    ) -> Result<Self> {
        let origin = Origin::new(&network.into(), address, VERSION, options);
        let options = &origin.options;
        let channel = origin.connect().await?;
        let (id, sequence, exchange_flags) = exchange_id(&channel, options).await?;
        let created = create_session(&channel, options, id, sequence).await?;
        let session = Session::new(origin.clone(), id, created, channel);
        if options.reclaim_complete {
            let compound = Compound::new().operation(ReclaimCompleteArgs { one_fs: false });
            session.call(compound).await?.next::<()>()?;
        }
        let sequence = Cell::new(sequence.next());
        Ok(Self { origin, id, exchange_flags, sequence, session })
    }

    /// The server's name for the client.
    pub fn id(&self) -> ClientId {
        self.id
    }

    /// The flags that EXCHANGE_ID returned.
    pub fn exchange_flags(&self) -> u32 {
        self.exchange_flags
    }

    /// The first session.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// What the server has told by callbacks.
    pub fn callbacks(&self) -> &Callbacks {
        &self.origin.callbacks
    }

    /// Waits for the next callback that is not dealt with by the client itself.
    pub async fn next_event(&self) -> CallbackEvent {
        self.origin.callbacks.next_event().await
    }

    /// Creates a further session, over a connection of its own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn create_session(&self) -> Result<Session> {
        let channel = self.origin.connect().await?;
        let sequence = self.sequence.get();
        let created = create_session(&channel, &self.origin.options, self.id, sequence).await?;
        self.sequence.set(sequence.next());
        Ok(Session::new(self.origin.clone(), self.id, created, channel))
    }

    /// Ends the first session and the client id, after which the client can do nothing. Further sessions must have been
    /// destroyed.
    ///
    /// # Errors
    /// [`Error::Status`], and as [`Channel::compound`].
    pub async fn destroy(&self) -> Result<()> {
        let channel = self.session.channels().into_iter().find(|channel| channel.connection().is_open());
        self.session.destroy().await?;
        let channel = channel.ok_or(Error::Call(CallError::Lost))?;
        let mut compound = Compound::new().operation(DestroyClientIdArgs { client_id: self.id });
        channel.compound(&mut compound, None).await?.next::<()>()?;
        self.session.channels().iter().for_each(|channel| channel.connection().close());
        Ok(())
    }
}

async fn exchange_id(channel: &Channel, options: &ClientOptions) -> Result<(ClientId, SequenceId, u32)> {
    let arguments = ExchangeIdArgs {
        client_owner: ClientOwner { verifier: options.verifier, owner_id: options.owner[..].into() },
        flags: options.exchange_flags,
        state_protect: StateProtectArgs::None,
        implementation: None,
    };
    let reply = channel.compound(&mut Compound::new().operation(arguments), None).await?;
    let result: ExchangeIdResult<'_> = reply.next()?;
    Ok((result.client_id, result.sequence_id, result.flags))
}

async fn create_session(
    channel: &Channel,
    options: &ClientOptions,
    client_id: ClientId,
    sequence: SequenceId,
) -> Result<CreateSessionResult> {
    let back_channel = options.back_channel;
    let flags = if back_channel.is_some() { create_session_flags::CONN_BACK_CHAN } else { 0 };
    let security = CallbackSecurity::Sys(AuthSys {
        stamp: 0,
        machine_name: options.identity.machine_name.as_str().into(),
        uid: 0,
        gid: 0,
        gids: Gids::default(),
    });
    let arguments = CreateSessionArgs {
        client_id,
        sequence,
        flags,
        fore_channel: options.fore_channel,
        back_channel: back_channel.unwrap_or(ChannelAttributes { requests_max: 1, ..options.fore_channel }),
        callback_program: options.callback_program,
        callback_security: vec![security].into(),
    };
    let reply = channel.compound(&mut Compound::new().operation(arguments), None).await?;
    reply.next()
}
