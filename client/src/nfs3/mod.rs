//! NFSv3 (RFC 1813) and MOUNT: calls of any procedure, by the type of its arguments, and functions for single tasks.

mod caller;
mod directory;
mod file;
mod mount;
mod reply;
mod tree;

use std::{net::SocketAddr, rc::Rc, time::Instant};

use bytes::BytesMut;
use rpc::Bulk;
use wire::{
    nfs3::{Call, PROGRAM, Procedure, Status, VERSION},
    xdr::{Encoded, Encoder, NoRoom},
};

pub use directory::DirectoryEntry;
pub use mount::Export;
pub use reply::Reply;
pub use tree::Tree;

use self::caller::Caller;
use crate::{
    Channel, ClientOptions, Network, Result, channel::CALL_MAX, origin::Origin, session::DELAY_PAUSE,
};

/// A server that is spoken to in NFSv3. A handle: clones name the same connections; it stays on its core.
#[derive(Clone)]
pub struct Client {
    nfs: Rc<Caller>,
    /// For MOUNT: mostly the same.
    mount: Rc<Caller>,
}

impl Client {
    /// Connects. Of the options, those count that are not NFSv4's own.
    ///
    /// # Errors
    /// [`Error::Connect`](crate::Error::Connect).
    pub async fn connect(
        network: impl Into<Network>,
        address: SocketAddr,
        options: ClientOptions,
    ) -> Result<Self> {
        let network = network.into();
        let mount_port = options.mount_port.filter(|port| *port != address.port());
        // MOUNT has no bulk data.
        let mount_options = mount_port.map(|_| ClientOptions { annotations: false, ..options.clone() });
        let nfs = Rc::new(Caller::new(Origin::new(&network, address, VERSION, options)));
        nfs.connect().await?;
        let mount = match (mount_port, mount_options) {
            (Some(port), Some(options)) => {
                let address = SocketAddr::new(address.ip(), port);
                Rc::new(Caller::new(Origin::new(&network, address, VERSION, options)))
            }
            _ => Rc::clone(&nfs),
        };
        Ok(Self { nfs, mount })
    }

    /// Calls a procedure, the one that the arguments belong to. When the connection breaks, the same call goes again over a
    /// new one, under the same transaction id: a server that has executed it gives the first answer again. One that answers
    /// [`Status::Jukebox`] is asked again, for as long as the options have patience. That a procedure failed is in the reply.
    ///
    /// # Errors
    /// [`Error::Call`](crate::Error::Call) when no reply came in spite of the retries, [`Error::Connect`](crate::Error::Connect),
    /// [`Error::Refused`](crate::Error::Refused), [`Error::Malformed`](crate::Error::Malformed).
    ///
    /// # Panics
    /// When the arguments announce bulk data ([`Client::write_bulk`] sends it), or are longer than any server would take: the
    /// caller's mistake.
    pub async fn call<C: Call>(&self, arguments: &C) -> Result<Reply<C>> {
        self.exchange(|encoder| encoder.put(arguments), None).await
    }

    /// Calls with arguments as `encode` writes them, and the bulk data that they announce.
    async fn exchange<C: Call>(
        &self,
        encode: impl FnOnce(&mut Encoder) -> std::result::Result<(), NoRoom>,
        mut data: Option<Bulk>,
    ) -> Result<Reply<C>> {
        let mut arguments = Encoder::new(BytesMut::new(), CALL_MAX);
        encode(&mut arguments).expect("arguments within their bound");
        assert_eq!(arguments.inserts().len(), usize::from(data.is_some()), "bulk data is as announced");
        let called = (PROGRAM, VERSION, C::PROCEDURE.number());
        let mut patience = None;
        loop {
            let again = data.as_ref().map(Bulk::again);
            let reply = Reply::<C>::new(self.nfs.call(called, &arguments, data).await?)?;
            let can_repeat = reply.status() == Status::Jukebox && !matches!(again, Some(None));
            data = again.flatten();
            if !can_repeat || !self.waits(&mut patience).await {
                return Ok(reply);
            }
        }
    }

    /// Waits a moment before something is tried again, unless that has gone on for too long.
    async fn waits(&self, until: &mut Option<Instant>) -> bool {
        let Origin { network, options, .. } = self.nfs.origin();
        let (Some(patience), now) = (options.patience, network.shard().now()) else { return false };
        if now >= *until.get_or_insert(now + patience.time) {
            return false;
        }
        network.shard().sleep(DELAY_PAUSE).await;
        true
    }

    /// The connection that serves now.
    pub fn channel(&self) -> Option<Channel> {
        self.nfs.channel()
    }

    /// Ends the connections.
    pub fn close(&self) {
        self.nfs.close();
        self.mount.close();
    }
}

/// Arguments as they stand in a call, and of which procedure: to be sent many times over a
/// [`Pipeline`](crate::pipeline::Pipeline). Those of WRITE end before the data.
///
/// # Panics
/// When they are longer than any server would take: the caller's mistake.
pub fn encoded_arguments<C: Call>(arguments: &C) -> (Procedure, Vec<u8>) {
    let mut encoder = Encoder::new(BytesMut::new(), CALL_MAX);
    encoder.put(arguments).expect("arguments within their bound");
    let Encoded { head, inserts } = encoder.finish();
    // Its pad stands behind the data.
    let end = inserts.first().map_or(head.len(), |insert| insert.position);
    (C::PROCEDURE, head[..end].to_vec())
}
