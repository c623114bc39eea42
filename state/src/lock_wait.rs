//! Blocked lock requests in their order (RFC 8881 §9.6).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::ClientId;

use crate::client::Client;
use crate::effects::LockNotice;
use crate::file_key::FileKey;
use crate::lock_ranges::{LockKind, LockRange, LockRanges};
use crate::owner::StateOwner;
use crate::state::{Shared, take_within};

/// Requests of one file that were denied and wait. A waiter whose range gets free is notified and has its
/// turn: for a short time blocking requests of those behind it are denied. Non-blocking requests are never
/// denied for a waiter's sake, for no lock stands in their way.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) owner: StateOwner,
    pub(crate) kind: LockKind,
    pub(crate) range: LockRange,
    /// When to forget it: the client has stopped to poll.
    expires_at: u64,
    /// Notified since its range last got free; its turn lasts until then.
    turn_until: Option<u64>,
    _place: Place,
}

/// A place among the waiters of all files, given back when it is dropped.
struct Place {
    client: Arc<Client>,
    shared: Arc<Shared>,
}

impl Place {
    /// A place for a request of the client, unless it or all together have as many as they may.
    fn take(client: &Arc<Client>, shared: &Arc<Shared>) -> Option<Self> {
        let limits = &shared.config.limits;
        if !take_within(&shared.waiters, 1, limits.waiters_max) {
            return None;
        }
        let before = client.waiters.fetch_add(1, Ordering::AcqRel);
        let place = Self { client: Arc::clone(client), shared: Arc::clone(shared) };
        (before < limits.waiters_per_client_max).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.client.waiters.fetch_sub(1, Ordering::AcqRel);
        self.shared.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "place of {:?}", self.client)
    }
}

impl Waiter {
    fn excludes(&self, owner: &StateOwner, kind: LockKind, range: LockRange) -> bool {
        self.owner != *owner
            && self.range.overlaps(&range)
            && (kind == LockKind::Write || self.kind == LockKind::Write)
    }

    fn has_turn(&self, now: u64) -> bool {
        self.turn_until.is_some_and(|until| now < until)
    }
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// A denied request waits, at its old place if it waits already. Beyond the bounds it has to poll.
    pub(crate) fn enqueue(
        &mut self,
        owner: &StateOwner,
        kind: LockKind,
        range: LockRange,
        expires_at: u64,
        shared: &Arc<Shared>,
    ) {
        let same = |waiter: &&mut Waiter| waiter.owner == *owner && waiter.range == range;
        if let Some(waiter) = self.queue.iter_mut().find(same) {
            // Its turn is over: it came and was denied.
            (waiter.kind, waiter.expires_at, waiter.turn_until) = (kind, expires_at, None);
        } else if self.queue.len() < shared.config.limits.waiters_per_file_max as usize
            && let Some(place) = Place::take(owner.client(), shared)
        {
            let owner = owner.clone();
            self.queue.push_back(Waiter { owner, kind, range, expires_at, turn_until: None, _place: place });
        }
    }

    /// The owner waits for the range no more: it has got it, or asks for the last time without blocking.
    pub(crate) fn forget(&mut self, owner: &StateOwner, range: LockRange) {
        self.queue.retain(|waiter| waiter.owner != *owner || !waiter.range.overlaps(&range));
    }

    /// The client has the file open no more.
    pub(crate) fn forget_client(&mut self, client: ClientId) {
        self.queue.retain(|waiter| waiter.owner.client().id() != client);
    }

    /// The waiter whose turn it is before a blocking request of `owner`.
    pub(crate) fn before(
        &self,
        owner: &StateOwner,
        kind: LockKind,
        range: LockRange,
        now: u64,
    ) -> Option<&Waiter> {
        let ahead = self.queue.iter().take_while(|waiter| waiter.owner != *owner || waiter.range != range);
        ahead.filter(|waiter| waiter.has_turn(now)).find(|waiter| waiter.excludes(owner, kind, range))
    }

    /// Some range got free: gives turns to those who can have their locks now, in order.
    pub(crate) fn released(
        &mut self,
        held: &LockRanges<StateOwner>,
        file: &FileKey,
        now: u64,
        turn_ns: u64,
    ) -> Vec<LockNotice> {
        for waiter in &mut self.queue {
            // Whoever let a turn pass may be told again.
            waiter.turn_until.take_if(|until| now >= *until);
        }
        self.advance(held, file, now, turn_ns)
    }

    /// Turns have passed unused: forgets those who gave up and gives turns to the next.
    pub(crate) fn advance(
        &mut self,
        held: &LockRanges<StateOwner>,
        file: &FileKey,
        now: u64,
        turn_ns: u64,
    ) -> Vec<LockNotice> {
        self.queue.retain(|waiter| now < waiter.expires_at);
        let mut notices = Vec::new();
        for index in 0..self.queue.len() {
            let waiter = &self.queue[index];
            let (kind, range) = (waiter.kind, waiter.range);
            let is_free = held.conflicts(&waiter.owner, kind, range).next().is_none();
            if waiter.turn_until.is_some() || !is_free {
                continue;
            }
            let mut ahead = self.queue.iter().take(index).filter(|ahead| ahead.has_turn(now));
            if ahead.any(|ahead| ahead.excludes(&waiter.owner, kind, range)) {
                continue;
            }
            notices.push(LockNotice {
                client: waiter.owner.client().id(),
                owner: waiter.owner.name().to_vec(),
                file: *file,
            });
            self.queue[index].turn_until = Some(now.saturating_add(turn_ns));
        }
        notices
    }
}
