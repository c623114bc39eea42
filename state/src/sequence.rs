//! SEQUENCE: exactly once for every request (RFC 8881 §2.10.6 and §18.46).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{SequenceId, SlotId, Status};

use crate::session::{Session, phase};
use crate::slot::SlotBegin;
use crate::stripes::lock;

/// Bits of `sr_status_flags` (RFC 8881 §18.46.2).
pub mod status_flag {
    /// No session of the client has a backchannel.
    pub const CB_PATH_DOWN: u32 = 0x0000_0001;
    /// The lease expired and all state was revoked.
    pub const EXPIRED_ALL_STATE_REVOKED: u32 = 0x0000_0008;
    /// Some state was revoked after the lease expired, and is not all freed yet.
    pub const EXPIRED_SOME_STATE_REVOKED: u32 = 0x0000_0010;
    /// State was revoked by the administrator.
    pub const ADMIN_STATE_REVOKED: u32 = 0x0000_0020;
    /// The server has restarted and the client must reclaim.
    pub const RESTART_RECLAIM_NEEDED: u32 = 0x0000_0100;
    /// The session has no backchannel.
    pub const CB_PATH_DOWN_SESSION: u32 = 0x0000_0200;
    /// The backchannel's slots are out of step.
    pub const BACKCHANNEL_FAULT: u32 = 0x0000_0400;
}

/// The arguments of SEQUENCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceCall {
    /// `sa_slotid`.
    pub slot: SlotId,
    /// `sa_sequenceid`.
    pub sequence: SequenceId,
    /// `sa_highest_slotid`.
    pub highest_slot: SlotId,
    /// `sa_cachethis`.
    pub cache_this: bool,
    /// A hash of what follows SEQUENCE and of who sent it, to tell a false retry (RFC 8881 §2.10.6.1.3.1);
    /// `None` if not computed.
    pub fingerprint: Option<u64>,
}

/// The results of SEQUENCE beyond what echoes the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SequenceReply {
    /// `sr_highest_slotid`.
    pub highest_slot: SlotId,
    /// `sr_target_highest_slotid`.
    pub target_highest_slot: SlotId,
    /// `sr_status_flags`, see [`status_flag`].
    pub status_flags: u32,
}

/// What to do with a request.
#[derive(Debug)]
pub enum Begin {
    /// It is new: execute it.
    Execute(SlotClaim),
    /// It is a retry: send these bytes again.
    Replay(Vec<u8>),
    /// It is a retry of a request whose reply was not kept: SEQUENCE succeeds with these results and the next
    /// operation, if there is one, fails with NFS4ERR_RETRY_UNCACHED_REP (RFC 8881 §2.10.6.1.3).
    Uncached(SequenceReply),
    /// SEQUENCE fails and nothing has changed: NFS4ERR_DELAY while the original still runs, on whatever
    /// connection; NFS4ERR_SEQ_MISORDERED, NFS4ERR_SEQ_FALSE_RETRY, NFS4ERR_BADSLOT, NFS4ERR_BADSESSION.
    Refused(Status),
}

/// A reply as the slot is to keep it.
#[derive(Clone, Copy, Debug)]
pub enum SlotReply<'a> {
    /// Keep it for retries. The bytes are at most the session's `response_cached_bytes_max`, which the caller
    /// has checked before it let anything happen (NFS4ERR_REP_TOO_BIG_TO_CACHE); more are not kept.
    Cached(&'a [u8]),
    /// Keep only that the request was executed.
    Uncached,
}

/// The right and duty to answer the request on a slot. The holder alone owns the slot's reply.
///
/// Dropping it without [`complete`](SlotClaim::complete) breaks an invariant, for a started compound always
/// finishes: it panics in builds with debug assertions, unless [`State::close`](crate::State::close) was
/// called. Otherwise it is logged and retries of the request get NFS4ERR_DELAY for ever.
#[must_use = "a slot stays busy until its claim is completed"]
pub struct SlotClaim {
    session: Arc<Session>,
    call: SequenceCall,
    /// Generation of the target that the reply tells, or an earlier one.
    told: u32,
    completed: bool,
}

impl Session {
    /// Takes the slot for a request, renews the client's lease and says what to do.
    pub fn begin(self: &Arc<Self>, call: &SequenceCall, now: u64) -> Begin {
        match self.phase.load(Ordering::Acquire) {
            phase::OPEN => (),
            phase::CLOSING => return Begin::Refused(Status::Delay),
            _ => return Begin::Refused(Status::Badsession),
        }
        let index = call.slot.0;
        let Some(slot) = self.slots.get(index as usize) else {
            return Begin::Refused(Status::Badslot);
        };
        let granted = index < self.granted_slots.load(Ordering::Acquire);
        match slot.begin(call.sequence.0, call.fingerprint.unwrap_or(0), granted) {
            SlotBegin::Execute => self.execute(call, now),
            SlotBegin::Replay(reply) => {
                self.renew(now);
                Begin::Replay(reply)
            }
            SlotBegin::Uncached => {
                self.renew(now);
                Begin::Uncached(self.sequence_reply())
            }
            // RFC 8881 §2.10.6.2: the original still runs, so the retry must not touch anything.
            SlotBegin::Busy => Begin::Refused(Status::Delay),
            SlotBegin::Misordered => Begin::Refused(Status::SeqMisordered),
            SlotBegin::FalseRetry => Begin::Refused(Status::SeqFalseRetry),
            SlotBegin::NotGranted => Begin::Refused(Status::Badslot),
        }
    }

    /// The results of SEQUENCE as of now.
    pub fn sequence_reply(&self) -> SequenceReply {
        SequenceReply {
            highest_slot: SlotId(self.granted_slots.load(Ordering::Acquire) - 1),
            target_highest_slot: self.target_highest_slot(),
            status_flags: self.status_flags(),
        }
    }

    fn execute(self: &Arc<Self>, call: &SequenceCall, now: u64) -> Begin {
        let slot = &self.slots[call.slot.0 as usize];
        // Pairs with DESTROY_SESSION, which closes first and looks for busy slots then: one sees the other.
        match self.phase.load(Ordering::SeqCst) {
            phase::OPEN => (),
            closing => {
                slot.withdraw(call.sequence.0);
                let is_closing = closing == phase::CLOSING;
                return Begin::Refused(if is_closing { Status::Delay } else { Status::Badsession });
            }
        }
        self.renew(now);
        self.give_up_slots(call);
        let told = self.target_generation.load(Ordering::Acquire);
        Begin::Execute(SlotClaim { session: Arc::clone(self), call: *call, told, completed: false })
    }

    fn renew(&self, now: u64) {
        self.client().lease.renew(now, self.shared.config.limits.renewal_interval_ns);
    }

    /// Whether fewer slots are asked for than are granted, and the client shows by this request that it was told.
    fn knows_lower_target(&self, call: &SequenceCall) -> bool {
        let target = self.target_slots.load(Ordering::Acquire);
        target < self.granted_slots.load(Ordering::Acquire)
            && call.highest_slot.0 < target
            && self.slots[call.slot.0 as usize].told() == self.target_generation.load(Ordering::Acquire)
    }

    /// Gives up the slots above the target once the client has shown that it knows the target: by a new
    /// request on a slot whose last reply told it, with nothing outstanding above (RFC 8881 §2.10.6.1).
    fn give_up_slots(&self, call: &SequenceCall) {
        if !self.knows_lower_target(call) {
            return;
        }
        let _change = lock(&self.slots_change);
        // All of it may have changed before the lock was there.
        if !self.knows_lower_target(call) {
            return;
        }
        let target = self.target_slots.load(Ordering::Acquire);
        let granted = self.granted_slots.load(Ordering::Acquire);
        let surplus = &self.slots[target as usize..granted as usize];
        if surplus.iter().any(|slot| slot.is_busy()) {
            return;
        }
        self.granted_slots.store(target, Ordering::Release);
        surplus.iter().for_each(|slot| {
            slot.retire();
        });
        self.release_replies(granted - target);
    }
}

impl SlotClaim {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The arguments of SEQUENCE.
    pub fn call(&self) -> &SequenceCall {
        &self.call
    }

    /// Ends the request: `reply` is what a retry gets from now on.
    pub fn complete(mut self, reply: SlotReply<'_>) {
        self.completed = true;
        let bound = self.session.fore_channel().response_cached_bytes_max as usize;
        let kept = match reply {
            SlotReply::Cached(bytes) if bytes.len() <= bound => Some(bytes),
            _ => None,
        };
        let slot = &self.session.slots[self.call.slot.0 as usize];
        slot.complete(self.call.sequence.0, kept, self.told);
    }
}

impl Drop for SlotClaim {
    fn drop(&mut self) {
        if self.completed || self.session.shared.is_closing() || std::thread::panicking() {
            return;
        }
        tracing::error!(session = ?self.session, slot = self.call.slot.0, "a compound ended without a reply");
        debug_assert!(self.completed, "a slot claim was dropped without its reply");
    }
}

impl std::fmt::Debug for SlotClaim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?} slot {} sequence {}", self.session, self.call.slot.0, self.call.sequence.0)
    }
}
