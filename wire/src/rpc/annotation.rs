//! Annotations of a call: a credential flavor that wraps the caller's own credential and carries typed items beside it
//! (docs/ANNOTATIONS.md). Everything in an item is the sender's word: it is a hint, and never an identity or a size.

use super::{AUTH_BODY_MAX, Credential, OpaqueAuth, TraceContext};
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, UNIT, pad_len, xdr_constants, xdr_struct};

/// Flavor of a credential that wraps another. From the block of numbers that this project keeps for its experiments: no
/// flavor is registered there.
pub const AUTH_ANNOT: u32 = 0x00FA_0001;

/// What a server that understands the flavor answers as the body of an AUTH_NONE verifier when the NULL procedure is
/// called with it, as RFC 9289 §4.1 has it for TLS.
pub const PROBE_ANSWER: &[u8] = b"PXANNOT1";

/// Most items of one call. There are two kinds; the rest is for kinds to come.
pub const ITEMS_MAX: usize = 16;

/// Most bulk areas of one call: as many WRITEs as a compound may sensibly have.
pub const AREAS_MAX: usize = 8;

/// Bytes of a wrapper around nothing and with no items: inner flavor, length of the inner body, count of items.
const FRAME_BYTES: usize = 3 * UNIT;

/// Bytes of an item before its body: kind and length.
const ITEM_HEAD_BYTES: usize = 2 * UNIT;

xdr_constants! {
/// Kinds of items. What is not here is skipped.
pub mod annot_kind: u32 {
    BULK = 1 "ANNOT_BULK",
    TRACE = 2 "ANNOT_TRACE",
}
}

xdr_struct! {
/// Where in the message bulk data lies, and how the sender would like it placed.
#[derive(Copy, Default)]
pub struct BulkArea = "annot_area" {
    /// Offset of the first byte of the data from the first byte of the message.
    offset: u32 = "aa_offset",
    /// Bytes of the data, without pad.
    length: u32 = "aa_length",
    /// 0, or a power of two: the data's address in memory is wanted congruent to `phase` modulo this.
    alignment: u32 = "aa_alignment",
    /// Below `alignment`; 0 when that is 0.
    phase: u32 = "aa_phase",
}
}

impl BulkArea {
    const LEN: usize = 4 * UNIT;

    /// The first byte of the message behind it.
    fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.length)
    }

    fn is_aligned_sensibly(&self) -> bool {
        match self.alignment {
            0 => self.phase == 0,
            alignment => alignment.is_power_of_two() && self.phase < alignment,
        }
    }
}

/// Bulk areas, kept in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BulkAreas {
    count: u8,
    areas: [BulkArea; AREAS_MAX],
}

impl BulkAreas {
    /// These areas, or `None` when they are more than [`AREAS_MAX`].
    pub fn new(areas: &[BulkArea]) -> Option<Self> {
        let mut kept = BulkAreas { count: u8::try_from(areas.len()).ok()?, ..BulkAreas::default() };
        kept.areas.get_mut(..areas.len())?.copy_from_slice(areas);
        Some(kept)
    }

    /// The areas.
    pub fn as_slice(&self) -> &[BulkArea] {
        &self.areas[..usize::from(self.count)]
    }

    /// Whether areas like these can be in a message of `message_len` bytes: none empty, none beyond the end, ascending,
    /// none over another, and every alignment a power of two.
    pub fn are_possible(&self, message_len: usize) -> bool {
        let mut from = 0;
        self.as_slice().iter().all(|area| {
            let follows = u64::from(area.offset) >= from && area.length > 0;
            from = area.end();
            follows && from <= message_len as u64 && area.is_aligned_sensibly()
        })
    }
}

impl Encode for BulkAreas {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_count(self.as_slice().len())?;
        self.as_slice().iter().try_for_each(|area| area.encode(encoder))
    }
}

impl<'a> Decode<'a> for BulkAreas {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let count = decoder.count_max(AREAS_MAX)?;
        let mut areas = [BulkArea::default(); AREAS_MAX];
        for area in &mut areas[..count] {
            *area = decoder.get()?;
        }
        Ok(BulkAreas { count: count as u8, areas })
    }
}

/// One item, undecoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// One of [`annot_kind`], or something unknown.
    pub kind: u32,
    /// Its body.
    pub body: &'a [u8],
}

impl<'a> Item<'a> {
    /// The body as a value of the item's kind; all of it must be the value.
    fn value<T: Decode<'a>>(&self) -> Result<T, Error> {
        let mut decoder = Decoder::new(self.body);
        let value = decoder.get()?;
        decoder.finish()?;
        Ok(value)
    }
}

impl Encode for Item<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_u32(self.kind)?;
        encoder.put_opaque(self.body)
    }
}

impl<'a> Decode<'a> for Item<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(Item { kind: decoder.u32()?, body: decoder.opaque_max(AUTH_BODY_MAX)? })
    }
}

/// The items of a call. They have been checked to be whole; what is in them has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Items<'a> {
    bytes: &'a [u8],
}

impl<'a> Items<'a> {
    /// Every item, known or not, as sent.
    pub fn iter(&self) -> impl Iterator<Item = Item<'a>> + use<'a> {
        let mut decoder = Decoder::new(self.bytes);
        std::iter::from_fn(move || decoder.get().ok())
    }

    /// The call's bulk areas; further items of that kind are not looked at.
    ///
    /// # Errors
    /// Why the item cannot be used; it is then as if it were not there.
    pub fn bulk(&self) -> Result<Option<BulkAreas>, Error> {
        self.first(annot_kind::BULK)
    }

    /// The call's trace context; further items of that kind are not looked at.
    ///
    /// # Errors
    /// As [`Items::bulk`].
    pub fn trace(&self) -> Result<Option<TraceContext<'a>>, Error> {
        self.first(annot_kind::TRACE)
    }

    fn first<T: Decode<'a>>(&self, kind: u32) -> Result<Option<T>, Error> {
        self.iter().find(|item| item.kind == kind).map(|item| item.value()).transpose()
    }
}

/// The body of an [`AUTH_ANNOT`] credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wrapper<'a> {
    /// The caller's own credential.
    pub inner: OpaqueAuth<'a>,
    /// What the call is annotated with.
    pub items: Items<'a>,
}

impl<'a> Wrapper<'a> {
    /// What the body of an [`AUTH_ANNOT`] credential says; all of it.
    ///
    /// # Errors
    /// [`Error`] when it is not whole, or wraps another wrapper.
    pub fn open(body: &'a [u8]) -> Result<Self, Error> {
        let mut decoder = Decoder::new(body);
        let inner: OpaqueAuth<'a> = decoder.get()?;
        // One wrapper says all there is to say; more would only cost the receiver.
        if inner.flavor == AUTH_ANNOT {
            return Err(Error::Value);
        }
        let count = decoder.count_max(ITEMS_MAX)?;
        let from = decoder.head_index();
        for _ in 0..count {
            decoder.get::<Item<'a>>()?;
        }
        let bytes = decoder.head_bytes(from..decoder.head_index()).unwrap_or_default();
        decoder.finish()?;
        Ok(Wrapper { inner, items: Items { bytes } })
    }
}

/// What a call is to be annotated with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Annotations<'a> {
    /// Where its bulk data lies; an empty list is not sent.
    pub bulk: BulkAreas,
    /// Of which trace it is a part.
    pub trace: Option<TraceContext<'a>>,
    /// Further items, of kinds that are not known here.
    pub further: &'a [Item<'a>],
}

impl Annotations<'_> {
    /// The credential that wraps `inner` with these items, or `inner` itself when there are none or when the body would be
    /// longer than RFC 5531 §8.2 allows: annotations are hints, and the call goes without them.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn wrap(&self, inner: &Credential<'_>, encoder: &mut Encoder) -> Result<(), NoRoom> {
        let items = self.count();
        if items == 0 || items > ITEMS_MAX || self.body_len(inner) > AUTH_BODY_MAX {
            return inner.encode(encoder);
        }
        encoder.put_u32(AUTH_ANNOT)?;
        encoder.put_count(self.body_len(inner))?;
        inner.encode(encoder)?;
        encoder.put_count(items)?;
        if !self.bulk.as_slice().is_empty() {
            encoder.put_u32(annot_kind::BULK)?;
            encoder.put_count(self.bulk_len())?;
            self.bulk.encode(encoder)?;
        }
        if let Some(trace) = &self.trace {
            encoder.put_u32(annot_kind::TRACE)?;
            encoder.put_count(trace.encoded_len())?;
            trace.encode(encoder)?;
        }
        self.further.iter().try_for_each(|item| item.encode(encoder))
    }

    fn count(&self) -> usize {
        let known = usize::from(!self.bulk.as_slice().is_empty()) + usize::from(self.trace.is_some());
        known + self.further.len()
    }

    fn bulk_len(&self) -> usize {
        UNIT + self.bulk.as_slice().len() * BulkArea::LEN
    }

    fn body_len(&self, inner: &Credential<'_>) -> usize {
        let bulk = if self.bulk.as_slice().is_empty() { 0 } else { ITEM_HEAD_BYTES + self.bulk_len() };
        let trace = self.trace.as_ref().map_or(0, |trace| ITEM_HEAD_BYTES + trace.encoded_len());
        let further = self.further.iter().map(|item| ITEM_HEAD_BYTES + padded(item.body.len()));
        FRAME_BYTES + padded(inner.body_len()) + bulk + trace + further.sum::<usize>()
    }
}

fn padded(length: usize) -> usize {
    length + pad_len(length)
}
