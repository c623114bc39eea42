//! What time alone brings about: unconfirmed, silent and departing clients, the end of grace, turns of waiters.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::client::ClientEntry;
use crate::effects::Effects;
use crate::lease::Standing;
use crate::revoke::Displaced;
use crate::state::State;
use crate::stripes::{STRIPES, lock};

impl<F: Clone + Send + Sync> State<F> {
    /// To be called about once a second, by one core. Returns what [`take_effects`](State::take_effects) does, and whom to
    /// ask for slots.
    pub fn sweep(&self, now: u64) -> Effects<F> {
        self.end_grace_if_due(now);
        let pressed = self.inner.shared.pressed.swap(false, Ordering::AcqRel);
        for stripe in 0..STRIPES {
            self.sweep_clients(stripe, pressed, now);
        }
        self.sweep_departing(now);
        for stripe in 0..STRIPES {
            self.sweep_files(stripe, now);
        }
        self.inner.duplicates.sweep(now);
        let recalls = self.share_slots();
        Effects { recalls, ..self.take_effects() }
    }

    fn sweep_clients(&self, stripe: usize, pressed: bool, now: u64) {
        let mut departed = Vec::new();
        let mut forfeited = Vec::new();
        {
            let mut table = self.inner.clients.lock(stripe);
            let due: Vec<_> =
                table.entries.values().filter(|entry| self.is_to_go(entry, pressed, now)).collect();
            let due: Vec<_> = due.into_iter().map(|entry| entry.client.id()).collect();
            departed.extend(due.into_iter().filter_map(|id| self.unlink_client(&mut table, id)));
            let revoked = table.entries.values().filter(|entry| entry.client.standing() != Standing::Live);
            forfeited.extend(revoked.map(|entry| Arc::clone(&entry.client)));
        }
        for entry in departed {
            tracing::info!(client = ?entry.client, "the client is forgotten");
            self.finish_removal(&entry.client, now);
        }
        for client in forfeited {
            self.displace(&client, now);
        }
    }

    /// Whether a client is to be forgotten: unconfirmed for a lease (RFC 8881 §18.35.4), silent for a lease
    /// without holding anything, or silent for longer than courtesy lasts, which under pressure is a lease.
    fn is_to_go(&self, entry: &ClientEntry, pressed: bool, now: u64) -> bool {
        let config = &self.inner.config;
        let silent_ns = entry.client.lease.silent_ns(now, config);
        if entry.create.is_busy() || silent_ns <= config.lease_ns {
            return false;
        }
        !entry.confirmed || pressed || !entry.client.has_state() || silent_ns > config.courtesy_ns
    }

    fn sweep_departing(&self, now: u64) {
        let departing = std::mem::take(&mut *lock(&self.inner.departing));
        let mut left: Vec<_> =
            departing.into_iter().filter(|client| self.displace(client, now) == Displaced::Pending).collect();
        lock(&self.inner.departing).append(&mut left);
    }

    fn sweep_files(&self, stripe: usize, now: u64) {
        let turn_ns = self.inner.config.limits.waiter_turn_ns;
        let mut notices = Vec::new();
        {
            let table = &mut *self.inner.files.lock(stripe);
            table.forget_ended();
            table.waiting.retain(|file| {
                let Some(entry) = table.files.get_mut(file) else { return false };
                notices.extend(entry.waiters.advance(&entry.ranges, file, now, turn_ns));
                !entry.waiters.is_empty()
            });
        }
        self.inner.effects.add(notices, Vec::new());
    }
}
