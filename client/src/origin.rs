//! Where a client's connections go, and how they are made.

use std::{net::SocketAddr, rc::Rc, time::Duration};

use crate::{Callbacks, Channel, ClientOptions, Network, Result};

/// Pause before a further attempt to connect.
const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// A server, and how it is spoken to.
#[derive(Clone)]
pub(crate) struct Origin {
    pub(crate) network: Network,
    pub(crate) address: SocketAddr,
    /// Of NFS: 3 or 4.
    pub(crate) version: u32,
    pub(crate) options: Rc<ClientOptions>,
    pub(crate) callbacks: Rc<Callbacks>,
}

impl Origin {
    pub(crate) fn new(network: &Network, address: SocketAddr, version: u32, options: ClientOptions) -> Self {
        let callbacks = Rc::new(Callbacks::new(&options));
        Self { network: network.clone(), address, version, options: Rc::new(options), callbacks }
    }

    pub(crate) async fn connect(&self) -> Result<Channel> {
        let Self { network, address, version, options, callbacks } = self;
        Channel::connect(network, *address, *version, Rc::clone(options), Rc::clone(callbacks)).await
    }

    /// Connects in the place of a connection that broke: the server may need a moment to come back.
    pub(crate) async fn reconnect(&self) -> Result<Channel> {
        let mut attempts = 0;
        loop {
            match self.connect().await {
                Err(_) if attempts < self.options.retries => {
                    attempts += 1;
                    self.network.shard().sleep(RECONNECT_PAUSE).await;
                }
                other => return other,
            }
        }
    }
}
