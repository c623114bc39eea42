//! How near what goes on is to its limit.

use std::time::Duration;

use serde_json::{Value, json};
use simulation::report::{percent, range};

use super::stage::{Load, Measured, Stage};
use super::verdict::{JUDGED_LEAST, Limit, Meter, Verdict, WINDOWS};
use super::{CLIENT, LIMITED};

/// The limit is at most this part of what goes on without one.
const UNTHROTTLED_PART: f64 = 0.25;

/// How long that is measured.
const UNTHROTTLED_TIME: Duration = Duration::from_secs(3);

/// What is outstanding lasts for so long at the rate of the limit, at least: less, and clients are late.
const OUTSTANDING_SECONDS: f64 = 0.006;

/// For so many bytes begun, a request counts as one operation.
const IO_UNIT_BYTES: u64 = 64 << 10;

/// How far the rate over the whole run may be from the limit, and that of windows of a second.
const LONG_ERROR_MAX: f64 = 0.005;

/// That of windows of a tenth of a second, and with operations of 1 MiB.
const SHORT_ERROR_MAX: f64 = 0.02;
const SHORT_ERROR_MAX_LARGE: f64 = 0.05;
const LARGE_BYTES: u64 = 1 << 20;

/// One load and one limit.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// As `penstock bench` calls it.
    pub workload: &'static str,
    /// Bytes of one READ or WRITE.
    pub block_bytes: u64,
    /// TCP connections.
    pub connections: u32,
    /// What is limited.
    pub meter: Meter,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was tried.
    pub case: Case,
    /// What went on without a limit, per second.
    pub unthrottled: f64,
    /// The limit, per second.
    pub limit: u64,
    /// What clients counted.
    pub measured: Measured,
    /// What the log says.
    pub verdict: Verdict,
    /// What the log says that went on while clients counted, in bytes.
    pub admitted_bytes: u64,
    /// How often it was run until enough could be judged, or no more.
    pub tries: u32,
}

impl Case {
    /// All that are judged.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for meter in [Meter::Bytes, Meter::Operations] {
            for workload in ["randread", "randwrite"] {
                for block_bytes in [4 << 10, 64 << 10, 1 << 20] {
                    all.extend([1, 16].map(|connections| Self { workload, block_bytes, connections, meter }));
                }
            }
        }
        all
    }

    /// In words.
    pub fn name(&self) -> String {
        let Self { workload, block_bytes, connections, meter } = self;
        let kind = if *workload == "randread" { "READ" } else { "WRITE" };
        let of = if *meter == Meter::Bytes { "bytes" } else { "operations" };
        format!("{of}, {kind} {} KiB, {connections} conn.", block_bytes >> 10)
    }

    /// Runs it for `duration`, and again while too little of it can be judged, `tries_max` times at most.
    ///
    /// # Errors
    /// When nothing can be judged by the log.
    pub fn run(self, duration: Duration, tries_max: u32) -> Result<Row, String> {
        let mut tries = 1;
        loop {
            let row = self.run_once(duration, tries)?;
            if row.verdict.is_judged() || tries == tries_max || !row.breaches().is_empty() {
                return Ok(row);
            }
            tries += 1;
        }
    }

    fn run_once(self, duration: Duration, tries: u32) -> Result<Row, String> {
        let stage = Stage::start("accuracy");
        let load = |duration| Load::new(self.workload, self.block_bytes, self.connections, duration);
        let free = stage.begin(&load(UNTHROTTLED_TIME)).finish();
        let units = self.block_bytes.div_ceil(IO_UNIT_BYTES);
        let (unthrottled, of_one, field) = match self.meter {
            Meter::Bytes => (free.bytes_rate(), self.block_bytes, "bytes_per_second"),
            Meter::Operations => (free.operations_rate() * units as f64, units, "operations_per_second"),
        };
        let load = load(duration);
        let outstanding = f64::from(load.depth) * of_one as f64 / OUTSTANDING_SECONDS;
        let rate = (unthrottled * UNTHROTTLED_PART).min(outstanding) as u64;
        stage.set(CLIENT, &json!({ field: rate }));
        let measured = stage.begin(&load).finish();
        let admissions = stage.admissions(LIMITED)?;
        let Measured { from_ns, to_ns, .. } = measured;
        let limit = Limit { meter: self.meter, rate, from_ns, to_ns };
        let verdict = Verdict::of(&admissions, limit).ok_or("nothing went on")?;
        let counted = admissions.admissions.iter();
        let counted = counted.filter(|admission| (from_ns..to_ns).contains(&admission.time_ns));
        let admitted_bytes = counted.map(|admission| admission.bytes).sum();
        Ok(Row { case: self, unthrottled, limit: rate, measured, verdict, admitted_bytes, tries })
    }
}

impl Row {
    /// What must not be whatever the machine does: more than the limit and its bound, failures, and other bytes at the clients
    /// than in the log.
    pub fn breaches(&self) -> Vec<String> {
        let Self { verdict, measured, .. } = self;
        let mut breaches = Vec::new();
        if verdict.is_above() {
            breaches.push(format!("{} above the limit, {} may be", verdict.excess, verdict.bound));
        }
        if measured.errors > 0 {
            breaches.push(format!("{} calls failed", measured.errors));
        }
        // Calls that began before the end and went on after it count for the client.
        let load =
            Load::new(self.case.workload, self.case.block_bytes, self.case.connections, Duration::ZERO);
        let outstanding = u64::from(load.depth) * self.case.block_bytes;
        if self.admitted_bytes.abs_diff(measured.bytes) > 2 * outstanding {
            breaches.push(format!("clients counted {}, the server {}", measured.bytes, self.admitted_bytes));
        }
        breaches
    }

    /// What is farther from the limit than it may be, where it can be judged.
    pub fn misses(&self) -> Vec<String> {
        let mut misses = self.breaches();
        let mean = self.verdict.mean_error;
        if mean.abs()
            > self.error_max(LONG_ERROR_MAX, (self.measured.to_ns - self.measured.from_ns) as f64 / 1e9)
        {
            misses.push(format!("the mean is off by {}", percent(mean)));
        }
        let large = self.case.block_bytes >= LARGE_BYTES;
        let short = if large { SHORT_ERROR_MAX_LARGE } else { SHORT_ERROR_MAX };
        for (which, most) in [short, LONG_ERROR_MAX].into_iter().enumerate() {
            let most = self.error_max(most, WINDOWS[which] as f64 / 1e3);
            if let Some(errors) = self.verdict.errors[which].filter(|errors| errors.worst() > most) {
                misses.push(format!("windows of {} ms are off by {}", WINDOWS[which], range(Some(errors))));
            }
        }
        misses
    }

    /// How far the rate may be off in so many seconds: a part of it, or an operation on each core if that is more.
    fn error_max(&self, part: f64, seconds: f64) -> f64 {
        let cores = self.case.connections.min(2);
        part.max(f64::from(cores) * self.verdict.operation as f64 / (self.limit as f64 * seconds))
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        [
            "limit of",
            "unthrottled",
            "limit",
            "mean",
            "100 ms",
            "1 s",
            "judged",
            "excess, of",
            "clients",
            "met",
        ]
        .map(str::to_owned)
        .to_vec()
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<String> {
        let Self { verdict, measured, .. } = self;
        let shown = |value: f64| match self.case.meter {
            Meter::Bytes => format!("{:.1} MB/s", value / 1e6),
            Meter::Operations => format!("{:.1} k/s", value / 1e3),
        };
        let counted = measured.bytes as f64 / self.admitted_bytes as f64 - 1.0;
        let met = match (self.misses().is_empty(), verdict.is_judged()) {
            (true, true) => "yes",
            (false, true) => "NO",
            (_, false) if !self.breaches().is_empty() => "NO",
            (_, false) => "not judged",
        };
        let part = |part: f64| format!("{:.0} %", part * 100.0);
        vec![
            self.case.name(),
            shown(self.unthrottled),
            shown(self.limit as f64),
            percent(verdict.mean_error),
            range(verdict.errors[0]),
            range(verdict.errors[1]),
            format!("{}, {}", part(verdict.judged[0]), part(verdict.judged[1])),
            format!("{} of {}", verdict.excess, verdict.bound),
            percent(counted),
            met.to_owned(),
        ]
    }

    /// The same for programs, with more figures.
    pub fn json(&self) -> Value {
        let Self { verdict, measured, .. } = self;
        let errors = |which: usize| {
            verdict.errors[which].map(|errors| {
                json!({ "windows": errors.count, "mean": errors.mean, "p1": errors.p1, "p99": errors.p99,
                    "min": errors.min, "max": errors.max })
            })
        };
        json!({
            "case": self.case.name(), "unthrottled_per_second": self.unthrottled, "limit_per_second": self.limit,
            "mean_error": verdict.mean_error, "windows_100_ms": errors(0), "windows_1_s": errors(1),
            "judged_part": verdict.judged, "judged_least": JUDGED_LEAST, "stalled_part": verdict.stalled,
            "without_demand_part": verdict.unwanted, "excess": verdict.excess,
            "excess_in_truth": verdict.excess_in_truth, "bound": verdict.bound,
            "admitted_bytes": self.admitted_bytes, "client_bytes": measured.bytes, "tries": self.tries,
            "misses": self.misses(),
        })
    }
}
