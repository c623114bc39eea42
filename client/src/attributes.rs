//! Attributes to be sent, and those that are usually asked for.

use bytes::BytesMut;
use wire::{
    nfs4::{Attributes, FileType, RawAttributes, attribute},
    xdr::{Decoder, Encoder},
};

use crate::{Error, Result};

/// Bytes of all attributes that can be set at once.
const ATTRIBUTES_MAX: usize = 64 * 1024;

/// Attributes in their form on the wire.
#[derive(Clone, Debug)]
pub struct OwnedAttributes {
    encoded: BytesMut,
}

impl OwnedAttributes {
    /// The attributes that have a value.
    ///
    /// # Panics
    /// When they are longer than any server would take.
    pub fn new(attributes: &Attributes<'_>) -> Self {
        let mut encoder = Encoder::new(BytesMut::new(), ATTRIBUTES_MAX);
        encoder.put(attributes).expect("attributes within their bound");
        Self { encoded: encoder.finish().head }
    }

    /// For use in arguments.
    pub fn as_raw(&self) -> RawAttributes<'_> {
        Decoder::new(&self.encoded).get().expect("what was encoded decodes")
    }
}

/// What most callers want to know of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// What it is.
    pub file_type: FileType,
    /// Changes whenever the object does.
    pub change: u64,
    /// Bytes.
    pub size: u64,
    /// Its number in its file system.
    pub file_id: u64,
    /// Permissions.
    pub mode: u32,
    /// Names it has.
    pub links: u32,
}

impl ObjectAttributes {
    /// The attributes to ask for.
    pub const NUMBERS: &'static [u32] = &[
        attribute::TYPE,
        attribute::CHANGE,
        attribute::SIZE,
        attribute::FILEID,
        attribute::MODE,
        attribute::NUMLINKS,
    ];

    /// Out of what a server sent.
    ///
    /// # Errors
    /// [`Error::Malformed`] when one is missing or malformed.
    pub fn from_raw(raw: &RawAttributes<'_>) -> Result<Self> {
        let given = raw.decode_values().map_err(|_| Error::Malformed(wire::xdr::Error::Value))?;
        let known = || {
            Some(Self {
                file_type: given.file_type?,
                change: given.change?,
                size: given.size?,
                file_id: given.fileid?,
                mode: given.mode?,
                links: given.numlinks?,
            })
        };
        known().ok_or(Error::Malformed(wire::xdr::Error::Short))
    }
}
