//! Replies as they arrive: read where they lie, bulk data passed over.

use std::{io, os::fd::OwnedFd, rc::Rc};

use engine::Shard;
use wire::{
    nfs3,
    nfs4::{CompoundResult, ResultHead, SequenceResult, Status},
    record::{MARK_LEN, Mark},
    rpc::{Accepted, ReplyBody, ReplyHeader},
    xdr::Decoder,
};

use super::{Answer, place::Kind};

/// Bytes received with one system call: small enough to stay in a core's cache.
const BUFFER_BYTES: usize = 256 * 1024;

/// Of a longer record only so much is looked at; the rest is bulk data.
const HEAD_MAX: usize = 8192;

/// The receiving side of one connection.
pub(super) struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// The head of a long record, until its rest has arrived.
    head: Vec<u8>,
    /// Bytes of that record still to come.
    left: usize,
    /// Whether `head` was handed over or holds nothing.
    is_taken: bool,
    is_malformed: bool,
}

impl Incoming {
    pub(super) fn new() -> Self {
        let (head, is_taken, is_malformed) = (Vec::new(), true, false);
        Self { buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, head, left: 0, is_taken, is_malformed }
    }

    /// Whether the peer has sent what is no record of one fragment: nothing behind it can be read.
    pub(super) fn is_malformed(&self) -> bool {
        self.is_malformed
    }

    /// Receives more; false at the end of the stream.
    pub(super) async fn fill(&mut self, shard: &Shard, socket: &Rc<OwnedFd>) -> io::Result<bool> {
        if self.start > 0 {
            // Less than a head is left over: everything before was read.
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        let buffer = std::mem::take(&mut self.buffer);
        let received;
        (received, self.buffer) = shard.recv(Rc::clone(socket), buffer, self.end..BUFFER_BYTES).await;
        let count = received?;
        self.end += count;
        Ok(count > 0)
    }

    /// The head of the next reply that has arrived to its end.
    pub(super) fn next_reply(&mut self) -> Option<&[u8]> {
        if !self.is_taken {
            let passed = self.left.min(self.end - self.start);
            self.start += passed;
            self.left -= passed;
            if self.left > 0 {
                return None;
            }
            self.is_taken = true;
            return Some(&self.head);
        }
        let bytes = &self.buffer[self.start..self.end];
        let mark = Mark::from_bytes(*bytes.first_chunk::<MARK_LEN>()?);
        if !mark.last {
            self.is_malformed = true;
            return None;
        }
        let length = mark.length as usize;
        let head = bytes.get(MARK_LEN..MARK_LEN + length.min(HEAD_MAX))?;
        if length <= HEAD_MAX {
            let at = self.start + MARK_LEN;
            self.start = at + length;
            return Some(&self.buffer[at..at + length]);
        }
        self.head.clear();
        self.head.extend_from_slice(head);
        self.start += MARK_LEN + HEAD_MAX;
        (self.left, self.is_taken) = (length - HEAD_MAX, false);
        self.next_reply()
    }
}

/// Transaction id of a reply and a reader behind its header, unless the call was refused; `None`: it is no reply.
pub(super) fn open(head: &[u8]) -> Option<(u32, Option<Decoder<'_>>)> {
    let mut decoder = Decoder::new(head);
    let header: ReplyHeader<'_> = decoder.get().ok()?;
    let accepted = matches!(header.body, ReplyBody::Accepted { status: Accepted::Success, .. });
    Some((header.xid, accepted.then_some(decoder)))
}

/// The results of a call.
pub(super) fn answer<'a>(kind: &Kind, mut results: Decoder<'a>) -> Answer<'a> {
    match kind {
        Kind::Null => Answer::Results(results),
        Kind::Compounds(_) => behind_sequence(results),
        Kind::Procedures => match results.get() {
            Ok(nfs3::Status::Ok) => Answer::Results(results),
            Ok(status) => Answer::Failed(status.name()),
            Err(_) => Answer::Refused,
        },
    }
}

/// The results behind SEQUENCE's.
fn behind_sequence(mut decoder: Decoder<'_>) -> Answer<'_> {
    let mut read = || {
        let compound: CompoundResult<'_> = decoder.get()?;
        let first: ResultHead = decoder.get()?;
        if first.status.is_ok() {
            decoder.get::<SequenceResult>()?;
        }
        Ok::<_, wire::xdr::Error>((compound.status, first.status.is_ok()))
    };
    match read() {
        Ok((Status::Ok, true)) => Answer::Results(decoder),
        Ok((status, true)) => Answer::Failed(status.name()),
        Ok((_, false)) | Err(_) => Answer::Refused,
    }
}
