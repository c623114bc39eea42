//! The ways to a server: TCP, or RDMA.

use std::{io, net::SocketAddr, rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use engine::Shard;
use rpc::{ConnectionId, Service};
use transport::{CallError, Message, within};
use transport_rdma::Answered;
use wire::xdr::pad_len;

use crate::{
    Result,
    expected::{Expected, data_position},
};

/// The way to servers, of one core. A handle: clones name the same.
#[derive(Clone)]
pub enum Network {
    /// TCP.
    Tcp(transport_tcp::Endpoint),
    /// RDMA, by an endpoint for calls.
    Rdma(transport_rdma::Endpoint),
}

impl From<&Self> for Network {
    fn from(network: &Self) -> Self {
        network.clone()
    }
}

impl From<&transport_tcp::Endpoint> for Network {
    fn from(endpoint: &transport_tcp::Endpoint) -> Self {
        Self::Tcp(endpoint.clone())
    }
}

impl From<&transport_rdma::Endpoint> for Network {
    fn from(endpoint: &transport_rdma::Endpoint) -> Self {
        Self::Rdma(endpoint.clone())
    }
}

impl Network {
    /// The core.
    pub fn shard(&self) -> &Shard {
        match self {
            Self::Tcp(endpoint) => endpoint.shard(),
            Self::Rdma(endpoint) => endpoint.shard(),
        }
    }

    /// Connects. Calls of the server go to `callbacks`.
    pub(crate) async fn connect<S: Service>(
        &self,
        address: SocketAddr,
        callbacks: Rc<S>,
    ) -> io::Result<Link> {
        Ok(match self {
            Self::Tcp(endpoint) => Link::Tcp(endpoint.connect(address, callbacks).await?),
            Self::Rdma(endpoint) => Link::Rdma(endpoint.connect(address, callbacks).await?),
        })
    }
}

/// One connection, whatever carries it. A handle: clones name the same.
#[derive(Clone)]
pub enum Link {
    /// TCP.
    Tcp(Rc<transport_tcp::Connection>),
    /// RDMA.
    Rdma(Rc<transport_rdma::Connection>),
}

impl Link {
    /// The connection's name within this process.
    pub fn id(&self) -> ConnectionId {
        match self {
            Self::Tcp(connection) => connection.id(),
            Self::Rdma(connection) => connection.id(),
        }
    }

    /// The peer's address.
    pub fn address(&self) -> SocketAddr {
        match self {
            Self::Tcp(connection) => connection.address(),
            Self::Rdma(connection) => connection.address(),
        }
    }

    /// Whether calls can be made.
    pub fn is_open(&self) -> bool {
        match self {
            Self::Tcp(connection) => connection.is_open(),
            Self::Rdma(connection) => connection.is_open(),
        }
    }

    /// Ends it at once.
    pub fn close(&self) {
        match self {
            Self::Tcp(connection) => connection.close(),
            Self::Rdma(connection) => connection.close(),
        }
    }

    /// Sends each call's bulk data as a fragment of its own, where a connection has fragments.
    pub(crate) fn fragment_bulk(&self, fragment: bool) {
        if let Self::Tcp(connection) = self {
            connection.fragment_bulk(fragment);
        }
    }

    /// Sends a call, and waits for its reply. The transaction id is chosen if none is given. `expected`: what the reply may have.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call).
    pub(crate) async fn call(
        &self,
        xid: Option<u32>,
        message: Message,
        expected: Expected,
        timeout: Duration,
    ) -> Result<Bytes> {
        Ok(match (self, xid) {
            (Self::Tcp(connection), None) => connection.call(message, timeout).await?.head,
            (Self::Tcp(connection), Some(xid)) => connection.call_as(xid, message, timeout).await?.head,
            (Self::Rdma(connection), xid) => {
                let asked = connection.ask(xid, message, expected.room());
                let answered = within(connection.shard(), timeout, asked).await;
                whole(answered.unwrap_or(Err(CallError::TimedOut))?, expected)?
            }
        })
    }
}

/// A reply as it stands in the stream of RPC: its data at its place, and the pad behind it.
fn whole(
    Answered { text, data }: Answered,
    expected: Expected,
) -> std::result::Result<Bytes, wire::xdr::Error> {
    let Some(data) = data else { return Ok(text) };
    let position = data_position(expected.version, &text, data.len())?;
    let mut whole = BytesMut::with_capacity(text.len() + data.len() + 3);
    whole.extend_from_slice(&text[..position]);
    data.as_slices().for_each(|slice| whole.extend_from_slice(slice));
    whole.extend_from_slice(&[0; 3][..pad_len(data.len())]);
    whole.extend_from_slice(&text[position..]);
    Ok(whole.freeze())
}
