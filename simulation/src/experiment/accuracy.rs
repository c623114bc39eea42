//! How close to its limit a tenant is held whose connections are on many cores.

use super::{LIMIT, MS_NS, depth, empty};
use crate::demand::{Activity, Tenant, skewed};
use crate::log::{Errors, Log};
use crate::scheme::{Kind, Policy};
use crate::world;

/// Windows that are judged, in milliseconds.
pub const SHORT_MS: usize = 100;
/// See [`SHORT_MS`].
pub const LONG_MS: usize = 1000;

/// Times on and off of a connection whose demand moves, in the mean: a third of the cores asks at a time.
const MOVING: Activity = Activity::Moving { on_ns: 20 * MS_NS, off_ns: 40 * MS_NS };

/// Times of a tenant that comes and goes: what it saves up while it is away must stay within its burst.
const PULSED: Activity = Activity::Pulsed { on_ns: 130 * MS_NS, off_ns: 70 * MS_NS };

/// Which cores ask, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// All, all the time.
    AllBusy,
    /// One, all the time.
    OneBusy,
    /// Each now and then, some always.
    Moving,
    /// All the time, but few cores have most of it.
    Skewed,
    /// All, now and then.
    Pulsed,
}

impl Pattern {
    /// In the order of the tables.
    pub const ALL: [Self; 5] = [Self::AllBusy, Self::OneBusy, Self::Moving, Self::Skewed, Self::Pulsed];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::AllBusy => "all cores busy",
            Self::OneBusy => "one core busy",
            Self::Moving => "moving on/off",
            Self::Skewed => "skewed",
            Self::Pulsed => "pulsed",
        }
    }

    fn tenant(self, policy: Policy, cores: usize, operation_bytes: u64) -> Tenant {
        let everywhere = (0..cores).collect();
        let on = |connections| Tenant::greedy(policy, connections, depth(operation_bytes), operation_bytes);
        match self {
            Self::AllBusy => on(everywhere),
            Self::OneBusy => on(vec![cores - 1]),
            Self::Moving => on(everywhere).when(MOVING),
            Self::Skewed => on(skewed(2 * cores, cores)),
            Self::Pulsed => on(everywhere).when(PULSED),
        }
    }
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Who decides.
    pub scheme: Kind,
    /// On so many cores.
    pub cores: usize,
    /// Of each operation.
    pub operation_bytes: u64,
    /// Who asks.
    pub pattern: Pattern,
    /// How long.
    pub seconds: u64,
    /// Of the random choices.
    pub seed: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Accuracy {
    /// Of windows of 100 ms; `None` where nobody asked for so long.
    pub short: Option<Errors>,
    /// Of windows of 1 s.
    pub long: Option<Errors>,
    /// The most above the limit's share of any time whatsoever.
    pub excess_bytes: u64,
    /// Which part of the operations was refused.
    pub refused: f64,
    /// Rates in consecutive windows of 100 ms, as parts of the limit.
    pub course: Vec<f64>,
}

impl Case {
    /// Runs it.
    pub fn run(&self) -> Accuracy {
        let mut setup = empty(self.cores, self.seconds, self.seed);
        setup.tenants = vec![self.pattern.tenant(Policy::limited(LIMIT), self.cores, self.operation_bytes)];
        let logs = world::run(&setup, self.scheme.build(&setup));
        Accuracy::of(&logs[0])
    }

    /// What of `accuracy` is beyond what a run like this may have, in words.
    pub fn misses(&self, accuracy: &Accuracy) -> Vec<String> {
        let mut misses = Vec::new();
        for (window_ms, errors) in [(SHORT_MS, accuracy.short), (LONG_MS, accuracy.long)] {
            let tolerance = self.tolerance(window_ms);
            if errors.is_none() && self.pattern != Pattern::Pulsed {
                misses.push(format!("no windows of {window_ms} ms"));
            }
            if let Some(errors) = errors.filter(|errors| errors.worst() > tolerance) {
                misses.push(format!("windows of {window_ms} ms: {errors:?}, at most {tolerance}"));
            }
        }
        if accuracy.excess_bytes > self.excess_bytes_max() {
            let most = self.excess_bytes_max();
            misses.push(format!("{} bytes above the limit, at most {most}", accuracy.excess_bytes));
        }
        misses
    }

    /// The most that a window may be off: the percentage, or one operation on each core that asks and the burst, if they are
    /// more.
    pub fn tolerance(&self, window_ms: usize) -> f64 {
        let percentage = match (window_ms, self.operation_bytes) {
            (LONG_MS.., _) => 0.005,
            (_, 0..=65_536) => 0.02,
            _ => 0.05,
        };
        let window_bytes = LIMIT as f64 * window_ms as f64 / 1e3;
        f64::max(percentage, self.loose_bytes() as f64 / window_bytes)
    }

    /// One operation on each core that asks, and the burst.
    fn loose_bytes(&self) -> u64 {
        let cores = if self.pattern == Pattern::OneBusy { 1 } else { self.cores as u64 };
        cores * self.operation_bytes + self.burst_bytes()
    }

    fn burst_bytes(&self) -> u64 {
        LIMIT * Policy::NONE.burst_ns / 1_000_000_000
    }

    /// The most that may go on above the limit's share of any time: besides, the slices that cores have not spent, which
    /// are as much as the limit has in 1 ms.
    pub fn excess_bytes_max(&self) -> u64 {
        self.loose_bytes() + LIMIT / 1000
    }
}

impl Accuracy {
    fn of(log: &Log) -> Self {
        let due = LIMIT as f64 * SHORT_MS as f64 / 1e3;
        Self {
            short: log.errors(SHORT_MS, LIMIT),
            long: log.errors(LONG_MS, LIMIT),
            excess_bytes: log.excess_bytes()[0],
            refused: log.refused(),
            course: log.windows(SHORT_MS).into_iter().map(|bytes| bytes as f64 / due).collect(),
        }
    }
}
