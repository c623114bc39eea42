//! What may be lent to the kernel.
//!
//! UNSAFETY: the two traits promise that memory stays where it is while the value that owns it is moved about,
//! which the compiler cannot check; the implementations here argue it. There is no other unsafe code here.
#![allow(unsafe_code)]

use std::ops::Range;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use crate::{Block, Chain};

/// Memory that the kernel may read while the engine owns the value.
///
/// # Safety
///
/// The pieces' addresses, lengths and order stay the same from one call to the next, also when the value is
/// moved in between, until something is done to the value through a `&mut`; the memory lives as long as the
/// value.
pub unsafe trait IoBuffer: 'static {
    /// Bytes of all pieces.
    fn length(&self) -> usize;

    /// Shows each piece in order.
    fn pieces(&self, visit: &mut dyn FnMut(&[u8]));
}

/// Memory that the kernel may write while the engine owns the value.
///
/// # Safety
///
/// As for [`IoBuffer`]; besides, the pieces shown here are those that `pieces` shows, nobody but the value's
/// owner can reach them, and any bytes are valid in them.
pub unsafe trait IoBufferMut: IoBuffer {
    /// Shows each piece in order.
    fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8]));
}

/// Implements the traits for a type that has one piece, as its slice view.
macro_rules! one_piece {
    ($($type:ty),*) => {$(
        // SAFETY: the bytes are on the heap (or static), owned or kept alive by the value, and moving the value
        // moves only the pointer.
        unsafe impl IoBuffer for $type {
            fn length(&self) -> usize {
                self.len()
            }

            fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
                visit(self);
            }
        }
    )*};
}

one_piece!(Vec<u8>, Box<[u8]>, Bytes, BytesMut, &'static [u8]);

/// Implements the writable trait for a type that has one piece.
macro_rules! one_piece_mut {
    ($($type:ty),*) => {$(
        // SAFETY: as for IoBuffer; the value is the only owner of the bytes, and it shows the same ones.
        unsafe impl IoBufferMut for $type {
            fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8])) {
                visit(self);
            }
        }
    )*};
}

one_piece_mut!(Vec<u8>, Box<[u8]>, BytesMut);

// SAFETY: a block's memory is in its region, kept alive and in place by the block.
unsafe impl IoBuffer for Block {
    fn length(&self) -> usize {
        self.as_slice().len()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.as_slice());
    }
}

// SAFETY: as above; a block is the only owner of its memory.
unsafe impl IoBufferMut for Block {
    fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8])) {
        visit(self.as_mut_slice());
    }
}

// SAFETY: a chain owns its blocks, see there.
unsafe impl IoBuffer for Chain {
    fn length(&self) -> usize {
        self.len()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        self.as_slices().for_each(visit);
    }
}

// SAFETY: a chain owns its blocks, see there, and shows the same pieces both ways.
unsafe impl IoBufferMut for Chain {
    fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8])) {
        self.as_mut_slices().for_each(visit);
    }
}

// SAFETY: each element keeps its promise, and the order is the list's.
unsafe impl<B: IoBuffer> IoBuffer for Vec<B> {
    fn length(&self) -> usize {
        self.iter().map(IoBuffer::length).sum()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        self.iter().for_each(|buffer| buffer.pieces(visit));
    }
}

/// A part of a message: bytes, or payload.
#[derive(Debug)]
pub enum Piece {
    /// Bytes on the heap.
    Bytes(BytesMut),
    /// Bytes on the heap that others have too.
    Shared(Bytes),
    /// Payload memory.
    Chain(Chain),
}

// SAFETY: what it holds keeps its promise, and which of the three that is changes only through a `&mut`.
unsafe impl IoBuffer for Piece {
    fn length(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.length(),
            Self::Shared(bytes) => bytes.length(),
            Self::Chain(chain) => chain.length(),
        }
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        match self {
            Self::Bytes(bytes) => bytes.pieces(visit),
            Self::Shared(bytes) => bytes.pieces(visit),
            Self::Chain(chain) => chain.pieces(visit),
        }
    }
}

// SAFETY: the boxed value keeps its promise.
unsafe impl IoBuffer for Box<dyn IoBuffer> {
    fn length(&self) -> usize {
        (**self).length()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        (**self).pieces(visit);
    }
}

// SAFETY: the value keeps its promise, and nothing is done to it through a `&mut` while there is another owner.
unsafe impl<B: IoBuffer> IoBuffer for Rc<B> {
    fn length(&self) -> usize {
        (**self).length()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        (**self).pieces(visit);
    }
}

// SAFETY: both keep their promise, and the order is fixed.
unsafe impl<A: IoBuffer, B: IoBuffer> IoBuffer for (A, B) {
    fn length(&self) -> usize {
        self.0.length() + self.1.length()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        self.0.pieces(visit);
        self.1.pieces(visit);
    }
}

// SAFETY: both keep their promise, in the same order as above.
unsafe impl<A: IoBufferMut, B: IoBufferMut> IoBufferMut for (A, B) {
    fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8])) {
        self.0.pieces_mut(visit);
        self.1.pieces_mut(visit);
    }
}

/// A range of a buffer, as a buffer.
#[derive(Debug)]
pub struct Slice<B> {
    buffer: B,
    range: Range<usize>,
}

impl<B: IoBuffer> Slice<B> {
    /// The given range of `buffer`'s bytes.
    ///
    /// Panics when the range is not inside the buffer.
    pub fn new(buffer: B, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= buffer.length(), "the range is inside the buffer");
        Self { buffer, range }
    }

    /// The whole buffer again.
    pub fn into_inner(self) -> B {
        self.buffer
    }
}

/// The part of a piece at `position` of the given length that lies in `range`.
fn overlap(position: usize, length: usize, range: &Range<usize>) -> Option<Range<usize>> {
    let start = range.start.saturating_sub(position).min(length);
    let end = range.end.saturating_sub(position).min(length);
    (start < end).then_some(start..end)
}

// SAFETY: the range does not change, and the buffer keeps its promise.
unsafe impl<B: IoBuffer> IoBuffer for Slice<B> {
    fn length(&self) -> usize {
        self.range.len()
    }

    fn pieces(&self, visit: &mut dyn FnMut(&[u8])) {
        let mut position = 0;
        self.buffer.pieces(&mut |piece| {
            if let Some(part) = overlap(position, piece.len(), &self.range) {
                visit(&piece[part]);
            }
            position += piece.len();
        });
    }
}

// SAFETY: as above, with the same parts of the same pieces.
unsafe impl<B: IoBufferMut> IoBufferMut for Slice<B> {
    fn pieces_mut(&mut self, visit: &mut dyn FnMut(&mut [u8])) {
        let mut position = 0;
        let range = self.range.clone();
        self.buffer.pieces_mut(&mut |piece| {
            let length = piece.len();
            if let Some(part) = overlap(position, length, &range) {
                visit(&mut piece[part]);
            }
            position += length;
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(buffer: &dyn IoBuffer) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        buffer.pieces(&mut |piece| pieces.push(piece.to_vec()));
        pieces
    }

    #[test]
    fn slices_cut_through_pieces() {
        let parts = vec![b"abc".to_vec(), b"".to_vec(), b"defg".to_vec()];
        assert_eq!(text(&Slice::new(parts.clone(), 1..5)), [b"bc".to_vec(), b"de".to_vec()]);
        assert_eq!(text(&Slice::new(parts.clone(), 3..4)), [b"d".to_vec()]);
        assert_eq!(text(&Slice::new(parts, 7..7)), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn lists_of_different_buffers_are_buffers() {
        let list: Vec<Box<dyn IoBuffer>> =
            vec![Box::new(b"ab".to_vec()), Box::new(Bytes::from_static(b"cd"))];
        assert_eq!(list.length(), 4);
        assert_eq!(text(&(list, b"e".to_vec())), [b"ab".to_vec(), b"cd".to_vec(), b"e".to_vec()]);
    }
}
