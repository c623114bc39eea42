//! The addresses of a buffer's pieces, as the kernel wants them.

use std::cell::RefCell;
use std::ops::Range;

use buf::{IoBuffer, IoBufferMut};

/// Longest I/O vector the kernel takes (UIO_MAXIOV). What is beyond makes the transfer short.
const PIECES_MAX: usize = 1024;

/// Pieces that lie inside the operation: those of a few replies that leave together. More are on the heap.
const PIECES_INLINE: usize = 16;

/// Lists on the heap that a thread keeps for its next operations: as many sends as are usually under way at a time, and with
/// [`PIECES_MAX`] pieces each a mebibyte.
const SPARES_MAX: usize = 64;

thread_local! {
    static SPARES: RefCell<Vec<Vec<libc::iovec>>> = const { RefCell::new(Vec::new()) };
}

/// Longest transfer of one call (MAX_RW_COUNT).
pub(crate) const TRANSFER_BYTES_MAX: usize = i32::MAX as usize & !4095;

/// A list of pieces, and the message of them. Both are where the value is, which the kernel may read as long as it stays
/// there.
pub(crate) struct Pieces {
    inline: [libc::iovec; PIECES_INLINE],
    /// All of them once they are more than [`PIECES_INLINE`].
    many: Vec<libc::iovec>,
    count: usize,
    message: libc::msghdr,
}

impl Default for Pieces {
    fn default() -> Self {
        let none = libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 };
        let message = libc::msghdr {
            msg_name: std::ptr::null_mut(),
            msg_namelen: 0,
            msg_iov: std::ptr::null_mut(),
            msg_iovlen: 0,
            msg_control: std::ptr::null_mut(),
            msg_controllen: 0,
            msg_flags: 0,
        };
        Self { inline: [none; PIECES_INLINE], many: Vec::new(), count: 0, message }
    }
}

impl Pieces {
    /// The pieces.
    pub(crate) fn as_slice(&self) -> &[libc::iovec] {
        if self.many.is_empty() { &self.inline[..self.count] } else { &self.many }
    }

    /// The only piece, if there is only one (or none) and it fits one call.
    pub(crate) fn single(&self) -> Option<(*mut u8, u32)> {
        match self.as_slice() {
            [] => Some((std::ptr::null_mut(), 0)),
            [piece] if piece.iov_len <= TRANSFER_BYTES_MAX => {
                Some((piece.iov_base.cast(), piece.iov_len as u32))
            }
            _ => None,
        }
    }

    /// The message of the pieces, good while the value stays where it is and is not changed.
    pub(crate) fn message(&mut self) -> *mut libc::msghdr {
        self.message.msg_iov = self.as_slice().as_ptr().cast_mut();
        self.message.msg_iovlen = self.count as _;
        &raw mut self.message
    }

    fn push(&mut self, piece: libc::iovec) {
        match self.inline.get_mut(self.count) {
            Some(place) => *place = piece,
            None => {
                if self.many.is_empty() {
                    self.many = SPARES.with_borrow_mut(Vec::pop).unwrap_or_default();
                    self.many.extend_from_slice(&self.inline);
                }
                self.many.push(piece);
            }
        }
        self.count += 1;
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if self.many.is_empty() {
            return;
        }
        self.many.clear();
        let many = std::mem::take(&mut self.many);
        // Fails when the thread is ending.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARES_MAX {
                spares.push(many);
            }
        });
    }
}

/// Collects pieces that lie in a range of the buffer.
struct Collector<'a> {
    range: Range<usize>,
    position: usize,
    pieces: &'a mut Pieces,
}

impl<'a> Collector<'a> {
    fn new(range: Range<usize>, pieces: &'a mut Pieces) -> Self {
        Self { range, position: 0, pieces }
    }

    fn add(&mut self, address: *mut u8, length: usize) {
        let start = self.range.start.saturating_sub(self.position).min(length);
        let end = self.range.end.saturating_sub(self.position).min(length);
        self.position += length;
        if start < end && self.pieces.count < PIECES_MAX {
            let iov_base = address.wrapping_add(start).cast();
            self.pieces.push(libc::iovec { iov_base, iov_len: end - start });
        }
    }
}

/// Notes the pieces of a buffer's range, to be read by the kernel.
pub(crate) fn to_read<B: IoBuffer>(buffer: &B, range: Range<usize>, pieces: &mut Pieces) {
    let mut collector = Collector::new(range, pieces);
    buffer.pieces(&mut |piece| collector.add(piece.as_ptr().cast_mut(), piece.len()));
}

/// Notes the pieces of a buffer's range, to be written by the kernel.
///
/// Panics when the range is not inside the buffer: the caller would wait for bytes that have no place.
pub(crate) fn to_write<B: IoBufferMut>(buffer: &mut B, range: Range<usize>, pieces: &mut Pieces) {
    assert!(range.start <= range.end && range.end <= buffer.length(), "the range is inside the buffer");
    let mut collector = Collector::new(range, pieces);
    buffer.pieces_mut(&mut |piece| collector.add(piece.as_mut_ptr(), piece.len()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_used_again() {
        let listed = |count: usize| {
            let mut pieces = Pieces::default();
            to_read(&vec![vec![7_u8; 10]; count], 0..10 * count, &mut pieces);
            pieces
        };
        drop((listed(300), listed(200)));
        let (first, second, third) = (listed(20), listed(20), listed(20));
        let capacities = [&first, &second, &third].map(|pieces| pieces.many.capacity());
        assert!(capacities[0] >= 200 && capacities[1] >= 200 && capacities[2] < 200, "{capacities:?}");
        assert_eq!(first.as_slice().len(), 20);
    }

    #[test]
    fn pieces_keep_their_order_inline_and_beyond() {
        for count in [0, 1, PIECES_INLINE, PIECES_INLINE + 1, 5 * PIECES_INLINE] {
            let buffers = vec![vec![7_u8; 10]; count];
            let mut pieces = Pieces::default();
            to_read(&buffers, 3..10 * count, &mut pieces);
            let expected: Vec<_> = buffers.iter().map(|buffer| buffer.as_ptr() as usize).collect();
            let found: Vec<_> = pieces.as_slice().iter().map(|piece| piece.iov_base as usize).collect();
            let lengths: usize = pieces.as_slice().iter().map(|piece| piece.iov_len).sum();
            assert_eq!(lengths, (10 * count).saturating_sub(3));
            assert_eq!(found.len(), count);
            if let (Some(first), [found, rest @ ..]) = (expected.first(), &found[..]) {
                assert_eq!((*found, rest), (first + 3, &expected[1..]));
            }
            let is_single = pieces.single().is_some();
            assert_eq!(is_single, count <= 1);
            let first = pieces.as_slice().as_ptr();
            pieces.message();
            let message = &pieces.message;
            assert_eq!((message.msg_iov.cast_const(), message.msg_iovlen), (first, count as _));
        }
    }
}
