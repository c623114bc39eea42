//! The addresses of a buffer's pieces, as the kernel wants them.

use std::ops::Range;

use buf::{IoBuffer, IoBufferMut};

/// Longest I/O vector the kernel takes (UIO_MAXIOV). What is beyond makes the transfer short.
const PIECES_MAX: usize = 1024;

/// Longest transfer of one call (MAX_RW_COUNT).
pub(crate) const TRANSFER_BYTES_MAX: usize = i32::MAX as usize & !4095;

/// Collects pieces that lie in a range of the buffer.
struct Collector {
    range: Range<usize>,
    position: usize,
    pieces: Vec<libc::iovec>,
}

impl Collector {
    fn new(range: Range<usize>) -> Self {
        Self { range, position: 0, pieces: Vec::with_capacity(1) }
    }

    fn add(&mut self, address: *mut u8, length: usize) {
        let start = self.range.start.saturating_sub(self.position).min(length);
        let end = self.range.end.saturating_sub(self.position).min(length);
        self.position += length;
        if start < end && self.pieces.len() < PIECES_MAX {
            let iov_base = address.wrapping_add(start).cast();
            self.pieces.push(libc::iovec { iov_base, iov_len: end - start });
        }
    }
}

/// The pieces of a buffer's range, to be read by the kernel.
pub(crate) fn to_read<B: IoBuffer>(buffer: &B, range: Range<usize>) -> Vec<libc::iovec> {
    let mut collector = Collector::new(range);
    buffer.pieces(&mut |piece| collector.add(piece.as_ptr().cast_mut(), piece.len()));
    collector.pieces
}

/// The pieces of a buffer's range, to be written by the kernel.
///
/// Panics when the range is not inside the buffer: the caller would wait for bytes that have no place.
pub(crate) fn to_write<B: IoBufferMut>(buffer: &mut B, range: Range<usize>) -> Vec<libc::iovec> {
    assert!(range.start <= range.end && range.end <= buffer.length(), "the range is inside the buffer");
    let mut collector = Collector::new(range);
    buffer.pieces_mut(&mut |piece| collector.add(piece.as_mut_ptr(), piece.len()));
    collector.pieces
}

/// The only piece, if there is only one (or none) and it fits one call.
pub(crate) fn single(pieces: &[libc::iovec]) -> Option<(*mut u8, u32)> {
    match pieces {
        [] => Some((std::ptr::null_mut(), 0)),
        [piece] if piece.iov_len <= TRANSFER_BYTES_MAX => Some((piece.iov_base.cast(), piece.iov_len as u32)),
        _ => None,
    }
}

/// A message of these pieces.
pub(crate) fn message(pieces: &mut [libc::iovec]) -> libc::msghdr {
    libc::msghdr {
        msg_name: std::ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: pieces.as_mut_ptr(),
        msg_iovlen: pieces.len() as _,
        msg_control: std::ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    }
}
