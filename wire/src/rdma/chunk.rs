//! Pieces of the requester's memory, and lists of them (RFC 8166 §3.4, §4.3).

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, UNIT, xdr_struct};

/// Segments accepted in one chunk: what servers of NFSv4 must take (RFC 8267 §5.4.1), and what Linux sends at most.
pub const SEGMENTS_MAX: usize = 16;

xdr_struct! {
/// A piece of memory that the requester has registered.
#[derive(Copy, Default)]
pub struct Segment = "xdr_rdma_segment" {
    /// The key by which its adapter knows it.
    handle: u32 = "handle",
    /// In bytes.
    length: u32 = "length",
    /// Where it begins, as the requester counts.
    offset: u64 = "offset",
}
}

xdr_struct! {
/// A piece from which something is to be read.
#[derive(Copy)]
pub struct ReadSegment = "xdr_read_chunk" {
    /// Where in the payload stream, had nothing been taken out of it, these bytes belong.
    position: u32 = "position",
    target: Segment = "target",
}
}

/// Pieces that belong together, filled or emptied in this order (`xdr_write_chunk`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Chunk {
    segments: [Segment; SEGMENTS_MAX],
    count: usize,
}

impl Chunk {
    /// One of these pieces; `None` when they are more than [`SEGMENTS_MAX`].
    pub fn of(segments: &[Segment]) -> Option<Self> {
        let mut chunk = Self::default();
        segments.iter().try_for_each(|segment| chunk.push(*segment)).ok()?;
        Some(chunk)
    }

    /// Its pieces.
    pub fn segments(&self) -> &[Segment] {
        &self.segments[..self.count]
    }

    /// The bytes that fit, or that it has.
    pub fn length(&self) -> u64 {
        self.segments().iter().map(|segment| u64::from(segment.length)).sum()
    }

    /// As a reply tells of it when so many of its bytes were written, its first pieces first: 0 when it was not used. `None` when
    /// so many do not fit.
    pub fn filled(&self, bytes: u64) -> Option<Self> {
        let (mut chunk, mut left) = (*self, bytes);
        for segment in &mut chunk.segments[..self.count] {
            segment.length = segment.length.min(u32::try_from(left).unwrap_or(u32::MAX));
            left -= u64::from(segment.length);
        }
        (left == 0).then_some(chunk)
    }

    fn push(&mut self, segment: Segment) -> Result<(), Error> {
        *self.segments.get_mut(self.count).ok_or(Error::Bound)? = segment;
        self.count += 1;
        Ok(())
    }
}

impl Encode for Chunk {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_count(self.count)?;
        self.segments().iter().try_for_each(|segment| encoder.put(segment))
    }
}

impl<'a> Decode<'a> for Chunk {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let mut chunk = Self::default();
        for _ in 0..decoder.count_max(SEGMENTS_MAX)? {
            chunk.push(decoder.get()?)?;
        }
        Ok(chunk)
    }
}

/// What is to be read from the requester: at most what servers of NFSv4 must take (RFC 8267 §5.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadList {
    /// The payload stream itself, where it is too long to be sent: its pieces have position 0.
    pub stream: Option<Chunk>,
    /// Data that was taken out of the stream, and at which position it belongs there.
    pub data: Option<(u32, Chunk)>,
}

impl ReadList {
    fn push(&mut self, ReadSegment { position, target }: ReadSegment) -> Result<(), Error> {
        if !(position as usize).is_multiple_of(UNIT) {
            return Err(Error::Value);
        }
        let chunk = if position == 0 {
            self.stream.get_or_insert_default()
        } else {
            let (first, chunk) = self.data.get_or_insert((position, Chunk::default()));
            if *first != position {
                return Err(Error::Bound);
            }
            chunk
        };
        chunk.push(target)
    }

    fn segments(&self) -> impl Iterator<Item = ReadSegment> {
        let chunks = self.stream.iter().map(|chunk| (0, chunk));
        let chunks = chunks.chain(self.data.iter().map(|(position, chunk)| (*position, chunk)));
        chunks.flat_map(|(position, chunk)| {
            chunk.segments().iter().map(move |target| ReadSegment { position, target: *target })
        })
    }
}

impl Encode for ReadList {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        for segment in self.segments() {
            encoder.put_bool(true)?;
            encoder.put(&segment)?;
        }
        encoder.put_bool(false)
    }
}

impl<'a> Decode<'a> for ReadList {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let mut list = Self::default();
        while let Some(segment) = decoder.get()? {
            list.push(segment)?;
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(length: u32) -> Segment {
        Segment { handle: 7, length, offset: 1 << 40 }
    }

    #[test]
    fn what_was_written_is_told_piece_by_piece() {
        let chunk = Chunk::of(&[segment(100), segment(0), segment(50), segment(4)]).expect("four");
        let lengths = |bytes| {
            chunk
                .filled(bytes)
                .map(|filled| filled.segments().iter().map(|one| one.length).collect::<Vec<_>>())
        };
        assert_eq!(chunk.length(), 154);
        assert_eq!(lengths(0), Some(vec![0; 4]));
        assert_eq!(lengths(99), Some(vec![99, 0, 0, 0]));
        assert_eq!(lengths(120), Some(vec![100, 0, 20, 0]));
        assert_eq!(lengths(154), Some(vec![100, 0, 50, 4]));
        assert_eq!(lengths(155), None);
        let huge = Chunk::of(&[segment(u32::MAX); SEGMENTS_MAX]).expect("as many as may be");
        assert_eq!(huge.filled(huge.length()), Some(huge));
        assert_eq!(Chunk::of(&[segment(1); SEGMENTS_MAX + 1]), None);
    }

    #[test]
    fn chunks_of_a_read_list_are_told_apart_by_position() {
        let list = |positions: &[u32]| {
            let mut list = ReadList::default();
            positions.iter().try_for_each(|position| {
                list.push(ReadSegment { position: *position, target: segment(8) })
            })?;
            Ok(list)
        };
        let found: ReadList = list(&[0, 96, 0, 96, 96]).expect("a stream and data of it");
        let count = |chunk: Chunk| chunk.segments().len();
        assert_eq!(
            (found.stream.map(count), found.data.map(|(at, chunk)| (at, count(chunk)))),
            (Some(2), Some((96, 3)))
        );
        assert_eq!(list(&[]), Ok(ReadList::default()));
        assert_eq!(list(&[96, 100]), Err(Error::Bound));
        assert_eq!(list(&[97]), Err(Error::Value));
        assert_eq!(list(&[0; SEGMENTS_MAX + 1]), Err(Error::Bound));
    }
}
