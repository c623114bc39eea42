//! What goes on when a limit is changed under load.

use std::time::Duration;

use serde_json::{Value, json};
use simulation::report::percent;

use super::stage::{Load, Stage};
use super::verdict::{Limit, Meter, Verdict};
use super::{CLIENT, LIMITED};

/// When a change has to be in force, from when the server answers that it is.
const IN_FORCE_NS: u64 = 10_000_000;

/// The first window that is shown of a rate.
const FIRST_NS: u64 = 100_000_000;

/// How long a rate is in force.
const HOLD: Duration = Duration::from_millis(700);

/// Parts of the unthrottled rate that follow each other: lowered and raised, by little and by much.
const PARTS: [f64; 6] = [0.25, 0.05, 0.2, 0.01, 0.25, 0.24];

/// Clients begin to be measured a second after they begin, and take a moment to end.
const LOAD_MARGIN: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(1500);

/// How long the unthrottled rate is measured.
const UNTHROTTLED_TIME: Duration = Duration::from_secs(2);

/// One change.
#[derive(Clone, Debug)]
pub struct Change {
    /// The limit before, in bytes per second.
    pub before: u64,
    /// The limit after.
    pub after: u64,
    /// How long the server took to answer, in nanoseconds.
    pub answered_ns: u64,
    /// What went on from 10 ms after the answer until the next change.
    pub verdict: Verdict,
    /// Achieved / limit - 1 of the first 100 ms of that.
    pub first_error: f64,
}

/// Runs READs of 64 KiB over 16 connections, and changes the limit under them; so many times all of it.
///
/// # Errors
/// When nothing can be judged by the log.
pub fn run(turns: u32) -> Result<Vec<Change>, String> {
    let stage = Stage::start("changes");
    let load = |duration| Load::new("randread", 64 << 10, 16, duration);
    let unthrottled = stage.begin(&load(UNTHROTTLED_TIME)).finish().bytes_rate();
    let rates: Vec<u64> = PARTS
        .iter()
        .cycle()
        .take(PARTS.len() * turns as usize + 1)
        .map(|part| (unthrottled * part) as u64)
        .collect();
    let set = |rate: u64| stage.set(CLIENT, &json!({ "bytes_per_second": rate }));
    set(rates[0]);
    let running = stage.begin(&load(HOLD * rates.len() as u32 + LOAD_MARGIN));
    std::thread::sleep(WARM_UP);
    let mut times = Vec::new();
    for rate in &rates[1..] {
        times.push(set(*rate));
        std::thread::sleep(HOLD);
    }
    times.push((super::stage::now_ns(), 0));
    let measured = running.finish();
    if measured.errors > 0 {
        return Err(format!("{} calls failed", measured.errors));
    }
    let admissions = stage.admissions(LIMITED)?;
    let change = |number: usize| {
        let ((begun_ns, answered_ns), (next_ns, _)) = (times[number], times[number + 1]);
        let from_ns = answered_ns + IN_FORCE_NS;
        let rate = rates[number + 1];
        let limit = Limit { meter: Meter::Bytes, rate, from_ns, to_ns: next_ns };
        let verdict = Verdict::of(&admissions, limit).ok_or("nothing went on")?;
        let first = Limit { to_ns: from_ns + FIRST_NS, ..limit };
        let first_error = Verdict::of(&admissions, first).map_or(-1.0, |verdict| verdict.mean_error);
        let (before, after) = (rates[number], rate);
        Ok(Change { before, after, answered_ns: answered_ns - begun_ns, verdict, first_error })
    };
    (0..rates.len() - 1).map(change).collect()
}

impl Change {
    /// Whether nothing went on outside the envelope of the new rate.
    pub fn is_met(&self) -> bool {
        !self.verdict.is_above()
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        ["change, MB/s", "answered", "first 100 ms", "mean", "excess, of", "stalled", "met"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<String> {
        let verdict = &self.verdict;
        vec![
            format!("{:.1} to {:.1}", self.before as f64 / 1e6, self.after as f64 / 1e6),
            format!("{:.1} ms", self.answered_ns as f64 / 1e6),
            percent(self.first_error),
            percent(verdict.mean_error),
            format!("{} of {}", verdict.excess, verdict.bound),
            format!("{:.0} %", verdict.stalled * 100.0),
            if self.is_met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let verdict = &self.verdict;
        json!({
            "before_bytes_per_second": self.before, "after_bytes_per_second": self.after,
            "answered_ns": self.answered_ns, "first_100_ms_error": self.first_error,
            "mean_error": verdict.mean_error, "excess": verdict.excess, "bound": verdict.bound,
            "excess_in_truth": verdict.excess_in_truth, "stalled_part": verdict.stalled, "met": self.is_met(),
        })
    }
}
