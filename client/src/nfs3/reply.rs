//! What a procedure returned.

use std::marker::PhantomData;

use bytes::Bytes;
use wire::{
    nfs3::{Call, Failure, Outcome, Status},
    xdr::{Decoder, Payload},
};

use crate::{Error, Result, reply::results};

/// The reply to a call of one procedure.
#[derive(Debug)]
pub struct Reply<C> {
    received: Bytes,
    /// Where the status stands.
    at: usize,
    status: Status,
    called: PhantomData<C>,
}

impl<C: Call> Reply<C> {
    pub(super) fn new(received: Bytes) -> Result<Self> {
        let mut decoder = results(&received)?;
        let at = decoder.position();
        let status = decoder.get()?;
        Ok(Self { received, at, status, called: PhantomData })
    }

    /// How the procedure ended.
    pub fn status(&self) -> Status {
        self.status
    }

    /// What it gives, or what its failure tells.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    pub fn outcome(&self) -> Result<Outcome<C::Result<'_>, C::Failure>> {
        Ok(self.reader().get()?)
    }

    /// What it gives.
    ///
    /// # Errors
    /// [`Error::Procedure`] when it failed, [`Error::Malformed`].
    pub fn result(&self) -> Result<C::Result<'_>> {
        self.result_and_rest().map(|(result, _)| result)
    }

    /// What it gives, and a reader behind it, where entries of a directory follow.
    ///
    /// # Errors
    /// As [`Reply::result`].
    pub fn result_and_rest(&self) -> Result<(C::Result<'_>, Decoder<'_>)> {
        let mut reader = self.reader();
        let outcome: Outcome<C::Result<'_>, C::Failure> = reader.get()?;
        let failed = |Failure { status, .. }| Error::Procedure { procedure: C::PROCEDURE, status };
        Ok((outcome.map_err(failed)?, reader))
    }

    /// The whole reply as it came, RPC header included.
    pub fn bytes(&self) -> &Bytes {
        &self.received
    }

    /// The bytes of a payload in the result, without a copy.
    ///
    /// # Panics
    /// When the payload is not from this reply: the caller's mistake.
    pub fn share(&self, data: &Payload) -> Bytes {
        match data {
            Payload::Inline(range) => self.received.slice(self.at + range.start..self.at + range.end),
            Payload::Cut { .. } => unreachable!("nothing is cut out of replies"),
        }
    }

    /// A reader at the status.
    fn reader(&self) -> Decoder<'_> {
        Decoder::new(&self.received[self.at..])
    }
}
