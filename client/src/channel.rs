//! Calls over one connection, without a session.

use std::{net::SocketAddr, rc::Rc};

use bytes::{Bytes, BytesMut};
use rpc::{Bulk, Insert, Service};
use transport::Message;
use wire::{
    nfs4::{PROCEDURE_NULL, PROGRAM, SequenceArgs},
    rpc::{CallHeader, Credential, OpaqueAuth, TraceContext},
    xdr::Encoder,
};

use crate::{
    ClientOptions, Compound, CompoundReply, Link, Network, Result,
    annotate::{self, Carrier, probe, wrapped_header},
    expected::Expected,
    reply::results,
};

/// Bytes of the largest call that can be built: what a server accepts is far below.
pub(crate) const CALL_MAX: usize = 64 * 1024 * 1024;

/// Bytes of headers before the arguments, to size the message.
const HEADERS_EXPECTED: usize = 256;

/// One connection to a server.
#[derive(Clone)]
pub struct Channel {
    connection: Link,
    options: Rc<ClientOptions>,
    version: u32,
    carrier: Carrier,
}

impl Channel {
    /// Connects for calls of one version of NFS, 3 or 4, and asks whether the server understands annotations when the options
    /// want them; then calls are cut at their bulk data too. Calls of the server go to `callbacks`.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::Error::Connect).
    pub async fn connect<S: Service>(
        network: &Network,
        address: SocketAddr,
        version: u32,
        options: Rc<ClientOptions>,
        callbacks: Rc<S>,
    ) -> Result<Self> {
        let connection = network.connect(address, Rc::clone(&callbacks)).await?;
        let carrier = if options.trace_in_tag { Carrier::Tag } else { Carrier::None };
        let channel = Self { connection, options, version, carrier };
        if !channel.options.annotations {
            return Ok(channel);
        }
        let channel = match probe(&channel, version).await {
            Ok(true) => Self { carrier: Carrier::Wrapper, ..channel },
            // A server that ends connections over a flavor it does not know is served without.
            Err(_) if !channel.connection.is_open() => {
                let connection = network.connect(address, callbacks).await?;
                Self { connection, ..channel }
            }
            Ok(false) | Err(_) => channel,
        };
        // This carrier needs no server that knows it.
        channel.connection.fragment_bulk(true);
        Ok(channel)
    }

    /// Whether calls are annotated: the options want it, and the server has said that it understands.
    pub fn is_annotated(&self) -> bool {
        self.carrier == Carrier::Wrapper
    }

    /// The connection: for messages that are no calls, and to break it.
    pub fn connection(&self) -> &Link {
        &self.connection
    }

    /// Calls the procedure that does nothing.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call), [`Error::Refused`](crate::Error::Refused),
    /// [`Error::Malformed`](crate::Error::Malformed).
    pub async fn null(&self) -> Result<()> {
        let reply = self.message(Message::new(null_call(self.version))).await?;
        results(&reply).map(drop)
    }

    /// Sends a compound, with SEQUENCE before it if arguments for it are given, as they are.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call), [`Error::Refused`](crate::Error::Refused),
    /// [`Error::Malformed`](crate::Error::Malformed). Failed operations are in the reply.
    pub async fn compound(
        &self,
        compound: &mut Compound,
        sequence: Option<SequenceArgs>,
    ) -> Result<CompoundReply> {
        let credential = self.options.identity.credential();
        let message = compound.message(self.carrier, credential, self.options.minor_version, sequence);
        CompoundReply::decode(self.send(None, message, compound.expected()).await?)
    }

    /// Sends any message whose first word may be set to a transaction id, and waits for the reply.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call).
    pub async fn message(&self, message: Message) -> Result<Bytes> {
        self.send(None, message, Expected::of_version(self.version)).await
    }

    async fn send(&self, xid: Option<u32>, message: Message, expected: Expected) -> Result<Bytes> {
        self.connection.call(xid, message, expected, self.options.timeout).await
    }

    /// Sends a call of any procedure, with bulk data where `arguments` announce it, and waits for the reply. With the same
    /// transaction id it is the same call again.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call).
    pub(crate) async fn call_as(
        &self,
        xid: u32,
        called: Called,
        arguments: &Encoder,
        data: Option<Bulk>,
    ) -> Result<Bytes> {
        let header = header(called, self.options.identity.credential());
        let trace = self.carrier.trace(None);
        let message = message(&header, self.carrier, trace, |_| (), arguments, data);
        self.send(Some(xid), message, Expected::of_procedure(called, arguments)).await
    }
}

/// Program, version and procedure.
pub(crate) type Called = (u32, u32, u32);

/// A call's header.
pub(crate) fn header((program, version, procedure): Called, credential: Credential<'_>) -> CallHeader<'_> {
    CallHeader { xid: 0, program, version, procedure, credential, verifier: OpaqueAuth::NONE }
}

/// A whole call: `header`, annotated as the connection's carrier has it, what `frame` writes before the arguments, and the
/// arguments with their bulk data.
pub(crate) fn message(
    header: &CallHeader<'_>,
    carrier: Carrier,
    trace: Option<TraceContext<'_>>,
    frame: impl Fn(&mut Encoder),
    arguments: &Encoder,
    data: impl IntoIterator<Item = Bulk>,
) -> Message {
    let (text, places) = (arguments.head_from(0), arguments.inserts());
    let mut encoder = Encoder::new(BytesMut::with_capacity(HEADERS_EXPECTED + text.len()), CALL_MAX);
    if carrier == Carrier::Wrapper {
        let mut framed = Encoder::new(BytesMut::new(), CALL_MAX);
        frame(&mut framed);
        let areas = |before: usize| annotate::areas(header.version, before + framed.position(), text, places);
        wrapped_header(header, trace, places.len(), areas, &mut encoder);
    } else {
        encoder.put(header).expect("headers fit");
    }
    frame(&mut encoder);
    let mut head = encoder.finish().head;
    let before = head.len();
    head.extend_from_slice(text);
    let places = places.iter().map(|insert| insert.position + before);
    let inserts = places.zip(data).map(|(position, data)| Insert { position, data });
    Message { head, inserts: inserts.collect() }
}

/// A call of the procedure that does nothing.
pub(crate) fn null_call(version: u32) -> BytesMut {
    let header = header((PROGRAM, version, PROCEDURE_NULL), Credential::None);
    let mut encoder = Encoder::new(BytesMut::new(), 64);
    encoder.put(&header).expect("a header of 40 bytes");
    encoder.finish().head
}
