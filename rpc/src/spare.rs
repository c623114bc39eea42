//! Buffers for the heads of calls and replies, used again on their core, so that in steady state no message allocates one.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Bytes of a buffer at first: the head of nearly every call and reply fits.
const FIRST_BYTES: usize = 1024;

/// Larger ones are not kept.
const KEPT_BYTES_MAX: usize = 4 * FIRST_BYTES;

/// Buffers that a core keeps: as many as a crowd of requests has in use at one time, and 4 MiB at most.
const KEPT_MAX: usize = 1024;

thread_local! {
    static KEPT: RefCell<Vec<BytesMut>> = const { RefCell::new(Vec::new()) };
}

/// An empty buffer for a head that is likely to have so many bytes; it grows when it must.
pub fn take_head(bytes: usize) -> BytesMut {
    let kept = if bytes > KEPT_BYTES_MAX { None } else { KEPT.with_borrow_mut(Vec::pop) };
    let mut head = kept.unwrap_or_else(|| shareable(BytesMut::with_capacity(bytes.max(FIRST_BYTES))));
    head.reserve(bytes);
    head
}

/// Gives a buffer the count of its owners for good, so that freezing and cutting it later allocate nothing.
fn shareable(mut head: BytesMut) -> BytesMut {
    drop(head.split_off(head.capacity()));
    head
}

/// Keeps what [`take_head`] gave, or what is left of it, for the next one, unless somebody still has a part of it.
pub fn keep_head(mut head: BytesMut) {
    head.clear();
    if head.try_reclaim(FIRST_BYTES) && head.capacity() <= KEPT_BYTES_MAX {
        KEPT.with_borrow_mut(|kept| {
            if kept.len() < KEPT_MAX {
                kept.push(head);
            }
        });
    }
}

/// The same of one that was frozen.
pub fn keep_frozen_head(head: Bytes) {
    if let Ok(head) = head.try_into_mut() {
        keep_head(head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept() -> usize {
        KEPT.with_borrow(Vec::len)
    }

    #[test]
    fn heads_come_back_whole_and_only_when_nobody_has_them() {
        let mut head = take_head(100);
        let at = head.as_ptr();
        head.extend_from_slice(&[1; 100]);
        let front = head.split_to(40);
        let head = head.freeze();
        keep_frozen_head(head.clone());
        assert_eq!(kept(), 0, "it is still in use");
        drop(front);
        keep_frozen_head(head);
        assert_eq!(kept(), 1);
        let head = take_head(FIRST_BYTES);
        assert!(head.is_empty() && head.capacity() >= FIRST_BYTES);
        assert_eq!((head.as_ptr(), kept()), (at, 0));
        keep_head(head);
        keep_head(take_head(KEPT_BYTES_MAX + 1));
        assert_eq!(kept(), 1, "what is long goes back to the allocator");
    }
}
