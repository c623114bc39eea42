//! SEQUENCE: the slot a compound runs in, and what becomes of its reply (RFC 8881 §2.10.6, §18.46).

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::quality::FixedState;
use rpc::{Bulk, Bulks};
use state::{Begin, SequenceCall, Session, SlotClaim, SlotReply};
use vfs::Vfs;
use wire::nfs4::{ResultHead, SequenceArgs, SequenceResult, Status};
use wire::xdr::{Decoder, Encoder, UNIT};

use crate::compound::{Compound, ERROR_BYTES};
use crate::copies;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Bytes of SEQUENCE's result, head included.
const RESULT_BYTES: usize = ResultHead::LEN + 16 + 5 * 4;

/// Where `sr_target_highest_slotid` stands in the body of the result: behind the session's id and three numbers.
const TARGET_AT: usize = 16 + 3 * UNIT;

/// How much of a call is looked at to tell another request from a retry.
const FINGERPRINT_BYTES_MAX: usize = 512;

/// The session and slot of a compound.
pub struct InSession {
    /// The session.
    pub session: Arc<Session>,
    /// The slot, unless the compound is a retry.
    claim: Option<SlotClaim>,
    /// Where the reply says how many slots the client is to use.
    target_at: usize,
    /// The whole reply of a retry.
    replay: Option<Vec<u8>>,
    /// The client wants the reply kept.
    cache_this: bool,
    /// Room for the reply ends with what the slot can keep, not with what the session can carry.
    bound_by_cache: bool,
}

impl InSession {
    /// Whether the compound is a retry whose reply is at hand: nothing further is run.
    pub fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Whether the compound is a retry whose reply was not kept: the next operation says so.
    pub fn is_uncached_retry(&self) -> bool {
        self.claim.is_none() && self.replay.is_none()
    }

    /// The slot the compound holds.
    pub fn claim(&self) -> Option<&SlotClaim> {
        self.claim.as_ref()
    }

    /// Whether the slot is to keep the reply.
    pub fn is_kept(&self) -> bool {
        self.cache_this
    }

    /// Whether a reply that does not fit exceeds what the slot can keep.
    pub fn bound_by_cache(&self) -> bool {
        self.bound_by_cache
    }
}

/// SEQUENCE. Nothing is touched unless the slot is won.
pub fn begin<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    decoder: &mut Decoder<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let arguments: SequenceArgs = decoder.get()?;
    let session = compound.request.server.session(&arguments.session_id, compound.request.peer.connection)?;
    let fore = session.fore_channel();
    if compound.operations > fore.operations_max {
        return Err(Status::TooManyOps.into());
    }
    if compound.request.call_bytes > fore.request_bytes_max as usize {
        return Err(Status::ReqTooBig.into());
    }
    let bound_by_cache = arguments.cache_this && fore.response_cached_bytes_max < fore.response_bytes_max;
    let limit = if bound_by_cache { fore.response_cached_bytes_max } else { fore.response_bytes_max };
    let written_before = reply.written() - ResultHead::LEN;
    let kept = if compound.is_last { 0 } else { ERROR_BYTES };
    if (limit as usize) < written_before + RESULT_BYTES + kept {
        return Err(if bound_by_cache { Status::RepTooBigToCache } else { Status::RepTooBig }.into());
    }
    let call = SequenceCall {
        slot: arguments.slot_id,
        sequence: arguments.sequence_id,
        highest_slot: arguments.highest_slot_id,
        cache_this: arguments.cache_this,
        fingerprint: Some(fingerprint(decoder)),
    };
    let (claim, replay, told) = match session.begin(&call, compound.request.server.env.now_ns()) {
        Begin::Execute(claim) => (Some(claim), None, session.sequence_reply()),
        Begin::Replay(bytes) => (None, Some(bytes), session.sequence_reply()),
        Begin::Uncached(told) => (None, None, told),
        Begin::Refused(status) => return Err(status.into()),
    };
    let cache_this = arguments.cache_this;
    compound.request.charged_to = session.client().id().0;
    compound.request.session = Some(session.clone());
    let target_at = reply.position() + TARGET_AT;
    compound.session = Some(InSession { session, claim, target_at, replay, cache_this, bound_by_cache });
    compound.reply_bytes_max = limit as usize;
    reply.set_limit(compound.reply_bytes_max - kept);
    reply.put(&SequenceResult {
        session_id: arguments.session_id,
        sequence_id: arguments.sequence_id,
        slot_id: arguments.slot_id,
        highest_slot_id: told.highest_slot,
        target_highest_slot_id: told.target_highest_slot,
        status_flags: told.status_flags,
    })?;
    Ok(())
}

/// Ends the compound: the slot keeps its reply, or a retry's reply takes the place of what was written behind
/// `body_at`. Answers the bulk data to be sent.
pub fn finish<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    body_at: usize,
    reply: &mut Encoder,
) -> Bulks {
    let data = std::mem::take(&mut compound.request.data);
    let Some(session) = compound.session.take() else { return data };
    if let Some(replay) = session.replay {
        reply.truncate(body_at);
        reply.set_limit(compound.reply_bytes_max);
        reply.put_fixed(&replay).expect("what a slot keeps fits its session's replies");
        return Bulks::new();
    }
    let Some(claim) = session.claim else { return data };
    // What the compound had to wait for is known by now.
    reply.patch_u32(session.target_at, session.session.target_highest_slot().0);
    if session.cache_this {
        let bytes = flatten(body_at, reply, &data);
        let copied = data.iter().map(Bulk::len).sum();
        copies::add(&compound.request.server.copies.read_bytes, copied);
        claim.complete(SlotReply::Cached(&bytes));
    } else {
        claim.complete(SlotReply::Uncached);
    }
    data
}

/// The reply's bytes behind `body_at` with its bulk data in place, as a slot keeps them.
fn flatten(body_at: usize, reply: &Encoder, data: &[Bulk]) -> Vec<u8> {
    let head = reply.head_from(0);
    let mut bytes = Vec::with_capacity(reply.written());
    let mut from = body_at;
    for (insert, data) in reply.inserts().iter().zip(data) {
        bytes.extend_from_slice(&head[from..insert.position]);
        match data {
            Bulk::Chain(chain) => chain.as_slices().for_each(|slice| bytes.extend_from_slice(slice)),
            Bulk::Piped(_) | Bulk::Shared(_) => {
                unreachable!("READ puts its data in payload memory when its slot keeps the reply")
            }
        }
        from = insert.position;
    }
    bytes.extend_from_slice(&head[from..]);
    bytes
}

/// Tells the requests on one slot apart: of what follows SEQUENCE the length and the first bytes. The credential is
/// left out, for a client may renew it between a request and its retry.
fn fingerprint(decoder: &Decoder<'_>) -> u64 {
    let from = decoder.head_index();
    let length = decoder.remaining();
    let mut hasher = FixedState::default().build_hasher();
    hasher.write_usize(length);
    if let Some(bytes) = decoder.head_bytes(from..from + length.min(FINGERPRINT_BYTES_MAX)) {
        hasher.write(bytes);
    }
    hasher.finish()
}
