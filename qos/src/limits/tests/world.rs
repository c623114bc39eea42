//! Cores, those who ask them, and a clock that goes on when nothing more happens at a time.

use std::num::NonZeroU64;

use crate::Kind;
use crate::limits::{Charged, Core, Cost, Decision, Entity, Limit, Limits, Path, Rates, Turn, Woken};

pub(super) const MS: u64 = 1_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;
pub(super) const MIB: u64 = 1 << 20;

/// Somebody on one core who asks for the same again and again, `depth` at a time.
#[derive(Clone, Debug)]
pub(super) struct Asker {
    pub(super) core: usize,
    pub(super) path: Path,
    pub(super) cost: Cost,
    pub(super) depth: usize,
    /// Asks only while this says so, by time.
    pub(super) wants: fn(u64, usize) -> bool,
}

/// Something that was let through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Admitted {
    pub(super) at_ns: u64,
    pub(super) asker: usize,
    pub(super) bytes: u64,
}

pub(super) struct World {
    pub(super) now_ns: u64,
    pub(super) cores: Vec<Core>,
    pub(super) askers: Vec<Asker>,
    pub(super) admitted: Vec<Admitted>,
    pub(super) refused: usize,
    parked: Vec<(usize, Turn, usize)>,
}

pub(super) fn always(_: u64, _: usize) -> bool {
    true
}

pub(super) fn per_second(rate: u64) -> Option<NonZeroU64> {
    NonZeroU64::new(rate)
}

/// So many bytes per second, reads and writes together.
pub(super) fn bytes_per_second(rate: u64) -> Limit {
    Limit { bytes: Rates { together: per_second(rate), ..Rates::default() }, ..Limit::default() }
}

pub(super) fn read_of(bytes: u64) -> Cost {
    Cost::new(Kind::Read, bytes, crate::limits::IO_UNIT_BYTES_DEFAULT)
}

/// A core's decision that must be to go on.
#[track_caller]
pub(super) fn ran(decision: Decision) -> Charged {
    match decision {
        Decision::Run(charged) => charged,
        other => panic!("did not go on: {other:?}"),
    }
}

/// A core's decision that must be to wait.
#[track_caller]
pub(super) fn waits(decision: Decision) -> (Turn, u64) {
    match decision {
        Decision::Wait { turn, until_ns } => (turn, until_ns),
        other => panic!("does not wait: {other:?}"),
    }
}

/// Those who are woken on `core` by `now_ns`.
pub(super) fn woken(core: &mut Core, now_ns: u64) -> Vec<Woken> {
    let mut woken = Vec::new();
    core.advance(now_ns, &mut woken);
    woken
}

impl World {
    /// So many cores that share `limits`.
    pub(super) fn new(limits: &Limits, cores: u32) -> Self {
        Self::of_cores((0..cores).map(|number| Core::new(limits, number)).collect())
    }

    pub(super) fn of_cores(cores: Vec<Core>) -> Self {
        let (askers, admitted, parked) = (Vec::new(), Vec::new(), Vec::new());
        Self { now_ns: 0, cores, askers, admitted, refused: 0, parked }
    }

    pub(super) fn ask(&mut self, core: usize, leaves: &[Entity], cost: Cost, depth: usize) -> usize {
        self.askers.push(Asker { core, path: Path::new(leaves), cost, depth, wants: always });
        self.askers.len() - 1
    }

    /// Lets time go by until `end_ns`. Demand is looked at every millisecond, a core when it wants to be.
    pub(super) fn run_until(&mut self, end_ns: u64) {
        while self.now_ns < end_ns {
            for core in 0..self.cores.len() {
                if self.cores[core].next_deadline_ns().is_some_and(|due_ns| due_ns <= self.now_ns) {
                    self.advance(core);
                }
            }
            for asker in 0..self.askers.len() {
                self.fill(asker);
            }
            let due = self.cores.iter().filter_map(Core::next_deadline_ns).min();
            let look_ns = (self.now_ns / MS + 1) * MS;
            let next_ns = due.map_or(look_ns, |due_ns| due_ns.min(look_ns));
            self.now_ns = next_ns.max(self.now_ns + 1).min(end_ns);
        }
    }

    /// Bytes that were let through from `from_ns` until before `to_ns`, for `asker` or for all.
    pub(super) fn bytes(&self, from_ns: u64, to_ns: u64, asker: Option<usize>) -> u64 {
        let first = self.admitted.partition_point(|one| one.at_ns < from_ns);
        let within = self.admitted[first..].iter().take_while(|one| one.at_ns < to_ns);
        within.filter(|one| asker.is_none_or(|asker| asker == one.asker)).map(|one| one.bytes).sum()
    }

    fn advance(&mut self, core: usize) {
        for Woken { turn, charged } in woken(&mut self.cores[core], self.now_ns) {
            let index = self.parked.iter().position(|(on, one, _)| (*on, *one) == (core, turn));
            let (_, _, asker) = self.parked.swap_remove(index.expect("only the parked are woken, and once"));
            match charged {
                Some(_) => self.admit(asker),
                None => self.refused += 1,
            }
        }
    }

    fn fill(&mut self, asker: usize) {
        let one = &self.askers[asker];
        let (core, cost) = (one.core, one.cost);
        let mut missing = if (one.wants)(self.now_ns, core) { one.depth } else { 0 };
        missing -= missing.min(self.parked.iter().filter(|parked| parked.2 == asker).count());
        while missing > 0 {
            let path = &mut self.askers[asker].path;
            match self.cores[core].offer(path, cost, self.now_ns, self.now_ns) {
                Decision::Run(_) => self.admit(asker),
                Decision::Wait { turn, .. } => {
                    self.parked.push((core, turn, asker));
                    missing -= 1;
                }
                Decision::Refuse => {
                    self.refused += 1;
                    missing = 0;
                }
            }
        }
    }

    fn admit(&mut self, asker: usize) {
        let bytes = self.askers[asker].cost.bytes;
        self.admitted.push(Admitted { at_ns: self.now_ns, asker, bytes });
    }
}
