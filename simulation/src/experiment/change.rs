//! How fast another limit is there.

use super::Target::AtMost;
use super::{Figure, LIMIT, MS_NS, Unit, depth, empty};
use crate::demand::Tenant;
use crate::log::Log;
use crate::scheme::{Kind, Policy};
use crate::world::{self, Change};

const OPERATION_BYTES: u64 = 65_536;

/// The other limit.
const LOW: u64 = LIMIT / 10;

/// When it is lowered and raised again.
const LOWERED_MS: usize = 1000;
const RAISED_MS: usize = 2000;

/// Windows that must be right, in milliseconds.
const WINDOW_MS: usize = 100;

/// How right.
const WITHIN: f64 = 0.05;

/// The figures of a scheme.
pub fn figures(scheme: Kind, cores: usize, seed: u64) -> Vec<Figure> {
    let reaction = measure(scheme, cores, seed);
    let ms = |ms: Option<usize>| ms.map_or(f64::INFINITY, |ms| ms as f64);
    let excess = |position: usize, name: &str, limit: u64| {
        let name = format!("above the limit, from 10 ms after it was {name}");
        // A burst and what cores have not spent, a millisecond each, and one operation on each core.
        let most = (limit / 500 + cores as u64 * OPERATION_BYTES) as f64;
        Figure::new(name, reaction.excess_bytes[position] as f64 / 1e6, AtMost(most / 1e6), Unit::Megabytes)
    };
    vec![
        Figure::new("a limit is lowered after", ms(reaction.lowered_ms), AtMost(10.0), Unit::Ms),
        Figure::new("a limit is raised after", ms(reaction.raised_ms), AtMost(10.0), Unit::Ms),
        excess(1, "lowered", LOW),
        excess(2, "raised", LIMIT),
    ]
}

/// How long a change takes.
#[derive(Clone, Debug)]
pub struct Reaction {
    /// From the change to the beginning of the first window of 100 ms within 5 % of the lower limit, in milliseconds.
    pub lowered_ms: Option<usize>,
    /// The same of the higher.
    pub raised_ms: Option<usize>,
    /// The most above each of the three limits' share of any time that begins 10 ms after the change.
    pub excess_bytes: Vec<u64>,
    /// Rates in consecutive windows of 10 ms, as parts of the higher limit.
    pub course: Vec<f64>,
}

/// A limit is lowered to a tenth, and raised again, while all cores ask for more.
pub fn measure(scheme: Kind, cores: usize, seed: u64) -> Reaction {
    let mut setup = empty(cores, 3, seed);
    setup.tenants = vec![Tenant::greedy(
        Policy::limited(LIMIT),
        (0..cores).collect(),
        depth(OPERATION_BYTES),
        OPERATION_BYTES,
    )];
    let change = |at_ms: usize, limit| Change { at_ns: at_ms as u64 * MS_NS, tenant: 0, limit };
    setup.changes = vec![change(LOWERED_MS, LOW), change(RAISED_MS, LIMIT)];
    let log = &world::run(&setup, scheme.build(&setup))[0];
    let due = LIMIT as f64 / 100.0;
    Reaction {
        lowered_ms: first_right(log, LOWERED_MS, LOW),
        raised_ms: first_right(log, RAISED_MS, LIMIT),
        excess_bytes: log.excess_bytes(),
        course: log.windows(10).into_iter().map(|bytes| bytes as f64 / due).collect(),
    }
}

fn first_right(log: &Log, from_ms: usize, limit: u64) -> Option<usize> {
    let begun = log.windows(1);
    let due = limit as f64 * WINDOW_MS as f64 / 1e3;
    let windows = begun[from_ms..from_ms + 1000].windows(WINDOW_MS);
    let mut achieved = windows.map(|window| window.iter().sum::<u64>() as f64);
    achieved.position(|bytes| (bytes / due - 1.0).abs() <= WITHIN)
}
