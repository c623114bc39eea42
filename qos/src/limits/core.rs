//! One core's part of the limits: who may go on now, and who is parked until when.

use std::collections::BTreeSet;

use super::bucket::{Bucket, SLICE_NS};
use super::limit::{Cost, RESERVED, Tier};
use super::local::Local;
use super::mailbox::letter_of;
use super::path::Path;
use super::queue::{Entry, Queue, Rank};
use super::table::{CORES_MAX, Defect, Limits};
use super::wheel::{Timer, Wheel};

/// The longest a request is held, from when its first byte was there, in nanoseconds: a client that waits longer takes
/// the server for dead.
pub const HOLD_NS_MAX: u64 = 20_000_000_000;

/// What must come earlier by so much is taken again when others give tokens back: more than the clock's tick.
const GAIN_NS: u64 = 100_000;

/// What becomes of a request that asks to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It goes on, and is charged.
    Run(Charged),
    /// It is parked; [`Core::advance`] says when it goes on.
    Wait {
        /// Its name while it waits.
        turn: Turn,
        /// When its turn comes as things stand, in nanoseconds.
        until_ns: u64,
    },
    /// Its turn would come after [`HOLD_NS_MAX`]: it is to be told to come again.
    Refuse,
}

/// What became of a parked request, which is no longer parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Woken {
    /// Its name while it waited.
    pub turn: Turn,
    /// `None` where it was held for [`HOLD_NS_MAX`] in vain.
    pub charged: Option<Charged>,
}

/// When a request was charged, in changes of the table: what is given back is worth nothing after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged(u64);

/// Names a parked request of one core, later ones higher. Never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    arrival: u64,
    slot: u32,
}

/// One core's part of a table of limits. Time is an argument, in nanoseconds of one clock for all cores, and does not go
/// backwards on a core.
#[derive(Debug)]
pub struct Core {
    limits: Limits,
    number: u32,
    /// By place in the table; there once a request of this core came by.
    locals: Vec<Option<Box<Local>>>,
    waiters: Vec<Option<Waiter>>,
    free: Vec<u32>,
    wheel: Wheel<Due>,
    /// The entities where requests are parked, ordered by the letter that speaks of them.
    crowded: BTreeSet<(u32, u32)>,
    /// The entities whose parked are to be looked at with the next turn.
    kicked: Vec<u32>,
    due: Vec<Due>,
    arrivals: u64,
}

#[derive(Clone, Copy, Debug)]
enum Due {
    Entity(u32),
    Reservation(u32),
    Hold(u32),
}

#[derive(Clone, Copy, Debug)]
struct Waiter {
    path: Path,
    cost: Cost,
    /// The levels of the path that are paid, a bit each.
    paid: u8,
    arrival: u64,
    /// The entity it is parked at, and the place in its queue.
    place: u32,
    rank: Option<Rank>,
    timer: Timer,
}

enum Verdict {
    Pay,
    Wait { place: u32, ready_ns: u64 },
}

impl Core {
    /// The part of core `number`, of which there is one only.
    ///
    /// # Panics
    /// When `number` is [`CORES_MAX`] or more.
    pub fn new(limits: &Limits, number: u32) -> Self {
        assert!(number < CORES_MAX, "cores are numbered below {CORES_MAX}");
        Self {
            limits: limits.clone(),
            number,
            locals: Vec::new(),
            waiters: Vec::new(),
            free: Vec::new(),
            wheel: Wheel::new(),
            crowded: BTreeSet::new(),
            kicked: Vec::new(),
            due: Vec::new(),
            arrivals: 0,
        }
    }

    /// Charges `cost` to everything on `path`, now or when its turn has come. `since_ns` is when the request began to
    /// be held for whatever reason.
    ///
    /// A request waits where its turn comes last; nothing is taken from the other entities until then, so that what
    /// is scarce for it does not become scarce for others.
    pub fn offer(&mut self, path: &mut Path, cost: Cost, since_ns: u64, now_ns: u64) -> Decision {
        let change = self.limits.change();
        if path.leaves().is_empty() {
            return Decision::Run(Charged(change));
        }
        if path.structure != self.limits.structure() {
            self.limits.resolve(path);
        }
        if self.spend_in_hand(path, cost, change, now_ns) {
            return Decision::Run(Charged(change));
        }
        let backlog = path.tenant.and_then(|tenant| self.locals.get(tenant as usize)?.as_ref());
        let is_first = backlog.is_none_or(|local| local.backlog == 0);
        match self.weigh(path, cost, 0, None, now_ns) {
            Verdict::Wait { .. } if is_first && self.overdraw(path, cost, 0, now_ns).is_ok() => {
                Decision::Run(Charged(change))
            }
            Verdict::Pay => {
                self.pay(path, cost, 0, now_ns);
                Decision::Run(Charged(change))
            }
            Verdict::Wait { place, ready_ns } => {
                let hold_until_ns = since_ns.saturating_add(HOLD_NS_MAX);
                let until_ns = ready_ns.saturating_add(self.queued_ns(place, cost));
                if until_ns > hold_until_ns {
                    return Decision::Refuse;
                }
                Decision::Wait { turn: self.park(path, cost, place, hold_until_ns, now_ns), until_ns }
            }
        }
    }

    /// Gives back what was charged at `charged` and not used: what a READ asked for beyond the end of a file, or all of
    /// it where the request came to nothing.
    pub fn refund(&mut self, path: &Path, unused: Cost, charged: Charged, now_ns: u64) {
        for place in path.places() {
            let Some(Some(local)) = self.locals.get_mut(*place as usize) else { continue };
            if local.since <= charged.0 {
                local.refund(unused, now_ns);
                self.look_after(*place, now_ns);
            }
        }
    }

    /// Charges what took place already: costs that are known afterwards only. Those who come next wait for it.
    pub fn owe(&mut self, path: &mut Path, cost: Cost, now_ns: u64) {
        if path.structure != self.limits.structure() {
            self.limits.resolve(path);
        }
        let change = self.limits.change();
        for place in path.places() {
            self.local(*place, change, now_ns);
            let (local, bucket) = self.part(*place);
            local.owe(bucket, cost, now_ns);
        }
    }

    /// Takes a parked request out that does not want to go on any more.
    pub fn cancel(&mut self, turn: Turn, now_ns: u64) {
        let is_there = self.waiters[turn.slot as usize].is_some_and(|waiter| waiter.arrival == turn.arrival);
        if is_there {
            self.give_up(turn.slot, now_ns);
        }
    }

    /// When [`Core::advance`] is to be called, in nanoseconds, and 0 for at once. `None`: not before the next request
    /// or a bell.
    pub fn next_deadline_ns(&self) -> Option<u64> {
        let is_at_once = !self.kicked.is_empty() || self.limits.mailbox(self.number).has_letters();
        if is_at_once { Some(0) } else { self.wheel.next_ns() }
    }

    /// Adds to `woken` those whose turn has come by `now_ns`; they are charged.
    pub fn advance(&mut self, now_ns: u64, woken: &mut Vec<Woken>) {
        self.read_letters(now_ns);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.turn(now_ns, &mut due);
        for one in due.drain(..) {
            match one {
                Due::Entity(place) if self.is_crowded(place) => self.kick(place),
                Due::Entity(place) => self.rest(place, now_ns),
                Due::Reservation(tenant) => self.serve_reserved(tenant, now_ns, woken),
                Due::Hold(slot) => {
                    let turn = self.give_up(slot, now_ns);
                    woken.push(Woken { turn, charged: None });
                }
            }
        }
        self.due = due;
        while let Some(place) = self.kicked.pop() {
            self.part(place).0.is_kicked = false;
            self.serve(place, now_ns, woken);
        }
    }

    /// How many requests are parked.
    pub fn parked_count(&self) -> usize {
        self.waiters.len() - self.free.len()
    }

    /// The way of nearly all requests: the tokens are in hand on the whole path, and nobody waits.
    fn spend_in_hand(&mut self, path: &Path, cost: Cost, change: u64, now_ns: u64) -> bool {
        let is_in_hand = path.places().iter().all(|place| match self.locals.get(*place as usize) {
            Some(Some(local)) => local.change == change && !local.is_crowded() && local.affords(cost),
            _ => false,
        });
        if is_in_hand {
            self.pay(path, cost, 0, now_ns);
        }
        is_in_hand
    }

    /// Whether `cost` can be paid on the levels of `path` that are not in `paid`, and else where to wait. Who is the
    /// first of the parked `at` an entity waits behind nobody there.
    fn weigh(&mut self, path: &Path, cost: Cost, paid: u8, at: Option<u32>, now_ns: u64) -> Verdict {
        let change = self.limits.change();
        let mut last = (now_ns, None);
        for place in unpaid(path, paid) {
            self.local(place, change, now_ns);
            let (local, bucket) = self.part(place);
            let mut ready_ns = local.ready_ns(bucket, cost, now_ns);
            if at != Some(place) && local.is_crowded() {
                ready_ns = ready_ns.max(now_ns + 1);
            }
            if ready_ns > now_ns && at == Some(place) {
                return Verdict::Wait { place, ready_ns };
            }
            if ready_ns > last.0 {
                last = (ready_ns, Some(place));
            }
        }
        if let (ready_ns, Some(place)) = last {
            return Verdict::Wait { place, ready_ns };
        }
        for place in unpaid(path, paid) {
            let ready_ns = self.take(place, cost, now_ns);
            if ready_ns > now_ns {
                return Verdict::Wait { place, ready_ns };
            }
        }
        Verdict::Pay
    }

    /// Takes tokens for `cost` at `place`, and answers when they can be spent.
    fn take(&mut self, place: u32, cost: Cost, now_ns: u64) -> u64 {
        let number = self.number;
        let (local, bucket) = self.part(place);
        let ready_ns = local.take(bucket, number, cost, now_ns);
        local.settle(now_ns);
        self.watch_idle(place, now_ns);
        ready_ns
    }

    fn pay(&mut self, path: &Path, cost: Cost, paid: u8, now_ns: u64) {
        for place in unpaid(path, paid) {
            let local = self.locals[place as usize].as_mut();
            local.expect("who is weighed has a part on the whole path").spend(cost, now_ns);
        }
    }

    fn park(&mut self, path: &Path, cost: Cost, place: u32, hold_until_ns: u64, now_ns: u64) -> Turn {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.waiters.push(None);
            u32::try_from(self.waiters.len() - 1).expect("fewer are parked than memory holds")
        });
        let timer = self.wheel.create(Due::Hold(slot));
        self.wheel.set(timer, hold_until_ns);
        let waiter = Waiter { path: *path, cost, paid: 0, arrival, place, rank: None, timer };
        self.waiters[slot as usize] = Some(waiter);
        self.count_backlog(path, true, now_ns);
        self.queue_up(slot, place, now_ns);
        Turn { slot, arrival }
    }

    /// Puts a request among the parked of an entity.
    fn queue_up(&mut self, slot: u32, place: u32, now_ns: u64) {
        let Waiter { path, arrival, cost, .. } = *self.waiter(slot);
        let flow = path.tenant.unwrap_or(place);
        let whole_weight = path.weight.get().into();
        let weight = self.weight_here(flow, whole_weight);
        let entry = Entry { slot, flow, tier: path.tier, weight, whole_weight, arrival, cost };
        let number = self.number;
        let (local, bucket) = self.part(place);
        let is_first = !local.is_crowded();
        let rank = local.queue.get_or_insert_default().push(entry);
        let is_stale = is_first && !local.start_waiting(bucket, number);
        let waiter = self.waiter(slot);
        (waiter.place, waiter.rank) = (place, Some(rank));
        self.crowded.insert((letter_of(place), place));
        if path.is_reserved {
            self.wait_for_reservation(flow, place, now_ns);
        }
        if is_stale || self.wait_for_first(place, now_ns) <= now_ns {
            self.kick(place);
        }
    }

    /// Takes a ticket for whose turn is next at `place`, and answers when it can be spent.
    fn wait_for_first(&mut self, place: u32, now_ns: u64) -> u64 {
        let (local, _) = self.part(place);
        let Some((_, slot)) = local.queue.as_ref().and_then(|queue| queue.first()) else { return now_ns };
        let timer = local.timer;
        let cost = self.waiter(slot).cost;
        self.divide(place, now_ns);
        let (local, bucket) = self.part(place);
        let mut ready_ns = local.ready_ns(bucket, cost, now_ns);
        if local.share.as_ref().is_none_or(|share| share.may_take(ready_ns, now_ns)) {
            ready_ns = self.take(place, cost, now_ns);
        }
        self.wheel.set(timer, ready_ns);
        ready_ns
    }

    /// Takes over what this core's part of a scarce entity is, by those who wait for it here and elsewhere.
    fn divide(&mut self, place: u32, now_ns: u64) {
        let Some(Some(local)) = self.locals.get(place as usize) else { return };
        let (Some(share), Some(queue)) = (&local.share, &local.queue) else { return };
        if !share.is_stale(now_ns) {
            return;
        }
        let mut weights = [0; 2];
        for (flow, weight, tier) in queue.flows() {
            weights[usize::from(tier == Tier::Background)] += self.weight_here(flow, weight);
        }
        let (local, bucket) = self.part(place);
        local.divide(bucket, weights, now_ns);
    }

    /// The part of a tenant's `weight` that counts on this core: it is divided by the cores on which the tenant waits.
    fn weight_here(&self, tenant: u32, weight: u64) -> u64 {
        weight * u64::from(CORES_MAX) / self.limits.bucket(tenant).backlogged_cores()
    }

    /// Counts a request among the parked of its tenant, or no longer.
    fn count_backlog(&mut self, path: &Path, is_parked: bool, now_ns: u64) {
        let Some(tenant) = path.tenant else { return };
        let number = self.number;
        self.local(tenant, self.limits.change(), now_ns);
        let (local, bucket) = self.part(tenant);
        local.backlog = if is_parked { local.backlog + 1 } else { local.backlog - 1 };
        if local.backlog == u32::from(is_parked) {
            bucket.set_backlogged(number, is_parked);
        }
    }

    /// Lets those of the parked at `place` go on whose turn has come.
    fn serve(&mut self, place: u32, now_ns: u64, woken: &mut Vec<Woken>) {
        while let Some((rank, slot)) = self.first_of(place) {
            let waiter = self.renewed(slot, now_ns);
            match self.weigh(&waiter.path, waiter.cost, waiter.paid, Some(place), now_ns) {
                Verdict::Pay => {
                    self.pay(&waiter.path, waiter.cost, waiter.paid, now_ns);
                    self.part(place).0.queue.as_mut().expect("it was first in it").serve(rank);
                    let turn = self.forget(slot, now_ns);
                    woken.push(Woken { turn, charged: Some(Charged(self.limits.change())) });
                }
                Verdict::Wait { place: other, .. } if other != place => {
                    self.hold(slot, place, now_ns);
                    self.part(place).0.queue.as_mut().expect("it was first in it").serve(rank);
                    self.queue_up(slot, other, now_ns);
                }
                Verdict::Wait { .. } => {
                    if self.wait_for_first(place, now_ns) > now_ns {
                        return;
                    }
                }
            }
        }
        self.empty(place, now_ns);
    }

    /// Pays for `cost` out of what is reserved for the tenant: what is scarce is charged and not waited for. The
    /// limits of the other entities bind. Else it answers when it is worth another look, if ever.
    fn overdraw(&mut self, path: &Path, cost: Cost, paid: u8, now_ns: u64) -> Result<(), Option<u64>> {
        let tenant = path.tenant.filter(|_| path.is_reserved).ok_or(None)?;
        let change = self.limits.change();
        let mut is_scarce = false;
        for place in unpaid(path, paid) {
            self.local(place, change, now_ns);
            let (local, bucket) = self.part(place);
            is_scarce |= local.share.is_some();
            let is_ready = !local.is_crowded() && local.ready_ns(bucket, cost, now_ns) <= now_ns;
            if local.share.is_none() && !is_ready {
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
            if local.share.is_some() {
                local.owe(bucket, cost, now_ns);
            } else if self.take(place, cost, now_ns) <= now_ns {
                self.part(place).0.spend(cost, now_ns);
            } else {
                let (local, bucket) = self.part(place);
                local.owe(bucket, cost, now_ns);
            }
        }
        Ok(())
    }

    /// Has those who wait at the scarce entity at `place` looked at when more is to be had of what is reserved for
    /// `tenant`.
    fn wait_for_reservation(&mut self, tenant: u32, place: u32, now_ns: u64) {
        if self.part(place).0.share.is_none() {
            return;
        }
        let (local, bucket) = self.part(tenant);
        let ready_ns = bucket.earliest_ns(RESERVED, now_ns);
        let known = local.reservation.map(|(timer, _)| timer);
        let timer = known.unwrap_or_else(|| self.wheel.create(Due::Reservation(tenant)));
        self.part(tenant).0.reservation = Some((timer, place));
        if !self.wheel.is_set(timer) {
            self.wheel.set(timer, ready_ns);
        }
    }

    /// Lets the parked of `tenant` go on that what is reserved for it pays for.
    fn serve_reserved(&mut self, tenant: u32, now_ns: u64, woken: &mut Vec<Woken>) {
        let Some((timer, place)) = self.part(tenant).0.reservation else { return };
        loop {
            let queue = self.part(place).0.queue.as_ref();
            let Some((rank, slot)) = queue.and_then(|queue| queue.first_of_flow(tenant)) else { return };
            let waiter = *self.waiter(slot);
            if waiter.path.structure != self.limits.structure() {
                // It is weighed anew in its turn.
                return;
            }
            match self.overdraw(&waiter.path, waiter.cost, waiter.paid, now_ns) {
                Ok(()) => {
                    self.part(place).0.queue.as_mut().expect("it was first in it").withdraw(rank);
                    let turn = self.forget(slot, now_ns);
                    woken.push(Woken { turn, charged: Some(Charged(self.limits.change())) });
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

    /// Pays at `place` for a request that goes on to wait elsewhere, unless another one has. One such request is sure
    /// to go on from there: without it, two entities that are both exhausted could send a request to and fro for ever.
    fn hold(&mut self, slot: u32, place: u32, now_ns: u64) {
        let waiter = *self.waiter(slot);
        let level = waiter.path.places().iter().position(|one| *one == place);
        let Some(level) = level.filter(|level| waiter.paid & (1 << level) == 0) else { return };
        if self.part(place).0.holder.is_some() || self.take(place, waiter.cost, now_ns) > now_ns {
            return;
        }
        let (local, _) = self.part(place);
        local.spend(waiter.cost, now_ns);
        local.holder = Some(slot);
        self.waiter(slot).paid |= 1 << level;
    }

    /// A parked request, with its path as the table is now.
    fn renewed(&mut self, slot: u32, now_ns: u64) -> Waiter {
        if self.waiter(slot).path.structure != self.limits.structure() {
            self.take_back(slot, now_ns);
            let mut path = self.waiter(slot).path;
            self.count_backlog(&path, false, now_ns);
            self.limits.resolve(&mut path);
            self.count_backlog(&path, true, now_ns);
            self.waiter(slot).path = path;
        }
        *self.waiter(slot)
    }

    /// Gives back what a parked request has paid.
    fn take_back(&mut self, slot: u32, now_ns: u64) {
        let waiter = *self.waiter(slot);
        for (level, place) in waiter.path.places().iter().enumerate() {
            if waiter.paid & (1 << level) == 0 {
                continue;
            }
            let (local, _) = self.part(*place);
            local.holder = None;
            local.refund(waiter.cost, now_ns);
            self.look_after(*place, now_ns);
        }
        self.waiter(slot).paid = 0;
    }

    /// Takes a request out that does not go on.
    fn give_up(&mut self, slot: u32, now_ns: u64) -> Turn {
        self.take_back(slot, now_ns);
        let Waiter { place, rank, .. } = *self.waiter(slot);
        let rank = rank.expect("who is parked has a rank");
        let queue = self.part(place).0.queue.as_mut();
        queue.expect("who is parked stands in a queue").withdraw(rank);
        if let Some((_, first)) = self.first_of(place) {
            let cost = self.waiter(first).cost;
            let (local, bucket) = self.part(place);
            if local.trim_tickets(bucket, cost) {
                self.limits.notify(place, Some(self.number));
            }
            self.kick(place);
        } else {
            self.empty(place, now_ns);
        }
        self.forget(slot, now_ns)
    }

    fn forget(&mut self, slot: u32, now_ns: u64) -> Turn {
        let waiter = self.waiters[slot as usize].take().expect("who is parked has a slot");
        self.wheel.remove(waiter.timer);
        self.free.push(slot);
        self.count_backlog(&waiter.path, false, now_ns);
        for (level, place) in waiter.path.places().iter().enumerate() {
            if waiter.paid & (1 << level) != 0 {
                self.part(*place).0.holder = None;
            }
        }
        Turn { slot, arrival: waiter.arrival }
    }

    /// Nobody is parked at `place` any more: tickets go back at once, tokens when they lie idle.
    fn empty(&mut self, place: u32, now_ns: u64) {
        let number = self.number;
        self.crowded.remove(&(letter_of(place), place));
        let (local, bucket) = self.part(place);
        bucket.stop_waiting(number);
        local.divide(bucket, [0; 2], now_ns);
        let is_returned = local.return_tickets(bucket);
        let timer = local.timer;
        self.wheel.set(timer, now_ns.saturating_add(SLICE_NS));
        if is_returned {
            self.limits.notify(place, Some(number));
        }
    }

    /// Gives tokens back that have lain idle for as long as a slice lasts.
    fn rest(&mut self, place: u32, now_ns: u64) {
        let number = self.number;
        let (local, bucket) = self.part(place);
        let idle_at_ns = local.used_ns.saturating_add(SLICE_NS);
        if idle_at_ns > now_ns {
            let timer = local.timer;
            self.wheel.set(timer, idle_at_ns);
        } else if local.return_all(bucket, number) {
            self.limits.notify(place, Some(number));
        }
    }

    /// Sees to it that tokens which came into hand at `place` are spent by those who wait, or given back.
    fn look_after(&mut self, place: u32, now_ns: u64) {
        let (local, _) = self.part(place);
        if local.is_crowded() {
            self.kick(place);
        } else {
            self.watch_idle(place, now_ns);
        }
    }

    /// Sees to it that tokens in hand at `place`, where nobody waits, are given back when they lie idle.
    fn watch_idle(&mut self, place: u32, now_ns: u64) {
        let (local, _) = self.part(place);
        let (timer, is_crowded) = (local.timer, local.is_crowded());
        if !is_crowded && !self.wheel.is_set(timer) {
            self.wheel.set(timer, now_ns.saturating_add(SLICE_NS));
        }
    }

    /// Looks at what others changed: terms, or tokens given back from which a ticket comes earlier.
    fn read_letters(&mut self, now_ns: u64) {
        let mut letters = self.limits.mailbox(self.number).take();
        let change = self.limits.change();
        while letters != 0 {
            let letter = letters.trailing_zeros();
            let meant: Vec<u32> =
                self.crowded.range((letter, 0)..=(letter, u32::MAX)).map(|(_, place)| *place).collect();
            for place in meant {
                self.local(place, change, now_ns);
                let (local, bucket) = self.part(place);
                local.return_late_tickets(bucket, GAIN_NS, now_ns);
                self.kick(place);
            }
            letters &= letters - 1;
        }
    }

    fn kick(&mut self, place: u32) {
        let (local, _) = self.part(place);
        if !std::mem::replace(&mut local.is_kicked, true) {
            self.kicked.push(place);
        }
    }

    fn first_of(&self, place: u32) -> Option<(Rank, u32)> {
        let local = self.locals.get(place as usize)?.as_ref()?;
        local.queue.as_ref()?.first()
    }

    fn is_crowded(&self, place: u32) -> bool {
        self.first_of(place).is_some()
    }

    /// How long those who are parked at `place` take before `cost` has its turn.
    fn queued_ns(&mut self, place: u32, cost: Cost) -> u64 {
        let (local, bucket) = self.part(place);
        let queue: Option<&Queue> = local.queue.as_deref();
        queue.map_or(0, |queue| local.duration_ns(bucket, queue.sum(cost)))
    }

    fn waiter(&mut self, slot: u32) -> &mut Waiter {
        self.waiters[slot as usize].as_mut().expect("who is parked has a slot")
    }

    /// Makes this core's part of the entity at `place` be there and be up to date.
    fn local(&mut self, place: u32, change: u64, now_ns: u64) {
        let index = place as usize;
        if self.locals.len() <= index {
            self.locals.resize_with(index + 1, || None);
        }
        let timer = &mut self.wheel;
        let local =
            self.locals[index].get_or_insert_with(|| Box::new(Local::new(timer.create(Due::Entity(place)))));
        if local.change != change && !(local.is_known() && self.limits.has(Defect::SkippedGeneration)) {
            local.refresh(self.limits.bucket(place), change);
        }
        local.settle(now_ns);
    }

    /// This core's and the shared part of an entity that this core knows.
    fn part(&mut self, place: u32) -> (&mut Local, &Bucket) {
        let local = self.locals[place as usize].as_mut();
        (local.expect("it was weighed before"), self.limits.bucket(place))
    }
}

/// The places on the levels of `path` that are not in `paid`.
fn unpaid(path: &Path, paid: u8) -> impl Iterator<Item = u32> + use<'_> {
    let levels = path.places().iter().enumerate();
    levels.filter(move |(level, _)| paid & (1 << level) == 0).map(|(_, place)| *place)
}
