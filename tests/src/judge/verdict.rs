//! What a log of admissions says of a limit.

use simulation::{BIN_NS, Errors, Log};

use super::log::{Admission, Admissions, TICK_NS};

/// What a limit saves up, and what the cores together take of it at a time, as time at the rate.
const BURST_NS: u64 = 1_000_000;
const SLICE_NS: u64 = 1_000_000;

/// Windows, in milliseconds.
pub const WINDOWS: [usize; 2] = [100, 1000];

/// A core that comes late by this part of a window leaves the window unjudged: what limits save up is a hundredth of the shorter
/// ones.
const STALL_PART: f64 = 0.01;

/// Fewer windows that can be judged than this part of all, and the run is repeated.
pub const JUDGED_LEAST: f64 = 0.8;

/// What a limit is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meter {
    /// Payload in bytes.
    Bytes,
    /// Operations.
    Operations,
}

impl Meter {
    /// What `admission` is charged.
    pub fn amount(self, admission: &Admission) -> u64 {
        match self {
            Self::Bytes => admission.bytes,
            Self::Operations => admission.operations,
        }
    }
}

/// A limit that was in force for a time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// Of what.
    pub meter: Meter,
    /// So much per second.
    pub rate: u64,
    /// From when it is judged, in nanoseconds of CLOCK_MONOTONIC.
    pub from_ns: u64,
    /// Until when.
    pub to_ns: u64,
}

/// The figures of one limit.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What went on above the limit in any time at all, at the most, by the clock that limits go by.
    pub excess: u64,
    /// The same by the time of day.
    pub excess_in_truth: u64,
    /// How much that may be.
    pub bound: u64,
    /// Achieved / limit - 1 of the whole time.
    pub mean_error: f64,
    /// The errors of windows of [`WINDOWS`] in which no core was stalled for long and always something waited.
    pub errors: [Option<Errors>; 2],
    /// Which part of all windows these are.
    pub judged: [f64; 2],
    /// The largest operation.
    pub operation: u64,
    /// Which part of the time a core was stalled.
    pub stalled: f64,
    /// Which part of the time nothing waited.
    pub unwanted: f64,
}

impl Verdict {
    /// What the log says of `limit`. `None` where there is nothing in that time.
    pub fn of(admissions: &Admissions, limit: Limit) -> Option<Self> {
        let Limit { meter, rate, from_ns, to_ns } = limit;
        let within = |admission: &&Admission| (from_ns..to_ns).contains(&admission.time_ns);
        let all: Vec<Admission> = admissions.admissions.iter().filter(within).copied().collect();
        let operation = all.iter().map(|admission| meter.amount(admission)).max()?;
        let stalls = admissions.stalls.iter().map(|stall| (stall.from_ns, stall.to_ns));
        let stalled = united(stalls.collect(), from_ns, to_ns);
        let unwanted = united(without_demand(&all, admissions.cores, from_ns, to_ns), from_ns, to_ns);
        let log = |bins: usize| {
            let least_ns = TICK_NS + (STALL_PART * (bins as u64 * BIN_NS) as f64) as u64;
            let long = admissions.stalls.iter().filter(|stall| stall.to_ns - stall.from_ns >= least_ns);
            let slack = long.map(|stall| (stall.from_ns, stall.to_ns)).chain(unwanted.iter().copied());
            log(&all, &united(slack.collect(), from_ns, to_ns), limit, |admission| admission.time_ns)
        };
        let logs = WINDOWS.map(log);
        let mut by_truth = all.clone();
        by_truth.sort_by_key(|admission| admission.time_ns + admission.late_ns);
        let truth = self::log(&by_truth, &[], limit, |admission| {
            (admission.time_ns + admission.late_ns).min(to_ns - 1)
        });
        let total: u64 = all.iter().map(|admission| meter.amount(admission)).sum();
        let seconds = (to_ns - from_ns) as f64 / 1e9;
        let errors = [0, 1].map(|which| logs[which].errors(WINDOWS[which], rate));
        let windows = |bins: usize| ((to_ns - from_ns) / BIN_NS) as f64 - bins as f64 + 1.0;
        let judged = [0, 1]
            .map(|which| errors[which].map_or(0.0, |errors| errors.count as f64 / windows(WINDOWS[which])));
        let part = |times: &[(u64, u64)]| sum_ns(times) as f64 / (to_ns - from_ns) as f64;
        Some(Self {
            excess: logs[0].excess_bytes()[0],
            excess_in_truth: truth.excess_bytes()[0],
            bound: bound(rate, operation, admissions.cores),
            mean_error: total as f64 / seconds / rate as f64 - 1.0,
            errors,
            judged,
            operation,
            stalled: part(&stalled),
            unwanted: part(&unwanted),
        })
    }

    /// Whether more went on in any time than the limit and what may be besides.
    pub fn is_above(&self) -> bool {
        self.excess > self.bound
    }

    /// Whether enough windows can be judged.
    pub fn is_judged(&self) -> bool {
        self.judged.iter().all(|part| *part >= JUDGED_LEAST)
    }
}

/// How much more than a limit of `rate` may go on in any time at all, where no operation takes more than `operation`: the burst,
/// the slices that cores have not spent, and an operation on each core. A core's slice is its part of what the rate gives in
/// the time of a slice, or what one operation takes.
pub fn bound(rate: u64, operation: u64, cores: usize) -> u64 {
    let cores = cores as u64;
    let tokens_in = |time_ns: u64| (u128::from(rate) * u128::from(time_ns) / 1_000_000_000) as u64;
    tokens_in(BURST_NS) + cores * (operation + operation.max(tokens_in(SLICE_NS) / cores))
}

/// The requests as the simulator's log has them, which judges; nothing is judged in `slack`.
fn log(all: &[Admission], slack: &[(u64, u64)], limit: Limit, time_ns: impl Fn(&Admission) -> u64) -> Log {
    let Limit { meter, rate, from_ns, to_ns } = limit;
    let mut log = Log::new(to_ns - from_ns, 0, Some(rate));
    let mut marks: Vec<(u64, bool)> =
        slack.iter().flat_map(|(from, to)| [(*from, false), (*to, true)]).collect();
    marks.sort_unstable();
    let mut marks = marks.into_iter().peekable();
    let mark = |log: &mut Log, (at_ns, wanted): (u64, bool)| {
        if wanted { log.want(at_ns - from_ns) } else { log.want_no_more(at_ns - from_ns) }
    };
    log.want(0);
    for admission in all {
        let now_ns = time_ns(admission);
        while let Some(next) = marks.next_if(|(at_ns, _)| *at_ns <= now_ns) {
            mark(&mut log, next);
        }
        log.want(now_ns - from_ns);
        log.begin(now_ns - from_ns, meter.amount(admission));
    }
    for next in marks {
        mark(&mut log, next);
    }
    log
}

/// The times in which nothing may have waited: since the last that waited went on, until something is known to wait.
fn without_demand(all: &[Admission], cores: usize, from_ns: u64, to_ns: u64) -> Vec<(u64, u64)> {
    let mut parked = vec![0; cores];
    let (mut since_ns, mut times) = (Some(from_ns), Vec::new());
    for admission in all {
        parked[admission.core] = admission.parked;
        let waits = parked.iter().any(|count| *count > 0);
        match since_ns {
            Some(begun_ns) if waits => {
                times.push((begun_ns, admission.time_ns));
                since_ns = None;
            }
            None if !waits => since_ns = Some(admission.time_ns),
            _ => {}
        }
    }
    times.extend(since_ns.map(|begun_ns| (begun_ns, to_ns)));
    times
}

/// The times that lie in any of `times`, in order and apart, as far as they lie between the two.
fn united(mut times: Vec<(u64, u64)>, from_ns: u64, to_ns: u64) -> Vec<(u64, u64)> {
    times.sort_unstable();
    let mut united: Vec<(u64, u64)> = Vec::new();
    for (from, to) in times {
        let (from, to) = (from.max(from_ns), to.min(to_ns - 1));
        match united.last_mut() {
            _ if from >= to => {}
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => united.push((from, to)),
        }
    }
    united
}

fn sum_ns(times: &[(u64, u64)]) -> u64 {
    times.iter().map(|(from, to)| to - from).sum()
}

#[cfg(test)]
mod tests {
    use super::super::log::Stall;
    use super::*;

    const RATE: u64 = 1_000_000;

    /// A request of 1000 bytes in each millisecond of a second, and so many more where `more` says.
    fn steady(more: impl Fn(u64) -> u64, parked: impl Fn(u64) -> u64) -> Admissions {
        let at = |ms: u64| Admission {
            time_ns: 5_000_000_000 + ms * BIN_NS,
            late_ns: 0,
            core: 0,
            bytes: 1000,
            operations: 1,
            parked: parked(ms),
        };
        let admissions = (0..1000).flat_map(|ms| (0..=more(ms)).map(move |_| ms)).map(at).collect();
        Admissions { admissions, stalls: Vec::new(), cores: 1 }
    }

    fn limit(rate: u64) -> Limit {
        let from_ns = 5_000_000_000;
        Limit { meter: Meter::Bytes, rate, from_ns, to_ns: from_ns + 1_000_000_000 }
    }

    #[test]
    fn what_keeps_to_the_limit_is_found_to() {
        let verdict = Verdict::of(&steady(|_| 0, |_| 1), limit(RATE)).expect("a verdict");
        assert_eq!((verdict.excess, verdict.bound, verdict.mean_error), (1000, 3000, 0.0));
        let errors = verdict.errors[0].expect("windows");
        assert!(errors.worst() < 1e-9 && verdict.judged[0] > 0.99, "{verdict:?}");
    }

    #[test]
    fn twice_the_limit_is_found_in_every_figure() {
        let verdict = Verdict::of(&steady(|_| 0, |_| 1), limit(RATE / 2)).expect("a verdict");
        assert!(verdict.excess > 100 * verdict.bound && verdict.mean_error > 0.99, "{verdict:?}");
        assert!(verdict.errors[0].expect("windows").min > 0.98, "{verdict:?}");
    }

    #[test]
    fn one_burst_too_many_is_above_the_bound_and_in_few_windows() {
        let verdict =
            Verdict::of(&steady(|ms| 5 * u64::from(ms == 500), |_| 1), limit(RATE)).expect("a verdict");
        assert_eq!((verdict.excess, verdict.bound), (6000, 3000));
        assert!((verdict.errors[0].expect("windows").max - 0.05).abs() < 1e-9, "{verdict:?}");
    }

    #[test]
    fn windows_with_a_stall_or_without_demand_are_not_judged() {
        let mut idle = steady(|_| 0, |ms| u64::from(!(300..400).contains(&ms)));
        let verdict = Verdict::of(&idle, limit(RATE)).expect("a verdict");
        assert!((verdict.unwanted - 0.1).abs() < 1e-3 && verdict.judged[0] < 0.8, "{verdict:?}");
        idle.stalls.push(Stall { from_ns: 5_600_000_000, to_ns: 5_650_000_000 });
        let stalled = Verdict::of(&idle, limit(RATE)).expect("a verdict");
        assert!((stalled.stalled - 0.05).abs() < 1e-3 && stalled.judged[0] < verdict.judged[0] - 0.1);
        assert!(!stalled.is_judged());
    }
}
