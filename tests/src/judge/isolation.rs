//! What one client gets beside others, when tokens are what is scarce.

use std::time::Duration;

use nfs_ops::limits::Limited;
use serde_json::{Value, json};
use simulation::jain;

use super::stage::{Load, Measured, Running, Stage, address};

/// The server is limited to this part of what goes on without a limit.
const SERVER_PART: f64 = 0.2;

/// How long that is measured.
const UNTHROTTLED_TIME: Duration = Duration::from_secs(3);

/// What the protected client asks for, of the server's limit, however long it is answered.
const PROTECTED_PART: f64 = 0.2;

/// Which part of what is reserved for it that is: a protected request goes first within its reservation.
const RESERVATION_USED: f64 = 0.9;

/// Its neighbours, each of which would take all of the limit.
const NEIGHBOURS: u8 = 4;

/// What the protected client reads at a time.
const PROTECTED_BYTES: u64 = 64 << 10;

/// Clients that are alike.
const EQUALS: u8 = 8;

/// What has to be: of the throughput alone; of the p99 alone; Jain's index.
const RETAINED_LEAST: f64 = 0.97;
const P99_MOST: f64 = 1.5;
const JAIN_LEAST: f64 = 0.98;

/// The protected client beside neighbours that read or write so much at a time.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// What neighbours do.
    pub neighbours: &'static str,
    /// Of so many bytes at a time.
    pub neighbour_bytes: u64,
    /// Its throughput beside the neighbours over that alone: the median of the pairs.
    pub retained: f64,
    /// Its p99 beside the neighbours over that alone: the median of the pairs.
    pub p99_ratio: f64,
    /// Its p99 alone and beside the neighbours, in microseconds, of all pairs.
    pub p99_us: Vec<(f64, f64)>,
    /// What the neighbours got of what the limit left them, in the last pair.
    pub neighbours_part: f64,
}

/// Equal clients, all of which ask for more than there is.
#[derive(Clone, Debug)]
pub struct Equality {
    /// Jain's index over the whole time.
    pub jain: f64,
    /// The least of any second.
    pub jain_least: f64,
    /// What all got of the limit.
    pub used: f64,
}

/// Runs `pairs` of the protected client alone and beside others.
///
/// # Panics
/// When the server or a load does not run.
pub fn protected(
    neighbours: &'static str,
    neighbour_bytes: u64,
    pairs: usize,
    duration: Duration,
) -> Isolation {
    let stage = Stage::of_clients("isolation", NEIGHBOURS + 1);
    // Of what goes on less well: else it is cores that are scarce, and not what the limit lets through.
    let free = [("randread", PROTECTED_BYTES), (neighbours, neighbour_bytes)].map(|(workload, bytes)| {
        stage.begin(&Load::new(workload, bytes, 8, UNTHROTTLED_TIME)).finish().bytes_rate()
    });
    let limit = f64::min(free[0], free[1]) * SERVER_PART;
    let rate = limit * PROTECTED_PART / PROTECTED_BYTES as f64;
    let own = Load { rate: Some(rate), ..Load::new("randread", PROTECTED_BYTES, 2, duration) };
    // Longer than the protected client, whose file is the same.
    let longer = duration + Duration::from_secs(2);
    let others: Vec<Load> = (2..=NEIGHBOURS + 1)
        .map(|number| Load {
            address: address(number),
            gives_way: true,
            ..Load::new(neighbours, neighbour_bytes, 2, longer)
        })
        .collect();
    stage.set("server", &json!({ "bytes_per_second": limit as u64 }));
    let reserved = (limit * PROTECTED_PART / RESERVATION_USED) as u64;
    stage.set("client:127.0.0.1", &json!({ "tier": "protected", "reserve_bytes_per_second": reserved }));
    for number in 2..=NEIGHBOURS + 1 {
        stage.set(&format!("client:{}", address(number)), &json!({ "weight": 100 }));
    }
    let mut neighbours_part = 0.0;
    let runs: Vec<(Measured, Measured)> = (0..pairs)
        .map(|_| {
            let alone = stage.begin(&own).finish();
            let noise: Vec<Running> = others.iter().map(|load| stage.begin(load)).collect();
            std::thread::sleep(Duration::from_millis(1000));
            let beside = stage.begin(&own).finish();
            let got: f64 = noise.into_iter().map(|one| one.finish().bytes_rate()).sum();
            neighbours_part = got / (limit - beside.bytes_rate());
            (alone, beside)
        })
        .collect();
    let of = |ratio: fn(&Measured) -> f64| {
        median(runs.iter().map(|(alone, beside)| ratio(beside) / ratio(alone)).collect())
    };
    Isolation {
        neighbours,
        neighbour_bytes,
        retained: of(Measured::operations_rate),
        p99_ratio: of(|measured| measured.p99_us),
        p99_us: runs.iter().map(|(alone, beside)| (alone.p99_us, beside.p99_us)).collect(),
        neighbours_part,
    }
}

/// Runs equal clients for `duration`.
///
/// # Errors
/// When nothing can be judged by the log.
pub fn equal(duration: Duration) -> Result<Equality, String> {
    let stage = Stage::of_clients("equality", EQUALS);
    let load = |number, connections, duration| Load {
        address: address(number),
        ..Load::new("randread", PROTECTED_BYTES, connections, duration)
    };
    let free = stage.begin(&load(1, 8, UNTHROTTLED_TIME)).finish();
    let limit = free.bytes_rate() * SERVER_PART;
    stage.set("server", &json!({ "bytes_per_second": limit as u64 }));
    for number in 1..=EQUALS {
        stage.set(&format!("client:{}", address(number)), &json!({ "weight": 100 }));
    }
    let running: Vec<Running> = (1..=EQUALS).map(|number| stage.begin(&load(number, 2, duration))).collect();
    let measured: Vec<Measured> = running.into_iter().map(Running::finish).collect();
    // What all of them were measured in.
    let from_ns = measured.iter().map(|one| one.from_ns).max().unwrap_or(0);
    let to_ns = measured.iter().map(|one| one.to_ns).min().unwrap_or(0);
    let logs = (1..=EQUALS).map(|number| stage.admissions(Limited::Client(address(number))));
    let logs: Vec<_> = logs.collect::<Result<_, String>>()?;
    let bytes = |from_ns: u64, to_ns: u64| -> Vec<f64> {
        let of = |log: &super::log::Admissions| {
            let within = log.admissions.iter().filter(|one| (from_ns..to_ns).contains(&one.time_ns));
            within.map(|one| one.bytes).sum::<u64>() as f64
        };
        logs.iter().map(of).collect()
    };
    let all = bytes(from_ns, to_ns);
    let second = 1_000_000_000;
    let seconds = (0..(to_ns - from_ns) / second).map(|number| from_ns + number * second);
    let least = seconds.map(|start| jain(&bytes(start, start + second))).fold(1.0, f64::min);
    let used = all.iter().sum::<f64>() * 1e9 / (to_ns - from_ns) as f64 / limit;
    Ok(Equality { jain: jain(&all), jain_least: least, used })
}

impl Isolation {
    /// Whether it got what it has to.
    pub fn is_met(&self) -> bool {
        self.retained >= RETAINED_LEAST && self.p99_ratio <= P99_MOST
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        ["beside 4 neighbours", "throughput", "p99", "p99 alone, beside", "neighbours", "met"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<String> {
        let (alone, beside) = self.p99_us.last().copied().unwrap_or_default();
        vec![
            format!("{} {} KiB", self.neighbours, self.neighbour_bytes >> 10),
            format!("{:.3}", self.retained),
            format!("{:.2}", self.p99_ratio),
            format!("{alone:.0}, {beside:.0} us"),
            format!("{:.0} %", self.neighbours_part * 100.0),
            if self.is_met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({
            "neighbours": self.neighbours, "neighbour_bytes": self.neighbour_bytes, "retained": self.retained,
            "p99_ratio": self.p99_ratio, "p99_us_alone_and_beside": self.p99_us,
            "neighbours_part": self.neighbours_part, "met": self.is_met(),
        })
    }
}

impl Equality {
    /// Whether they got the same.
    pub fn is_met(&self) -> bool {
        self.jain >= JAIN_LEAST
    }

    /// The names of its columns.
    pub fn head() -> Vec<String> {
        ["8 equal clients", "Jain's index", "least of a second", "of the limit", "met"]
            .map(str::to_owned)
            .to_vec()
    }

    /// Its cells.
    pub fn cells(&self) -> Vec<String> {
        vec![
            "READ 64 KiB".to_owned(),
            format!("{:.4}", self.jain),
            format!("{:.4}", self.jain_least),
            format!("{:.1} %", self.used * 100.0),
            if self.is_met() { "yes" } else { "NO" }.to_owned(),
        ]
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        json!({ "jain": self.jain, "jain_least_of_1_s": self.jain_least, "used": self.used, "met": self.is_met() })
    }
}

/// Half of them are below.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}
