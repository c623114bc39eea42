//! Replies kept as patterns.

use crate::ceiling::call::{Call, Kind, word};

/// Bytes of a reply from its first byte to the compound's tag length.
const TAG_AT: usize = 28;

/// Bytes from the first operation's result to its sequence id: operation, status, session id.
const SEQUENCE_AT: usize = 24;

/// Bytes from the first result to WRITE's count: SEQUENCE (44), PUTFH (8), operation and status (8).
const WRITE_COUNT_AT: usize = 60;

/// The reply to one kind of call, without the data of a READ.
#[derive(Clone, Debug)]
struct Pattern {
    bytes: Vec<u8>,
    sequence_at: usize,
}

/// The patterns learned so far.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    attributes: Option<Pattern>,
    read: Option<Pattern>,
    write: Option<Pattern>,
}

impl Patterns {
    /// Whether a call can be answered by itself.
    pub(super) fn knows(&self, kind: Kind) -> bool {
        kind == Kind::Null || self.pattern(kind).is_some()
    }

    /// Keeps the reply that the real server gave to a call, if it succeeded.
    pub(super) fn learn(&mut self, call: &Call, reply: &[u8]) {
        let Some(tag) = word(reply, TAG_AT) else { return };
        // RPC accepted with success, and the compound as a whole.
        if word(reply, 8) != Some(0) || word(reply, 20) != Some(0) || word(reply, 24) != Some(0) {
            return;
        }
        let results_at = TAG_AT + 4 + (tag as usize).next_multiple_of(4) + 4;
        let mut bytes = reply.to_vec();
        if call.kind == Kind::Read {
            // Results of SEQUENCE (44 bytes), PUTFH (8) and READ up to its data (16).
            bytes.truncate(results_at + 68);
        }
        let pattern = Some(Pattern { bytes, sequence_at: results_at + SEQUENCE_AT });
        match call.kind {
            Kind::Null => {}
            Kind::Attributes => self.attributes = pattern,
            Kind::Read => self.read = pattern,
            Kind::Write => self.write = pattern,
        }
    }

    /// Writes the reply to a call, with its record mark, to the front of `room`; answers its bytes. `data` is how many bytes of
    /// a READ follow it, and whether the file ends there.
    pub(super) fn answer(&self, call: &Call, data: (usize, bool), room: &mut [u8]) -> usize {
        let Some(pattern) = self.pattern(call.kind) else { return null_reply(call, room) };
        let length = pattern.bytes.len();
        room[..4].copy_from_slice(&(1 << 31 | (length + data.0) as u32).to_be_bytes());
        let reply = &mut room[4..4 + length];
        reply.copy_from_slice(&pattern.bytes);
        reply[..4].copy_from_slice(&call.xid);
        reply[pattern.sequence_at..pattern.sequence_at + 8].copy_from_slice(&call.sequence_and_slot);
        if call.kind == Kind::Write {
            // The count stands behind the operation's code and status.
            let count_at = pattern.sequence_at - SEQUENCE_AT + WRITE_COUNT_AT;
            reply[count_at..count_at + 4].copy_from_slice(&(call.length as u32).to_be_bytes());
        }
        if call.kind == Kind::Read {
            reply[length - 8..length - 4].copy_from_slice(&u32::from(data.1).to_be_bytes());
            reply[length - 4..].copy_from_slice(&(data.0 as u32).to_be_bytes());
        }
        4 + length
    }

    fn pattern(&self, kind: Kind) -> Option<&Pattern> {
        match kind {
            Kind::Null => None,
            Kind::Attributes => self.attributes.as_ref(),
            Kind::Read => self.read.as_ref(),
            Kind::Write => self.write.as_ref(),
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
