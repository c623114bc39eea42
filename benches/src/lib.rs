//! Micro-benchmarks as ratios: what ours costs beside the least that could do the same, alternately, in one run.
//!
//! A time alone says as much about the machine and its other load as about the code; a ratio of two things that took
//! turns says less about them. No benchmark framework is used, because those measure one thing after the other, and
//! because the engine's things run inside the engine.

pub mod ceiling;
mod echo;
mod handle;
pub mod handover;
mod head;
mod hop;
pub mod limits;
mod measure;
mod memory;
pub mod plain;
mod report;
mod write;

pub use measure::Comparison;
pub use report::{json, table};

/// Runs every benchmark whose name contains `filter`.
///
/// # Errors
/// When the engine cannot start or loopback cannot be used.
pub fn run(filter: &str) -> std::io::Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    for (name, benchmark) in BENCHMARKS {
        if name.contains(filter) {
            comparisons.extend(benchmark()?);
        }
    }
    Ok(comparisons)
}

type Benchmark = fn() -> std::io::Result<Vec<Comparison>>;

const BENCHMARKS: &[(&str, Benchmark)] = &[
    ("head", head::run),
    ("handle", handle::run),
    ("memory", memory::run),
    ("echo", echo::run),
    ("hop", hop::run),
    ("limits", limits::run),
    ("write", write::run),
];
