//! The bounded reader.

use std::ops::Range;

use super::{Decode, Encode, Encoder, Error, NoRoom, pad_len};

/// A payload that the transport took out of the stream, so that its bytes are not in the head. It covers
/// exactly the data bytes of one opaque: the length word before it and the pad after it are in the head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Offset of the first payload byte in the whole stream, counted as if nothing had been cut out.
    pub position: usize,
    /// Payload bytes.
    pub length: usize,
}

/// Where the bytes of a bulk opaque are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// In the cut-out with this index in the list the decoder was given.
    Cut {
        /// Index into the list of cuts.
        index: usize,
        /// Payload bytes.
        length: usize,
    },
    /// In the head bytes, at these indices.
    Inline(Range<usize>),
}

impl Payload {
    /// Payload bytes, wherever they are.
    #[allow(clippy::len_without_is_empty)] // Emptiness of a payload is nobody's question; its length is.
    pub fn len(&self) -> usize {
        match self {
            Payload::Cut { length, .. } => *length,
            Payload::Inline(range) => range.len(),
        }
    }
}

/// Writing a payload writes its length and pad and leaves the bytes to the transport.
impl Encode for Payload {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_payload(self.len())
    }
}

/// The bound is the record's own, which the transport has enforced; no memory depends on the length.
impl<'a> Decode<'a> for Payload {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        decoder.payload(usize::MAX)
    }
}

/// Reads XDR from borrowed bytes. No read goes past the end or over a cut-out payload.
#[derive(Debug, Clone)]
pub struct Decoder<'a> {
    head: &'a [u8],
    /// Index in `head` of the next byte to read.
    at: usize,
    /// Index in `head` where ordinary reads must stop: the next cut, or the end.
    stop: usize,
    cuts: &'a [Cut],
    /// Cuts already consumed.
    cuts_passed: usize,
    /// Bytes of the cuts already consumed.
    cut_bytes: usize,
    /// Bytes that the last read that failed for want of bytes would have needed beyond those at hand.
    short_by: usize,
}

impl<'a> Decoder<'a> {
    /// A reader of bytes from which nothing was cut out.
    pub fn new(head: &'a [u8]) -> Self {
        Self::with_cuts(head, &[])
    }

    /// A reader of `head`, from which the payloads in `cuts` (ascending, not overlapping) were taken out.
    pub fn with_cuts(head: &'a [u8], cuts: &'a [Cut]) -> Self {
        let mut decoder = Decoder { head, at: 0, stop: 0, cuts, cuts_passed: 0, cut_bytes: 0, short_by: 0 };
        decoder.set_stop();
        decoder
    }

    /// Offset of the next byte in the whole stream, cut-out payloads included.
    pub fn position(&self) -> usize {
        self.at + self.cut_bytes
    }

    /// Index of the next byte in the head bytes.
    pub fn head_index(&self) -> usize {
        self.at
    }

    /// Head bytes not read yet; cut-out payloads do not count.
    pub fn remaining(&self) -> usize {
        self.head.len() - self.at
    }

    /// The head bytes at `range`, as [`Payload::Inline`] and [`Decoder::head_index`] give it.
    pub fn head_bytes(&self, range: Range<usize>) -> Option<&'a [u8]> {
        self.head.get(range)
    }

    /// After [`Error::Short`]: how many more bytes that read needs at least.
    pub fn short_by(&self) -> usize {
        self.short_by
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// [`Error::Trailing`] when head bytes or cut-out payloads are left.
    pub fn finish(&self) -> Result<(), Error> {
        if self.remaining() == 0 && self.cuts_passed == self.cuts.len() {
            Ok(())
        } else {
            Err(Error::Trailing)
        }
    }

    /// Reads any decodable value.
    ///
    /// # Errors
    /// As the value's own `decode`.
    pub fn get<T: Decode<'a>>(&mut self) -> Result<T, Error> {
        T::decode(self)
    }

    /// Reads an unsigned integer.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a signed integer.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn i32(&mut self) -> Result<i32, Error> {
        self.array().map(i32::from_be_bytes)
    }

    /// Reads an unsigned hyper integer.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// Reads a signed hyper integer.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn i64(&mut self) -> Result<i64, Error> {
        self.array().map(i64::from_be_bytes)
    }

    /// Reads a bool.
    ///
    /// # Errors
    /// [`Error::Short`]; [`Error::Value`] for anything but 0 and 1 (RFC 4506 §4.4).
    pub fn bool(&mut self) -> Result<bool, Error> {
        match self.u32()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Error::Value),
        }
    }

    /// Reads a fixed-length opaque of `N` bytes and its pad.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let bytes = self.fixed(N)?;
        bytes.try_into().map_err(|_| Error::Short)
    }

    /// Reads a fixed-length opaque of `length` bytes and its pad.
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn fixed(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let padded = length.checked_add(pad_len(length)).ok_or(Error::Bound)?;
        let room = self.stop - self.at;
        if padded > room {
            self.short_by = padded - room;
            return Err(Error::Short);
        }
        let bytes = &self.head[self.at..self.at + length];
        self.at += padded;
        Ok(bytes)
    }

    /// Reads a variable-length opaque of at most `max` bytes, borrowed.
    ///
    /// # Errors
    /// [`Error::Bound`] when it is longer, [`Error::Short`].
    pub fn opaque_max(&mut self, max: usize) -> Result<&'a [u8], Error> {
        let length = self.count_max(max)?;
        self.fixed(length)
    }

    /// Reads a string of at most `max` bytes; XDR strings are bytes, and whether they are UTF-8 is for the
    /// operation to judge.
    ///
    /// # Errors
    /// As [`Decoder::opaque_max`].
    pub fn string_max(&mut self, max: usize) -> Result<&'a [u8], Error> {
        self.opaque_max(max)
    }

    /// Reads the count of a variable-length array of at most `max` elements.
    ///
    /// # Errors
    /// [`Error::Bound`] when there are more, [`Error::Short`].
    pub fn count_max(&mut self, max: usize) -> Result<usize, Error> {
        let count = usize::try_from(self.u32()?).map_err(|_| Error::Bound)?;
        if count > max { Err(Error::Bound) } else { Ok(count) }
    }

    /// Reads a bulk opaque of at most `max` bytes without touching its bytes: where it is, not what it is.
    ///
    /// # Errors
    /// [`Error::Bound`] when it is longer; [`Error::Short`]; [`Error::Cut`] when a payload was cut out just
    /// here but with another length.
    pub fn payload(&mut self, max: usize) -> Result<Payload, Error> {
        let length = self.count_max(max)?;
        match self.cuts.get(self.cuts_passed) {
            Some(cut) if cut.position == self.position() && (cut.length > 0 || length == 0) => {
                if cut.length != length {
                    return Err(Error::Cut);
                }
                let index = self.cuts_passed;
                self.cuts_passed += 1;
                self.cut_bytes += length;
                self.set_stop();
                self.fixed_pad(length)?;
                Ok(Payload::Cut { index, length })
            }
            _ => {
                let start = self.at;
                self.fixed(length)?;
                Ok(Payload::Inline(start..start + length))
            }
        }
    }

    fn fixed_pad(&mut self, length: usize) -> Result<(), Error> {
        let pad = pad_len(length);
        if pad > self.stop - self.at {
            return Err(Error::Short);
        }
        self.at += pad;
        Ok(())
    }

    fn set_stop(&mut self) {
        let cut_at = self.cuts.get(self.cuts_passed).map(|cut| cut.position.saturating_sub(self.cut_bytes));
        self.stop = cut_at.map_or(self.head.len(), |at| at.clamp(self.at, self.head.len().max(self.at)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_stop_at_the_end_and_at_a_cut() {
        let head = [0, 0, 0, 1, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 9];
        let mut decoder = Decoder::new(&head);
        assert_eq!(decoder.u32(), Ok(1));
        assert_eq!(decoder.clone().u64(), Ok(5 << 32));
        assert_eq!(decoder.clone().fixed(12), Err(Error::Short));
        // A cut at stream offset 8 with 5 bytes: 3 bytes of pad follow in the head, then one more word.
        let cuts = [Cut { position: 8, length: 5 }];
        decoder = Decoder::with_cuts(&head, &cuts);
        assert_eq!(decoder.fixed(12), Err(Error::Short));
        assert_eq!(decoder.u32(), Ok(1));
        assert_eq!(decoder.payload(100), Ok(Payload::Cut { index: 0, length: 5 }));
        assert_eq!((decoder.position(), decoder.head_index()), (16, 11));
        assert_eq!(decoder.u32(), Ok(9));
        assert_eq!(decoder.finish(), Ok(()));
    }

    #[test]
    fn a_cut_must_agree_with_the_length_word() {
        let head = [0, 0, 0, 8];
        for (cut, expected) in [
            (Cut { position: 4, length: 8 }, Ok(Payload::Cut { index: 0, length: 8 })),
            (Cut { position: 4, length: 4 }, Err(Error::Cut)),
            (Cut { position: 8, length: 8 }, Err(Error::Short)),
        ] {
            let cuts = [cut];
            assert_eq!(Decoder::with_cuts(&head, &cuts).payload(100), expected);
        }
        assert_eq!(Decoder::new(&head).payload(7), Err(Error::Bound));
        let unread = [Cut { position: 4, length: 8 }];
        let mut decoder = Decoder::with_cuts(&head, &unread);
        assert_eq!(decoder.u32(), Ok(8));
        assert_eq!(decoder.finish(), Err(Error::Trailing));
    }

    #[test]
    fn an_inline_payload_is_a_range_of_the_head() {
        let head = [0, 0, 0, 3, b'a', b'b', b'c', 0];
        let mut decoder = Decoder::new(&head);
        let Ok(Payload::Inline(range)) = decoder.payload(3) else { panic!("not inline") };
        assert_eq!(decoder.head_bytes(range), Some(&b"abc"[..]));
        assert_eq!(decoder.finish(), Ok(()));
        assert_eq!(Decoder::new(&head[..7]).payload(3), Err(Error::Short));
    }
}
