//! The parked: where they wait, who goes on, and what is left when they go.

use super::{Core, Due, GAIN_NS, Turn, Verdict, Waiter, Woken};
use crate::limits::bucket::SLICE_NS;
use crate::limits::limit::{Cost, Tier};
use crate::limits::mailbox::letter_of;
use crate::limits::path::Path;
use crate::limits::queue::{Entry, Queue};
use crate::limits::share::Share;
use crate::limits::table::WORKER;

impl Core {
    pub(super) fn park(
        &mut self,
        path: &Path,
        (cost, write_cost): (Cost, u16),
        place: u32,
        hold_until_ns: u64,
        now_ns: u64,
    ) -> Turn {
        let arrival = self.arrivals;
        self.arrivals += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.waiters.push(None);
            u32::try_from(self.waiters.len() - 1).expect("fewer are parked than memory holds")
        });
        let timer = self.wheel.create(Due::Hold(slot));
        self.wheel.set(timer, hold_until_ns);
        self.waiters[slot as usize] = Some(Waiter {
            path: *path,
            cost,
            write_cost,
            paid: 0,
            arrival,
            place,
            since_ns: now_ns,
            rank: None,
            timer,
        });
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
        local.share.get_or_insert_with(|| Box::new(Share::new(bucket.slice_ns())));
        let rank = local.queue.get_or_insert_default().push(entry);
        let is_stale = is_first && !local.start_waiting(bucket, number);
        let waiter = self.waiter(slot);
        (waiter.place, waiter.since_ns, waiter.rank) = (place, now_ns, Some(rank));
        if is_first {
            self.crowded.insert((letter_of(place), place));
        }
        if path.is_reserved {
            self.wait_for_reservation(flow, place, now_ns);
        }
        // Where others wait already there is a ticket.
        let may_go_ahead = place == WORKER && self.may_go_ahead(path.tier == Tier::Protected);
        if is_stale || may_go_ahead || (is_first && self.wait_for_first(place, now_ns) <= now_ns) {
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
        if self.limits.bucket(place).is_paced() {
            self.wheel.set_fine(timer, ready_ns);
        } else {
            self.wheel.set(timer, ready_ns);
        }
        ready_ns
    }

    /// Lets those of the parked at `place` go on whose turn has come.
    pub(super) fn serve(&mut self, place: u32, now_ns: u64, woken: &mut Vec<Woken>) {
        while let Some((rank, slot)) = self.first_of(place) {
            let waiter = self.renewed(slot, now_ns);
            match self.weigh(&waiter.path, waiter.cost, waiter.paid, Some(place), now_ns) {
                Verdict::Pay => {
                    self.pay(&waiter.path, waiter.cost, waiter.paid, now_ns);
                    self.leave(slot, now_ns).serve(rank);
                    woken.push(self.wake(slot, now_ns));
                }
                Verdict::Wait { place: other, .. } if other != place => {
                    self.hold(slot, place, now_ns);
                    self.leave(slot, now_ns).serve(rank);
                    self.queue_up(slot, other, now_ns);
                }
                Verdict::Wait { .. }
                    if place == WORKER && self.go_ahead(&waiter.path, waiter.cost, waiter.paid, now_ns) =>
                {
                    self.leave(slot, now_ns).serve(rank);
                    woken.push(self.wake(slot, now_ns));
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

    /// Lets a request go on that has paid, and has left its queue.
    pub(super) fn wake(&mut self, slot: u32, now_ns: u64) -> Woken {
        let Waiter { path, cost, write_cost, .. } = *self.waiter(slot);
        let charged = Some(self.go_on(&path, cost, write_cost));
        Woken { turn: self.forget(slot, now_ns), charged }
    }

    /// The queue that a parked request is about to leave, where its time of waiting ends.
    pub(super) fn leave(&mut self, slot: u32, now_ns: u64) -> &mut Queue {
        let Waiter { place, since_ns, .. } = *self.waiter(slot);
        let local = self.locals[place as usize].as_mut().expect("a request is parked there");
        local.counted.waits += 1;
        local.counted.waited_ns += now_ns.saturating_sub(since_ns);
        local.queue.as_mut().expect("who is parked stands in a queue")
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
    pub(super) fn give_up(&mut self, slot: u32, now_ns: u64) -> Turn {
        self.take_back(slot, now_ns);
        let Waiter { place, rank, .. } = *self.waiter(slot);
        let rank = rank.expect("who is parked has a rank");
        self.leave(slot, now_ns).withdraw(rank);
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

    pub(super) fn forget(&mut self, slot: u32, now_ns: u64) -> Turn {
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
    pub(super) fn empty(&mut self, place: u32, now_ns: u64) {
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

    /// Looks at what others changed: terms, or tokens given back from which a ticket comes earlier.
    pub(super) fn read_letters(&mut self, now_ns: u64) {
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

    /// How long those who are parked at `place` take before `cost` has its turn.
    pub(super) fn queued_ns(&mut self, place: u32, cost: Cost, now_ns: u64) -> u64 {
        // As of a moment ago this core may have had far less to do beside the others.
        self.divide_anew(place, now_ns);
        let (local, bucket) = self.part(place);
        let queue: Option<&Queue> = local.queue.as_deref();
        queue.map_or(0, |queue| local.duration_ns(bucket, queue.sum(cost)))
    }
}
