//! Access, attributes and data (RFC 8881 §18.1, §18.3, §18.7, §18.15, §18.22, §18.30 to §18.32).

use super::{Bitmap, RawAttributes, StableHow, Stateid, Verifier};
use crate::xdr::{Decode, Decoder, Encoder, Error, NoRoom, Payload, xdr_constants, xdr_struct};

xdr_constants! {
/// Bits of ACCESS; the last three are of RFC 8276.
pub mod access: u32 {
    READ = 0x001 "ACCESS4_READ",
    LOOKUP = 0x002 "ACCESS4_LOOKUP",
    MODIFY = 0x004 "ACCESS4_MODIFY",
    EXTEND = 0x008 "ACCESS4_EXTEND",
    DELETE = 0x010 "ACCESS4_DELETE",
    EXECUTE = 0x020 "ACCESS4_EXECUTE",
    XATTR_READ = 0x040 "ACCESS4_XAREAD",
    XATTR_WRITE = 0x080 "ACCESS4_XAWRITE",
    XATTR_LIST = 0x100 "ACCESS4_XALIST",
}
}

xdr_struct! {
/// Arguments of ACCESS (RFC 8881 §18.1).
#[derive(Copy)]
pub struct AccessArgs = "ACCESS4args" {
    /// Bits of [`access`].
    access: u32 = "access",
}
}

xdr_struct! {
/// Result of ACCESS.
#[derive(Copy)]
pub struct AccessResult = "ACCESS4resok" {
    /// Bits the server can tell about.
    supported: u32 = "supported",
    /// Bits that are granted.
    access: u32 = "access",
}
}

xdr_struct! {
/// Arguments of GETATTR (RFC 8881 §18.7). Its result is a fattr4: [`super::Attributes::encode`] writes it,
/// [`RawAttributes`] reads it.
#[derive(Copy)]
pub struct GetAttrArgs = "GETATTR4args" {
    requested: Bitmap = "attr_request",
}
}

xdr_struct! {
/// Arguments of SETATTR (RFC 8881 §18.30). Its result, whatever the status, is a [`Bitmap`] of what was set.
pub struct SetAttrArgs<'a> = "SETATTR4args" {
    stateid: Stateid = "stateid",
    attributes: RawAttributes<'a> = "obj_attributes",
}
}

xdr_struct! {
/// Arguments of VERIFY (RFC 8881 §18.31).
pub struct VerifyArgs<'a> = "VERIFY4args" {
    attributes: RawAttributes<'a> = "obj_attributes",
}
}

xdr_struct! {
/// Arguments of NVERIFY (RFC 8881 §18.15).
pub struct NverifyArgs<'a> = "NVERIFY4args" {
    attributes: RawAttributes<'a> = "obj_attributes",
}
}

xdr_struct! {
/// Arguments of READ (RFC 8881 §18.22).
#[derive(Copy)]
pub struct ReadArgs = "READ4args" {
    stateid: Stateid = "stateid",
    offset: u64 = "offset",
    count: u32 = "count",
}
}

xdr_struct! {
/// Result of READ. Encoding it writes the length and pad and notes where the transport inserts the bytes.
pub struct ReadResult = "READ4resok" {
    eof: bool = "eof",
    data: Payload = "data",
}
}

impl ReadResult {
    /// Writes a result whose `length` bytes the transport inserts.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_head(encoder: &mut Encoder, eof: bool, length: usize) -> Result<(), NoRoom> {
        encoder.put_bool(eof)?;
        encoder.put_payload(length)
    }

    /// Writes a result with its bytes.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_inline(encoder: &mut Encoder, eof: bool, bytes: &[u8]) -> Result<(), NoRoom> {
        encoder.put_bool(eof)?;
        encoder.put_opaque(bytes)
    }
}

xdr_struct! {
/// Arguments of WRITE (RFC 8881 §18.32). Encoding them writes the length and pad and notes where the
/// transport inserts the bytes.
pub struct WriteArgs = "WRITE4args" {
    stateid: Stateid = "stateid",
    offset: u64 = "offset",
    stable: StableHow = "stable",
    data: Payload = "data",
}
}

/// The arguments of WRITE before its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteHead {
    /// State to write under.
    pub stateid: Stateid,
    /// First byte of the file.
    pub offset: u64,
    /// Wanted stability.
    pub stable: StableHow,
}

impl WriteHead {
    /// Writes arguments whose `length` bytes the transport inserts.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_head(&self, encoder: &mut Encoder, length: usize) -> Result<(), NoRoom> {
        self.encode_before_data(encoder)?;
        encoder.put_payload(length)
    }

    /// Writes arguments with their bytes.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn encode_inline(&self, encoder: &mut Encoder, bytes: &[u8]) -> Result<(), NoRoom> {
        self.encode_before_data(encoder)?;
        encoder.put_opaque(bytes)
    }

    fn encode_before_data(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put(&self.stateid)?;
        encoder.put_u64(self.offset)?;
        encoder.put(&self.stable)
    }
}

impl<'a> Decode<'a> for WriteHead {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(WriteHead { stateid: decoder.get()?, offset: decoder.u64()?, stable: decoder.get()? })
    }
}

xdr_struct! {
/// Result of WRITE.
#[derive(Copy)]
pub struct WriteResult = "WRITE4resok" {
    count: u32 = "count",
    committed: StableHow = "committed",
    verifier: Verifier = "writeverf",
}
}

xdr_struct! {
/// Arguments of COMMIT (RFC 8881 §18.3).
#[derive(Copy)]
pub struct CommitArgs = "COMMIT4args" {
    offset: u64 = "offset",
    /// Bytes; 0 means "to the end of the file".
    count: u32 = "count",
}
}

xdr_struct! {
/// Result of COMMIT.
#[derive(Copy)]
pub struct CommitResult = "COMMIT4resok" {
    verifier: Verifier = "writeverf",
}
}
