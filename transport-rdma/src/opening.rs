//! Connections that we open: from the wish to the peer's answer.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::sync::oneshot;
use rpc::Service;
use transport::within;
use verbs::{Event, PairId};
use wire::rdma::{Inline, PrivateData};

use crate::connection::{Connection, Terms};
use crate::endpoint::{Endpoint, Shared, TOLD};
use crate::limits::{CALLBACKS_MAX, CREDITS_MIN};
use crate::served::{By, Served};

/// How long a peer may take to answer.
const OPENING_MAX: Duration = Duration::from_secs(30);

/// What we tell peers to which we connect: memory that is lent stays registered for the next call, so nobody may end that.
const ASKED: PrivateData = PrivateData { remote_invalidation: false, ..TOLD };

/// A connection that the peer has not answered.
pub(crate) struct Opening {
    address: SocketAddr,
    served: Box<dyn Served>,
    opened: oneshot::Sender<io::Result<Rc<Connection>>>,
}

impl Endpoint {
    /// Opens a connection. Calls back that come over it go to `service`.
    ///
    /// # Errors
    /// When there is no way to the address, nobody listens there, or no receives are left; `ETIMEDOUT` when nothing answers.
    pub async fn connect<S: Service>(
        &self,
        address: SocketAddr,
        service: Rc<S>,
    ) -> io::Result<Rc<Connection>> {
        let shared = &self.shared;
        let reads_max = shared.adapter.reads_borne();
        let pair = shared.adapter.verbs().connect(address, reads_max, &ASKED.to_bytes())?;
        let (sender, opened) = oneshot::channel();
        let opening = Opening { address, served: Box::new(By(service)), opened: sender };
        shared.opening.borrow_mut().insert(pair, opening);
        let _giving_up = GivingUp { shared, pair };
        match within(&shared.shard, OPENING_MAX, opened).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => Err(io::ErrorKind::ConnectionAborted.into()),
            None => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

/// Ends what nobody waits for any more.
struct GivingUp<'a> {
    shared: &'a Shared,
    pair: PairId,
}

impl Drop for GivingUp<'_> {
    fn drop(&mut self) {
        let opening = self.shared.opening.borrow_mut().remove(&self.pair);
        if opening.is_some() {
            self.shared.adapter.verbs().disconnect(self.pair);
        }
    }
}

impl Shared {
    /// A peer has answered. Of one that was accepted nothing is waited for.
    pub(crate) fn opened(self: &Rc<Self>, event: &Event) {
        let Some(opening) = self.opening.borrow_mut().remove(&event.pair) else { return };
        let Opening { address, served, opened } = opening;
        let asks_max = self.asks(event.device);
        if asks_max < CREDITS_MIN {
            self.adapter.verbs().disconnect(event.pair);
            let why = io::Error::other("no receives are left for one more RDMA connection");
            drop(opened.send(Err(why)));
            return;
        }
        let inline = Inline::between(Some(ASKED), PrivateData::find(event.private()));
        let terms = Terms {
            pair: event.pair,
            device: event.device,
            send_bytes: inline.call_bytes as usize,
            receive_bytes: inline.reply_bytes as usize,
            remote_invalidation: false,
            credits: CALLBACKS_MAX,
            asks_max,
            reads_max: event.reads_max as usize,
            offers: true,
        };
        let connection = self.add(address, terms, served, None);
        if let Err(Ok(unwanted)) = opened.send(Ok(connection)) {
            unwanted.close();
        }
    }

    /// There is no connection to be had.
    pub(crate) fn refused(&self, event: &Event) {
        let opening = self.opening.borrow_mut().remove(&event.pair);
        self.adapter.verbs().disconnect(event.pair);
        if let Some(Opening { opened, .. }) = opening {
            let why = if event.reason < 0 {
                io::Error::from_raw_os_error(-event.reason)
            } else {
                let what = format!("the peer rejects RDMA connections (reason {})", event.reason);
                io::Error::new(io::ErrorKind::ConnectionRefused, what)
            };
            drop(opened.send(Err(why)));
        }
    }
}
