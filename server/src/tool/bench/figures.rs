//! What was measured.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// The times that are told apart: 1 us to 60 s, to three digits.
const LATENCY_MAX_US: u64 = 60_000_000;
const LATENCY_DIGITS: u8 = 3;

/// One workload's figures.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Operations that succeeded.
    pub operations: u64,
    /// Bytes that they read or wrote.
    pub bytes: u64,
    /// Their times.
    pub latency: Histogram<u64>,
    /// Operations that failed, by status.
    pub errors: BTreeMap<&'static str, u64>,
}

/// A thread's figures.
#[derive(Clone, Debug)]
pub struct ThreadFigures {
    /// One for each workload, in the order given.
    pub parts: Vec<Figures>,
    /// Operations that were due in the open loop and never begun.
    pub missed: u64,
    /// When the last counted operation was over.
    pub last: Option<Instant>,
}

impl Figures {
    /// Nothing yet.
    pub fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_MAX_US, LATENCY_DIGITS).expect("sound bounds");
        Self { operations: 0, bytes: 0, latency, errors: BTreeMap::new() }
    }

    /// Counts an operation that succeeded.
    pub fn succeeded(&mut self, took: Duration, bytes: u64) {
        self.operations += 1;
        self.bytes += bytes;
        let microseconds = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(microseconds);
    }

    /// Counts one that failed.
    pub fn failed(&mut self, status: &'static str) {
        *self.errors.entry(status).or_default() += 1;
    }

    /// How many failed.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.bytes += other.bytes;
        self.latency.add(&other.latency).expect("all have the same bounds");
        for (status, count) in &other.errors {
            *self.errors.entry(status).or_default() += count;
        }
    }
}

impl ThreadFigures {
    /// Nothing yet, for so many workloads.
    pub fn new(parts: usize) -> Self {
        Self { parts: vec![Figures::new(); parts], missed: 0, last: None }
    }

    /// Adds another thread's.
    pub fn add(&mut self, other: &Self) {
        self.parts.iter_mut().zip(&other.parts).for_each(|(part, other)| part.add(other));
        self.missed += other.missed;
        self.last = self.last.max(other.last);
    }

    /// All workloads together.
    pub fn total(&self) -> Figures {
        let mut total = Figures::new();
        self.parts.iter().for_each(|part| total.add(part));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_beyond_the_bound_count_as_the_bound() {
        let mut figures = Figures::new();
        figures.succeeded(Duration::from_secs(3600), 4096);
        figures.succeeded(Duration::from_nanos(1), 0);
        figures.failed("NFS4ERR_IO");
        let mut total = Figures::new();
        total.add(&figures);
        total.add(&figures);
        assert_eq!((total.operations, total.bytes, total.errors_total()), (4, 8192, 2));
        assert!((60_000_000..60_100_000).contains(&total.latency.max()), "{}", total.latency.max());
    }
}
