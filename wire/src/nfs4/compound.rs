//! The frame of COMPOUND and its results (RFC 8881 §16.2). Operations are decoded one at a time, and results
//! are encoded one at a time; the count and the overall status are patched in at the end.

use super::{Operation, Status};
use crate::xdr::{Decode, Decoder, Encoder, Error, NoRoom, Opaque};

/// Longest tag accepted, in bytes. Linux sends none; others send a word or two.
pub const TAG_MAX: usize = 1024;

/// A compound's tag, echoed in its result.
pub type Tag<'a> = Opaque<'a, TAG_MAX>;

/// What precedes the operations of a COMPOUND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompoundArgs<'a> {
    /// For humans who read captures.
    pub tag: Tag<'a>,
    /// Minor version.
    pub minor_version: u32,
    /// How many operations follow, as the peer claims.
    pub operations: u32,
}

impl<'a> Decode<'a> for CompoundArgs<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(CompoundArgs { tag: decoder.get()?, minor_version: decoder.u32()?, operations: decoder.u32()? })
    }
}

impl Operation {
    /// Reads an operation's number. One that is not defined is [`Operation::Illegal`], with which it is also
    /// answered (RFC 8881 §16.2.3).
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn decode_or_illegal(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(Operation::from_u32(decoder.u32()?).unwrap_or(Operation::Illegal))
    }
}

/// Writes the frame of a compound call.
#[derive(Debug, Clone, Copy)]
#[must_use = "the count of operations is patched in by `finish`"]
pub struct CompoundArgsFrame {
    count_at: usize,
}

impl CompoundArgsFrame {
    /// Writes what precedes the operations.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn begin(encoder: &mut Encoder, tag: &[u8], minor_version: u32) -> Result<Self, NoRoom> {
        encoder.put_opaque(tag)?;
        encoder.put_u32(minor_version)?;
        let count_at = encoder.position();
        encoder.put_u32(0)?;
        Ok(CompoundArgsFrame { count_at })
    }

    /// Notes how many operations were written.
    pub fn finish(self, encoder: &mut Encoder, operations: u32) {
        encoder.patch_u32(self.count_at, operations);
    }
}

/// What precedes the results of a COMPOUND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompoundResult<'a> {
    /// Status of the last operation that was tried.
    pub status: Status,
    /// The call's tag.
    pub tag: Tag<'a>,
    /// How many results follow, as the peer claims.
    pub results: u32,
}

impl<'a> Decode<'a> for CompoundResult<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(CompoundResult { status: decoder.get()?, tag: decoder.get()?, results: decoder.u32()? })
    }
}

/// Writes the frame of a compound's results.
#[derive(Debug, Clone, Copy)]
#[must_use = "status and count are patched in by `finish`"]
pub struct CompoundResultFrame {
    status_at: usize,
    count_at: usize,
}

impl CompoundResultFrame {
    /// Writes what precedes the results.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn begin(encoder: &mut Encoder, tag: &[u8]) -> Result<Self, NoRoom> {
        let status_at = encoder.position();
        encoder.put_u32(Status::Ok.number())?;
        encoder.put_opaque(tag)?;
        let count_at = encoder.position();
        encoder.put_u32(0)?;
        Ok(CompoundResultFrame { status_at, count_at })
    }

    /// Notes how the compound ended and how many results were written.
    pub fn finish(self, encoder: &mut Encoder, status: Status, results: u32) {
        encoder.patch_u32(self.status_at, status.number());
        encoder.patch_u32(self.count_at, results);
    }
}

/// What precedes the body of every operation's result. `operation` is a number so that the same serves
/// callbacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResultHead {
    /// Number of the operation.
    pub operation: u32,
    /// How it ended; it decides which body follows, if any.
    pub status: Status,
}

impl ResultHead {
    /// Bytes it takes.
    pub const LEN: usize = 8;

    /// Writes the operation's number and status and returns where, for [`ResultHead::patch`].
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode(encoder: &mut Encoder, operation: u32, status: Status) -> Result<usize, NoRoom> {
        let start = encoder.position();
        encoder.put_u32(operation)?;
        encoder.put_u32(status.number())?;
        Ok(start)
    }

    /// Forgets the body written behind the head at `start` and sets the status, for an operation that failed
    /// half-way through its result.
    pub fn patch(encoder: &mut Encoder, start: usize, status: Status) {
        encoder.truncate(start + Self::LEN);
        encoder.patch_u32(start + 4, status.number());
    }
}

impl<'a> Decode<'a> for ResultHead {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(ResultHead { operation: decoder.u32()?, status: decoder.get()? })
    }
}
