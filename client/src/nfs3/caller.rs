//! Calls to one port of a server.

use std::cell::{Cell, RefCell};

use bytes::Bytes;
use rpc::Bulk;
use transport::CallError;
use wire::xdr::Encoder;

use crate::{Channel, Error, Result, channel::Called, origin::Origin};

/// A connection, and another when it breaks.
pub(super) struct Caller {
    origin: Origin,
    channel: RefCell<Option<Channel>>,
    /// Of the next call. They begin anywhere, for a server may remember those of clients that were at this address before.
    next_xid: Cell<u32>,
}

impl Caller {
    /// Not connected yet.
    pub(super) fn new(origin: Origin) -> Self {
        Self { origin, channel: RefCell::default(), next_xid: Cell::new(crate::random()) }
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(super) fn channel(&self) -> Option<Channel> {
        self.channel.borrow().clone()
    }

    /// Connects, if that has not been done.
    pub(super) async fn connect(&self) -> Result<Channel> {
        if let Some(channel) = self.open_channel() {
            return Ok(channel);
        }
        let is_first = self.channel.borrow().is_none();
        let made = if is_first { self.origin.connect().await? } else { self.origin.reconnect().await? };
        if let Some(channel) = self.open_channel() {
            // Another call was faster.
            made.connection().close();
            return Ok(channel);
        }
        *self.channel.borrow_mut() = Some(made.clone());
        Ok(made)
    }

    fn open_channel(&self) -> Option<Channel> {
        self.channel().filter(|channel| channel.connection().is_open())
    }

    /// Sends one call until it is answered, over whatever connection there is. With bulk data that has one owner it is sent once.
    pub(super) async fn call(
        &self,
        called: Called,
        arguments: &Encoder,
        mut data: Option<Bulk>,
    ) -> Result<Bytes> {
        let xid = self.next_xid.get();
        self.next_xid.set(xid.wrapping_add(1));
        let mut retries = self.origin.options.retries;
        loop {
            let again = data.as_ref().map(Bulk::again);
            if let Some(None) = again {
                retries = 0;
            }
            match self.connect().await?.call_as(xid, called, arguments, data).await {
                Err(Error::Call(CallError::Lost)) if retries > 0 => retries -= 1,
                other => return other,
            }
            data = again.flatten();
        }
    }

    pub(super) fn close(&self) {
        self.channel.borrow().iter().for_each(|channel| channel.connection().close());
    }
}
