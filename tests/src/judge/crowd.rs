//! What a server does with many limits beside one that has none, and beside one that has few.

use std::time::Duration;

use serde_json::{Value, json};

use super::stage::{Load, Stage};

/// Limits that are set, that of the client that asks, its export and the server among them: more than it can use.
const ENTITIES: u32 = 100_000;
const AMPLE: u64 = 1_000_000_000_000;

/// What each ratio has to be above, with a certainty of 19 in 20.
const RATIO_LEAST: f64 = 0.97;

/// Student's t for that, by degrees of freedom from 14 on; what comes later is less.
const T_AT_14: f64 = 2.145;

/// Throughput with many limits over that with fewer, of interleaved runs.
#[derive(Clone, Debug)]
pub struct Ratios {
    /// What there is fewer of.
    beside: &'static str,
    /// Of each round.
    ratios: Vec<f64>,
    /// Their mean.
    mean: f64,
    /// Where the mean is with a certainty of 19 in 20.
    interval: (f64, f64),
}

/// Throughput with many limits.
#[derive(Clone, Debug)]
pub struct Crowd {
    beside_none: Ratios,
    /// Beside one that has those limits which the requests are charged to.
    beside_few: Ratios,
}

/// Runs `rounds` of READs of 4 KiB on servers with many limits, few, and none, each of which goes first in turn.
///
/// # Panics
/// When a server or a load does not run; with fewer than 15 rounds, which say little.
pub fn run(rounds: usize, duration: Duration) -> Crowd {
    assert!(rounds >= 15, "{rounds} rounds say little");
    let stages = ["crowd-none", "crowd-few", "crowd-many"].map(Stage::apart);
    let limits = json!({ "bytes_per_second": AMPLE, "operations_per_second": AMPLE });
    let charged = ["server", "export:/data", "client:127.0.0.1"].map(str::to_owned);
    let others = (charged.len() as u32..ENTITIES).map(|number| {
        let [_, high, middle, low] = number.to_be_bytes();
        format!("client:10.{high}.{middle}.{low}")
    });
    stages[1].set_all(&charged, &limits);
    stages[2].set_all(&charged.iter().cloned().chain(others).collect::<Vec<_>>(), &limits);
    let load = Load { depth: 32, ..Load::new("randread", 4 << 10, 4, duration) };
    let rate = |stage: &Stage| stage.begin(&load).finish().operations_rate();
    // Files are made, and caches warm.
    for stage in &stages {
        rate(stage);
    }
    let round = |number: usize| {
        let mut rates = [0.0; 3];
        for index in [0, 1, 2].map(|index| (index + number) % 3) {
            rates[index] = rate(&stages[index]);
        }
        rates
    };
    Crowd::of(&(0..rounds).map(round).collect::<Vec<_>>())
}

impl Ratios {
    fn of(beside: &'static str, ratios: Vec<f64>) -> Self {
        let count = ratios.len() as f64;
        let mean = ratios.iter().sum::<f64>() / count;
        let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (count - 1.0);
        let half = T_AT_14 * (variance / count).sqrt();
        Self { beside, ratios, mean, interval: (mean - half, mean + half) }
    }

    fn is_met(&self) -> bool {
        self.interval.0 > RATIO_LEAST
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.beside.to_owned(),
            self.ratios.len().to_string(),
            format!("{:.3}", self.mean),
            format!("{:.3} .. {:.3}", self.interval.0, self.interval.1),
            if self.is_met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    fn json(&self) -> Value {
        json!({ "ratios": self.ratios, "mean": self.mean, "interval": self.interval, "met": self.is_met() })
    }
}

impl Crowd {
    /// Of the rates with none, few and many, by round.
    fn of(rates: &[[f64; 3]]) -> Self {
        let beside = |index: usize| rates.iter().map(|rates| rates[2] / rates[index]).collect();
        Self { beside_none: Ratios::of("none", beside(0)), beside_few: Ratios::of("three", beside(1)) }
    }

    /// Whether it is as good as with none, and as with three.
    pub fn is_met(&self) -> bool {
        self.beside_none.is_met() && self.beside_few.is_met()
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        ["100,000 limits, READ 4 KiB, beside", "rounds", "ratio", "95 %", "met"].map(str::to_owned).to_vec()
    }

    /// Its rows.
    pub fn rows(&self) -> [Vec<String>; 2] {
        [self.beside_none.cells(), self.beside_few.cells()]
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({ "beside_none": self.beside_none.json(), "beside_few": self.beside_few.json(), "met": self.is_met() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_the_mean() {
        // Deviation 0.01 * sqrt(16 / 15) of 16 values.
        let rates = |more: f64| {
            move |number: usize| [1.0, 2.0, if number.is_multiple_of(2) { 1.0 - more } else { 1.0 + more }]
        };
        let crowd = Crowd::of(&(0..16).map(rates(0.01)).collect::<Vec<_>>());
        let half = 2.145 * 0.01 / 15_f64.sqrt();
        let none = &crowd.beside_none;
        assert!((none.mean - 1.0).abs() < 1e-12 && (1.0 - none.interval.0 - half).abs() < 1e-12, "{crowd:?}");
        assert!(none.is_met());
        assert!((crowd.beside_few.mean - 0.5).abs() < 1e-12 && !crowd.is_met(), "{crowd:?}");
        let worse = Crowd::of(&(0..16).map(rates(0.1)).collect::<Vec<_>>());
        assert!(!worse.beside_none.is_met(), "{worse:?}");
    }
}
