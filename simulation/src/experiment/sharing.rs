//! Tenants that share what there is too little of.

use super::Target::{AtLeast, AtMost};
use super::{Figure, LIMIT, MS_NS, Unit, depth, empty};
use crate::demand::{Activity, Load, Tenant, skewed};
use crate::device::Device;
use crate::log::{BIN_NS, Log, jain};
use crate::scheme::{Kind, Policy};
use crate::world::{self, Setup};

const OPERATION_BYTES: u64 = 65_536;

/// Connections of eight tenants that are entitled to the same.
pub const CONNECTIONS: [usize; 8] = [1, 1, 2, 2, 4, 8, 16, 30];

/// How equal tenants are served, of a scheme.
pub fn equality(scheme: Kind, cores: usize, seed: u64) -> Vec<Figure> {
    let fairness = fairness(scheme, cores, seed);
    vec![
        Figure::new("Jain's index of 8 equal tenants, 10 s", fairness.whole, AtLeast(0.99), Unit::Ratio),
        Figure::new("the same, least of all seconds", fairness.second_min, AtLeast(0.98), Unit::Ratio),
    ]
}

/// Whether what one does not need is used by others, of a scheme.
pub fn use_of_all(scheme: Kind, cores: usize, seed: u64) -> Vec<Figure> {
    let used = conservation(scheme, cores, seed);
    let reuse_ms = reuse_ms(scheme, cores, seed) as f64;
    vec![
        Figure::new("used by one beside idle reservations", used, AtLeast(0.98), Unit::Part),
        Figure::new("idle reservation used again after", reuse_ms, AtMost(5.0), Unit::Ms),
        Figure::new(
            "done where cores are late, beside no limit",
            late(scheme, cores, seed),
            AtLeast(0.9),
            Unit::Part,
        ),
    ]
}

/// What one gets done beside an idle protected one where nothing is limited but the device, on cores that are away half of the
/// time for up to 4 ms each; beside what is done where nobody holds anything.
pub fn late(scheme: Kind, cores: usize, seed: u64) -> f64 {
    let mut setup = empty(cores, 5, seed);
    setup.device = Device { latency_ns: 60_000, jitter_ns: 20_000, reads_4k_per_second: Some(500_000) };
    setup.away_ns_max = Some(4 * MS_NS);
    let everywhere: Vec<usize> = (0..cores).collect();
    let greedy = |policy| Tenant::greedy(policy, everywhere.clone(), depth(OPERATION_BYTES), OPERATION_BYTES);
    let protected = Policy { is_protected: true, ..Policy::NONE };
    setup.tenants = vec![greedy(Policy::NONE), greedy(protected).when(Activity::Never)];
    let done = |scheme: Kind| world::run(&setup, scheme.build(&setup))[0].total() as f64;
    done(scheme) / done(Kind::Unlimited)
}

/// Whether reservations are kept, of a scheme.
pub fn reservations(scheme: Kind, cores: usize, seed: u64) -> Vec<Figure> {
    let figure = |(name, demand)| {
        let name = format!("windows short of reservation, demand {name}");
        Figure::new(name, shortfall(scheme, cores, demand, seed), AtMost(0.01), Unit::Part)
    };
    [("below", Demand::Below), ("above", Demand::Above), ("pulsed", Demand::Pulsed)].map(figure).to_vec()
}

/// How equal eight equal tenants are served.
#[derive(Clone, Debug)]
pub struct Fairness {
    /// Jain's index of all of the run.
    pub whole: f64,
    /// The least of all seconds.
    pub second_min: f64,
    /// Each tenant's part of what all had.
    pub shares: Vec<f64>,
}

/// Eight tenants of the same weight ask for as much as they can get, over more and fewer connections, of which the first cores
/// have most: those with few connections have them all on the first.
pub fn fairness(scheme: Kind, cores: usize, seed: u64) -> Fairness {
    let mut setup = empty(cores, 10, seed);
    setup.server = Policy::limited(LIMIT);
    let mut places = skewed(CONNECTIONS.iter().sum(), cores).into_iter();
    let tenant = |count: usize| {
        Tenant::greedy(
            Policy::NONE,
            places.by_ref().take(count).collect(),
            depth(OPERATION_BYTES),
            OPERATION_BYTES,
        )
    };
    setup.tenants = CONNECTIONS.into_iter().map(tenant).collect();
    let logs = world::run(&setup, scheme.build(&setup));
    let totals: Vec<f64> = logs.iter().map(|log| log.total() as f64).collect();
    let seconds: Vec<Vec<u64>> = logs.iter().map(|log| log.windows(1000)).collect();
    let second = |number: usize| jain(&seconds.iter().map(|of| of[number] as f64).collect::<Vec<_>>());
    Fairness {
        whole: jain(&totals),
        second_min: (0..seconds[0].len()).map(second).fold(1.0, f64::min),
        shares: totals.iter().map(|total| total / totals.iter().sum::<f64>()).collect(),
    }
}

/// What one that asks for all gets beside others that could have seven tenths and ask for nothing, as a part of all.
pub fn conservation(scheme: Kind, cores: usize, seed: u64) -> f64 {
    let mut setup = empty(cores, 5, seed);
    setup.server = Policy::limited(LIMIT);
    let everywhere: Vec<usize> = (0..cores).collect();
    setup.tenants =
        vec![Tenant::greedy(Policy::NONE, everywhere.clone(), depth(OPERATION_BYTES), OPERATION_BYTES)];
    let idle =
        Tenant::greedy(Policy::reserved(LIMIT / 10), everywhere, depth(OPERATION_BYTES), OPERATION_BYTES);
    setup.tenants.extend(vec![idle.when(Activity::Never); 7]);
    let logs = world::run(&setup, scheme.build(&setup));
    logs[0].total() as f64 / (LIMIT as f64 * setup.duration_ns as f64 / 1e9)
}

/// Times of one that comes and goes.
const PULSE_MS: usize = 50;

/// How long after the end of demand that half is reserved for the whole is used again, at worst, in milliseconds: until the
/// first 5 ms that have 95 % of it.
pub fn reuse_ms(scheme: Kind, cores: usize, seed: u64) -> usize {
    let setup = with_pulses(cores, seed);
    let logs = world::run(&setup, scheme.build(&setup));
    let each: Vec<Vec<u64>> = logs.iter().map(|log| log.windows(1)).collect();
    let total: Vec<u64> = (0..each[0].len()).map(|bin| each.iter().map(|bins| bins[bin]).sum()).collect();
    let due = 0.95 * LIMIT as f64 * 5.0 * BIN_NS as f64 / 1e9;
    let ends = (PULSE_MS..total.len() - PULSE_MS).step_by(2 * PULSE_MS);
    let until_used = |end: usize| {
        let mut windows = total[end..end + PULSE_MS].windows(5);
        windows.position(|window| window.iter().sum::<u64>() as f64 >= due).unwrap_or(PULSE_MS)
    };
    ends.map(until_used).max().unwrap_or(PULSE_MS)
}

fn with_pulses(cores: usize, seed: u64) -> Setup {
    let mut setup = empty(cores, 5, seed);
    setup.server = Policy::limited(LIMIT);
    let everywhere: Vec<usize> = (0..cores).collect();
    let pulse_ns = PULSE_MS as u64 * MS_NS;
    let pulsed = Activity::Pulsed { on_ns: pulse_ns, off_ns: pulse_ns };
    setup.tenants = vec![
        Tenant::greedy(
            Policy::reserved(LIMIT / 2),
            everywhere.clone(),
            depth(OPERATION_BYTES),
            OPERATION_BYTES,
        )
        .when(pulsed),
        Tenant::greedy(Policy::NONE, everywhere, depth(OPERATION_BYTES), OPERATION_BYTES),
    ];
    setup
}

/// How demand that something is reserved for is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Somewhat less than what is reserved, at random.
    Below,
    /// More than that.
    Above,
    /// More, now and then.
    Pulsed,
}

/// Which part of windows of 100 ms has less than 95 % of demand or reservation, whatever is less. Two fifths are reserved for
/// one; three others ask for as much as they can get.
pub fn shortfall(scheme: Kind, cores: usize, demand: Demand, seed: u64) -> f64 {
    const RESERVED: u64 = LIMIT * 2 / 5;
    let mut setup = empty(cores, 10, seed);
    setup.server = Policy::limited(LIMIT);
    let everywhere: Vec<usize> = (0..cores).collect();
    let greedy = |policy| Tenant::greedy(policy, everywhere.clone(), depth(OPERATION_BYTES), OPERATION_BYTES);
    let mut with = greedy(Policy::reserved(RESERVED));
    match demand {
        Demand::Below => {
            let operations_per_second = 0.9 * RESERVED as f64 / OPERATION_BYTES as f64;
            with.load = Load::Open { operations_per_second };
        }
        Demand::Above => {}
        Demand::Pulsed => with.activity = Activity::Pulsed { on_ns: 330 * MS_NS, off_ns: 170 * MS_NS },
    }
    setup.tenants = vec![with, greedy(Policy::NONE), greedy(Policy::NONE), greedy(Policy::NONE)];
    let logs: Vec<Log> = world::run(&setup, scheme.build(&setup));
    logs[0].shortfall(100, RESERVED, 0.95)
}
