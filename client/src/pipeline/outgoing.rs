//! Calls that wait to leave on one connection, laid end to end in memory that is used again.

use std::collections::VecDeque;

use bytes::Bytes;
use wire::nfs4::SequenceId;

use super::place::Group;

/// The bit of a record mark that says "last fragment" (RFC 5531 §11).
const LAST_FRAGMENT: u32 = 1 << 31;

/// Payloads up to this length are copied between the calls: cheaper than one more piece for the kernel.
const COPY_MAX: usize = 8192;

/// Pieces that leave with one system call; each is a text and a payload, and the kernel takes 1024 of both.
const PIECES_MAX: usize = 256;

/// Texts kept for further use.
const SPARE_MAX: usize = PIECES_MAX;

/// Where words stand in the headers behind which the operations follow, from their end: see `SEQUENCE4args`.
const HIGHEST_SLOT_WORDS: usize = 2;
const SLOT_FROM_END: usize = 4 * (HIGHEST_SLOT_WORDS + 1);
const SEQUENCE_FROM_END: usize = SLOT_FROM_END + 4;
/// Operation number, session id, and the four words of SEQUENCE; before them the count of operations.
const COUNT_FROM_END: usize = 4 + 16 + 4 * 4 + 4;

/// Text of calls, and bulk data that follows it.
pub(super) type Piece = (Vec<u8>, Bytes);

/// The queue of one connection.
pub(super) struct Outgoing {
    queue: VecDeque<Queued>,
    spare: Vec<Vec<u8>>,
    /// Whether every call leaves by itself.
    single: bool,
}

struct Queued {
    piece: Piece,
    /// Whether a call begins with it.
    begins: bool,
}

impl Outgoing {
    pub(super) fn new(single: bool) -> Self {
        Self { queue: VecDeque::new(), spare: Vec::new(), single }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Forgets what has not left.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
    }

    /// Begins a call behind the others. It must be finished before the next.
    pub(super) fn begin(&mut self, xid: u32, group: &Group, slot: u32, sequence: SequenceId) -> Call<'_> {
        let joins = !self.single && self.queue.back().is_some_and(|last| last.piece.1.is_empty());
        if !joins {
            self.push(true);
        }
        let first = self.queue.len() - 1;
        let text = &mut self.queue[first].piece.0;
        let start = text.len();
        text.extend_from_slice(&[0; 4]);
        text.extend_from_slice(&group.headers);
        text[start + 4..start + 8].copy_from_slice(&xid.to_be_bytes());
        let end = text.len();
        let mut count_at = None;
        if !group.is_null() {
            text[end - SLOT_FROM_END..][..4].copy_from_slice(&slot.to_be_bytes());
            text[end - SEQUENCE_FROM_END..][..4].copy_from_slice(&sequence.0.to_be_bytes());
            count_at = Some(end - COUNT_FROM_END);
        }
        Call { outgoing: self, first, start, count_at, count: 1, before: 0 }
    }

    /// What leaves next.
    pub(super) fn take(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.queue.len().min(PIECES_MAX));
        while let Some(queued) = self.queue.front() {
            if !pieces.is_empty() && (pieces.len() == PIECES_MAX || (self.single && queued.begins)) {
                break;
            }
            pieces.extend(self.queue.pop_front().map(|queued| queued.piece));
        }
        pieces
    }

    /// What left can be used again.
    pub(super) fn recycle(&mut self, pieces: Vec<Piece>) {
        for (mut text, _) in pieces {
            if self.spare.len() < SPARE_MAX {
                text.clear();
                self.spare.push(text);
            }
        }
    }

    fn push(&mut self, begins: bool) {
        let text = self.spare.pop().unwrap_or_default();
        self.queue.push_back(Queued { piece: (text, Bytes::new()), begins });
    }

    fn last(&mut self) -> &mut Piece {
        &mut self.queue.back_mut().expect("a call has a piece").piece
    }
}

/// A call that is being written.
#[must_use = "a call is finished"]
pub struct Call<'a> {
    outgoing: &'a mut Outgoing,
    /// The piece that the call begins in, and where in its text.
    first: usize,
    start: usize,
    /// Where the count of operations stands; NULL has none.
    count_at: Option<usize>,
    count: u32,
    /// Bytes in pieces that are full.
    before: usize,
}

impl Call<'_> {
    /// Appends encoded operations (see [`Compound::encoded_operations`](crate::Compound::encoded_operations)).
    pub fn operations(&mut self, encoded: &[u8], count: u32) {
        self.outgoing.last().0.extend_from_slice(encoded);
        self.count += count;
    }

    /// Overwrites a number, `from_end` bytes before the end of what was written.
    ///
    /// # Panics
    /// When nothing was written there: the caller's mistake.
    pub fn patch_u64(&mut self, from_end: usize, value: u64) {
        let text = &mut self.outgoing.last().0;
        let at = text.len() - from_end;
        text[at..at + 8].copy_from_slice(&value.to_be_bytes());
    }

    /// Appends the bulk data that the last operation announced, and its pad.
    pub fn payload(&mut self, data: &Bytes) {
        let pad = data.len().next_multiple_of(4) - data.len();
        if data.len() <= COPY_MAX {
            let text = &mut self.outgoing.last().0;
            text.extend_from_slice(data);
            text.extend_from_slice(&[0; 3][..pad]);
            return;
        }
        let first = self.outgoing.queue.len() - 1 == self.first;
        let piece = self.outgoing.last();
        piece.1 = data.clone();
        self.before += piece.0.len() - if first { self.start } else { 0 } + data.len();
        self.outgoing.push(false);
        self.outgoing.last().0.extend_from_slice(&[0; 3][..pad]);
    }

    /// Completes mark and count.
    pub(super) fn finish(self) {
        let Self { outgoing, first, start, count_at, count, before } = self;
        let in_last = outgoing.last().0.len() - if outgoing.queue.len() - 1 == first { start } else { 0 };
        let length = before + in_last - 4;
        let length = u32::try_from(length).expect("a call is far below 2 GiB");
        let text = &mut outgoing.queue[first].piece.0;
        text[start..start + 4].copy_from_slice(&(LAST_FRAGMENT | length).to_be_bytes());
        if let Some(at) = count_at {
            text[at..at + 4].copy_from_slice(&count.to_be_bytes());
        }
    }
}
