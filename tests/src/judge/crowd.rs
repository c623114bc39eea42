//! What a server does with many limits beside one that has none.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Load, Stage};

/// Limits that are set, that of the client that asks, its export and the server among them: more than it can use.
const ENTITIES: u32 = 100_000;
const AMPLE: u64 = 1_000_000_000_000;

/// What the ratio has to be above, with a certainty of 19 in 20.
const RATIO_LEAST: f64 = 0.97;

/// Student's t for that, by degrees of freedom from 14 on; what comes later is less.
const T_AT_14: f64 = 2.145;

/// Throughput with many limits over that with none, of interleaved pairs.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// By pair.
    pub ratios: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// Where the mean is with a certainty of 19 in 20.
    pub interval: (f64, f64),
}

/// Runs `pairs` of READs of 4 KiB on both servers, which go first in turn.
///
/// # Panics
/// When a server or a load does not run; with fewer than 15 pairs, which say little.
pub fn run(pairs: usize, duration: Duration) -> Crowd {
    assert!(pairs >= 15, "{pairs} pairs say little");
    let (without, with) = (Stage::without_log("crowd-none"), Stage::without_log("crowd"));
    let rates = json!({ "bytes_per_second": AMPLE, "operations_per_second": AMPLE });
    let asked = ["server", "export:/data", "client:127.0.0.1"].map(str::to_owned);
    let others = (3..ENTITIES).map(|number| {
        let [_, high, middle, low] = number.to_be_bytes();
        format!("client:10.{high}.{middle}.{low}")
    });
    with.set_all(&asked.into_iter().chain(others).collect::<Vec<_>>(), &rates);
    let load = Load { depth: 32, ..Load::new("randread", 4 << 10, 4, duration) };
    let rate = |stage: &Stage| stage.begin(&load).finish().operations_rate();
    // Files are made, and caches warm.
    rate(&without);
    rate(&with);
    let pair = |number: usize| {
        if number.is_multiple_of(2) {
            let none = rate(&without);
            rate(&with) / none
        } else {
            let many = rate(&with);
            many / rate(&without)
        }
    };
    Crowd::of((0..pairs).map(pair).collect())
}

impl Crowd {
    fn of(ratios: Vec<f64>) -> Self {
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let half = T_AT_14 * (variance / count).sqrt();
        Self { ratios, mean, interval: (mean - half, mean + half) }
    }

    /// Whether it is as good as with none.
    pub fn is_met(&self) -> bool {
        self.interval.0 > RATIO_LEAST
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        ["100,000 limits beside none", "pairs", "ratio", "95 %", "met"].map(str::to_owned).to_vec()
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<String> {
        vec![
            "READ 4 KiB".to_owned(),
            self.ratios.len().to_string(),
            format!("{:.3}", self.mean),
            format!("{:.3} .. {:.3}", self.interval.0, self.interval.1),
            if self.is_met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({ "ratios": self.ratios, "mean": self.mean, "interval": self.interval, "met": self.is_met() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_mean() {
        // Deviation 0.01 * sqrt(16 / 15) of 16 values.
        let crowd = Crowd::of((0..16).map(|number| if number % 2 == 0 { 0.99 } else { 1.01 }).collect());
        let half = 2.145 * 0.01 / 15_f64.sqrt();
        assert!(
            (crowd.mean - 1.0).abs() < 1e-12 && (1.0 - crowd.interval.0 - half).abs() < 1e-12,
            "{crowd:?}"
        );
        assert!(crowd.is_met());
        let worse = Crowd::of((0..16).map(|number| if number % 2 == 0 { 0.9 } else { 1.1 }).collect());
        assert!(!worse.is_met(), "{worse:?}");
    }
}
