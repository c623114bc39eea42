//! One core's part of the limits: who may go on now, and who is parked until when.

mod parked;
mod scarce;
mod told;

use std::collections::BTreeSet;

use super::bucket::{Bucket, SLICE_NS};
use super::limit::{Cost, Tier, WRITE_COST_FIRST};
use super::local::Local;
use super::pace::Report;
use super::path::Path;
use super::queue::Rank;
use super::table::{CORES_MAX, Defect, Limits, WORKER};
use super::wheel::{Timer, Wheel};

/// The longest a request is held, from when its first byte was there, in nanoseconds: a client that waits longer takes
/// the server for dead.
pub const HOLD_NS_MAX: u64 = 20_000_000_000;

/// What is charged afterwards has others wait for so many nanoseconds at most.
const OWED_NS_MAX: u64 = 1_000_000_000;

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

/// That a request was charged, and goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// When, in changes of the table: what is given back is worth nothing after a change.
    change: u64,
    pace: Option<Paced>,
}

/// What is to be known of a request that is at work and by which others are paced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Paced {
    is_protected: bool,
    /// What a write was charged beside a read.
    write_cost: u16,
}

impl Charged {
    /// Whether the core is to be told when it is [done](Core::done).
    pub fn is_paced(self) -> bool {
        self.pace.is_some()
    }

    fn write_cost(self) -> u16 {
        self.pace.map_or(WRITE_COST_FIRST, |pace| pace.write_cost)
    }
}

/// What a request did, and in which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worked {
    /// What it would have cost to ask for so much.
    pub cost: Cost,
    /// In nanoseconds, without what it waited for.
    pub taken_ns: u64,
}

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
    /// The scarce entities where requests of tenants with reservations were ever parked.
    scarce: Vec<u32>,
    due: Vec<Due>,
    arrivals: u64,
    /// How many requests are at work by which others are paced: protected ones, and others.
    at_work: [u32; 2],
    /// When this core came round last, where that matters.
    turn_ns: u64,
    /// When it came round before, if it should have earlier and has not made up for it.
    late_since_ns: Option<u64>,
    /// What was done since this core last told the others.
    report: Box<Report>,
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
    /// What a write is charged in it beside a read.
    write_cost: u16,
    /// The levels of the path that are paid, a bit each.
    paid: u16,
    arrival: u64,
    /// The entity it is parked at, and the place in its queue.
    place: u32,
    /// When it was parked there.
    since_ns: u64,
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
            scarce: Vec::new(),
            due: Vec::new(),
            arrivals: 0,
            at_work: [0; 2],
            turn_ns: 0,
            late_since_ns: None,
            report: Box::default(),
        }
    }

    /// Charges `cost` to everything on `path`, now or when its turn has come. `since_ns` is when the request began to
    /// be held for whatever reason.
    ///
    /// A request waits where its turn comes last; nothing is taken from the other entities until then, so that what
    /// is scarce for it does not become scarce for others.
    pub fn offer(&mut self, path: &mut Path, mut cost: Cost, since_ns: u64, now_ns: u64) -> Decision {
        let change = self.limits.change();
        if path.leaves().is_empty() {
            return Decision::Run(Charged { change, pace: None });
        }
        if path.structure != self.limits.structure() {
            self.limits.resolve(path);
        }
        if path.places().is_empty() {
            return Decision::Run(Charged { change, pace: None });
        }
        let write_cost = if path.is_paced { self.limits.write_cost() } else { WRITE_COST_FIRST };
        if path.is_paced {
            self.come_round(now_ns);
            cost = cost.at(write_cost);
        }
        if self.spend_in_hand(path, cost, change, now_ns) {
            return Decision::Run(self.go_on(path, cost, write_cost));
        }
        let backlog = path.tenant.and_then(|tenant| self.locals.get(tenant as usize)?.as_ref());
        let is_first = backlog.is_none_or(|local| local.backlog == 0);
        match self.weigh(path, cost, 0, None, now_ns) {
            Verdict::Wait { .. } if is_first && self.overdraw(path, cost, 0, now_ns).is_ok() => {
                Decision::Run(self.go_on(path, cost, write_cost))
            }
            Verdict::Wait { place: WORKER, .. }
                if !self.is_crowded(WORKER) && self.go_ahead(path, cost, 0, now_ns) =>
            {
                Decision::Run(self.go_on(path, cost, write_cost))
            }
            Verdict::Pay => {
                self.pay(path, cost, 0, now_ns);
                Decision::Run(self.go_on(path, cost, write_cost))
            }
            Verdict::Wait { place, ready_ns } => {
                let hold_until_ns = since_ns.saturating_add(HOLD_NS_MAX);
                let until_ns = match place {
                    // How fast work is done next nobody knows, and some goes on whatever has been found out.
                    WORKER => now_ns,
                    _ => ready_ns.saturating_add(self.queued_ns(place, cost, now_ns)),
                };
                if until_ns > hold_until_ns {
                    self.part(place).0.counted.refused += 1;
                    return Decision::Refuse;
                }
                let turn = self.park(path, (cost, write_cost), place, hold_until_ns, now_ns);
                Decision::Wait { turn, until_ns }
            }
        }
    }

    /// Tells that a request is at work no longer, which was charged and is [paced](Charged::is_paced): what does the work is paced
    /// by how long it takes. What came to nothing has not `worked`, and says nothing about that.
    pub fn done(&mut self, charged: Charged, worked: Option<Worked>, now_ns: u64) {
        let Some(Paced { is_protected, .. }) = charged.pace else { return };
        self.come_round(now_ns);
        self.at_work[usize::from(!is_protected)] -= 1;
        if let Some(Worked { cost, taken_ns }) = worked {
            self.report.add(cost, is_protected, taken_ns);
        }
        if self.report.is_due(now_ns) {
            self.limits.tell(&mut self.report, now_ns);
        }
        if let Some((_, slot)) = self.first_of(WORKER) {
            let is_protected = self.waiter(slot).path.tier == Tier::Protected;
            if self.may_go_ahead(is_protected) {
                self.kick(WORKER);
            }
        }
    }

    /// Counts a request that was charged among those at work.
    fn go_on(&mut self, path: &Path, cost: Cost, write_cost: u16) -> Charged {
        let is_protected = path.tier == Tier::Protected;
        let pace = path.is_paced.then_some(Paced { is_protected, write_cost });
        if path.is_paced {
            self.at_work[usize::from(!is_protected)] += 1;
            self.report.add_work(cost);
        }
        Charged { change: self.limits.change(), pace }
    }

    /// Gives back what was charged at `charged` and not used: what a READ asked for beyond the end of a file, or all of
    /// it where the request came to nothing.
    pub fn refund(&mut self, path: &Path, unused: Cost, charged: Charged, now_ns: u64) {
        let unused = unused.part_at(charged.write_cost());
        for place in path.places() {
            let Some(Some(local)) = self.locals.get_mut(*place as usize) else { continue };
            if local.since <= charged.change {
                local.refund(unused, now_ns);
                self.look_after(*place, now_ns);
            }
        }
    }

    /// Charges what took place already: costs that are known afterwards only. Those who come next wait for it, for a second at
    /// most: who never waits must not have others wait for ever.
    pub fn owe(&mut self, path: &mut Path, cost: Cost, now_ns: u64) {
        if path.structure != self.limits.structure() {
            self.limits.resolve(path);
        }
        let change = self.limits.change();
        for place in path.places() {
            self.local(*place, change, now_ns);
            let (local, bucket) = self.part(*place);
            local.owe(bucket, cost, OWED_NS_MAX, now_ns);
        }
        if path.is_paced {
            self.report.add_work(cost);
        }
    }

    /// Takes a parked request out that does not want to go on any more.
    pub fn cancel(&mut self, turn: Turn, now_ns: u64) {
        let is_there = self.waiters[turn.slot as usize].is_some_and(|waiter| waiter.arrival == turn.arrival);
        if is_there {
            self.give_up(turn.slot, now_ns);
        }
    }

    /// Counts a parked request among those that are told to come again, which it is in spite of its turn.
    pub fn count_refused(&mut self, turn: Turn) {
        if let Some(waiter) = self.waiters[turn.slot as usize].filter(|waiter| waiter.arrival == turn.arrival)
        {
            self.part(waiter.place).0.counted.refused += 1;
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
        self.come_round(now_ns);
        self.read_letters(now_ns);
        let mut due = std::mem::take(&mut self.due);
        self.wheel.turn(now_ns, &mut due);
        for one in due.drain(..) {
            match one {
                Due::Entity(place) if self.is_crowded(place) => self.kick(place),
                Due::Entity(place) => self.rest(place, now_ns),
                Due::Reservation(tenant) => self.serve_reserved(tenant, now_ns, woken),
                Due::Hold(slot) => {
                    let place = self.waiter(slot).place;
                    self.part(place).0.counted.refused += 1;
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

    /// How many requests like those that are parked with this one the first entity of its path lets go on in a second;
    /// `None` where it is another entity that it is parked at.
    pub fn own_per_second(&self, turn: Turn) -> Option<u64> {
        let waiter = self.waiters[turn.slot as usize].filter(|waiter| waiter.arrival == turn.arrival)?;
        let place = waiter.path.own.filter(|own| *own == waiter.place)?;
        let local = self.locals[place as usize].as_ref()?;
        let queue = local.queue.as_ref()?;
        let whole_ns = local.length_ns(self.limits.bucket(place), queue.sum(waiter.cost));
        Some((queue.len() as u64 * 1_000_000_000) / whole_ns.max(1))
    }

    /// How many requests are parked.
    pub fn parked_count(&self) -> usize {
        self.waiters.len() - self.free.len()
    }

    /// The way of nearly all requests: the tokens are in hand on the whole path, and nobody waits.
    fn spend_in_hand(&mut self, path: &Path, cost: Cost, change: u64, now_ns: u64) -> bool {
        let is_in_hand = path.places().iter().all(|place| match self.locals.get(*place as usize) {
            Some(Some(local)) => local.change == change && !local.is_crowded_for(cost) && local.affords(cost),
            _ => false,
        });
        if is_in_hand {
            self.pay(path, cost, 0, now_ns);
        }
        is_in_hand
    }

    /// Whether `cost` can be paid on the levels of `path` that are not in `paid`, and else where to wait. Who is the
    /// first of the parked `at` an entity waits behind nobody there.
    fn weigh(&mut self, path: &Path, cost: Cost, paid: u16, at: Option<u32>, now_ns: u64) -> Verdict {
        let change = self.limits.change();
        let mut last = (now_ns, None);
        for place in unpaid(path, paid) {
            self.local(place, change, now_ns);
            let (local, bucket) = self.part(place);
            let mut ready_ns = local.ready_ns(bucket, cost, now_ns);
            if at != Some(place) && local.is_crowded_for(cost) {
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

    /// Notes when this core comes round: what it might have let go on meanwhile is not lost.
    fn come_round(&mut self, now_ns: u64) {
        if self.turn_ns < now_ns {
            let is_wanted = self.at_work != [0; 2] || self.is_crowded(WORKER);
            self.late_since_ns = is_wanted.then_some(self.turn_ns);
            self.turn_ns = now_ns;
        }
    }

    /// Takes tokens for `cost` at `place`, and answers when they can be spent.
    fn take(&mut self, place: u32, cost: Cost, now_ns: u64) -> u64 {
        let number = self.number;
        let late_since_ns = if place == WORKER { self.late_since_ns.take() } else { None };
        let (local, bucket) = self.part(place);
        if let Some(since_ns) = late_since_ns {
            local.take_undone(bucket, since_ns, now_ns);
        }
        let ready_ns = local.take(bucket, number, cost, now_ns);
        local.settle(now_ns);
        self.watch_idle(place, now_ns);
        ready_ns
    }

    fn pay(&mut self, path: &Path, cost: Cost, paid: u16, now_ns: u64) {
        for place in unpaid(path, paid) {
            let local = self.locals[place as usize].as_mut();
            local.expect("who is weighed has a part on the whole path").spend(cost, now_ns);
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
fn unpaid(path: &Path, paid: u16) -> impl Iterator<Item = u32> + use<'_> {
    let levels = path.places().iter().enumerate();
    levels.filter(move |(level, _)| paid & (1 << level) == 0).map(|(_, place)| *place)
}
