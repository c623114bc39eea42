//! Linked lists, XDR's `item *next` (RFC 4506 §4.19): TRUE before each item, FALSE behind the last. Read one at a time,
//! an item is an `Option`, and `None` is the end.

use super::{Decode, Decoder, Encode, Encoder, Error, NoRoom, UNIT};

/// A short list, whole. Only rare procedures carry one; it grows with what is decoded, so a peer sizes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain<T, const MAX: usize>(pub Vec<T>);

impl<T, const MAX: usize> std::ops::Deref for Chain<T, MAX> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const MAX: usize> From<Vec<T>> for Chain<T, MAX> {
    fn from(items: Vec<T>) -> Self {
        Chain(items)
    }
}

impl<T: Encode, const MAX: usize> Encode for Chain<T, MAX> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        for item in &self.0 {
            encoder.put_bool(true)?;
            encoder.put(item)?;
        }
        encoder.put_bool(false)
    }
}

impl<'a, T: Decode<'a>, const MAX: usize> Decode<'a> for Chain<T, MAX> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let mut items = Vec::new();
        while let Some(item) = decoder.get()? {
            if items.len() == MAX {
                return Err(Error::Bound);
            }
            items.push(item);
        }
        Ok(Chain(items))
    }
}

/// Writes a list item by item within bounds: each whole or not at all, and always with room left for the end.
#[derive(Debug, Clone, Copy)]
#[must_use = "the list is ended by `finish`"]
pub struct ChainWriter {
    /// Where the value that contains the list began.
    start: usize,
    /// Bytes that value may have, the list's end and what follows it included.
    length_max: usize,
    /// Bytes of the list's end and of what follows it.
    tail_len: usize,
}

impl ChainWriter {
    /// Begins a list in a value that began at `start`, may have `length_max` bytes, and has `rest_len` bytes behind the
    /// list.
    ///
    /// # Errors
    /// [`NoRoom`] when not even an empty list fits.
    pub fn begin(
        encoder: &Encoder,
        start: usize,
        length_max: usize,
        rest_len: usize,
    ) -> Result<Self, NoRoom> {
        let writer = ChainWriter { start, length_max, tail_len: UNIT + rest_len };
        if writer.has_room_for_tail(encoder) { Ok(writer) } else { Err(NoRoom) }
    }

    /// Writes the item that `write` writes.
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit; nothing of it has been written and the list can still be ended.
    pub fn item(
        &self,
        encoder: &mut Encoder,
        write: impl FnOnce(&mut Encoder) -> Result<(), NoRoom>,
    ) -> Result<(), NoRoom> {
        let rollback = encoder.position();
        let written = encoder.put_bool(true).and_then(|()| write(encoder));
        if written.is_err() || !self.has_room_for_tail(encoder) {
            encoder.truncate(rollback);
            return Err(NoRoom);
        }
        Ok(())
    }

    /// Ends the list.
    ///
    /// # Errors
    /// [`NoRoom`] only when the encoder's limit has been lowered meanwhile.
    pub fn finish(self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_bool(false)
    }

    fn has_room_for_tail(&self, encoder: &Encoder) -> bool {
        encoder.room() >= self.tail_len && encoder.position() - self.start + self.tail_len <= self.length_max
    }
}
