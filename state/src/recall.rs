//! Slots asked back from those who have many, so that those who come find some (RFC 8881 §2.10.6.1, §20.8).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::host::Host;
use crate::session::Session;
use crate::state::State;
use crate::stripes::STRIPES;

/// Slots that a session is left with, and that it gets when few are left: some requests at a time for every client that
/// there may be.
pub(crate) const SLOTS_MIN: u32 = 4;

/// CB_RECALL_SLOTs sent of one sweep. The others hear of it with their next SEQUENCE's reply.
const CALLBACKS_MAX: usize = 256;

/// The sessions of one host.
struct Held {
    sessions: Vec<Arc<Session>>,
}

impl Held {
    /// Bytes of the reply cache that the host has when each session has at most so many slots.
    fn bytes(&self, slots: u32) -> u64 {
        self.sessions.iter().map(|session| session.bytes_of(slots)).sum()
    }

    /// The slots each session may have for all to stay within `bytes`, in steps of halves.
    fn slots_within(&self, bytes: u64) -> u32 {
        let most = self.sessions.iter().map(|session| session.slots.len() as u32).max().unwrap_or(1);
        let mut slots = most;
        while slots > SLOTS_MIN && self.bytes(slots) > bytes {
            slots = (slots / 2).max(SLOTS_MIN);
        }
        slots
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// Where slots have become short, sets the targets of the sessions of those hosts that have most, and raises them
    /// when there is room again; which sessions are to be called.
    pub(crate) fn share_slots(&self) -> Vec<Arc<Session>> {
        let shared = &self.inner.shared;
        let bound = self.inner.config.limits.reply_cache_bytes_max;
        let is_full = shared.reply_bytes.load(Ordering::Acquire) > bound / 4 * 3;
        if !shared.slots_short.swap(false, Ordering::AcqRel) && !is_full {
            return Vec::new();
        }
        let hosts = self.sessions_by_host();
        // Asked back down to a half, and of one host to a quarter, which could not have much more than a half; given back up
        // to a quarter, so that who comes and goes does not move all others.
        let (most, least) = (level(&hosts, bound / 2).min(bound / 4), level(&hosts, bound / 4));
        let mut recalled = Vec::new();
        for held in &hosts {
            let (most, least) = (held.slots_within(most), held.slots_within(least));
            for session in &held.sessions {
                let before = session.target();
                let target = session.set_target_slots(before.clamp(least, most));
                if target < session.slots.len() as u32 {
                    // Looked at again until all have what they came for.
                    shared.slots_short.store(true, Ordering::Release);
                }
                if target < before && recalled.len() < CALLBACKS_MAX && session.has_backchannel() {
                    recalled.push(Arc::clone(session));
                }
            }
        }
        recalled
    }

    fn sessions_by_host(&self) -> Vec<Held> {
        let mut hosts: HashMap<*const Host, Held> = HashMap::new();
        for stripe in 0..STRIPES {
            let table = self.inner.clients.lock(stripe);
            for entry in table.entries.values().filter(|entry| !entry.sessions.is_empty()) {
                let held = hosts
                    .entry(Arc::as_ptr(entry.client.host()))
                    .or_insert_with(|| Held { sessions: Vec::new() });
                held.sessions.extend(entry.sessions.iter().cloned());
            }
        }
        hosts.into_values().collect()
    }
}

/// The bytes that no host may go beyond for all to stay within `bytes`, in steps of halves.
fn level(hosts: &[Held], bytes: u64) -> u64 {
    let wholes: Vec<u64> = hosts.iter().map(|held| held.bytes(u32::MAX)).collect();
    let mut level = bytes;
    while level > 0 && wholes.iter().map(|whole| *whole.min(&level)).sum::<u64>() > bytes {
        level /= 2;
    }
    level
}
