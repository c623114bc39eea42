//! Data (RFC 1813 §3.3.6, §3.3.7, §3.3.21).

use super::{FileHandle, PostOpAttributes, StableHow, Verifier, WccData};
use crate::xdr::{Decode, Decoder, Encoder, Error, NoRoom, Payload, xdr_struct};

xdr_struct! {
/// Arguments of READ (RFC 1813 §3.3.6).
#[derive(Copy)]
pub struct ReadArgs = "READ3args" {
    file: FileHandle = "file",
    offset: u64 = "offset",
    /// Bytes.
    count: u32 = "count",
}
}

xdr_struct! {
/// Result of READ. Encoding it writes the length and pad and notes where the transport inserts the bytes.
pub struct ReadResult = "READ3resok" {
    attributes: PostOpAttributes = "file_attributes",
    /// As many as `data` has.
    count: u32 = "count",
    eof: bool = "eof",
    data: Payload = "data",
}
}

impl ReadResult {
    /// Writes a result whose `length` bytes the transport inserts.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_head(
        encoder: &mut Encoder,
        attributes: &PostOpAttributes,
        eof: bool,
        length: usize,
    ) -> Result<(), NoRoom> {
        Self::encode_before_data(encoder, attributes, eof, length)?;
        encoder.put_payload(length)
    }

    /// Writes a result with its bytes.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_inline(
        encoder: &mut Encoder,
        attributes: &PostOpAttributes,
        eof: bool,
        bytes: &[u8],
    ) -> Result<(), NoRoom> {
        Self::encode_before_data(encoder, attributes, eof, bytes.len())?;
        encoder.put_opaque(bytes)
    }

    fn encode_before_data(
        encoder: &mut Encoder,
        attributes: &PostOpAttributes,
        eof: bool,
        length: usize,
    ) -> Result<(), NoRoom> {
        encoder.put(attributes)?;
        encoder.put_count(length)?;
        encoder.put_bool(eof)
    }
}

xdr_struct! {
/// Arguments of WRITE (RFC 1813 §3.3.7). Encoding them writes the length and pad and notes where the transport inserts
/// the bytes.
pub struct WriteArgs = "WRITE3args" {
    file: FileHandle = "file",
    offset: u64 = "offset",
    /// Bytes to write; a call in which `data` has another number is malformed.
    count: u32 = "count",
    stable: StableHow = "stable",
    data: Payload = "data",
}
}

/// The arguments of WRITE before its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteHead {
    /// File to write to.
    pub file: FileHandle,
    /// First byte of the file.
    pub offset: u64,
    /// Bytes.
    pub count: u32,
    /// Wanted stability.
    pub stable: StableHow,
}

impl WriteHead {
    /// Writes arguments whose `count` bytes the transport inserts.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_head(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        self.encode_before_data(encoder)?;
        encoder.put_payload(self.count as usize)
    }

    /// Writes arguments with their bytes, of which there must be `count`.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_inline(&self, encoder: &mut Encoder, bytes: &[u8]) -> Result<(), NoRoom> {
        self.encode_before_data(encoder)?;
        encoder.put_opaque(bytes)
    }

    fn encode_before_data(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put(&self.file)?;
        encoder.put_u64(self.offset)?;
        encoder.put_u32(self.count)?;
        encoder.put(&self.stable)
    }
}

impl<'a> Decode<'a> for WriteHead {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let (file, offset, count) = (decoder.get()?, decoder.u64()?, decoder.u32()?);
        Ok(WriteHead { file, offset, count, stable: decoder.get()? })
    }
}

xdr_struct! {
/// Result of WRITE.
#[derive(Copy)]
pub struct WriteResult = "WRITE3resok" {
    file_wcc: WccData = "file_wcc",
    /// Bytes written.
    count: u32 = "count",
    committed: StableHow = "committed",
    verifier: Verifier = "verf",
}
}

xdr_struct! {
/// Arguments of COMMIT (RFC 1813 §3.3.21).
#[derive(Copy)]
pub struct CommitArgs = "COMMIT3args" {
    file: FileHandle = "file",
    offset: u64 = "offset",
    /// Bytes; 0 means "to the end of the file".
    count: u32 = "count",
}
}

xdr_struct! {
/// Result of COMMIT.
#[derive(Copy)]
pub struct CommitResult = "COMMIT3resok" {
    file_wcc: WccData = "file_wcc",
    verifier: Verifier = "verf",
}
}
