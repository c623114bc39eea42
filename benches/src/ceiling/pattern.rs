//! Replies kept as patterns.

use crate::ceiling::call::{Call, Kind, word};

/// Bytes of a reply from its first byte to the compound's tag length.
const TAG_AT: usize = 28;

/// Bytes from the first operation's result to its sequence id: operation, status, session id.
const SEQUENCE_AT: usize = 24;

/// Bytes of a WRITE's reply from its count to its end: count, how stable, verifier.
const WRITE_END: usize = 16;

/// Bytes of the reply to NFSv3's READ up to its data: RPC (24), status, attributes (88), count, end of file, length.
const NFS3_READ_HEAD: usize = 128;

/// The reply to one kind of call, without the data of a READ.
#[derive(Clone, Debug)]
struct Pattern {
    bytes: Vec<u8>,
    /// Where sequence id and slot stand; NFSv3 has none.
    sequence_at: Option<usize>,
    /// Whose reply it is.
    object: u64,
}

/// The patterns learned so far of one protocol.
#[derive(Debug, Default)]
struct Learned {
    attributes: Option<Pattern>,
    read: Option<Pattern>,
    write: Option<Pattern>,
}

/// The patterns learned so far.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    nfs3: Learned,
    nfs4: Learned,
}

impl Patterns {
    /// Whether a call can be answered by itself.
    pub(super) fn knows(&self, call: &Call) -> bool {
        let same = |pattern: &Pattern| call.kind != Kind::Attributes || pattern.object == call.object;
        call.kind == Kind::Null || self.pattern(call).is_some_and(same)
    }

    /// Keeps the reply that the real server gave to a call, if it succeeded.
    pub(super) fn learn(&mut self, call: &Call, reply: &[u8]) {
        let Some(tag) = word(reply, TAG_AT) else { return };
        // RPC accepted with success, and the procedure or the compound as a whole.
        if word(reply, 8) != Some(0) || word(reply, 20) != Some(0) || word(reply, 24) != Some(0) {
            return;
        }
        let (learned, read_head, sequence_at) = if call.sequence_and_slot.is_some() {
            let results_at = TAG_AT + 4 + (tag as usize).next_multiple_of(4) + 4;
            // Results of SEQUENCE (44 bytes), PUTFH (8) and READ up to its data (16).
            (&mut self.nfs4, results_at + 68, Some(results_at + SEQUENCE_AT))
        } else {
            (&mut self.nfs3, NFS3_READ_HEAD, None)
        };
        let mut bytes = reply.to_vec();
        if call.kind == Kind::Read {
            bytes.truncate(read_head);
        }
        let pattern = Some(Pattern { bytes, sequence_at, object: call.object });
        match call.kind {
            Kind::Null => {}
            Kind::Attributes => learned.attributes = pattern,
            Kind::Read => learned.read = pattern,
            Kind::Write => learned.write = pattern,
        }
    }

    /// Writes the reply to a call, with its record mark, to the front of `room`; answers its bytes. `data` is how many bytes of
    /// a READ follow it, and whether the file ends there.
    pub(super) fn answer(&self, call: &Call, data: (usize, bool), room: &mut [u8]) -> usize {
        let Some(pattern) = self.pattern(call) else { return null_reply(call, room) };
        let length = pattern.bytes.len();
        room[..4].copy_from_slice(&(1 << 31 | (length + data.0) as u32).to_be_bytes());
        let reply = &mut room[4..4 + length];
        reply.copy_from_slice(&pattern.bytes);
        reply[..4].copy_from_slice(&call.xid);
        if let (Some(at), Some(sequence_and_slot)) = (pattern.sequence_at, &call.sequence_and_slot) {
            reply[at..at + 8].copy_from_slice(sequence_and_slot);
        }
        if call.kind == Kind::Write {
            let count_at = length - WRITE_END;
            reply[count_at..count_at + 4].copy_from_slice(&(call.length as u32).to_be_bytes());
        }
        if call.kind == Kind::Read {
            if pattern.sequence_at.is_none() {
                // NFSv3 tells the count apart from the data's length.
                reply[length - 12..length - 8].copy_from_slice(&(data.0 as u32).to_be_bytes());
            }
            reply[length - 8..length - 4].copy_from_slice(&u32::from(data.1).to_be_bytes());
            reply[length - 4..].copy_from_slice(&(data.0 as u32).to_be_bytes());
        }
        4 + length
    }

    fn pattern(&self, call: &Call) -> Option<&Pattern> {
        let learned = if call.sequence_and_slot.is_some() { &self.nfs4 } else { &self.nfs3 };
        match call.kind {
            Kind::Null => None,
            Kind::Attributes => learned.attributes.as_ref(),
            Kind::Read => learned.read.as_ref(),
            Kind::Write => learned.write.as_ref(),
        }
    }
}

/// The reply to NULL (RFC 5531 §9): accepted, no verifier, success.
fn null_reply(call: &Call, room: &mut [u8]) -> usize {
    room[..4].copy_from_slice(&(1u32 << 31 | 24).to_be_bytes());
    room[4..28].fill(0);
    room[4..8].copy_from_slice(&call.xid);
    room[11] = 1;
    28
}
