//! Calling back over a connection that lives on another core.

use std::{rc::Rc, time::Duration};

use bytes::{Bytes, BytesMut};
use engine::sync::cross::{self, Mailbox};
use rpc::ConnectionId;

use crate::{CallError, Endpoint, Message};

/// Calls back on their way to one core. At the bound the caller waits.
const REQUESTS_MAX: usize = 1024;

/// The way to the connections of every core, from every core. Clones share it.
#[derive(Clone)]
pub struct Backchannels {
    mailbox: Mailbox<Request>,
}

struct Request {
    connection: ConnectionId,
    message: BytesMut,
    timeout: Duration,
    reply: cross::OneshotSender<Result<Bytes, CallError>>,
}

impl Backchannels {
    /// The way to the connections of `shards` cores.
    pub fn new(shards: usize) -> Self {
        Self { mailbox: Mailbox::new(shards, REQUESTS_MAX) }
    }

    /// Sends what other cores want said to the calling core's connections, until the task is aborted.
    ///
    /// # Panics
    /// When the core has called this before.
    pub async fn serve(&self, endpoint: Endpoint) {
        let shard = endpoint.shard().clone();
        let mut requests =
            self.mailbox.receiver(shard.index()).expect("a core serves its back channels once");
        let endpoint = Rc::new(endpoint);
        while let Some(request) = requests.recv().await {
            let endpoint = Rc::clone(&endpoint);
            shard.spawn(async move {
                let Request { connection, message, timeout, reply } = request;
                let answer = endpoint.call_back(connection, Message::new(message), timeout).await;
                // Whoever asked may have gone away.
                let _ = reply.send(answer.map(|received| received.head));
            });
        }
    }

    /// Sends a call, whose first word is set to a transaction id, over a connection wherever it lives, and
    /// returns the reply message.
    ///
    /// # Errors
    /// [`CallError::Lost`] when there is no such connection, it ends before the reply, or its core does;
    /// [`CallError::TimedOut`].
    ///
    /// # Panics
    /// When the connection's core is not one of ours.
    pub async fn call(
        &self,
        connection: ConnectionId,
        message: BytesMut,
        timeout: Duration,
    ) -> Result<Bytes, CallError> {
        let (reply, answer) = cross::oneshot();
        let request = Request { connection, message, timeout, reply };
        let sent = self.mailbox.to(connection.core()).send(request).await;
        sent.map_err(|_| CallError::Lost)?;
        answer.await.unwrap_or(Err(CallError::Lost))
    }
}
