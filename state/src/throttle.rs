//! What becomes of a session whose requests are made to wait: they are counted, its client's lease stands, and the client may
//! be asked to send less.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::SlotId;

use crate::lease::LeaseHold;
use crate::session::Session;

/// Slots that a session is left with at least: one for what waits, one for what must not.
const SLOTS_MIN: u32 = 2;

/// A request that waits because we let it wait, until it is ended or dropped.
#[derive(Debug)]
#[must_use = "a request is counted as parked only while this exists"]
pub struct ParkedRequest {
    session: Arc<Session>,
    lease: Option<LeaseHold>,
}

impl ParkedRequest {
    /// The request goes on at `now`, and its client's lease runs again from then on.
    pub fn end(mut self, now: u64) {
        let config = &self.session.shared.config;
        self.lease.take().into_iter().for_each(|lease| lease.end(now, config));
    }
}

impl Drop for ParkedRequest {
    fn drop(&mut self) {
        self.session.parked.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    /// Counts a request of this session as parked.
    pub fn park(self: &Arc<Self>) -> ParkedRequest {
        self.parked.fetch_add(1, Ordering::AcqRel);
        ParkedRequest { session: Arc::clone(self), lease: Some(self.client().hold_lease()) }
    }

    /// Whether half of its slots have requests that are parked.
    pub fn is_half_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire) >= self.granted_slots.load(Ordering::Acquire).div_ceil(2)
    }

    /// Asks the client to make do with this many slots, or [`SLOTS_MIN`], until it is asked otherwise: more requests than a
    /// second's worth would only wait here, and the last of them for too long. What it has it keeps, so that nothing is
    /// refused.
    pub fn throttle_slots(&self, slots: u64) {
        let slots = u32::try_from(slots).unwrap_or(u32::MAX).max(SLOTS_MIN);
        if self.throttled_slots.load(Ordering::Relaxed) != slots {
            self.throttled_slots.store(slots, Ordering::Relaxed);
        }
    }

    /// A request did not have to wait: if none does, the client may use twice as many slots as it was asked to make do with.
    pub fn relax_slots(&self) {
        let slots = self.throttled_slots.load(Ordering::Relaxed);
        if slots != u32::MAX && self.parked.load(Ordering::Acquire) == 0 {
            let all = self.slots.len() as u32;
            let doubled = slots.saturating_mul(2);
            self.throttled_slots.store(if doubled < all { doubled } else { u32::MAX }, Ordering::Relaxed);
        }
    }

    /// `sr_target_highest_slotid` as of now.
    pub fn target_highest_slot(&self) -> SlotId {
        SlotId(self.target().min(self.throttled_slots.load(Ordering::Relaxed)) - 1)
    }
}
