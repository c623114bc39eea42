//! Reading a compound's results, one after the other.

use std::cell::Cell;

use bytes::Bytes;
use wire::{
    nfs4::{CompoundResult, ResultHead, Status},
    rpc::{Accepted, ReplyBody, ReplyHeader},
    xdr::{Decode, Decoder},
};

use crate::{Error, Result};

/// The results of a compound. Each `next` moves on by one result.
#[derive(Debug)]
pub struct CompoundReply {
    received: Bytes,
    position: Cell<usize>,
    status: Status,
    results: u32,
}

impl CompoundReply {
    /// Reads the headers.
    pub(crate) fn decode(received: Bytes) -> Result<Self> {
        let mut decoder = results(&received)?;
        let compound: CompoundResult<'_> = decoder.get()?;
        let (status, results) = (compound.status, compound.results);
        let position = Cell::new(decoder.position());
        Ok(Self { received, position, status, results })
    }

    /// The status of the compound: of its last operation that was tried.
    pub fn status(&self) -> Status {
        self.status
    }

    /// How many results the server says there are, SEQUENCE's included.
    pub fn results(&self) -> u32 {
        self.results
    }

    /// The whole reply as it came, RPC header included.
    pub fn bytes(&self) -> &Bytes {
        &self.received
    }

    /// The next operation's number and status; what follows is read with [`CompoundReply::body`].
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn next_head(&self) -> Result<ResultHead> {
        self.body()
    }

    /// The next operation's result.
    ///
    /// # Errors
    /// [`Error::Status`] when the operation failed, [`Error::Malformed`].
    pub fn next<'a, T: Decode<'a>>(&'a self) -> Result<T> {
        let ResultHead { operation, status } = self.next_head()?;
        if status.is_ok() { self.body() } else { Err(Error::Status { operation, status }) }
    }

    /// Moves over the results of `count` operations that have none but their status.
    ///
    /// # Errors
    /// [`Error::Status`] when one of them failed, [`Error::Malformed`].
    pub fn skip(&self, count: usize) -> Result<()> {
        (0..count).try_for_each(|_| self.next::<()>())
    }

    /// Reads what stands next, whatever it is.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn body<'a, T: Decode<'a>>(&'a self) -> Result<T> {
        let mut decoder = Decoder::new(&self.received[self.position.get()..]);
        let value = decoder.get()?;
        self.position.set(self.position.get() + decoder.position());
        Ok(value)
    }

    /// The bytes of a slice that a result borrowed, without a copy.
    pub fn share(&self, slice: &[u8]) -> Bytes {
        self.received.slice_ref(slice)
    }
}

/// A reader behind the header of a reply.
///
/// # Errors
/// [`Error::Refused`] when there are no results, [`Error::Malformed`].
pub(crate) fn results(head: &[u8]) -> Result<Decoder<'_>> {
    let mut decoder = Decoder::new(head);
    let header: ReplyHeader<'_> = decoder.get()?;
    match header.body {
        ReplyBody::Accepted { status: Accepted::Success, .. } => Ok(decoder),
        body => Err(Error::refused(&body)),
    }
}
