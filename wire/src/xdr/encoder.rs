//! The limited writer.

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use super::{Cut, Encode, NoRoom, UNIT, pad_len};

/// A payload that the transport puts into the stream between two head bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Insert {
    /// Index in the head before which the payload's bytes go; its pad, if any, is in the head.
    pub position: usize,
    /// Payload bytes.
    pub length: usize,
}

/// Payloads of one message. Hardly any has more than one, which needs no allocation.
pub type Inserts = SmallVec<[Insert; 1]>;

/// What an [`Encoder`] has written.
#[derive(Debug)]
pub struct Encoded {
    /// All bytes but the payloads.
    pub head: BytesMut,
    /// Payloads to put between them, ascending.
    pub inserts: Inserts,
}

impl Encoded {
    /// The payloads as whoever decodes the stream without them has them cut out of it.
    pub fn cuts(&self) -> Vec<Cut> {
        let mut before = 0;
        let cut = |insert: &Insert| {
            let position = insert.position + before;
            before += insert.length;
            Cut { position, length: insert.length }
        };
        self.inserts.iter().map(cut).collect()
    }
}

/// Appends XDR to a buffer and never past its limit. Positions are indices in the head buffer.
#[derive(Debug)]
pub struct Encoder {
    head: BytesMut,
    /// Bytes that were in the buffer before; they do not count against the limit.
    base: usize,
    limit: usize,
    inserts: Inserts,
    /// Bytes of all inserts.
    inserted: usize,
}

impl Encoder {
    /// A writer behind what `buffer` already holds, for at most `limit` more bytes, payloads included.
    pub fn new(buffer: BytesMut, limit: usize) -> Self {
        let base = buffer.len();
        Encoder { head: buffer, base, limit, inserts: Inserts::new(), inserted: 0 }
    }

    /// Changes the limit, which counts from where the encoder began. A limit below what is already written
    /// is allowed; nothing more can then be written.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Bytes written since the encoder began, payloads included.
    pub fn written(&self) -> usize {
        self.head.len() - self.base + self.inserted
    }

    /// Bytes that may still be written.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.written())
    }

    /// Index in the head buffer where the next byte goes; for [`Encoder::patch_u32`] and
    /// [`Encoder::truncate`].
    pub fn position(&self) -> usize {
        self.head.len()
    }

    /// Overwrites the word at `position`, which must have been written.
    ///
    /// # Panics
    /// When the word is outside what was written: the caller's mistake.
    pub fn patch_u32(&mut self, position: usize, value: u32) {
        self.head[position..position + UNIT].copy_from_slice(&value.to_be_bytes());
    }

    /// Forgets everything behind `position`, a value that [`Encoder::position`] returned before; payloads
    /// whose length word is forgotten go too.
    ///
    /// # Panics
    /// When `position` lies before where the encoder began.
    pub fn truncate(&mut self, position: usize) {
        assert!(position >= self.base, "truncation before the encoder's beginning");
        self.head.truncate(position);
        while self.inserts.last().is_some_and(|insert| insert.position > position) {
            self.inserted -= self.inserts.pop().map_or(0, |insert| insert.length);
        }
    }

    /// The bytes written from `start` on, without payloads.
    pub fn head_from(&self, start: usize) -> &[u8] {
        &self.head[start..]
    }

    /// The payloads noted so far.
    pub fn inserts(&self) -> &[Insert] {
        &self.inserts
    }

    /// Ends the writing.
    pub fn finish(self) -> Encoded {
        Encoded { head: self.head, inserts: self.inserts }
    }

    /// Writes any encodable value.
    ///
    /// # Errors
    /// [`NoRoom`]; part of the value may have been written.
    pub fn put<T: Encode + ?Sized>(&mut self, value: &T) -> Result<(), NoRoom> {
        value.encode(self)
    }

    /// Writes an unsigned integer.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_u32(&mut self, value: u32) -> Result<(), NoRoom> {
        self.reserve(UNIT)?;
        self.head.put_u32(value);
        Ok(())
    }

    /// Writes a signed integer.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_i32(&mut self, value: i32) -> Result<(), NoRoom> {
        self.reserve(UNIT)?;
        self.head.put_i32(value);
        Ok(())
    }

    /// Writes an unsigned hyper integer.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_u64(&mut self, value: u64) -> Result<(), NoRoom> {
        self.reserve(2 * UNIT)?;
        self.head.put_u64(value);
        Ok(())
    }

    /// Writes a signed hyper integer.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_i64(&mut self, value: i64) -> Result<(), NoRoom> {
        self.reserve(2 * UNIT)?;
        self.head.put_i64(value);
        Ok(())
    }

    /// Writes a bool.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_bool(&mut self, value: bool) -> Result<(), NoRoom> {
        self.put_u32(u32::from(value))
    }

    /// Writes a fixed-length opaque and its pad.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_fixed(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        let pad = pad_len(bytes.len());
        self.reserve(bytes.len() + pad)?;
        self.head.put_slice(bytes);
        self.head.put_bytes(0, pad);
        Ok(())
    }

    /// Writes a variable-length opaque: length, bytes, pad.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn put_opaque(&mut self, bytes: &[u8]) -> Result<(), NoRoom> {
        self.put_count(bytes.len())?;
        self.put_fixed(bytes)
    }

    /// Writes the count of a variable-length item.
    ///
    /// # Errors
    /// [`NoRoom`], also for a count that 32 bits cannot hold.
    pub fn put_count(&mut self, count: usize) -> Result<(), NoRoom> {
        self.put_u32(u32::try_from(count).map_err(|_| NoRoom)?)
    }

    /// Writes the length word and the pad of a bulk opaque whose bytes the transport inserts, and notes
    /// where they go. They count against the limit.
    ///
    /// # Errors
    /// [`NoRoom`]; nothing has been written then.
    pub fn put_payload(&mut self, length: usize) -> Result<(), NoRoom> {
        let pad = pad_len(length);
        let word = u32::try_from(length).map_err(|_| NoRoom)?;
        self.reserve(UNIT + pad + length)?;
        self.head.put_u32(word);
        if length > 0 {
            self.inserts.push(Insert { position: self.head.len(), length });
            self.inserted += length;
        }
        self.head.put_bytes(0, pad);
        Ok(())
    }

    /// Writes a variable-length opaque of at most `max` bytes that `fill` puts in place: it gets zeroed
    /// space and returns how much of it is the value. Returns that length.
    ///
    /// # Errors
    /// [`NoRoom`] when `max` bytes and their pad do not fit; `fill` has not been called then.
    ///
    /// # Panics
    /// When `fill` claims more than it was given.
    pub fn put_opaque_with(
        &mut self,
        max: usize,
        fill: impl FnOnce(&mut [u8]) -> usize,
    ) -> Result<usize, NoRoom> {
        self.reserve(UNIT + max + pad_len(max))?;
        let length_at = self.position();
        self.put_count(0)?;
        let start = self.position();
        self.head.put_bytes(0, max);
        let length = fill(&mut self.head[start..]);
        assert!(length <= max, "more filled in than there was space for");
        self.head.truncate(start + length);
        self.head.put_bytes(0, pad_len(length));
        self.patch_u32(length_at, u32::try_from(length).map_err(|_| NoRoom)?);
        Ok(length)
    }

    fn reserve(&self, length: usize) -> Result<(), NoRoom> {
        if length > self.room() { Err(NoRoom) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_payloads_and_not_what_was_there_before() {
        let mut encoder = Encoder::new(BytesMut::from(&b"mark"[..]), 20);
        encoder.put_u32(7).unwrap();
        let rollback = encoder.position();
        encoder.put_payload(9).unwrap();
        assert_eq!((encoder.room(), encoder.position()), (0, 15));
        assert_eq!(encoder.put_u32(1), Err(NoRoom));
        assert_eq!(encoder.inserts(), [Insert { position: 12, length: 9 }]);
        encoder.truncate(rollback);
        assert_eq!((encoder.room(), encoder.inserts().len()), (16, 0));
        encoder.patch_u32(4, 8);
        encoder.put_opaque(b"abcde").unwrap();
        let encoded = encoder.finish();
        assert_eq!(&encoded.head[..], b"mark\0\0\0\x08\0\0\0\x05abcde\0\0\0");
    }

    #[test]
    fn a_mark_behind_an_unpadded_payload_keeps_it() {
        let mut encoder = Encoder::new(BytesMut::new(), 100);
        encoder.put_payload(8).unwrap();
        let behind = encoder.position();
        encoder.put_u32(0).unwrap();
        encoder.truncate(behind);
        assert_eq!(encoder.inserts().len(), 1);
        assert_eq!(encoder.written(), 12);
    }
}
