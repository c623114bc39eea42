//! What is taken by share: by weight where all compete for it, and what is reserved goes before.

use super::{Core, Due, Woken, unpaid};
use crate::limits::bucket::SLICE_NS;
use crate::limits::limit::{Cost, RESERVED, Tier};
use crate::limits::pace::AT_WORK_MIN;
use crate::limits::path::Path;
use crate::limits::table::{CORES_MAX, WORKER};

/// Work that goes on ahead of the rate has others wait for so many nanoseconds at most: the rate is then wrong.
const AHEAD_NS_MAX: u64 = SLICE_NS;

impl Core {
    /// Takes over what this core's part of an entity is, by those who wait for it here and elsewhere, from time to time.
    pub(super) fn divide(&mut self, place: u32, now_ns: u64) {
        let local = self.locals.get(place as usize).and_then(Option::as_ref);
        let share = local.and_then(|local| local.share.as_ref());
        if share.is_some_and(|share| share.is_stale(now_ns)) {
            self.divide_anew(place, now_ns);
        }
    }

    /// The same at once.
    pub(super) fn divide_anew(&mut self, place: u32, now_ns: u64) {
        let Some(Some(local)) = self.locals.get(place as usize) else { return };
        let Some(queue) = local.queue.as_ref().filter(|queue| !queue.is_empty()) else { return };
        let mut weights = [if local.is_scarce { 0 } else { queue.work() }, 0];
        for (flow, weight, tier) in queue.flows().filter(|_| local.is_scarce) {
            weights[usize::from(tier == Tier::Background)] += self.weight_here(flow, weight);
        }
        let (local, bucket) = self.part(place);
        local.divide(bucket, weights, now_ns);
    }

    /// The part of a tenant's `weight` that counts on this core: it is divided by the cores on which the tenant waits.
    pub(super) fn weight_here(&self, tenant: u32, weight: u64) -> u64 {
        weight * u64::from(CORES_MAX) / self.limits.bucket(tenant).backlogged_cores()
    }

    /// Counts a request among the parked of its tenant, or no longer.
    pub(super) fn count_backlog(&mut self, path: &Path, is_parked: bool, now_ns: u64) {
        let Some(tenant) = path.tenant else { return };
        let number = self.number;
        self.local(tenant, self.limits.change(), now_ns);
        let (local, bucket) = self.part(tenant);
        local.backlog = if is_parked { local.backlog + 1 } else { local.backlog - 1 };
        if local.backlog == u32::from(is_parked) {
            bucket.set_backlogged(number, is_parked);
        }
    }

    /// Pays for `cost` out of what is reserved for the tenant: what is scarce is charged and not waited for. The
    /// limits of the other entities bind. Else it answers when it is worth another look, if ever.
    pub(super) fn overdraw(
        &mut self,
        path: &Path,
        cost: Cost,
        paid: u16,
        now_ns: u64,
    ) -> Result<(), Option<u64>> {
        let tenant = path.tenant.filter(|_| path.is_reserved).ok_or(None)?;
        let change = self.limits.change();
        let mut is_scarce = false;
        for place in unpaid(path, paid) {
            self.local(place, change, now_ns);
            let (local, bucket) = self.part(place);
            is_scarce |= local.is_scarce;
            let is_ready = !local.is_crowded() && local.ready_ns(bucket, cost, now_ns) <= now_ns;
            if !local.is_scarce && !is_ready {
                return Err(None);
            }
        }
        if !is_scarce {
            return Err(None);
        }
        let number = self.number;
        let (local, bucket) = self.part(tenant);
        local.reserve(bucket, number, cost, now_ns).map_err(Some)?;
        self.watch_idle(tenant, now_ns);
        for place in unpaid(path, paid) {
            let (local, bucket) = self.part(place);
            if local.is_scarce {
                local.owe(bucket, cost, u64::MAX, now_ns);
            } else if self.take(place, cost, now_ns) <= now_ns {
                self.part(place).0.spend(cost, now_ns);
            } else {
                let (local, bucket) = self.part(place);
                local.owe(bucket, cost, u64::MAX, now_ns);
            }
        }
        Ok(())
    }

    /// Whether fewer are at work on this core, protected ones or others, than may be whatever the rate of work is.
    pub(super) fn may_go_ahead(&self, is_protected: bool) -> bool {
        // What is protected stands in nobody's way, and others in that of what is.
        let at_work = self.at_work[0] + if is_protected { 0 } else { self.at_work[1] };
        at_work < AT_WORK_MIN && at_work < self.limits.at_work_min(is_protected, self.number)
    }

    /// Pays for `cost` where fewer are at work on this core than may be whatever the rate of work is: that is charged and not
    /// waited for. Limits bind.
    pub(super) fn go_ahead(&mut self, path: &Path, cost: Cost, paid: u16, now_ns: u64) -> bool {
        if !self.may_go_ahead(path.tier == Tier::Protected) {
            return false;
        }
        let change = self.limits.change();
        let limited = || unpaid(path, paid).filter(|place| *place != WORKER);
        for place in limited() {
            self.local(place, change, now_ns);
            let (local, bucket) = self.part(place);
            if local.is_crowded_for(cost) || local.ready_ns(bucket, cost, now_ns) > now_ns {
                return false;
            }
        }
        if !limited().all(|place| self.take(place, cost, now_ns) <= now_ns) {
            return false;
        }
        limited().for_each(|place| self.part(place).0.spend(cost, now_ns));
        self.local(WORKER, change, now_ns);
        let (local, bucket) = self.part(WORKER);
        local.owe(bucket, cost, AHEAD_NS_MAX, now_ns);
        true
    }

    /// Has those who wait at the scarce entity at `place` looked at when more is to be had of what is reserved for
    /// `tenant`.
    pub(super) fn wait_for_reservation(&mut self, tenant: u32, place: u32, now_ns: u64) {
        if !self.part(place).0.is_scarce {
            return;
        }
        if !self.scarce.contains(&place) {
            self.scarce.push(place);
        }
        let (local, bucket) = self.part(tenant);
        let ready_ns = bucket.earliest_ns(RESERVED, now_ns);
        let known = local.reservation;
        let timer = known.unwrap_or_else(|| self.wheel.create(Due::Reservation(tenant)));
        self.part(tenant).0.reservation = Some(timer);
        if !self.wheel.is_set(timer) {
            self.wheel.set(timer, ready_ns);
        }
    }

    /// Lets the parked of `tenant` go on that what is reserved for it pays for.
    pub(super) fn serve_reserved(&mut self, tenant: u32, now_ns: u64, woken: &mut Vec<Woken>) {
        let Some(timer) = self.part(tenant).0.reservation else { return };
        loop {
            let first_at = |place: &u32| {
                let queue = self.locals[*place as usize].as_ref()?.queue.as_ref()?;
                queue.first_of_flow(tenant).map(|(rank, slot)| (*place, rank, slot))
            };
            let Some((place, rank, slot)) = self.scarce.iter().find_map(first_at) else { return };
            let waiter = *self.waiter(slot);
            if waiter.path.structure != self.limits.structure() {
                // It is weighed anew in its turn.
                return;
            }
            match self.overdraw(&waiter.path, waiter.cost, waiter.paid, now_ns) {
                Ok(()) => {
                    self.leave(slot, now_ns).withdraw(rank);
                    woken.push(self.wake(slot, now_ns));
                    if !self.is_crowded(place) {
                        self.empty(place, now_ns);
                    }
                }
                Err(again_ns) => {
                    self.wheel.set(timer, again_ns.unwrap_or(now_ns + SLICE_NS));
                    return;
                }
            }
        }
    }
}
