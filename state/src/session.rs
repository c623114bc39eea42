//! A session (RFC 8881 §2.10): its slots, channels and what each reply says about it.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crossbeam::utils::CachePadded;
use wire::nfs4::SessionId;

use crate::backchannel::{BackSlot, Channels};
use crate::client::Client;
use crate::config::SLOT_BYTES;
use crate::host::{give_back, take_share};
use crate::negotiate::ChannelAttributes;
use crate::sequence::status_flag;
use crate::slot::Slot;
use crate::state::Shared;
use crate::stripes::lock;
use crate::{lease::Standing, session::phase::OPEN};

/// Where a session is in its life.
pub(crate) mod phase {
    /// In use.
    pub(crate) const OPEN: u8 = 0;
    /// DESTROY_SESSION looks whether requests run; new ones are put off.
    pub(crate) const CLOSING: u8 = 1;
    /// Destroyed.
    pub(crate) const DEAD: u8 = 2;
}

/// A session. A core may keep the `Arc` as long as [`is_alive`](Session::is_alive) says so.
pub struct Session {
    id: SessionId,
    client: Arc<Client>,
    minor_version: u32,
    fore: ChannelAttributes,
    back: ChannelAttributes,
    pub(crate) shared: Arc<Shared>,
    pub(crate) phase: AtomicU8,
    pub(crate) slots: Box<[CachePadded<Slot>]>,
    /// Slots that new requests may use.
    pub(crate) granted_slots: AtomicU32,
    /// Slots that the client is asked to make do with.
    pub(crate) target_slots: AtomicU32,
    /// Counts the changes of `target_slots`.
    pub(crate) target_generation: AtomicU32,
    /// Slots that the client is asked to make do with because its requests would wait; all bits where it is not. Nothing
    /// hangs on it but what replies tell.
    pub(crate) throttled_slots: AtomicU32,
    /// Requests that are made to wait.
    pub(crate) parked: AtomicU32,
    /// Bytes of their payload.
    pub(crate) parked_bytes: AtomicU64,
    /// When a request did not have to wait while others did, 0 for never.
    pub(crate) worked_beside_parked: AtomicU64,
    /// Held while the slots granted, the target and its generation change: they belong together.
    pub(crate) slots_change: Mutex<()>,
    pub(crate) channels: Mutex<Channels>,
    pub(crate) back_wanted: AtomicBool,
    pub(crate) back_paths: AtomicU32,
    pub(crate) back_fault: AtomicBool,
}

impl Session {
    /// A session whose reply cache the caller has reserved; dropping the session gives it back.
    pub(crate) fn new(
        id: SessionId,
        client: &Arc<Client>,
        minor_version: u32,
        fore: ChannelAttributes,
        back: ChannelAttributes,
        shared: &Arc<Shared>,
    ) -> Self {
        let slots = fore.requests_max;
        shared.sessions.fetch_add(1, Ordering::AcqRel);
        let back_slots = vec![BackSlot::default(); back.requests_max as usize];
        Self {
            id,
            client: Arc::clone(client),
            minor_version,
            fore,
            back,
            shared: Arc::clone(shared),
            phase: AtomicU8::new(OPEN),
            slots: (0..slots).map(|_| CachePadded::new(Slot::default())).collect(),
            granted_slots: AtomicU32::new(slots),
            target_slots: AtomicU32::new(slots),
            target_generation: AtomicU32::new(0),
            throttled_slots: AtomicU32::new(u32::MAX),
            parked: AtomicU32::new(0),
            parked_bytes: AtomicU64::new(0),
            worked_beside_parked: AtomicU64::new(0),
            slots_change: Mutex::new(()),
            channels: Mutex::new(Channels { back_slots, ..Channels::default() }),
            back_wanted: AtomicBool::new(false),
            back_paths: AtomicU32::new(0),
            back_fault: AtomicBool::new(false),
        }
    }

    /// The session id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The client.
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// Minor version in which the session was made, and of its callbacks.
    pub fn minor_version(&self) -> u32 {
        self.minor_version
    }

    /// Properties of the fore channel.
    pub fn fore_channel(&self) -> &ChannelAttributes {
        &self.fore
    }

    /// Properties of the backchannel.
    pub fn back_channel(&self) -> &ChannelAttributes {
        &self.back
    }

    /// Whether the session still exists: one acquire load, for cores that keep sessions.
    pub fn is_alive(&self) -> bool {
        self.phase.load(Ordering::Acquire) != phase::DEAD
    }

    /// Whether a connection carries the backchannel.
    pub fn has_backchannel(&self) -> bool {
        self.back_paths.load(Ordering::Acquire) > 0
    }

    /// Asks the client to use this many slots, at least 1 and at most what the session was created with. It
    /// learns of it by the next SEQUENCE's reply or by CB_RECALL_SLOT; slots above are given up when it has
    /// shown that it knows (RFC 8881 §2.10.6.1). More than it has it gets where the reply cache has room. Returns the
    /// number in force.
    pub fn set_target_slots(&self, slots: u32) -> u32 {
        let _change = lock(&self.slots_change);
        let slots = self.grant(slots.clamp(1, self.slots.len() as u32));
        if self.target_slots.swap(slots, Ordering::AcqRel) != slots {
            self.target_generation.fetch_add(1, Ordering::AcqRel);
        }
        slots
    }

    /// Slots that the client is asked to make do with.
    pub(crate) fn target(&self) -> u32 {
        self.target_slots.load(Ordering::Acquire)
    }

    /// Sees to it that new requests may use at least so many slots, if there is room for what they keep; how many they may.
    fn grant(&self, slots: u32) -> u32 {
        let granted = self.granted_slots.load(Ordering::Acquire);
        if slots <= granted {
            return slots;
        }
        let (total, own) = (&self.shared.reply_bytes, &self.client.host().reply_bytes);
        let bytes = self.replies_bytes(slots - granted);
        if !take_share(total, own, bytes, self.shared.config.limits.reply_cache_bytes_max) {
            return granted;
        }
        self.granted_slots.store(slots, Ordering::Release);
        slots
    }

    /// Gives back what was reserved for the replies of so many slots.
    pub(crate) fn release_replies(&self, slots: u32) {
        let own = &self.client.host().reply_bytes;
        give_back(&self.shared.reply_bytes, own, self.replies_bytes(slots));
    }

    /// Bytes of the replies that so many slots may keep.
    fn replies_bytes(&self, slots: u32) -> u64 {
        u64::from(slots) * u64::from(self.fore.response_cached_bytes_max)
    }

    /// Bytes of the reply cache that are reserved for the session when it has at most so many slots.
    pub(crate) fn bytes_of(&self, slots: u32) -> u64 {
        let all = self.slots.len() as u32;
        u64::from(all) * SLOT_BYTES + self.replies_bytes(slots.min(all))
    }

    /// `sr_status_flags` (RFC 8881 §18.46.3).
    pub fn status_flags(&self) -> u32 {
        let client = &self.client;
        let mut flags = 0;
        let mut set = |condition: bool, flag: u32| flags |= if condition { flag } else { 0 };
        let standing = client.standing();
        set(standing == Standing::Expired, status_flag::EXPIRED_ALL_STATE_REVOKED);
        set(
            standing == Standing::Live && client.revoked_expired.load(Ordering::Acquire) > 0,
            status_flag::EXPIRED_SOME_STATE_REVOKED,
        );
        set(
            standing == Standing::Revoked || client.revoked_admin.load(Ordering::Acquire) > 0,
            status_flag::ADMIN_STATE_REVOKED,
        );
        // A client that never wanted callbacks has no path that could be down.
        set(
            client.back_wanted.load(Ordering::Acquire) && client.back_paths.load(Ordering::Acquire) == 0,
            status_flag::CB_PATH_DOWN,
        );
        set(
            self.back_wanted.load(Ordering::Acquire) && !self.has_backchannel(),
            status_flag::CB_PATH_DOWN_SESSION,
        );
        set(self.back_fault.load(Ordering::Acquire), status_flag::BACKCHANNEL_FAULT);
        set(
            client.reclaim.is_allowed() && !client.reclaim.is_complete() && self.shared.grace.is_reclaiming(),
            status_flag::RESTART_RECLAIM_NEEDED,
        );
        flags
    }

    /// Whether a request runs on a slot other than `own`.
    pub(crate) fn is_busy(&self, own: Option<u32>) -> bool {
        let mut others = self.slots.iter().enumerate().filter(|(index, _)| own != Some(*index as u32));
        others.any(|(_, slot)| slot.is_busy())
    }

    /// Ends the session: cores that keep it notice at the next use.
    pub(crate) fn kill(&self) {
        self.phase.store(phase::DEAD, Ordering::SeqCst);
        self.detach_all();
    }

    pub(crate) fn connections(&self) -> usize {
        lock(&self.channels).connections.len()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.sessions.fetch_sub(1, Ordering::AcqRel);
        let bytes = self.bytes_of(self.granted_slots.load(Ordering::Acquire));
        give_back(&self.shared.reply_bytes, &self.client.host().reply_bytes, bytes);
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "session {:x} of {:?}", u128::from_be_bytes(self.id.0), self.client)
    }
}
