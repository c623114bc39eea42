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
    /// The head of a record that is long or comes in fragments, until its rest has arrived.
    head: Vec<u8>,
    /// The fragment of that record that is arriving: bytes still to come, and whether it is the last. `None`: there is no such
    /// record.
    arriving: Option<(usize, bool)>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BUFFER_BYTES], start: 0, end: 0, head: Vec::new(), arriving: None }
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
        loop {
            if let Some((left, is_last)) = self.arriving {
                let left = self.pass_over(left);
                self.arriving = Some((left, is_last));
                if left > 0 {
                    return None;
                }
                if is_last {
                    self.arriving = None;
                    return Some(&self.head);
                }
            }
            let bytes = &self.buffer[self.start..self.end];
            let mark = Mark::from_bytes(*bytes.first_chunk::<MARK_LEN>()?);
            let length = mark.length as usize;
            if self.arriving.is_none() {
                if mark.last && length <= HEAD_MAX {
                    let at = self.start + MARK_LEN;
                    bytes.get(MARK_LEN..MARK_LEN + length)?;
                    self.start = at + length;
                    return Some(&self.buffer[at..at + length]);
                }
                self.head.clear();
            }
            self.start += MARK_LEN;
            self.arriving = Some((length, mark.last));
        }
    }

    /// Takes what has arrived of a fragment of which so many bytes are to come: the record's head is kept, the rest is bulk data.
    /// Answers how many bytes are to come then.
    fn pass_over(&mut self, left: usize) -> usize {
        let count = left.min(self.end - self.start);
        let kept = count.min(HEAD_MAX - self.head.len());
        self.head.extend_from_slice(&self.buffer[self.start..self.start + kept]);
        self.start += count;
        left - count
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The replies that are read of a stream that comes in pieces of so many bytes.
    fn read(stream: &[u8], piece_bytes: usize) -> Vec<Vec<u8>> {
        let (mut incoming, mut replies) = (Incoming::new(), Vec::new());
        for piece in stream.chunks(piece_bytes) {
            incoming.buffer.copy_within(incoming.start..incoming.end, 0);
            (incoming.start, incoming.end) = (0, incoming.end - incoming.start);
            incoming.buffer[incoming.end..][..piece.len()].copy_from_slice(piece);
            incoming.end += piece.len();
            while let Some(reply) = incoming.next_reply() {
                replies.push(reply.to_vec());
            }
        }
        replies
    }

    #[test]
    fn replies_are_read_however_they_are_cut() {
        let record = |number: usize| (0..number * 5000).map(|at| (at % 251) as u8).collect::<Vec<_>>();
        let (mut stream, mut heads) = (Vec::new(), Vec::new());
        for (number, cuts) in
            [(1, &[][..]), (3, &[]), (1, &[40, 4000]), (4, &[100, 100, 9000]), (0, &[]), (3, &[8192])]
        {
            let record = record(number);
            let ends = cuts.iter().copied().chain([record.len()]);
            let mut start = 0;
            for end in ends {
                let mark = Mark { last: end == record.len(), length: (end - start) as u32 };
                stream.extend_from_slice(&mark.to_bytes());
                stream.extend_from_slice(&record[start..end]);
                start = end;
            }
            heads.push(record[..record.len().min(HEAD_MAX)].to_vec());
        }
        for piece_bytes in [1, 7, 4096, stream.len()] {
            assert!(read(&stream, piece_bytes) == heads, "pieces of {piece_bytes} bytes");
        }
    }
}
