//! What one core holds of one entity: tokens to spend, tokens that may be spent soon, and those who wait for them.

use super::bucket::{Bucket, Lease, SLICE_NS};
use super::limit::{Cost, METERS, RESERVED, WORK};
use super::queue::Queue;
use super::share::Share;
use super::usage::{Counted, Usage};
use super::wheel::Timer;
use super::word::Word;

/// A core's part of one entity.
#[derive(Debug)]
pub(super) struct Local {
    /// The state of the table when the terms were last looked at.
    pub(super) change: u64,
    /// The state of the table when the terms were found to be others than before.
    pub(super) since: u64,
    /// Whose terms the tokens are.
    generation: u64,
    /// The meters that are bounded, a bit each.
    bounded: u8,
    /// Whether all compete for the entity.
    pub(super) is_scarce: bool,
    /// This core's part of the entity; there once a request had to wait.
    pub(super) share: Option<Box<Share>>,
    /// How many requests of this entity are parked on this core, here or elsewhere.
    pub(super) backlog: u32,
    /// Where something is reserved for the entity and requests had to wait: when more of it can be spent.
    pub(super) reservation: Option<Timer>,
    /// The request that has paid here and waits elsewhere.
    pub(super) holder: Option<u32>,
    pub(super) is_kicked: bool,
    /// Tokens to be spent now.
    credit: [u64; METERS],
    /// What requests of this core have used.
    pub(super) counted: Counted,
    /// Tokens to be spent from a time on; there once a request had to wait.
    tickets: Option<Box<[Lease; METERS]>>,
    /// When tokens were last spent or given back.
    pub(super) used_ns: u64,
    /// While requests are parked here: when their tokens can be spent. Else: when tokens not spent are given back.
    pub(super) timer: Timer,
    /// There once a request had to wait.
    pub(super) queue: Option<Box<Queue>>,
}

impl Local {
    pub(super) fn new(timer: Timer) -> Self {
        Self {
            change: 0,
            since: 0,
            generation: u64::MAX,
            bounded: 0,
            is_scarce: false,
            share: None,
            backlog: 0,
            reservation: None,
            holder: None,
            is_kicked: false,
            credit: [0; METERS],
            counted: Counted::default(),
            tickets: None,
            used_ns: 0,
            timer,
            queue: None,
        }
    }

    /// Looks whether the terms are others than before; tokens of other terms are worth nothing. To be called before
    /// anything below when the table has changed.
    pub(super) fn refresh(&mut self, bucket: &Bucket<impl Word>, change: u64) {
        // While a change is being written the old terms hold; it is looked at again with the next request.
        let Some(generation) = bucket.generation() else { return };
        if generation != self.generation {
            self.generation = generation;
            let born = bucket.born();
            if born > self.since {
                self.counted = Counted::default();
            }
            self.since = change.max(born);
            self.bounded = bucket.bounded();
            self.is_scarce = bucket.is_scarce();
            self.credit = [0; METERS];
            self.tickets = None;
        }
        self.change = change;
    }

    /// Whether the terms are those that were last looked at.
    pub(super) fn is_current(&self, bucket: &Bucket<impl Word>) -> bool {
        bucket.generation() == Some(self.generation)
    }

    /// Says that requests are parked here on `core`, and answers whether the terms were still those that were last
    /// looked at when others could see it: what changed before that, nobody tells.
    pub(super) fn start_waiting(&self, bucket: &Bucket<impl Word>, core: u32) -> bool {
        bucket.start_waiting(core);
        self.is_current(bucket)
    }

    /// What requests of this core have used and how they waited.
    pub(super) fn usage(&self) -> Usage {
        self.counted.told(self.queue.as_ref().map_or(0, |queue| queue.len() as u64))
    }

    /// Whether the terms were ever looked at.
    pub(super) fn is_known(&self) -> bool {
        self.generation != u64::MAX
    }

    /// Whether requests are parked here.
    pub(super) fn is_crowded(&self) -> bool {
        self.queue.as_ref().is_some_and(|queue| !queue.is_empty())
    }

    /// Whether requests are parked here for what `cost` needs, too.
    pub(super) fn is_crowded_for(&self, cost: Cost) -> bool {
        self.is_crowded() && self.bounded & cost.meters() != 0
    }

    /// Whether the tokens in hand pay for `cost`.
    pub(super) fn affords(&self, cost: Cost) -> bool {
        self.meters(cost).all(|meter| self.credit[meter] >= cost.tokens(meter))
    }

    /// Pays for `cost`, which it affords.
    pub(super) fn spend(&mut self, cost: Cost, now_ns: u64) {
        for meter in self.meters(cost) {
            self.credit[meter] -= cost.tokens(meter);
        }
        self.counted.add(cost);
        self.used_ns = now_ns;
    }

    /// Gives back what was paid for and did not take place.
    pub(super) fn refund(&mut self, cost: Cost, now_ns: u64) {
        for meter in self.meters(cost) {
            self.credit[meter] = self.credit[meter].saturating_add(cost.tokens(meter));
        }
        self.counted.take_back(cost);
        self.used_ns = now_ns;
    }

    /// Charges what took place without having been paid for, as [`Bucket::owe`] does.
    pub(super) fn owe(&mut self, bucket: &Bucket<impl Word>, cost: Cost, owed_ns_max: u64, now_ns: u64) {
        for meter in self.meters(cost) {
            let paid = cost.tokens(meter).min(self.credit[meter]);
            self.credit[meter] -= paid;
            bucket.owe(meter, cost.tokens(meter) - paid, owed_ns_max, self.generation, now_ns);
        }
        self.counted.add(cost);
        self.used_ns = now_ns;
    }

    /// Makes tokens whose time has come ready to be spent.
    pub(super) fn settle(&mut self, now_ns: u64) {
        let Some(tickets) = &mut self.tickets else { return };
        for (credit, ticket) in self.credit.iter_mut().zip(tickets.iter_mut()) {
            if ticket.tokens > 0 && ticket.start_ns <= now_ns {
                *credit = credit.saturating_add(ticket.tokens);
                ticket.tokens = 0;
            }
        }
    }

    /// When `cost` could be paid. Nothing is taken yet.
    pub(super) fn ready_ns(&self, bucket: &Bucket<impl Word>, cost: Cost, now_ns: u64) -> u64 {
        let lacking = self.meters(cost).filter(|meter| self.credit[*meter] < cost.tokens(*meter));
        let ready_ns = lacking.map(|meter| match self.ticket(meter) {
            Lease { tokens: 0, .. } => bucket.earliest_ns(meter, now_ns),
            Lease { start_ns, .. } => start_ns,
        });
        let ready_ns = ready_ns.max().unwrap_or(0);
        let share = self.share.as_ref().filter(|_| ready_ns > 0);
        share.map_or(ready_ns, |share| share.ready_ns(ready_ns, now_ns))
    }

    /// Takes over what this core's part is, when `weights` wait here.
    pub(super) fn divide(&mut self, bucket: &Bucket<impl Word>, weights: [u64; 2], now_ns: u64) {
        if let Some(share) = &mut self.share {
            share.divide(weights, bucket.want(share.weights, weights), now_ns);
        }
    }

    /// Takes the tokens that `cost` lacks, and answers when they can be spent. A meter has one ticket at a time: where
    /// that is too small the rest is taken when its time has come.
    pub(super) fn take(&mut self, bucket: &Bucket<impl Word>, core: u32, cost: Cost, now_ns: u64) -> u64 {
        let mut ready_ns = 0;
        for meter in self.meters(cost) {
            let lacking = cost.tokens(meter).saturating_sub(self.credit[meter]);
            if lacking == 0 {
                continue;
            }
            let mut ticket = self.ticket(meter);
            if ticket.tokens == 0 {
                bucket.join(core);
                let tokens = lacking.max(self.slice(bucket, meter));
                let Some(lease) = bucket.lease(meter, tokens, lacking, self.generation, now_ns) else {
                    // The terms change at this moment: they are looked at again soon.
                    return now_ns + 1;
                };
                if let Some(share) = &mut self.share {
                    share.charge(bucket.duration_ns(meter, tokens), now_ns);
                }
                ticket = lease;
                self.keep(meter, lease, now_ns);
            }
            ready_ns = ready_ns.max(ticket.start_ns);
        }
        self.used_ns = now_ns;
        ready_ns
    }

    /// Pays for `cost` from what is reserved for the entity, if there is enough of it now. Else it answers when.
    pub(super) fn reserve(
        &mut self,
        bucket: &Bucket<impl Word>,
        core: u32,
        cost: Cost,
        now_ns: u64,
    ) -> Result<(), u64> {
        let bytes = cost.tokens(RESERVED);
        let lacking = bytes.saturating_sub(self.credit[RESERVED]);
        if lacking > 0 {
            let ready_ns = bucket.earliest_ns(RESERVED, now_ns);
            if ready_ns > now_ns {
                return Err(ready_ns);
            }
            bucket.join(core);
            let slice = bucket.tokens_in(RESERVED, SLICE_NS / u64::from(bucket.sharers()));
            let tokens = lacking.max(slice);
            let lease = bucket.lease(RESERVED, tokens, lacking, self.generation, now_ns).ok_or(now_ns + 1)?;
            if lease.start_ns > now_ns {
                bucket.give_back(RESERVED, lease.tokens, self.generation);
                return Err(lease.start_ns);
            }
            self.credit[RESERVED] += lease.tokens;
        }
        self.credit[RESERVED] -= bytes;
        self.used_ns = now_ns;
        Ok(())
    }

    /// Takes work that was left undone since `since_ns`, when this core came round before.
    pub(super) fn take_undone(&mut self, bucket: &Bucket<impl Word>, since_ns: u64, now_ns: u64) {
        if self.is_current(bucket) && bucket.is_paced() {
            self.credit[WORK] = self.credit[WORK].saturating_add(bucket.take_undone(since_ns, now_ns));
        }
    }

    /// How long the tokens for `cost` last at this core's part of the rate.
    pub(super) fn duration_ns(&self, bucket: &Bucket<impl Word>, cost: Cost) -> u64 {
        let length_ns = self.length_ns(bucket, cost);
        self.share.as_ref().map_or(length_ns, |share| share.stretched_ns(length_ns))
    }

    /// How long the tokens for `cost` last at the whole rate.
    pub(super) fn length_ns(&self, bucket: &Bucket<impl Word>, cost: Cost) -> u64 {
        let lengths = self.meters(cost).map(|meter| bucket.duration_ns(meter, cost.tokens(meter)));
        lengths.max().unwrap_or(0)
    }

    /// Gives tickets back which would come earlier by `gain_ns` if they were taken now.
    pub(super) fn return_late_tickets(&mut self, bucket: &Bucket<impl Word>, gain_ns: u64, now_ns: u64) {
        for (meter, ticket) in held(&mut self.tickets) {
            let length_ns = bucket.duration_ns(meter, ticket.tokens);
            let again_ns = bucket.earliest_ns(meter, now_ns).saturating_sub(length_ns);
            if again_ns.saturating_add(gain_ns) < ticket.start_ns {
                bucket.give_back(meter, ticket.tokens, self.generation);
                ticket.tokens = 0;
            }
        }
    }

    /// Gives back what tickets are for beyond a slice and `cost`. Answers whether there was any.
    pub(super) fn trim_tickets(&mut self, bucket: &Bucket<impl Word>, cost: Cost) -> bool {
        let mut is_any = false;
        for (meter, ticket) in held(&mut self.tickets) {
            let slice = bucket.tokens_in(meter, bucket.slice_ns() / u64::from(bucket.sharers()));
            let kept = cost.tokens(meter).max(slice);
            let excess = ticket.tokens.saturating_sub(kept);
            bucket.give_back(meter, excess, self.generation);
            ticket.tokens -= excess;
            is_any |= excess > 0;
        }
        is_any
    }

    /// Gives back the tickets whose time has not come. Answers whether there were any.
    pub(super) fn return_tickets(&mut self, bucket: &Bucket<impl Word>) -> bool {
        let mut is_any = false;
        for (meter, ticket) in held(&mut self.tickets) {
            bucket.give_back(meter, ticket.tokens, self.generation);
            ticket.tokens = 0;
            is_any = true;
        }
        is_any
    }

    /// Gives everything back. Answers whether there was anything.
    pub(super) fn return_all(&mut self, bucket: &Bucket<impl Word>, core: u32) -> bool {
        let mut is_any = self.return_tickets(bucket);
        for (meter, credit) in self.credit.iter_mut().enumerate().filter(|(_, credit)| **credit > 0) {
            bucket.give_back(meter, *credit, self.generation);
            *credit = 0;
            is_any = true;
        }
        bucket.leave(core);
        is_any
    }

    /// Tokens of `meter` that are to be spent from a time on.
    fn ticket(&self, meter: usize) -> Lease {
        self.tickets.as_ref().map_or(Lease::default(), |tickets| tickets[meter])
    }

    /// Keeps what was taken of `meter`, to be spent now or later.
    fn keep(&mut self, meter: usize, lease: Lease, now_ns: u64) {
        if lease.start_ns <= now_ns {
            self.credit[meter] = self.credit[meter].saturating_add(lease.tokens);
        } else {
            self.tickets.get_or_insert_default()[meter] = lease;
        }
    }

    /// How much is taken at a time: what the rate gives in a slice, divided by those who share it.
    fn slice(&self, bucket: &Bucket<impl Word>, meter: usize) -> u64 {
        let duration_ns = match &self.share {
            Some(share) if share.is_wanted() => share.slice_ns(),
            _ => bucket.slice_ns() / u64::from(bucket.sharers()),
        };
        bucket.tokens_in(meter, duration_ns)
    }

    /// The bounded meters that `cost` runs through.
    fn meters(&self, cost: Cost) -> impl Iterator<Item = usize> + use<> {
        let mut meters = self.bounded & cost.meters();
        std::iter::from_fn(move || {
            let meter = (meters != 0).then_some(meters.trailing_zeros() as usize);
            meters &= meters.wrapping_sub(1);
            meter
        })
    }
}

/// The tickets that there are, with their meters.
fn held(tickets: &mut Option<Box<[Lease; METERS]>>) -> impl Iterator<Item = (usize, &mut Lease)> {
    let tickets = tickets.iter_mut().flat_map(|tickets| tickets.iter_mut().enumerate());
    tickets.filter(|(_, ticket)| ticket.tokens > 0)
}
