//! The parked of one entity on one core, in the order in which they are served.
//!
//! Within a tier it is start-time fair queueing: a request's rank is where its flow has come to in the queue's own time,
//! and a flow moves on by the work of each of its requests divided by its weight. Flows that come late begin where
//! the queue is now.

use std::collections::{BTreeMap, VecDeque};

use super::limit::{Cost, Tier};
use super::share::BACKGROUND_PART;

/// Work counts in so many parts before it is divided by a weight.
const WORK_SHIFT: u32 = 20;

/// So many flows without a request are remembered, beside as many as there are requests.
const FLOWS_KEPT_MAX: usize = 64;

/// A place in a queue. Lower is earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    tier: Tier,
    start: u64,
    arrival: u64,
}

/// What a queue has to know of a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// Where the request is kept.
    pub(super) slot: u32,
    /// Whose share it takes.
    pub(super) flow: u32,
    pub(super) tier: Tier,
    /// The part of the flow's weight that counts on this core.
    pub(super) weight: u64,
    /// All of it.
    pub(super) whole_weight: u64,
    /// The number of the request on its core.
    pub(super) arrival: u64,
    pub(super) cost: Cost,
}

impl Entry {
    /// By how much it brings its flow forward.
    fn length(&self) -> u64 {
        (self.cost.work() << WORK_SHIFT) / self.weight.max(1)
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    entries: BTreeMap<Rank, Entry>,
    flows: BTreeMap<u32, Flow>,
    /// Where each tier has come to.
    now: [u64; 3],
    /// Work that background has a right to before others are served again.
    background_work: u64,
    bytes: u64,
    operations: u64,
    work: u64,
    /// How many of the requests are background's.
    background: usize,
}

#[derive(Debug, Default)]
struct Flow {
    finish: u64,
    /// Its requests, first come first.
    ranks: VecDeque<Rank>,
    whole_weight: u64,
    tier: Tier,
}

impl Queue {
    pub(super) fn push(&mut self, entry: Entry) -> Rank {
        let now = self.now[entry.tier as usize];
        self.forget_flows();
        let flow = self.flows.entry(entry.flow).or_default();
        let start = flow.finish.max(now);
        flow.finish = start.saturating_add(entry.length());
        (flow.tier, flow.whole_weight) = (entry.tier, entry.whole_weight);
        self.bytes += entry.cost.bytes;
        self.operations += entry.cost.operations;
        self.work += entry.cost.work();
        self.background += usize::from(entry.tier == Tier::Background);
        let rank = Rank { tier: entry.tier, start, arrival: entry.arrival };
        flow.ranks.push_back(rank);
        self.entries.insert(rank, entry);
        rank
    }

    /// Whose turn it is.
    pub(super) fn first(&self) -> Option<(Rank, u32)> {
        let first = self.entries.first_key_value();
        let next = self.first_of_background().filter(|entry| entry.1.cost.work() <= self.background_work);
        next.or(first).map(|(rank, entry)| (*rank, entry.slot))
    }

    /// Takes the request at `rank` out because it was served.
    pub(super) fn serve(&mut self, rank: Rank) {
        let entry = self.remove(rank);
        let work = entry.cost.work();
        let tier = rank.tier as usize;
        self.now[tier] = self.now[tier].max(rank.start);
        self.background_work = match self.first_of_background() {
            None => 0,
            Some(_) if rank.tier == Tier::Background => self.background_work.saturating_sub(work),
            Some(_) => self.background_work + work / (BACKGROUND_PART - 1),
        };
    }

    /// Who is first among the requests of `flow`.
    pub(super) fn first_of_flow(&self, flow: u32) -> Option<(Rank, u32)> {
        let rank = self.flows.get(&flow)?.ranks.front()?;
        Some((*rank, self.entries[rank].slot))
    }

    /// Takes the request at `rank` out, which has cost its flow nothing.
    pub(super) fn withdraw(&mut self, rank: Rank) {
        let entry = self.remove(rank);
        let flow = self.flows.get_mut(&entry.flow).expect("a flow is kept as long as its time is not over");
        flow.finish = flow.finish.saturating_sub(entry.length());
    }

    /// Takes the request at `rank` out.
    fn remove(&mut self, rank: Rank) -> Entry {
        let entry = self.entries.remove(&rank).expect("a rank is in its queue until it is taken out");
        let flow = self.flows.get_mut(&entry.flow).expect("a flow is kept as long as it has requests");
        if flow.ranks.front() == Some(&rank) {
            flow.ranks.pop_front();
        } else {
            flow.ranks.retain(|one| *one != rank);
        }
        self.bytes -= entry.cost.bytes;
        self.operations -= entry.cost.operations;
        self.work -= entry.cost.work();
        self.background -= usize::from(entry.tier == Tier::Background);
        entry
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// What all in the queue ask for, added up.
    pub(super) fn sum(&self, mut of: Cost) -> Cost {
        (of.bytes, of.operations) = (self.bytes, self.operations);
        of.with_work(self.work)
    }

    /// How much work all in the queue are.
    pub(super) fn work(&self) -> u64 {
        self.work
    }

    /// The flows that have requests here, their whole weights and tiers.
    pub(super) fn flows(&self) -> impl Iterator<Item = (u32, u64, Tier)> {
        let waiting = self.flows.iter().filter(|(_, flow)| !flow.ranks.is_empty());
        waiting.map(|(number, flow)| (*number, flow.whole_weight, flow.tier))
    }

    fn first_of_background(&self) -> Option<(&Rank, &Entry)> {
        if self.background == 0 {
            return None;
        }
        let first = Rank { tier: Tier::Background, start: 0, arrival: 0 };
        self.entries.range(first..).next()
    }

    /// Forgets flows that have no request, once there are many: those that the queue's time has caught up with, and
    /// all of them if that is not enough.
    fn forget_flows(&mut self) {
        let bound = self.entries.len() + FLOWS_KEPT_MAX;
        if self.flows.len() < 2 * bound {
            return;
        }
        let now = self.now.into_iter().max().unwrap_or(0);
        self.flows.retain(|_, flow| !flow.ranks.is_empty() || flow.finish > now);
        if self.flows.len() > bound {
            self.flows.retain(|_, flow| !flow.ranks.is_empty());
        }
    }
}
