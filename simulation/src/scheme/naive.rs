//! What others do: one limit, and nothing but the order of arrival on each core.

use std::collections::VecDeque;

use super::{Decided, Operation, Scheme};

/// What may be saved up.
const BURST_NS: u64 = 1_000_000;

/// When the limit is divided anew.
const REBALANCED_NS: u64 = 10_000_000;

/// The part of an equal share that a core without demand keeps, so that it can begin.
const IDLE_SHARE: f64 = 0.1;

/// Meters one limit.
pub trait Meter {
    /// From when on `core` may take. It may become earlier or later as others take; then it is asked again at this time.
    fn ready_ns(&self, core: usize, now_ns: u64) -> u64;

    /// Charges what goes on now.
    fn take(&mut self, core: usize, now_ns: u64, bytes: u64);

    /// What each core has waiting, before it is asked when it may take.
    fn look(&mut self, _now_ns: u64, _waiting: &[VecDeque<Operation>]) {}

    /// Another limit.
    fn change(&mut self, limit: u64);
}

/// Operations wait on their core in order of arrival.
#[derive(Debug)]
pub struct Held<M> {
    waiting: Vec<VecDeque<Operation>>,
    meter: M,
}

impl<M: Meter> Held<M> {
    pub fn new(cores: usize, meter: M) -> Self {
        Self { waiting: vec![VecDeque::new(); cores], meter }
    }
}

impl<M: Meter> Scheme for Held<M> {
    fn offer(&mut self, core: usize, now_ns: u64, operation: Operation, decided: &mut Decided) {
        self.waiting[core].push_back(operation);
        self.advance(core, now_ns, decided);
    }

    fn advance(&mut self, core: usize, now_ns: u64, decided: &mut Decided) {
        self.meter.look(now_ns, &self.waiting);
        while !self.waiting[core].is_empty() && self.meter.ready_ns(core, now_ns) <= now_ns {
            let operation = self.waiting[core].pop_front().expect("it is not empty");
            self.meter.take(core, now_ns, operation.bytes);
            decided.run.push(operation);
        }
    }

    fn due_ns(&self, core: usize, now_ns: u64) -> Option<u64> {
        let is_waiting = !self.waiting[core].is_empty();
        is_waiting.then(|| self.meter.ready_ns(core, now_ns))
    }

    fn done(&mut self, _core: usize, _now_ns: u64, _operation: &Operation) {}

    fn change(&mut self, _now_ns: u64, _tenant: usize, limit: u64) {
        self.meter.change(limit);
    }
}

/// A time up to which a rate is spoken for (GCRA).
#[derive(Clone, Copy, Debug)]
struct Word {
    rate: f64,
    spoken_for_ns: u64,
}

impl Word {
    fn new(rate: f64) -> Self {
        Self { rate, spoken_for_ns: 0 }
    }

    fn take(&mut self, now_ns: u64, bytes: u64) {
        let start_ns = self.spoken_for_ns.max(now_ns.saturating_sub(BURST_NS));
        self.spoken_for_ns = start_ns + (bytes as f64 * 1e9 / self.rate) as u64;
    }

    /// What is spoken for stays so many bytes.
    fn change(&mut self, now_ns: u64, rate: f64) {
        let ahead_ns = self.spoken_for_ns.saturating_sub(now_ns) as f64 * self.rate / rate;
        self.spoken_for_ns = self.spoken_for_ns.min(now_ns) + ahead_ns as u64;
        self.rate = rate;
    }
}

/// Holds nothing back.
#[derive(Debug)]
pub struct Unlimited;

impl Meter for Unlimited {
    fn ready_ns(&self, _core: usize, _now_ns: u64) -> u64 {
        0
    }

    fn take(&mut self, _core: usize, _now_ns: u64, _bytes: u64) {}

    fn change(&mut self, _limit: u64) {}
}

/// A part of the limit on each core.
#[derive(Debug)]
pub struct Divided {
    parts: usize,
    words: Vec<Word>,
}

impl Divided {
    pub fn new(limit: u64, cores: usize, parts: usize) -> Self {
        Self { parts, words: vec![Word::new(limit as f64 / parts as f64); cores] }
    }
}

impl Meter for Divided {
    fn ready_ns(&self, core: usize, _now_ns: u64) -> u64 {
        self.words[core].spoken_for_ns
    }

    fn take(&mut self, core: usize, now_ns: u64, bytes: u64) {
        self.words[core].take(now_ns, bytes);
    }

    fn change(&mut self, limit: u64) {
        let rate = limit as f64 / self.parts as f64;
        self.words.iter_mut().for_each(|word| word.rate = rate);
    }
}

/// A part of the limit on each core, by who had demand when it was divided last.
#[derive(Debug)]
pub struct Rebalanced {
    limit: f64,
    words: Vec<Word>,
    /// Whether the core took anything since then.
    took: Vec<bool>,
    next_ns: u64,
}

impl Rebalanced {
    pub fn new(limit: u64, cores: usize) -> Self {
        let words = vec![Word::new(limit as f64 / cores as f64); cores];
        Self { limit: limit as f64, words, took: vec![false; cores], next_ns: REBALANCED_NS }
    }
}

impl Meter for Rebalanced {
    fn ready_ns(&self, core: usize, _now_ns: u64) -> u64 {
        self.words[core].spoken_for_ns.min(self.next_ns)
    }

    fn take(&mut self, core: usize, now_ns: u64, bytes: u64) {
        self.words[core].take(now_ns, bytes);
        self.took[core] = true;
    }

    fn look(&mut self, now_ns: u64, waiting: &[VecDeque<Operation>]) {
        if now_ns < self.next_ns {
            return;
        }
        let is_busy = |core: usize| self.took[core] || !waiting[core].is_empty();
        let busy: Vec<bool> = (0..waiting.len()).map(is_busy).collect();
        let count = busy.iter().filter(|busy| **busy).count();
        let idle_rate = self.limit / busy.len() as f64 * IDLE_SHARE;
        let busy_rate = (self.limit - idle_rate * (busy.len() - count) as f64) / count.max(1) as f64;
        for (word, is_busy) in self.words.iter_mut().zip(busy) {
            word.change(now_ns, if is_busy { busy_rate } else { idle_rate });
        }
        self.took.fill(false);
        self.next_ns = now_ns + REBALANCED_NS;
    }

    fn change(&mut self, limit: u64) {
        self.limit = limit as f64;
    }
}

/// One word for all cores, changed by compare-and-swap.
#[derive(Debug)]
pub struct SharedWord(Word);

impl SharedWord {
    pub fn new(limit: u64) -> Self {
        Self(Word::new(limit as f64))
    }
}

impl Meter for SharedWord {
    fn ready_ns(&self, _core: usize, _now_ns: u64) -> u64 {
        self.0.spoken_for_ns
    }

    fn take(&mut self, _core: usize, now_ns: u64, bytes: u64) {
        self.0.take(now_ns, bytes);
    }

    fn change(&mut self, limit: u64) {
        self.0.rate = limit as f64;
    }
}
