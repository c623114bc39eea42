//! Plots as SVG, drawn by the program that draws those of the benchmarks.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::experiment::accuracy::{Accuracy, Case, Pattern};
use crate::results::Results;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/compare/plot.py");

const COLOURS: [&str; 5] = ["#57606a", "#cf222e", "#bf8700", "#8250df", "#1f6feb"];

/// At how many places along the bottom something is written.
const LABELS: usize = 6;

/// Draws all plots into `folder`, which is made if there is none.
///
/// # Errors
/// When the folder cannot be written, or Python is not there.
pub fn draw(results: &Results, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let charts: Vec<Value> = Pattern::ALL.iter().map(|pattern| course(results, *pattern, folder)).collect();
    let mut child = Command::new("python3").arg(PROGRAM).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(Value::from(charts).to_string().as_bytes())?;
    drop(input);
    if child.wait()?.success() { Ok(()) } else { Err(io::Error::other("plots could not be drawn")) }
}

/// Rates in the course of the first seconds, scheme by scheme.
fn course(results: &Results, pattern: Pattern, folder: &Path) -> Value {
    let of_pattern = results.schemes.iter().filter(|(case, _)| case.pattern == pattern);
    let line = |(number, (case, accuracy)): (usize, &(Case, Accuracy))| json!({ "name": case.scheme.name(), "colour": COLOURS[number], "points": accuracy.course });
    let lines: Vec<Value> = of_pattern.enumerate().map(line).collect();
    let count = results.schemes[0].1.course.len();
    chart(
        folder,
        pattern.name(),
        "rate in windows of 100 ms, as parts of the limit",
        &labels(count, 0.1),
        lines,
    )
}

fn chart(folder: &Path, name: &str, title: &str, labels: &[String], lines: Vec<Value>) -> Value {
    let path = folder.join(format!("{}.svg", name.replace([' ', '/'], "-")));
    json!({ "path": path, "title": format!("{name}: {title}"), "labels": labels, "lines": lines })
}

/// Seconds below some of `count` windows that are `seconds` long.
fn labels(count: usize, seconds: f64) -> Vec<String> {
    let every = count.div_ceil(LABELS).max(1);
    let label = |number: usize| {
        let is_written = number.is_multiple_of(every);
        if is_written {
            format!("{} s", (number as f64 * seconds * 100.0).round() / 100.0)
        } else {
            String::new()
        }
    };
    (0..count).map(label).collect()
}
