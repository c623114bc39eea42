//! What becomes of a session whose requests are made to wait: they are counted, its client's lease stands, and the client may
//! be asked to send less.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::SlotId;

use crate::lease::LeaseHold;
use crate::session::Session;

/// Slots that a session is left with at least: one for what waits, one for what must not.
const SLOTS_MIN: u32 = 2;

/// Payload that the parked of a session may have while it has other work: some of the largest requests, so that there is always
/// one whose turn is next.
const PARKED_BYTES_MAX: u64 = 4 << 20;

/// For so long, in nanoseconds, work that did not wait is a reason to expect more of it.
const OTHER_WORK_NS: u64 = 5_000_000_000;

/// A request that waits because we let it wait, until it is ended or dropped.
#[derive(Debug)]
#[must_use = "a request is counted as parked only while this exists"]
pub struct ParkedRequest {
    session: Arc<Session>,
    bytes: u64,
    lease: LeaseHold,
}

impl ParkedRequest {
    /// The request goes on at `now`, and its client's lease runs again from then on.
    pub fn end(self, now: u64) {
        self.lease.renew(now, &self.session.shared.config);
    }
}

impl Drop for ParkedRequest {
    fn drop(&mut self) {
        self.session.parked_bytes.fetch_sub(self.bytes, Ordering::AcqRel);
        self.session.parked.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    /// Counts a request of this session with so many bytes of payload as parked.
    pub fn park(self: &Arc<Self>, bytes: u64) -> ParkedRequest {
        self.parked.fetch_add(1, Ordering::AcqRel);
        self.parked_bytes.fetch_add(bytes, Ordering::AcqRel);
        ParkedRequest { session: Arc::clone(self), bytes, lease: self.client().hold_lease() }
    }

    /// Whether half of its slots have requests that are parked.
    pub fn is_half_parked(&self) -> bool {
        self.parked.load(Ordering::Acquire) >= self.granted_slots.load(Ordering::Acquire).div_ceil(2)
    }

    /// Whether what is parked leaves too little to other work, of which there was some lately.
    pub fn is_in_the_way_of_others(&self, now: u64) -> bool {
        let worked = self.worked_beside_parked.load(Ordering::Relaxed);
        let has_other_work = worked > 0 && now.saturating_sub(worked) < OTHER_WORK_NS;
        let bytes = self.parked_bytes.load(Ordering::Acquire);
        has_other_work && (self.is_half_parked() || bytes >= PARKED_BYTES_MAX)
    }

    /// Notes that a request with payload did not have to wait. If others do, it shows that the session has other work.
    pub fn note_work(&self, now: u64) {
        if self.parked.load(Ordering::Relaxed) > 0 {
            self.worked_beside_parked.store(now.max(1), Ordering::Relaxed);
        }
    }

    /// Asks the client to make do with this many slots, or `SLOTS_MIN`, until it is asked otherwise: more requests than a
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
