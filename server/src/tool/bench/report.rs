//! The result, for people and for programs. `docs/BENCH.md` fixes the latter's form.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use hdrhistogram::Histogram;
use serde::Serialize;

use super::arguments::Span;
use super::figures::{Figures, ThreadFigures};
use super::load::LOST;
use super::plan::Plan;
use crate::tool::print;
use crate::tool::unit::{bytes_text, count_text, microseconds_text};

/// The name of the result's form.
const SCHEMA: &str = "penstock-bench/1";

/// What a run measured.
pub struct Outcome {
    /// What was run.
    pub plan: Arc<Plan>,
    /// What was counted.
    pub figures: ThreadFigures,
    /// When the measurement began.
    pub start: SystemTime,
    /// Time that was measured.
    pub seconds: f64,
    /// Processor time of this process in it.
    pub cpu_seconds: f64,
    /// Whether it was ended early.
    pub interrupted: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    schema: &'static str,
    version: &'static str,
    url: String,
    workload: String,
    settings: Settings,
    interrupted: bool,
    start_unix_seconds: f64,
    seconds: f64,
    operations: u64,
    bytes: u64,
    ops_per_second: f64,
    bytes_per_second: f64,
    latency_us: Latency,
    errors: u64,
    errors_by_status: &'a BTreeMap<&'static str, u64>,
    missed: u64,
    client_cpu_seconds: f64,
    parts: Vec<Part>,
}

#[derive(Serialize)]
struct Settings {
    protocol: String,
    transport: &'static str,
    block_bytes: u64,
    depth: u32,
    connections: u32,
    sessions: u32,
    threads: u32,
    duration_seconds: Option<f64>,
    operations: Option<u64>,
    warm_up_seconds: f64,
    rate: Option<f64>,
    files: u32,
    file_bytes: u64,
    stable: String,
    send: String,
    annotate: bool,
    seed: u64,
    uid: u32,
    gid: u32,
}

#[derive(Serialize)]
struct Part {
    workload: &'static str,
    weight: u32,
    operations: u64,
    bytes: u64,
    ops_per_second: f64,
    bytes_per_second: f64,
    latency_us: Latency,
    errors: u64,
}

#[derive(Clone, Copy, Serialize)]
struct Latency {
    mean: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    p99_9: u64,
    max: u64,
}

impl Latency {
    fn of(times: &Histogram<u64>) -> Self {
        let at = |percent| if times.is_empty() { 0 } else { times.value_at_percentile(percent) };
        let (p50, p90, p99, p99_9) = (at(50.0), at(90.0), at(99.0), at(99.9));
        Self { mean: times.mean().round() as u64, p50, p90, p99, p99_9, max: times.max() }
    }
}

impl Outcome {
    /// Whether something was done and nothing failed.
    pub fn is_good(&self) -> bool {
        self.figures.total().errors_total() == 0
    }

    /// Whether connections broke and took calls with them.
    pub fn has_lost_calls(&self) -> bool {
        self.figures.total().errors.contains_key(LOST)
    }

    /// Prints it as asked for.
    pub fn print(&self) {
        if self.plan.arguments.json {
            let total = self.figures.total();
            let text = serde_json::to_string_pretty(&self.json(&total)).expect("plain data");
            print(&format!("{text}\n"));
        } else {
            print(&self.table());
        }
    }

    fn per_second(&self, count: u64) -> f64 {
        if self.seconds > 0.0 { count as f64 / self.seconds } else { 0.0 }
    }

    fn json<'a>(&'a self, total: &'a Figures) -> Json<'a> {
        let arguments = &self.plan.arguments;
        Json {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            url: arguments.url.to_string(),
            workload: arguments.workload.to_string(),
            settings: self.settings(),
            interrupted: self.interrupted,
            start_unix_seconds: self
                .start
                .duration_since(UNIX_EPOCH)
                .map_or(0.0, |since| since.as_secs_f64()),
            seconds: self.seconds,
            operations: total.operations,
            bytes: total.bytes,
            ops_per_second: self.per_second(total.operations),
            bytes_per_second: self.per_second(total.bytes),
            latency_us: Latency::of(&total.latency),
            errors: total.errors_total(),
            errors_by_status: &total.errors,
            missed: self.figures.missed,
            client_cpu_seconds: self.cpu_seconds,
            parts: self
                .parts()
                .map(|(workload, weight, figures)| self.part(workload, weight, figures))
                .collect(),
        }
    }

    fn settings(&self) -> Settings {
        let arguments = &self.plan.arguments;
        let identity = arguments.identity();
        let (duration, warm_up) = match arguments.span() {
            Span::Time { warm_up, measured } => (Some(measured.as_secs_f64()), warm_up.as_secs_f64()),
            Span::Operations(_) => (None, 0.0),
        };
        Settings {
            protocol: arguments.url.version.to_string(),
            transport: arguments.url.transport.name(),
            block_bytes: arguments.block_size.0,
            depth: arguments.depth,
            connections: arguments.connections(),
            sessions: if arguments.has_sessions() { arguments.sessions() } else { 0 },
            threads: arguments.threads,
            duration_seconds: duration,
            operations: arguments.operations,
            warm_up_seconds: warm_up,
            rate: arguments.rate,
            files: arguments.files,
            file_bytes: arguments.file_size.0,
            stable: value_name(arguments.stable),
            send: value_name(arguments.send),
            annotate: arguments.annotate,
            seed: arguments.seed,
            uid: identity.uid,
            gid: identity.gid,
        }
    }

    fn parts(&self) -> impl Iterator<Item = (&'static str, u32, &Figures)> {
        let mix = self.plan.arguments.workload.parts.iter();
        mix.zip(&self.figures.parts).map(|((workload, weight), figures)| (workload.name(), *weight, figures))
    }

    fn part(&self, workload: &'static str, weight: u32, figures: &Figures) -> Part {
        Part {
            workload,
            weight,
            operations: figures.operations,
            bytes: figures.bytes,
            ops_per_second: self.per_second(figures.operations),
            bytes_per_second: self.per_second(figures.bytes),
            latency_us: Latency::of(&figures.latency),
            errors: figures.errors_total(),
        }
    }

    fn table(&self) -> String {
        let total = self.figures.total();
        let mut text = self.heading();
        let heads = [
            "workload",
            "operations",
            "op/s",
            "throughput",
            "mean",
            "p50",
            "p90",
            "p99",
            "p99.9",
            "max",
            "errors",
        ];
        let mut rows = vec![heads.map(str::to_owned)];
        rows.extend(self.parts().map(|(name, _, figures)| self.row(name, figures)));
        if self.figures.parts.len() > 1 {
            rows.push(self.row("all", &total));
        }
        text.push_str(&aligned(&rows));
        let per_operation = self.cpu_seconds * 1e6 / total.operations.max(1) as f64;
        text.push_str(&format!(
            "client CPU: {:.2} s, {per_operation:.2} us per operation\n",
            self.cpu_seconds
        ));
        for (status, count) in &total.errors {
            text.push_str(&format!("failed: {} with {status}\n", count_text(*count)));
        }
        if self.figures.missed > 0 {
            let missed = count_text(self.figures.missed);
            text.push_str(&format!(
                "never begun: {missed}; the server did not keep up with --rate at this --depth\n"
            ));
        }
        text
    }

    fn heading(&self) -> String {
        let arguments = &self.plan.arguments;
        let early = if self.interrupted { ", interrupted" } else { "" };
        let block = match arguments.workload.any(super::workload::Workload::has_data) {
            true => format!(", blocks of {}", bytes_text(arguments.block_size.0 as f64)),
            false => String::new(),
        };
        let sessions = match arguments.has_sessions() {
            true => format!(", sessions {}", arguments.sessions()),
            false => String::new(),
        };
        format!(
            "{} over NFSv{} ({}): {:.1} s{early}, depth {}, connections {}{sessions}, threads {}{block}\n\n",
            arguments.url,
            arguments.url.version,
            arguments.url.transport.name(),
            self.seconds,
            arguments.depth,
            arguments.connections(),
            arguments.threads,
        )
    }

    fn row(&self, name: &str, figures: &Figures) -> [String; 11] {
        let latency = Latency::of(&figures.latency);
        [
            name.to_owned(),
            count_text(figures.operations),
            count_text(self.per_second(figures.operations) as u64),
            if figures.bytes > 0 {
                format!("{}/s", bytes_text(self.per_second(figures.bytes)))
            } else {
                "-".to_owned()
            },
            microseconds_text(latency.mean),
            microseconds_text(latency.p50),
            microseconds_text(latency.p90),
            microseconds_text(latency.p99),
            microseconds_text(latency.p99_9),
            microseconds_text(latency.max),
            count_text(figures.errors_total()),
        ]
    }
}

/// The name of a setting's value on the command line.
fn value_name(value: impl ValueEnum) -> String {
    value.to_possible_value().expect("no value is hidden").get_name().to_owned()
}

/// Columns that line up: the first to the left, numbers to the right; an empty line below.
fn aligned<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let widths: [usize; COLUMNS] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            let cell = if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") };
            text.push_str(&cell);
        }
        text.push('\n');
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [["a", "10"], ["bcd", "7"]].map(|row| row.map(str::to_owned));
        assert_eq!(aligned(&rows), "a    10\nbcd   7\n\n");
    }
}
