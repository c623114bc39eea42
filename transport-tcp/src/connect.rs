//! Opening a connection to a peer.

use std::{io, net::SocketAddr, rc::Rc};

use rpc::Service;

use transport::within;

use crate::{Connection, Endpoint, share::Standing, socket::Socket};

impl Endpoint {
    /// Opens a connection. Calls that the peer sends on it (a back channel) go to `service`.
    ///
    /// # Errors
    /// As `connect`; `TimedOut` after [`Limits::connect_timeout`](crate::Limits::connect_timeout).
    pub async fn connect<S: Service>(
        &self,
        address: SocketAddr,
        service: Rc<S>,
    ) -> io::Result<Rc<Connection>> {
        let shared = &self.shared;
        let connecting = shared.shard.connect_tcp(address);
        let connected = within(&shared.shard, shared.limits.connect_timeout, connecting).await;
        let socket = connected.ok_or(io::ErrorKind::TimedOut)??;
        let socket = Socket::new(&shared.shard, socket);
        Ok(Connection::start(shared, socket, address, Standing::Proven, service, None))
    }
}
