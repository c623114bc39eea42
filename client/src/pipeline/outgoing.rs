//! Calls that wait to leave on one connection, laid end to end in memory that is used again.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use rpc::{Insert, Inserts};
use transport::{Message, prefix};
use wire::{
    nfs3,
    nfs4::SequenceId,
    record::{MARK_LEN, Mark},
};

use super::{
    messages,
    place::{Group, Kind},
};

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

/// Where the procedure stands in a call: behind transaction id, direction, RPC version, program and version.
const PROCEDURE_AT: usize = 5 * 4;

/// Text of calls, and bulk data that follows it.
pub(super) type Piece = (Vec<u8>, Bytes);

/// The queue of one connection.
pub(super) struct Outgoing {
    queue: VecDeque<Queued>,
    spare: Vec<Vec<u8>>,
    sending: Sending,
    /// Payloads up to this length are copied between the calls.
    copy_max: usize,
}

/// How calls leave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sending {
    /// Each in a system call of its own, even when others are ready.
    pub single: bool,
    /// With bulk data of more than some KiB as a fragment of its own (docs/ANNOTATIONS.md section 2).
    pub fragment_bulk: bool,
}

struct Queued {
    piece: Piece,
    /// Whether a call begins with it.
    begins: bool,
    /// Bytes of data that the results of that call may have.
    expected: usize,
}

impl Outgoing {
    pub(super) fn new(sending: Sending) -> Self {
        Self { queue: VecDeque::new(), spare: Vec::new(), sending, copy_max: COPY_MAX }
    }

    /// For a transport on which each call is a message of its own.
    pub(super) fn of_messages() -> Self {
        Self { copy_max: 0, ..Self::new(Sending { single: true, fragment_bulk: false }) }
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
        let joins = !self.sending.single && self.queue.back().is_some_and(|last| last.piece.1.is_empty());
        if !joins {
            self.push(true);
        }
        let first = self.queue.len() - 1;
        let mark = self.put_mark();
        let text = &mut self.queue[first].piece.0;
        text.extend_from_slice(&group.headers);
        let (start, end) = (mark.at + MARK_LEN, text.len());
        text[start..][..4].copy_from_slice(&xid.to_be_bytes());
        let (number_at, number) = match group.kind {
            Kind::Null | Kind::Procedures => (start + PROCEDURE_AT, 0),
            Kind::Compounds(_) => {
                text[end - SLOT_FROM_END..][..4].copy_from_slice(&slot.to_be_bytes());
                text[end - SEQUENCE_FROM_END..][..4].copy_from_slice(&sequence.0.to_be_bytes());
                (end - COUNT_FROM_END, 1)
            }
        };
        Call { outgoing: self, first, number_at, number, mark, before: 0, is_cut: false }
    }

    /// What leaves next.
    pub(super) fn take(&mut self) -> Vec<Piece> {
        let mut pieces = Vec::with_capacity(self.queue.len().min(PIECES_MAX));
        while let Some(queued) = self.queue.front() {
            if !pieces.is_empty() && (pieces.len() == PIECES_MAX || (self.sending.single && queued.begins)) {
                break;
            }
            pieces.extend(self.queue.pop_front().map(|queued| queued.piece));
        }
        pieces
    }

    /// The next call, where each is a message of its own.
    pub(super) fn take_call(&mut self) -> Option<messages::Queued> {
        let data = self.queue.front()?.expected;
        let pieces = self.take();
        let (mut head, mut inserts) = (BytesMut::new(), Inserts::new());
        for (text, payload) in &pieces {
            head.extend_from_slice(&text[if head.is_empty() { MARK_LEN } else { 0 }..]);
            if !payload.is_empty() {
                inserts.push(Insert { position: head.len(), data: payload.clone().into() });
            }
        }
        self.recycle(pieces);
        let (xid, _) = prefix(&head).expect("a call has a header");
        Some(messages::Queued { xid, message: Message { head, inserts }, data })
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
        self.queue.push_back(Queued { piece: (text, Bytes::new()), begins, expected: 0 });
    }

    /// Leaves room for the mark of a fragment that begins here.
    fn put_mark(&mut self) -> MarkPlace {
        let piece = self.queue.len() - 1;
        let text = &mut self.last().0;
        let at = text.len();
        text.extend_from_slice(&[0; MARK_LEN]);
        MarkPlace { piece, at }
    }

    fn last(&mut self) -> &mut Piece {
        &mut self.queue.back_mut().expect("a call has a piece").piece
    }
}

/// Where a fragment's mark stands: the piece, and where in its text.
#[derive(Clone, Copy)]
struct MarkPlace {
    piece: usize,
    at: usize,
}

/// A call that is being written.
#[must_use = "a call is finished"]
pub struct Call<'a> {
    outgoing: &'a mut Outgoing,
    /// The piece that the call begins in.
    first: usize,
    /// Where the count of operations stands in its text, or the procedure where there are none.
    number_at: usize,
    number: u32,
    /// Of the fragment that is being written.
    mark: MarkPlace,
    /// Bytes of that fragment in pieces that are full, mark included.
    before: usize,
    /// Whether that fragment is over, and what follows is one of its own.
    is_cut: bool,
}

impl Call<'_> {
    /// Appends encoded operations (see [`Compound::encoded_operations`](crate::Compound::encoded_operations)).
    pub fn operations(&mut self, encoded: &[u8], count: u32) {
        self.text(encoded);
        self.number += count;
    }

    /// Makes it a call of this procedure of NFSv3, and appends its arguments; those of WRITE end before the data
    /// (see [`nfs3::encoded_arguments`](crate::nfs3::encoded_arguments)).
    pub fn procedure(&mut self, procedure: nfs3::Procedure, arguments: &[u8]) {
        self.text(arguments);
        self.number = procedure.number();
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

    /// Says how much data the results may have; whatever else they have is short. A server is told over RDMA, where that comes to
    /// a place of its own.
    pub fn expects(&mut self, data_bytes: u32) {
        self.outgoing.queue[self.first].expected = data_bytes as usize;
    }

    /// Appends the bulk data that the last operation announced, and its pad.
    pub fn payload(&mut self, data: &Bytes) {
        if data.len() <= self.outgoing.copy_max {
            self.text(data);
        } else {
            self.is_cut = self.outgoing.sending.fragment_bulk;
            self.cut();
            self.before += self.in_last_text() + data.len();
            self.outgoing.last().1 = data.clone();
            self.outgoing.push(false);
            self.is_cut = self.outgoing.sending.fragment_bulk;
        }
        let pad = data.len().next_multiple_of(4) - data.len();
        self.text(&[0; 3][..pad]);
    }

    fn text(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.cut();
            self.outgoing.last().0.extend_from_slice(bytes);
        }
    }

    /// Begins a fragment where one is due.
    fn cut(&mut self) {
        if self.is_cut {
            self.put_length(false);
            self.mark = self.outgoing.put_mark();
            self.before = 0;
            self.is_cut = false;
        }
    }

    /// Bytes of the fragment in the text that is being written.
    fn in_last_text(&mut self) -> usize {
        let is_in_it = self.outgoing.queue.len() - 1 == self.mark.piece;
        self.outgoing.last().0.len() - if is_in_it { self.mark.at } else { 0 }
    }

    /// Completes the fragment's mark.
    fn put_length(&mut self, last: bool) {
        let length = self.before + self.in_last_text() - MARK_LEN;
        let length = u32::try_from(length).expect("a call is far below 2 GiB");
        let MarkPlace { piece, at } = self.mark;
        let text = &mut self.outgoing.queue[piece].piece.0;
        text[at..at + MARK_LEN].copy_from_slice(&Mark { last, length }.to_bytes());
    }

    /// Completes the last mark, and the count or the procedure.
    pub(super) fn finish(mut self) {
        self.put_length(true);
        let text = &mut self.outgoing.queue[self.first].piece.0;
        text[self.number_at..][..4].copy_from_slice(&self.number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use wire::{
        rpc::CallHeader,
        xdr::{Decoder, Payload},
    };

    use super::*;
    use crate::{Identity, nfs3::encoded_arguments};

    /// The bytes of one NULL call, whose headers stand for any, with what `write` appends.
    fn sent(fragment_bulk: bool, write: impl Fn(&mut Call<'_>)) -> Vec<u8> {
        let mut outgoing = Outgoing::new(Sending { single: false, fragment_bulk });
        let group = Group::of_null(3);
        for xid in [1, 2] {
            let mut call = outgoing.begin(xid, &group, 0, SequenceId(0));
            write(&mut call);
            call.finish();
        }
        outgoing.take().into_iter().flat_map(|(text, data)| [text, data.to_vec()].concat()).collect()
    }

    /// The lengths of the fragments of each record.
    fn fragments(mut stream: &[u8]) -> Vec<Vec<usize>> {
        let mut records = vec![Vec::new()];
        while let Some((mark, rest)) = stream.split_first_chunk() {
            let Mark { last, length } = Mark::from_bytes(*mark);
            records.last_mut().expect("there is one").push(length as usize);
            if last {
                records.push(Vec::new());
            }
            stream = &rest[length as usize..];
        }
        assert_eq!(records.pop(), Some(Vec::new()), "the last record is whole");
        records
    }

    #[test]
    fn bulk_data_is_a_fragment_where_that_is_wanted() {
        let head = Group::of_null(3).headers.len();
        let odd = Bytes::from(vec![7; COPY_MAX + 1]);
        let even = Bytes::from(vec![7; COPY_MAX + 4]);
        let with_tail = |call: &mut Call<'_>| {
            call.operations(&[1; 8], 1);
            call.payload(&odd);
            call.operations(&[2; 12], 1);
        };
        let whole = head + 8 + odd.len() + 3 + 12;
        assert_eq!(fragments(&sent(false, with_tail)), [[whole], [whole]]);
        let parts = [head + 8, odd.len(), 3 + 12];
        assert_eq!(fragments(&sent(true, with_tail)), [parts, parts]);

        let last = |call: &mut Call<'_>| call.payload(&even);
        assert_eq!(fragments(&sent(true, last)), [[head, even.len()]; 2], "nothing follows the data");
        let short = |call: &mut Call<'_>| call.payload(&Bytes::from_static(b"abcde"));
        assert_eq!(fragments(&sent(true, short)), [[head + 8]; 2], "not worth it");
        let two = |call: &mut Call<'_>| [&even, &odd].iter().for_each(|data| call.payload(data));
        assert_eq!(fragments(&sent(true, two)), [[head, even.len(), odd.len(), 3]; 2], "they touch");
    }

    #[test]
    fn a_procedure_of_nfsv3_is_called_with_its_arguments() {
        let file = nfs3::FileHandle::new(&[7; 5]).expect("a handle");
        let data = Payload::Inline(0..5);
        let write = nfs3::WriteArgs { file, offset: 1, count: 5, stable: nfs3::StableHow::DataSync, data };
        let (procedure, arguments) = encoded_arguments(&write);
        let mut outgoing = Outgoing::new(Sending::default());
        let group = Group::of_procedures(&Identity::new(1, 2));
        for xid in [8, 9] {
            let mut call = outgoing.begin(xid, &group, 0, SequenceId(0));
            call.procedure(procedure, &arguments);
            call.patch_u64(20, 0x0102_0304_0506_0708);
            call.payload(&Bytes::from_static(b"abcde"));
            call.finish();
            let sent: Vec<u8> = outgoing.take().into_iter().flat_map(|(text, _)| text).collect();
            let mut reader = Decoder::new(&sent[MARK_LEN..]);
            let header = CallHeader::decode(&mut reader).expect("a call");
            assert_eq!((header.xid, header.version, header.procedure), (xid, nfs3::VERSION, 7));
            let head: nfs3::WriteHead = reader.get().expect("arguments");
            let (offset, stable) = (0x0102_0304_0506_0708, nfs3::StableHow::DataSync);
            assert_eq!(head, nfs3::WriteHead { file, offset, count: 5, stable });
            assert_eq!(reader.opaque_max(100), Ok(&b"abcde"[..]));
            assert_eq!(reader.finish(), Ok(()));
        }
    }
}
