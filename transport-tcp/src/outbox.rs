//! Messages that wait to be sent on one connection.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use buf::{Chain, Piece, Piped};
use bytes::{BufMut, Bytes, BytesMut};
use rpc::{Bulk, Inserts};

use crate::{
    Message,
    limits::{BATCH_BYTES_MAX, BATCH_PIECES_MAX, BATCH_REPLIES_MAX, COALESCE_MAX},
    marks::with_marks,
    pieces::Pieces,
};

/// The bit of a record mark that says "last fragment" (RFC 5531 §11).
const LAST_FRAGMENT: u32 = 1 << 31;

/// Bytes of marks and short heads that are laid end to end in one buffer: room for the longest of these heads.
const TEXT_BYTES: usize = COALESCE_MAX;

/// Messages in the order in which they leave.
#[derive(Default)]
pub(crate) struct Outbox {
    queue: RefCell<VecDeque<Message>>,
    /// What of a message follows the piped data that the last batch ended with.
    begun: RefCell<Option<Rest>>,
    bytes: Cell<usize>,
    memory: Cell<usize>,
    /// Whether bulk data leaves as fragments of its own.
    pub(crate) fragment_bulk: Cell<bool>,
}

/// What leaves together: the marks, heads and chains of messages in order, and behind them one pipe at the most. A batch
/// may end within a message, which the next one goes on with.
pub(crate) struct Batch {
    pub(crate) pieces: Pieces,
    /// Bytes of all pieces.
    pub(crate) length: usize,
    /// Bytes of the chains among them.
    pub(crate) memory: usize,
    /// What follows the pieces.
    pub(crate) piped: Option<Piped>,
    /// Whether it goes on with a message that the batch before began.
    pub(crate) goes_on: bool,
    /// Whether something is queued that follows it.
    pub(crate) more: bool,
}

/// A message, or what is left of it.
struct Rest {
    head: BytesMut,
    /// Where in the message's head `head` begins.
    position: usize,
    inserts: <Inserts as IntoIterator>::IntoIter,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.head.is_empty() && self.inserts.as_slice().iter().all(|insert| insert.data.is_empty())
    }
}

impl Outbox {
    /// Queues a message.
    pub(crate) fn push(&self, message: Message) {
        self.bytes.update(|bytes| bytes + message.length());
        self.memory.update(|bytes| bytes + message.memory());
        self.queue.borrow_mut().push_back(message);
    }

    /// Bytes queued, without those in the batch that is being sent.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.get()
    }

    /// Whether payload memory is queued.
    pub(crate) fn holds_memory(&self) -> bool {
        self.memory.get() > 0
    }

    /// Whether nothing is queued.
    pub(crate) fn is_empty(&self) -> bool {
        !self.is_begun() && self.queue.borrow().is_empty()
    }

    /// Whether the last batch ended within a message.
    pub(crate) fn is_begun(&self) -> bool {
        self.begun.borrow().is_some()
    }

    /// Forgets everything that is queued.
    pub(crate) fn clear(&self) {
        // Taken out first: dropping a chain wakes others.
        let (queue, begun) = (self.queue.take(), self.begun.take());
        self.bytes.set(0);
        self.memory.set(0);
        drop((queue, begun));
    }

    /// Everything that is queued, up to what one system call takes or to the first that lies in a pipe; at least one
    /// message unless none is queued.
    pub(crate) fn take_batch(&self) -> Batch {
        let mut queue = self.queue.borrow_mut();
        let mut builder = Builder { fragment_bulk: self.fragment_bulk.get(), ..Builder::default() };
        let mut begun = self.begun.borrow_mut();
        if let Some(rest) = begun.take() {
            builder.goes_on = true;
            *begun = builder.part(rest);
        }
        for _ in 0..BATCH_REPLIES_MAX {
            if builder.is_full() {
                break;
            }
            let Some(message) = queue.pop_front() else { break };
            self.bytes.update(|bytes| bytes - message.length());
            if let Some(rest) = builder.message(message) {
                *begun = Some(rest);
            }
        }
        self.memory.update(|bytes| bytes - builder.memory);
        builder.finish(begun.is_some() || !queue.is_empty())
    }
}

#[derive(Default)]
struct Builder {
    /// Marks and short heads, laid end to end.
    text: BytesMut,
    pieces: Pieces,
    /// Entries of the kernel's vector: a chain of several blocks is several.
    pieces_count: usize,
    length: usize,
    memory: usize,
    piped: Option<Piped>,
    goes_on: bool,
    fragment_bulk: bool,
}

impl Builder {
    /// Adds a message, up to what lies in a pipe; answers what is left.
    fn message(&mut self, message: Message) -> Option<Rest> {
        let length = u32::try_from(message.length()).expect("a message is bounded far below 2 GiB");
        debug_assert!(length < LAST_FRAGMENT, "a message is bounded far below 2 GiB");
        let message = if self.fragment_bulk && message.inserts.iter().any(|insert| !insert.data.is_empty()) {
            with_marks(message)
        } else {
            self.length += 4;
            self.text(4).put_u32(LAST_FRAGMENT | length);
            message
        };
        let Message { head, inserts } = message;
        self.part(Rest { head, position: 0, inserts: inserts.into_iter() })
    }

    fn part(&mut self, mut rest: Rest) -> Option<Rest> {
        while let Some(insert) = rest.inserts.next() {
            let before = rest.head.split_to(insert.position - rest.position);
            rest.position = insert.position;
            self.head(before);
            match insert.data {
                data if data.is_empty() => {}
                Bulk::Chain(chain) => self.chain(chain),
                Bulk::Shared(bytes) => self.shared(bytes),
                Bulk::Piped(piped) => {
                    self.piped = Some(piped);
                    if rest.is_empty() {
                        rpc::keep_head(rest.head);
                        return None;
                    }
                    return Some(rest);
                }
            }
        }
        self.head(rest.head);
        None
    }

    fn is_full(&self) -> bool {
        self.piped.is_some() || self.pieces_count >= BATCH_PIECES_MAX || self.length >= BATCH_BYTES_MAX
    }

    fn chain(&mut self, chain: Chain) {
        self.flush();
        self.length += chain.len();
        self.memory += chain.len();
        self.pieces_count += chain.as_slices().count();
        self.pieces.push(Piece::Chain(chain));
    }

    fn shared(&mut self, bytes: Bytes) {
        self.flush();
        self.length += bytes.len();
        self.pieces_count += 1;
        self.pieces.push(Piece::Shared(bytes));
    }

    fn head(&mut self, part: BytesMut) {
        self.length += part.len();
        if part.is_empty() {
            rpc::keep_head(part);
        } else if part.len() <= COALESCE_MAX {
            self.text(part.len()).extend_from_slice(&part);
            // Succeeds with a message's last part; the others are only parts of it.
            rpc::keep_head(part);
        } else {
            self.flush();
            self.pieces_count += 1;
            self.pieces.push(Piece::Bytes(part));
        }
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.pieces_count += 1;
            self.pieces.push(Piece::Bytes(std::mem::take(&mut self.text)));
        }
    }

    /// Where the next `length` bytes of text go.
    fn text(&mut self, length: usize) -> &mut BytesMut {
        if self.text.len() + length > TEXT_BYTES {
            self.flush();
        }
        if self.text.capacity() == 0 {
            self.text = rpc::take_head(TEXT_BYTES);
        }
        &mut self.text
    }

    fn finish(mut self, more: bool) -> Batch {
        self.flush();
        let Self { pieces, length, memory, piped, goes_on, .. } = self;
        Batch { pieces, length, memory, piped, goes_on, more }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, io::Write};

    use buf::{IoBuffer, PipePool, Pool};
    use rpc::Insert;
    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    /// A pipe with these bytes.
    fn piped(pool: &PipePool, bytes: &[u8]) -> Bulk {
        let mut file = File::from(memfd_create("payload", MemfdFlags::CLOEXEC).expect("memory"));
        file.write_all(bytes).expect("memory");
        let mut piped = pool.take().expect("a pipe");
        assert_eq!(piped.fill(&file, 0, bytes.len()).expect("in memory"), bytes.len());
        piped.into()
    }

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
            inserts: vec![Insert { position: 2, data: chain.into() }].into(),
        });
        outbox.push(Message::new(BytesMut::from(&[7; COALESCE_MAX + 1][..])));
        assert_eq!(outbox.bytes(), 3 + 7 + COALESCE_MAX + 1);
        let batch = outbox.take_batch();
        let mut expected = b"\x80\0\0\x03one\x80\0\0\x07abxyzcd\x80\0\x10\x01".to_vec();
        expected.extend([7; COALESCE_MAX + 1]);
        assert_eq!(flat(&batch), expected);
        assert!(outbox.is_empty() && outbox.bytes() == 0 && !outbox.holds_memory());
        assert!(batch.memory == 3 && batch.piped.is_none() && !batch.goes_on && !batch.more);
        assert_eq!(batch.pieces.len(), 4, "text, chain, text, long head");
    }

    #[test]
    fn a_batch_ends_with_a_pipe_and_the_next_goes_on_behind_it() {
        let pool = Pool::new(4 << 20).expect("memory");
        let pipes = PipePool::new();
        let outbox = Outbox::default();
        let mut chain = pool.take(2, 0).expect("free");
        chain.copy_from(0, b"ch");
        outbox.push(Message::new(BytesMut::from(&b"one"[..])));
        let inserts = vec![
            Insert { position: 1, data: piped(&pipes, b"first") },
            Insert { position: 2, data: chain.into() },
            Insert { position: 3, data: piped(&pipes, b"second") },
        ];
        outbox.push(Message { head: BytesMut::from(&b"abc"[..]), inserts: inserts.into() });
        outbox.push(Message::new(BytesMut::from(&b"two"[..])));

        let mut batch = outbox.take_batch();
        assert_eq!(flat(&batch), b"\x80\0\0\x03one\x80\0\0\x10a");
        assert_eq!(batch.piped.take().expect("it ends so").take_bytes().expect("bytes"), b"first");
        assert!(batch.more && !batch.goes_on && outbox.is_begun() && outbox.holds_memory());

        let mut batch = outbox.take_batch();
        assert_eq!(flat(&batch), b"bchc");
        assert_eq!(batch.piped.take().expect("it ends so").take_bytes().expect("bytes"), b"second");
        assert!(batch.more && batch.goes_on && batch.memory == 2, "another message follows");
        assert!(!outbox.is_begun() && !outbox.holds_memory(), "nothing of this one");

        let batch = outbox.take_batch();
        assert_eq!(flat(&batch), b"\x80\0\0\x03two");
        assert!(batch.piped.is_none() && !batch.goes_on && !batch.more && outbox.is_empty());
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
