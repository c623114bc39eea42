//! External Data Representation (RFC 4506): a bounded reader, a limited writer, and the tables that make
//! type definitions here read like the published `.x` text.

mod chain;
mod decoder;
mod encoder;
mod list;
mod opaque;
mod table;

pub use chain::{Chain, ChainWriter};
pub use decoder::{Cut, Decoder, Payload};
pub use encoder::{Encoded, Encoder, Insert, Inserts};
pub use list::List;
pub use opaque::Opaque;
pub(crate) use table::{xdr_constants, xdr_enum, xdr_struct, xdr_union};

/// Bytes of one XDR unit: every item takes a multiple of it (RFC 4506 §3).
pub const UNIT: usize = 4;

/// The zero bytes that follow `length` bytes of opaque data, 0 to 3 (RFC 4506 §4.9).
pub const fn pad_len(length: usize) -> usize {
    length.wrapping_neg() % UNIT
}

/// Why bytes of a peer are not the XDR they should be. All of them map to `GARBAGE_ARGS` or
/// `NFS4ERR_BADXDR`; the distinction serves logs and tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The bytes end, or a cut-out payload begins, inside an item.
    Short,
    /// A counted item is longer than its bound.
    Bound,
    /// An enum, bool or union discriminant has a value that is not defined.
    Value,
    /// Bytes are left over after the last item.
    Trailing,
    /// A payload that the transport cut out of the stream is not where or as long as the XDR says.
    Cut,
}

impl std::fmt::Display for Error {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Error::Short => "XDR item is cut short",
            Error::Bound => "XDR item exceeds its bound",
            Error::Value => "XDR value is not defined",
            Error::Trailing => "bytes follow the last XDR item",
            Error::Cut => "payload was cut out at another place than the XDR says",
        })
    }
}

impl std::error::Error for Error {}

/// The encoder's limit does not leave room for the item; what was written stays until `truncate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

impl std::fmt::Display for NoRoom {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("no room left for the XDR item")
    }
}

impl std::error::Error for NoRoom {}

/// A value that can be written as XDR.
pub trait Encode {
    /// Appends the value.
    ///
    /// # Errors
    /// [`NoRoom`] when the encoder's limit is reached; part of the value may have been written.
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom>;
}

/// A value that can be read from XDR, borrowing its variable-length parts from the received bytes.
pub trait Decode<'a>: Sized {
    /// Reads the value and moves past it.
    ///
    /// # Errors
    /// [`Error`] when the bytes are not such a value.
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error>;
}

/// What a type is called, and in what order its parts come, in the published XDR text. The conformance
/// test compares it with that text.
pub trait Published {
    /// Name of the type in the `.x` file.
    const NAME: &'static str;
    /// Names of the struct's fields, in wire order.
    const FIELDS: &'static [&'static str];
    /// Our types of these fields, as they are written here.
    const TYPES: &'static [&'static str];
}

macro_rules! number_codec {
    ($($type:ty, $put:ident, $get:ident;)*) => {$(
        impl Encode for $type {
            fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
                encoder.$put(*self)
            }
        }
        impl<'a> Decode<'a> for $type {
            fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
                decoder.$get()
            }
        }
    )*};
}

number_codec! {
    u32, put_u32, u32;
    i32, put_i32, i32;
    u64, put_u64, u64;
    i64, put_i64, i64;
    bool, put_bool, bool;
}

impl<const N: usize> Encode for [u8; N] {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_fixed(self)
    }
}

impl<'a, const N: usize> Decode<'a> for [u8; N] {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        decoder.array()
    }
}

/// XDR's `type name<1>` and `type *name` have the same bytes: a count of 0 or 1, then the value.
impl<T: Encode> Encode for Option<T> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_bool(self.is_some())?;
        match self {
            Some(value) => value.encode(encoder),
            None => Ok(()),
        }
    }
}

impl<'a, T: Decode<'a>> Decode<'a> for Option<T> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        match decoder.u32()? {
            0 => Ok(None),
            1 => T::decode(decoder).map(Some),
            _ => Err(Error::Bound),
        }
    }
}

impl Encode for () {
    fn encode(&self, _encoder: &mut Encoder) -> Result<(), NoRoom> {
        Ok(())
    }
}

impl<'a> Decode<'a> for () {
    fn decode(_decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(())
    }
}
