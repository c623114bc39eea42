//! Messages that wait to be sent on one connection.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use buf::IoBuffer;
use bytes::{BufMut, BytesMut};

use crate::{
    Message,
    limits::{BATCH_BYTES_MAX, BATCH_PIECES_MAX, BATCH_REPLIES_MAX, COALESCE_MAX},
};

/// The bit of a record mark that says "last fragment" (RFC 5531 §11).
const LAST_FRAGMENT: u32 = 1 << 31;

/// Messages in the order in which they leave.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: RefCell<VecDeque<Message>>,
    bytes: Cell<usize>,
}

/// Messages that leave with one system call: their marks, heads and bulk data in order.
pub(crate) struct Batch {
    pub(crate) pieces: Vec<Box<dyn IoBuffer>>,
    /// Bytes of all pieces.
    pub(crate) length: usize,
    /// Whether payload memory is among the pieces.
    pub(crate) holds_memory: bool,
}

impl Outbox {
    /// Queues a message.
    pub(crate) fn push(&self, message: Message) {
        self.bytes.update(|bytes| bytes + message.length());
        self.queue.borrow_mut().push_back(message);
    }

    /// Bytes queued, without those in the batch that is being sent.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.borrow().is_empty()
    }

    /// Forgets everything that is queued.
    pub(crate) fn clear(&self) {
        // Taken out first: dropping a chain wakes others.
        let queue = self.queue.take();
        self.bytes.set(0);
        drop(queue);
    }

    /// Everything that is queued, up to what one system call takes; at least one message unless none is
    /// queued.
    pub(crate) fn take_batch(&self) -> Batch {
        let mut queue = self.queue.borrow_mut();
        let mut builder = Builder::default();
        for _ in 0..BATCH_REPLIES_MAX {
            if builder.pieces_count >= BATCH_PIECES_MAX || builder.length >= BATCH_BYTES_MAX {
                break;
            }
            let Some(message) = queue.pop_front() else { break };
            self.bytes.update(|bytes| bytes - message.length());
            builder.message(message);
        }
        builder.finish()
    }
}

#[derive(Default)]
struct Builder {
    /// Marks and short heads, laid end to end.
    text: BytesMut,
    pieces: Vec<Box<dyn IoBuffer>>,
    /// Entries of the kernel's vector: a chain of several blocks is several.
    pieces_count: usize,
    length: usize,
    holds_memory: bool,
}

impl Builder {
    fn message(&mut self, message: Message) {
        let length = u32::try_from(message.length()).expect("a message is bounded far below 2 GiB");
        debug_assert!(length < LAST_FRAGMENT, "a message is bounded far below 2 GiB");
        self.length += 4 + message.length();
        self.text.put_u32(LAST_FRAGMENT | length);
        let mut head = message.head;
        let mut position = 0;
        for insert in message.inserts {
            let before = head.split_to(insert.position - position);
            position = insert.position;
            self.head(before);
            if !insert.data.is_empty() {
                self.flush();
                self.holds_memory = true;
                self.pieces_count += insert.data.as_slices().count();
                self.pieces.push(Box::new(insert.data));
            }
        }
        self.head(head);
    }

    fn head(&mut self, part: BytesMut) {
        if part.len() <= COALESCE_MAX {
            self.text.extend_from_slice(&part);
        } else {
            self.flush();
            self.pieces_count += 1;
            self.pieces.push(Box::new(part));
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces_count += 1;
            self.pieces.push(Box::new(self.text.split()));
        }
    }

    fn finish(mut self) -> Batch {
        self.flush();
        Batch { pieces: self.pieces, length: self.length, holds_memory: self.holds_memory }
    }
}

#[cfg(test)]
mod tests {
    use buf::Pool;
    use rpc::Insert;

    use super::*;

    fn flat(batch: &Batch) -> Vec<u8> {
        let mut bytes = Vec::new();
        batch.pieces.pieces(&mut |piece| bytes.extend_from_slice(piece));
        assert_eq!(bytes.len(), batch.length);
        bytes
    }

    #[test]
    fn marks_heads_and_chains_stand_in_order() {
        let pool = Pool::new(4 << 20).expect("memory");
        let mut chain = pool.take(3, 0).expect("free");
        chain.copy_from(0, b"xyz");
        let outbox = Outbox::default();
        outbox.push(Message::new(BytesMut::from(&b"one"[..])));
        outbox.push(Message {
            head: BytesMut::from(&b"abcd"[..]),
            inserts: vec![Insert { position: 2, data: chain }],
        });
        outbox.push(Message::new(BytesMut::from(&[7; COALESCE_MAX + 1][..])));
        assert_eq!(outbox.bytes(), 3 + 7 + COALESCE_MAX + 1);
        let batch = outbox.take_batch();
        let mut expected = b"\x80\0\0\x03one\x80\0\0\x07abxyzcd\x80\0\x10\x01".to_vec();
        expected.extend([7; COALESCE_MAX + 1]);
        assert_eq!(flat(&batch), expected);
        assert!(batch.holds_memory && outbox.is_empty() && outbox.bytes() == 0);
        assert_eq!(batch.pieces.len(), 4, "text, chain, text, long head");
    }

    #[test]
    fn a_batch_is_bounded() {
        let outbox = Outbox::default();
        for _ in 0..BATCH_REPLIES_MAX + 1 {
            outbox.push(Message::new(BytesMut::from(&b"reply"[..])));
        }
        assert_eq!(outbox.take_batch().length, 9 * BATCH_REPLIES_MAX);
        assert_eq!(outbox.take_batch().length, 9);
    }
}
