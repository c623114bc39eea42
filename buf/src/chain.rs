//! Blocks, and payloads made of them.

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use crate::pool::Inner;
use crate::region::Span;

/// A page-aligned piece of a region, lent by a [`Pool`](crate::Pool). Dropping it gives it back.
pub struct Block {
    /// Empty only while being dropped.
    span: Option<Span>,
    class: usize,
    pool: Rc<Inner>,
}

impl Block {
    pub(crate) fn new(span: Span, class: usize, pool: Rc<Inner>) -> Self {
        Self { span: Some(span), class, pool }
    }

    /// All its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.span.as_ref().expect("a living block has its memory").as_slice()
    }

    /// All its bytes, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.span.as_mut().expect("a living block has its memory").as_mut_slice()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let span = self.span.take().expect("a block is dropped once");
        self.pool.give_back(span, self.class);
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Block").field("bytes", &self.as_slice().len()).finish()
    }
}

/// One payload: a range of the bytes of one or several blocks laid end to end.
///
/// Every block starts and ends at a page boundary, so where the first byte has the file offset's place within
/// a page, all others have too.
pub struct Chain {
    /// Most chains have one block, and no list of them costs an allocation.
    first: Option<Block>,
    more: Vec<Block>,
    start: usize,
    length: usize,
}

impl Chain {
    /// A payload of `length` bytes from `start` on in blocks that are still to be added.
    pub(crate) fn new(start: usize, length: usize) -> Self {
        Self { first: None, more: Vec::new(), start, length }
    }

    pub(crate) fn push(&mut self, block: Block) {
        match &self.first {
            None => self.first = Some(block),
            Some(_) => self.more.push(block),
        }
    }

    fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.first.iter().chain(&self.more)
    }

    /// Payload bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there is no payload.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Makes the payload the given range of what it was. The blocks stay.
    ///
    /// Panics when the range is not inside the payload.
    pub fn narrow(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end && range.end <= self.length, "a payload only gets narrower");
        self.start += range.start;
        self.length = range.end - range.start;
    }

    /// Makes the payload longer: by `before` bytes in front and `after` behind, which are whatever the last owner left
    /// there. Where the blocks have no room it stays as it is, and the answer is no.
    pub fn widen(&mut self, before: usize, after: usize) -> bool {
        let room: usize = self.blocks().map(|block| block.as_slice().len()).sum();
        if before > self.start || after > room - self.start - self.length {
            return false;
        }
        self.start -= before;
        self.length += before + after;
        true
    }

    /// Cuts the payload down to its first `length` bytes; no effect when it is shorter.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// The payload's pieces, in order; none is empty.
    pub fn as_slices(&self) -> impl Iterator<Item = &[u8]> {
        let (mut skip, mut rest) = (self.start, self.length);
        self.blocks().filter_map(move |block| {
            let bytes = block.as_slice();
            let range = window(bytes.len(), &mut skip, &mut rest)?;
            Some(&bytes[range])
        })
    }

    /// The payload's pieces, in order, to be changed; none is empty.
    pub fn as_mut_slices(&mut self) -> impl Iterator<Item = &mut [u8]> {
        let (mut skip, mut rest) = (self.start, self.length);
        self.first.iter_mut().chain(&mut self.more).filter_map(move |block| {
            let bytes = block.as_mut_slice();
            let range = window(bytes.len(), &mut skip, &mut rest)?;
            Some(&mut bytes[range])
        })
    }

    /// The payload as an I/O vector for a call made at once.
    pub fn io_slices(&self) -> Vec<std::io::IoSlice<'_>> {
        self.as_slices().map(std::io::IoSlice::new).collect()
    }

    /// Copies bytes to the payload's position `at`: for the few that arrive together with a head.
    ///
    /// Panics when they do not fit.
    pub fn copy_from(&mut self, at: usize, bytes: &[u8]) {
        assert!(at + bytes.len() <= self.length, "the bytes fit the payload");
        let (mut skip, mut rest) = (at, bytes);
        for piece in self.as_mut_slices() {
            let mut room = rest.len();
            if let Some(range) = window(piece.len(), &mut skip, &mut room) {
                let (now, later) = rest.split_at(range.len());
                piece[range].copy_from_slice(now);
                rest = later;
            }
        }
    }

    /// A copy of the payload, for tests and for what is small.
    pub fn to_vec(&self) -> Vec<u8> {
        self.as_slices().flatten().copied().collect()
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Chain");
        shown.field("blocks", &self.blocks().count()).field("length", &self.length).finish()
    }
}

/// The part of a piece of `bytes` bytes that is left after skipping `skip` and within the next `rest` bytes.
fn window(bytes: usize, skip: &mut usize, rest: &mut usize) -> Option<Range<usize>> {
    let start = (*skip).min(bytes);
    *skip -= start;
    let length = (bytes - start).min(*rest);
    *rest -= length;
    (length > 0).then_some(start..start + length)
}

#[cfg(test)]
mod tests {
    use crate::{PAGE_BYTES, Pool};

    #[test]
    fn payloads_over_several_blocks_keep_their_place_in_the_page() {
        let pool = Pool::new(4 << 20).unwrap();
        let mut chain = pool.take(3 << 20, 100).unwrap();
        let bytes: Vec<u8> = (0..3 << 20).map(|index: usize| (index % 251) as u8).collect();
        chain.copy_from(0, &bytes);
        let mut position = 100;
        for slice in chain.as_slices() {
            assert_eq!(slice.as_ptr() as usize % PAGE_BYTES, position % PAGE_BYTES);
            position += slice.len();
        }
        assert_eq!(chain.to_vec(), bytes);

        chain.narrow(1_500_000..2_500_000);
        assert_eq!(chain.to_vec(), &bytes[1_500_000..2_500_000]);
        chain.truncate(10);
        assert_eq!(chain.to_vec(), &bytes[1_500_000..1_500_010]);
        chain.copy_from(3, b"abc");
        assert_eq!(&chain.to_vec()[3..6], b"abc");

        assert!(!chain.widen(1_500_101, 0) && !chain.widen(0, 4 << 20));
        assert!(chain.widen(1_500_000, 990));
        assert_eq!(chain.to_vec()[..10], bytes[..10]);
        assert_eq!(chain.len(), 1_501_000);
    }
}
