//! The properties of a session's channels (RFC 8881 §18.36.3).

use wire::nfs4::Status;

use crate::config::{Limits, SLOT_BYTES};
use crate::recall::SLOTS_MIN;

/// The smallest request or reply a channel must allow: RPC header, SEQUENCE and one small operation. Below,
/// no operation could be sent and the answer is NFS4ERR_TOOSMALL.
const CHANNEL_BYTES_MIN: u32 = 128;
/// A callback has two operations, CB_SEQUENCE and one that says something.
const BACK_OPERATIONS_MIN: u32 = 2;

/// `channel_attrs4` without the RDMA part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ChannelAttributes {
    /// `ca_headerpadsize`; 0 in answers, padding is not used.
    pub header_pad_bytes: u32,
    /// `ca_maxrequestsize`.
    pub request_bytes_max: u32,
    /// `ca_maxresponsesize`.
    pub response_bytes_max: u32,
    /// `ca_maxresponsesize_cached`.
    pub response_cached_bytes_max: u32,
    /// `ca_maxoperations`.
    pub operations_max: u32,
    /// `ca_maxrequests`: slots.
    pub requests_max: u32,
}

impl ChannelAttributes {
    fn check_sizes(&self) -> Result<(), Status> {
        let smallest = self.request_bytes_max.min(self.response_bytes_max);
        if smallest < CHANNEL_BYTES_MIN || self.operations_max == 0 { Err(Status::Toosmall) } else { Ok(()) }
    }
}

/// What the fore channel gets of what the client asks. Nothing is raised above what it asks: Linux refuses a
/// larger reply size, and fewer operations than it asks, so the bound on those is well above its 8.
pub(crate) fn fore_channel(asked: &ChannelAttributes, limits: &Limits) -> Result<ChannelAttributes, Status> {
    asked.check_sizes()?;
    let response_bytes_max = asked.response_bytes_max.min(limits.response_bytes_max);
    Ok(ChannelAttributes {
        header_pad_bytes: 0,
        request_bytes_max: asked.request_bytes_max.min(limits.request_bytes_max),
        response_bytes_max,
        response_cached_bytes_max: asked
            .response_cached_bytes_max
            .min(limits.response_cached_bytes_max)
            .min(response_bytes_max),
        operations_max: asked.operations_max.min(limits.operations_max),
        requests_max: asked.requests_max.clamp(1, limits.fore_slots_max),
    })
}

/// What the backchannel gets. Its sizes matter when the session has one or is to have slots for one.
pub(crate) fn back_channel(
    asked: &ChannelAttributes,
    wanted: bool,
    limits: &Limits,
) -> Result<ChannelAttributes, Status> {
    if wanted || asked.requests_max > 0 {
        asked.check_sizes()?;
        if asked.operations_max < BACK_OPERATIONS_MIN {
            return Err(Status::Toosmall);
        }
    }
    Ok(ChannelAttributes {
        header_pad_bytes: 0,
        // Callbacks are not cached by the client: each can be made again.
        response_cached_bytes_max: 0,
        requests_max: asked.requests_max.min(limits.back_slots_max),
        ..*asked
    })
}

/// What a slot costs the reply cache: itself, and the reply it may keep.
pub(crate) fn slot_bytes(fore: &ChannelAttributes) -> u64 {
    SLOT_BYTES + u64::from(fore.response_cached_bytes_max)
}

/// The part of the reply cache that is kept for sessions of few slots, as a divisor: enough for all clients that there may
/// be by default.
const KEPT_PART: u64 = 8;

/// The number of slots to grant, given what each costs and the bytes of the reply cache that are left of `bound`: a session
/// gets at most a quarter of the rest and leaves alone what is kept for late comers, who get fewer slots instead of none.
pub(crate) fn slots_within(slots: u32, slot_bytes: u64, left: u64, bound: u64) -> Option<u32> {
    let count = |bytes: u64| u32::try_from(bytes / slot_bytes).unwrap_or(u32::MAX);
    let affordable = count(left.saturating_sub(bound / KEPT_PART) / 4);
    let slots = slots.min(affordable.max(SLOTS_MIN)).min(count(left));
    (slots > 0).then_some(slots)
}
