//! What the limits tree costs a request: where nothing is limited, at four levels that have enough, and parked and woken.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::ValueEnum;
use qos::Kind;
use qos::limits::{Core, Cost, Decision, Entity, IO_UNIT_BYTES_DEFAULT, Limit, Limits, Path, Rates, Woken};

use crate::measure::{Comparison, compare};

/// Bytes of each request.
const BYTES: u64 = 4096;

/// So many wait at a time where all have to.
const DEPTH: usize = 16;

/// A core looks at its timers after so many requests, as after a turn of its loop.
const TURN: u64 = 64;

/// From one request to the next where none has to wait, in nanoseconds.
const EVERY_NS: u64 = 200;

/// More than is ever asked for, and so little that everything has to wait.
const MUCH: u64 = 1_000_000_000_000;
const LITTLE: u64 = 100_000_000;

const SERVER: Entity = Entity(1);
const EXPORT: Entity = Entity(2);
const GROUP: Entity = Entity(3);
const CLIENTS: u128 = 4;

/// What there is for the tree to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Case {
    /// Nothing that a request is charged to has a limit.
    Unlimited,
    /// A client, a group, an export and the server have limits of bytes and operations, and enough.
    Levels,
    /// The client has to wait each time.
    Parked,
}

/// A core that charges requests of some clients in turn.
pub struct Charger {
    case: Case,
    core: Core,
    paths: Vec<Path>,
    next: usize,
    cost: Cost,
    now_ns: u64,
    count: u64,
    woken: Vec<Woken>,
}

impl Charger {
    /// With `entities` clients that have limits, of which `active` ask.
    ///
    /// # Panics
    /// When the table has no room for so many.
    pub fn new(case: Case, entities: u32, active: u32) -> Self {
        let limits = Limits::new();
        let set = |entity, parent, rate| {
            limits.set(entity, parent, limit(rate), 0).expect("there is room");
        };
        let above = [(SERVER, None), (EXPORT, Some(SERVER)), (GROUP, Some(EXPORT))];
        let client = |number: u32| Entity(CLIENTS + u128::from(number));
        match case {
            Case::Unlimited => {
                (0..entities).for_each(|number| set(Entity(1 << 64 | u128::from(number)), None, MUCH))
            }
            Case::Levels => {
                above.into_iter().for_each(|(entity, parent)| set(entity, parent, MUCH));
                (0..entities).for_each(|number| set(client(number), Some(GROUP), MUCH));
            }
            Case::Parked => (0..entities).for_each(|number| set(client(number), None, LITTLE)),
        }
        let cost = Cost::new(Kind::Read, BYTES, IO_UNIT_BYTES_DEFAULT);
        let paths = (0..active).map(|number| Path::new(&[client(number)])).collect();
        let core = Core::new(&limits, 0);
        let mut charger =
            Self { case, core, paths, next: 0, cost, now_ns: 1 << 40, count: 0, woken: Vec::new() };
        if case == Case::Parked {
            (0..DEPTH).for_each(|_| charger.offer());
        }
        charger
    }

    /// Charges one request, and lets one go on that waited before.
    pub fn charge(&mut self) {
        self.offer();
        self.count += 1;
        if self.case == Case::Parked {
            while self.core.parked_count() >= DEPTH {
                self.now_ns = self.now_ns.max(self.core.next_deadline_ns().unwrap_or(0));
                self.advance();
            }
        } else {
            self.now_ns += EVERY_NS;
            if self.count.is_multiple_of(TURN) {
                self.advance();
            }
        }
    }

    fn offer(&mut self) {
        let number = self.next;
        self.next = if number + 1 == self.paths.len() { 0 } else { number + 1 };
        let path = &mut self.paths[number];
        let decision = self.core.offer(path, self.cost, self.now_ns, self.now_ns);
        debug_assert!(!matches!(decision, Decision::Refuse));
        black_box(decision);
    }

    fn advance(&mut self) {
        self.core.advance(self.now_ns, &mut self.woken);
        black_box(&self.woken);
        self.woken.clear();
    }
}

fn limit(rate: u64) -> Limit {
    let rates = Rates { together: NonZeroU64::new(rate), ..Rates::default() };
    Limit { bytes: rates, operations: rates, ..Limit::default() }
}

pub(crate) fn run() -> std::io::Result<Vec<Comparison>> {
    let charge = |case, entities| {
        let mut charger = Charger::new(case, entities, 1);
        move || charger.charge()
    };
    let word = AtomicU64::new(0);
    let load = || {
        black_box(word.load(Ordering::Acquire));
    };
    let clock = || {
        black_box(Instant::now());
    };
    let mut waiting: BTreeMap<u64, u64> = (0..DEPTH as u64).map(|number| (number, number)).collect();
    let mut count = DEPTH as u64;
    let sorted = || {
        waiting.insert(count, count);
        count += 1;
        black_box(waiting.pop_first());
    };
    Ok(vec![
        compare("charge where nothing is limited", charge(Case::Unlimited, 1), "load a word", load),
        compare("charge four levels", charge(Case::Levels, 1), "read the clock", clock),
        compare("charge four levels of 100 000", charge(Case::Levels, 100_000), "read the clock", clock),
        compare("park and wake", charge(Case::Parked, 1), "insert into a sorted map, take out", sorted),
    ])
}
