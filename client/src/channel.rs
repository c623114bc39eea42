//! Compounds over one connection, without a session.

use std::{net::SocketAddr, rc::Rc};

use bytes::BytesMut;
use rpc::Service;
use transport_tcp::{Connection, Endpoint, Message, Received};
use wire::{
    nfs4::{PROCEDURE_NULL, PROGRAM, SequenceArgs, VERSION},
    rpc::{Accepted, CallHeader, Credential, OpaqueAuth, ReplyBody, ReplyHeader},
    xdr::{Decoder, Encoder},
};

use crate::{
    ClientOptions, Compound, CompoundReply, Error, Result,
    annotate::{Carrier, probe},
};

/// One connection to a server.
#[derive(Clone)]
pub struct Channel {
    connection: Rc<Connection>,
    options: Rc<ClientOptions>,
    carrier: Carrier,
}

impl Channel {
    /// Connects, and asks whether the server understands annotations when the options want them. Calls of the server go to
    /// `callbacks`.
    ///
    /// # Errors
    /// [`Error::Connect`].
    pub async fn connect<S: Service>(
        endpoint: &Endpoint,
        address: SocketAddr,
        options: Rc<ClientOptions>,
        callbacks: Rc<S>,
    ) -> Result<Self> {
        let connection = endpoint.connect(address, Rc::clone(&callbacks)).await?;
        let carrier = if options.trace_in_tag { Carrier::Tag } else { Carrier::None };
        let channel = Self { connection, options, carrier };
        if !channel.options.annotations {
            return Ok(channel);
        }
        match probe(&channel).await {
            Ok(true) => Ok(Self { carrier: Carrier::Wrapper, ..channel }),
            // A server that ends connections over a flavor it does not know is served without.
            Err(_) if !channel.connection.is_open() => {
                let connection = endpoint.connect(address, callbacks).await?;
                Ok(Self { connection, ..channel })
            }
            Ok(false) | Err(_) => Ok(channel),
        }
    }

    /// Whether calls are annotated: the options want it, and the server has said that it understands.
    pub fn is_annotated(&self) -> bool {
        self.carrier == Carrier::Wrapper
    }

    /// The connection: for messages that are no calls, and to break it.
    pub fn connection(&self) -> &Rc<Connection> {
        &self.connection
    }

    /// Calls the procedure that does nothing.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Refused`], [`Error::Malformed`].
    pub async fn null(&self) -> Result<()> {
        let received = self.message(Message::new(null_call())).await?;
        let reply: ReplyHeader<'_> = Decoder::new(&received.head).get()?;
        match reply.body {
            ReplyBody::Accepted { status: Accepted::Success, .. } => Ok(()),
            body => Err(Error::refused(&body)),
        }
    }

    /// Sends a compound, with SEQUENCE before it if arguments for it are given, as they are.
    ///
    /// # Errors
    /// [`Error::Call`], [`Error::Refused`], [`Error::Malformed`]. Failed operations are in the reply.
    pub async fn compound(
        &self,
        compound: &mut Compound,
        sequence: Option<SequenceArgs>,
    ) -> Result<CompoundReply> {
        let credential = self.options.identity.credential();
        let message = compound.message(self.carrier, credential, self.options.minor_version, sequence);
        CompoundReply::decode(self.message(message).await?)
    }

    /// Sends any message whose first word may be set to a transaction id, and waits for the reply.
    ///
    /// # Errors
    /// [`Error::Call`].
    pub async fn message(&self, message: Message) -> Result<Received> {
        Ok(self.connection.call(message, self.options.timeout).await?)
    }
}

/// A call of the procedure that does nothing.
pub(crate) fn null_call() -> BytesMut {
    let header = CallHeader {
        xid: 0,
        program: PROGRAM,
        version: VERSION,
        procedure: PROCEDURE_NULL,
        credential: Credential::None,
        verifier: OpaqueAuth::NONE,
    };
    let mut encoder = Encoder::new(BytesMut::new(), 64);
    encoder.put(&header).expect("a header of 40 bytes");
    encoder.finish().head
}
