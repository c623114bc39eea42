//! What the cores share of one entity: until when each of its meters is spent, and at what price.
//!
//! A meter is a point in time. Whoever wants tokens moves it forward by what they cost and may spend them from where
//! it stood before: a ticket, as from a machine in a waiting room. One compare-and-swap takes tokens for many requests.

use std::sync::atomic::AtomicU64;

use super::limit::{Limit, METERS, RESERVED, WORK};
use super::word::Word;

/// How long one taking of tokens lasts at the rate of the entity, by all cores together.
pub(super) const SLICE_NS: u64 = 1_000_000;

/// The same of work: short, because what comes at once stands in each other's way.
const WORK_SLICE_NS: u64 = SLICE_NS / 8;

/// How much of the work that was left undone a core may take that comes round late, in nanoseconds of the rate.
const WORK_SAVED_NS: u64 = 5 * SLICE_NS;

/// Work that others are made to wait for by those who do not: what is reserved. Beyond that it is forgiven, so that reservations of
/// more than there is leave something for all.
const WORK_OWED_NS_MAX: u64 = 50_000_000;

/// How long what is reserved is saved up at least, in nanoseconds of its rate. Who asks at random for nine tenths of it, 80 MB/s
/// in operations of 4 KiB, would else find it spent one time in a hundred.
const RESERVED_BURST_NS: u64 = 5 * SLICE_NS;

/// Prices have so many binary places after the nanosecond.
const PRICE_SHIFT: u32 = 32;

/// One entity as all cores see it: what is written with every taking stands apart from what only a change writes.
#[derive(Debug, Default)]
pub(super) struct Bucket<W = AtomicU64> {
    tickets: Tickets<W>,
    terms: Terms<W>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Tickets<W> {
    /// Until when each meter is spent, in nanoseconds of the caller's clock.
    spent_until_ns: [W; METERS],
    /// The cores that hold tokens or took some lately: a slice is divided by their number.
    active: W,
    /// The cores on which requests are parked here.
    waiting: W,
    /// The cores on which requests of this entity are parked, here or elsewhere.
    backlogged: W,
    /// Where the entity is scarce: the weights of all who wait for it, background apart.
    wanting: [W; 2],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Terms<W> {
    /// Odd while a change is being written.
    generation: W,
    /// The state of the table when the entity was set that has this place.
    born: W,
    burst_ns: W,
    /// Not 0 where the entity is scarce.
    scarce: W,
    /// What a token of each meter costs, 0 where it is not bounded.
    prices: [W; METERS],
}

/// Tokens that were taken, and the time from which they may be spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) tokens: u64,
    pub(super) start_ns: u64,
}

impl<W: Word> Bucket<W> {
    /// Which terms are in force; `None` while they are being changed.
    pub(super) fn generation(&self) -> Option<u64> {
        let generation = self.terms.generation.load();
        generation.is_multiple_of(2).then_some(generation)
    }

    /// The state of the table when the entity was set that has this place.
    pub(super) fn born(&self) -> u64 {
        self.terms.born.load()
    }

    /// Begins with another entity, whose terms follow.
    pub(super) fn bear(&self, born: u64) {
        self.terms.born.store(born);
    }

    /// Whether cores take from it by weight.
    pub(super) fn is_scarce(&self) -> bool {
        self.terms.scarce.load() != 0
    }

    /// The meters that are bounded, a bit each.
    pub(super) fn bounded(&self) -> u8 {
        (0..METERS).filter(|meter| self.price(*meter) != 0).fold(0, |bounded, meter| bounded | 1 << meter)
    }

    /// When tokens that were taken at `now_ns` could be spent.
    pub(super) fn earliest_ns(&self, meter: usize, now_ns: u64) -> u64 {
        let spent_until_ns = self.tickets.spent_until_ns[meter].load();
        spent_until_ns.max(self.saved_since_ns(meter, now_ns))
    }

    /// Takes `tokens` of `meter`, of which so many are spent `at_once`. `None`: the terms are no longer those of
    /// `generation`, and nothing was taken.
    ///
    /// Tokens can be spent the moment they begin. So what is taken beyond what is spent at once is the last part of what was
    /// saved up, and not on top of it.
    pub(super) fn lease(
        &self,
        meter: usize,
        tokens: u64,
        at_once: u64,
        generation: u64,
        now_ns: u64,
    ) -> Option<Lease> {
        let length_ns = self.duration_ns(meter, tokens).saturating_add(1);
        let saved_since_ns = self.saved_since_ns(meter, now_ns);
        let earliest_ns = match meter {
            RESERVED | WORK => saved_since_ns,
            _ => {
                let kept_ns = self.duration_ns(meter, tokens.saturating_sub(at_once));
                saved_since_ns.saturating_add(kept_ns).min(now_ns)
            }
        };
        let start_ns = self.advance(meter, |spent_until_ns| spent_until_ns.max(earliest_ns), length_ns);
        if self.generation() == Some(generation) {
            return Some(Lease { tokens, start_ns });
        }
        self.go_back(meter, length_ns);
        None
    }

    /// Charges `tokens` that were spent without having been taken: those who come next wait for it, but not for more than
    /// `owed_ns_max` altogether. What is beyond that is forgiven.
    pub(super) fn owe(&self, meter: usize, tokens: u64, owed_ns_max: u64, generation: u64, now_ns: u64) {
        let owed_ns_max = if meter == WORK { owed_ns_max.min(WORK_OWED_NS_MAX) } else { owed_ns_max };
        let earliest_ns = self.saved_since_ns(meter, now_ns);
        let owed_ns = self.earliest_ns(meter, now_ns).saturating_sub(now_ns);
        let length_ns = self.duration_ns(meter, tokens).min(owed_ns_max.saturating_sub(owed_ns));
        self.advance(meter, |spent_until_ns| spent_until_ns.max(earliest_ns), length_ns);
        if self.generation() != Some(generation) {
            self.go_back(meter, length_ns);
        }
    }

    /// Gives back what was taken under `generation` and not spent. Tokens of other terms are worth nothing.
    pub(super) fn give_back(&self, meter: usize, tokens: u64, generation: u64) {
        if self.generation() == Some(generation) {
            self.go_back(meter, self.duration_ns(meter, tokens));
        }
    }

    /// How long `tokens` last at the rate of `meter`, rounded down.
    pub(super) fn duration_ns(&self, meter: usize, tokens: u64) -> u64 {
        let length = (u128::from(tokens) * u128::from(self.price(meter))) >> PRICE_SHIFT;
        u64::try_from(length).unwrap_or(u64::MAX)
    }

    /// How many cores share the entity now, one at least.
    pub(super) fn sharers(&self) -> u32 {
        self.tickets.active.load().count_ones().max(1)
    }

    /// Counts `core` among those that share the entity.
    pub(super) fn join(&self, core: u32) {
        if self.tickets.active.load() & (1 << core) == 0 {
            self.tickets.active.set_bits(1 << core);
        }
    }

    /// No longer.
    pub(super) fn leave(&self, core: u32) {
        self.tickets.active.clear_bits(1 << core);
    }

    /// Says that requests are parked here on `core`. What changes after this is told to it; what changed before, it
    /// must look at after this.
    pub(super) fn start_waiting(&self, core: u32) {
        self.tickets.waiting.set_bits(1 << core);
        W::settle();
    }

    /// No request is parked here on `core` any more.
    pub(super) fn stop_waiting(&self, core: u32) {
        self.tickets.waiting.clear_bits(1 << core);
    }

    /// The cores on which requests are parked here, a bit each.
    pub(super) fn waiting(&self) -> u64 {
        W::settle();
        self.tickets.waiting.load()
    }

    /// Says whether requests of this entity are parked on `core`.
    pub(super) fn set_backlogged(&self, core: u32, is_backlogged: bool) {
        if is_backlogged {
            self.tickets.backlogged.set_bits(1 << core);
        } else {
            self.tickets.backlogged.clear_bits(1 << core);
        }
    }

    /// On how many cores requests of this entity are parked, one at least.
    pub(super) fn backlogged_cores(&self) -> u64 {
        self.tickets.backlogged.load().count_ones().max(1).into()
    }

    /// Replaces a core's part `before` of the weights that wait for this entity, and answers the weights of all cores.
    pub(super) fn want(&self, before: [u64; 2], now: [u64; 2]) -> [u64; 2] {
        for (sum, (before, now)) in self.tickets.wanting.iter().zip(before.into_iter().zip(now)) {
            if before != now {
                sum.add(now.wrapping_sub(before));
            }
        }
        [0, 1].map(|part| self.tickets.wanting[part].load())
    }

    /// Puts `limit` in force. One caller at a time.
    ///
    /// What is spent ahead of now stays spent, but no longer than before and no longer than it takes at the new rate:
    /// neither a high rate that went before nor a low one starves those who come after.
    pub(super) fn change(&self, limit: &Limit, now_ns: u64) {
        self.terms.generation.add(1);
        self.terms.burst_ns.store(limit.burst_ns);
        self.terms.scarce.store(limit.scarce.into());
        for (meter, rate) in limit.rates().into_iter().enumerate() {
            let price = rate.map_or(0, |rate| price_of(rate.get()));
            let before = self.price(meter);
            if price == before {
                continue;
            }
            self.terms.prices[meter].store(price);
            self.update(meter, |spent_until_ns| {
                let ahead_ns = spent_until_ns.saturating_sub(now_ns);
                if before == 0 { now_ns } else { spent_until_ns - ahead_ns + scaled(ahead_ns, price, before) }
            });
        }
        self.terms.generation.add(1);
    }

    /// Gives or takes away a rate of work, in thousandths of a read of 4 KiB per second. One caller at a time.
    pub(super) fn bound_work(&self, rate: Option<u64>) {
        self.terms.generation.add(1);
        self.terms.scarce.store(rate.is_some().into());
        self.terms.prices[WORK].store(rate.map_or(0, price_of));
        self.terms.generation.add(1);
    }

    /// Makes the rate of work another; tokens keep their worth. Answers whether it is so much more that those who wait are to
    /// look whether their turn comes earlier.
    pub(super) fn pace(&self, rate: u64, now_ns: u64) -> bool {
        let (before, price) = (self.price(WORK), price_of(rate));
        if before == 0 {
            return false;
        }
        self.terms.prices[WORK].store(price);
        let is_much_more = price < before - before / 8;
        if is_much_more {
            self.update(WORK, |spent_until_ns| {
                let ahead_ns = spent_until_ns.saturating_sub(now_ns);
                spent_until_ns - ahead_ns + scaled(ahead_ns, price, before)
            });
        }
        is_much_more
    }

    /// Takes the work that was left undone since `since_ns` and would be lost. Answers how much it is.
    pub(super) fn take_undone(&self, since_ns: u64, now_ns: u64) -> u64 {
        let since_ns = since_ns.max(now_ns.saturating_sub(WORK_SAVED_NS));
        let until_ns = now_ns.saturating_sub(WORK_SLICE_NS);
        let undone_ns = |spent_until_ns: u64| until_ns.saturating_sub(spent_until_ns.max(since_ns));
        let next = |spent_until_ns| if undone_ns(spent_until_ns) > 0 { until_ns } else { spent_until_ns };
        self.tokens_in(WORK, undone_ns(self.update(WORK, next)))
    }

    /// Whether it has a rate of work.
    pub(super) fn is_paced(&self) -> bool {
        self.price(WORK) != 0
    }

    /// How long one taking of tokens lasts, by all cores together.
    pub(super) fn slice_ns(&self) -> u64 {
        if self.is_paced() { WORK_SLICE_NS } else { SLICE_NS }
    }

    /// The tokens that the rate of `meter` gives in `duration_ns`.
    pub(super) fn tokens_in(&self, meter: usize, duration_ns: u64) -> u64 {
        let slice = u128::from(duration_ns) << PRICE_SHIFT;
        u64::try_from(slice / u128::from(self.price(meter).max(1))).unwrap_or(u64::MAX)
    }

    /// Since when what was not used is there.
    fn saved_since_ns(&self, meter: usize, now_ns: u64) -> u64 {
        let burst_ns = self.terms.burst_ns.load();
        now_ns.saturating_sub(match meter {
            RESERVED => burst_ns.max(RESERVED_BURST_NS),
            WORK => WORK_SLICE_NS,
            _ => burst_ns,
        })
    }

    fn price(&self, meter: usize) -> u64 {
        self.terms.prices[meter].load()
    }

    /// Moves a meter to `length_ns` after the start that `start_ns` makes of where it stood, and answers the start.
    fn advance(&self, meter: usize, start_ns: impl Fn(u64) -> u64, length_ns: u64) -> u64 {
        start_ns(self.update(meter, |spent_until_ns| start_ns(spent_until_ns).saturating_add(length_ns)))
    }

    fn go_back(&self, meter: usize, length_ns: u64) {
        self.update(meter, |spent_until_ns| spent_until_ns.saturating_sub(length_ns));
    }

    /// Answers where the meter stood before.
    fn update(&self, meter: usize, next: impl Fn(u64) -> u64) -> u64 {
        self.tickets.spent_until_ns[meter].update(next)
    }
}

fn price_of(rate: u64) -> u64 {
    ((1_000_000_000 << PRICE_SHIFT) / rate.max(1)).max(1)
}

/// `ahead_ns` at another price, but never more than it is.
fn scaled(ahead_ns: u64, price: u64, before: u64) -> u64 {
    let scaled = u128::from(ahead_ns) * u128::from(price) / u128::from(before);
    u64::try_from(scaled).unwrap_or(u64::MAX).min(ahead_ns)
}
