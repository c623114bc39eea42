//! Plots as SVG, drawn by the program that draws those of the benchmarks.

use std::io::{self, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::experiment::accuracy::Pattern;
use crate::experiment::{change, sharing};
use crate::results::{COMPARED, Plan, Results};
use crate::scheme::Kind;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../benches/compare/plot.py");

/// In the order of the schemes.
const COLOURS: [&str; Kind::ALL.len()] = ["#57606a", "#cf222e", "#bf8700", "#8250df", "#1f6feb"];

/// At how many places along the bottom something is written.
const LABELS: usize = 6;

/// Above so many times the limit nothing is drawn: beside it the others could not be told apart.
const MOST: f64 = 2.0;

/// Draws all plots into `folder`, which is made if there is none.
///
/// # Errors
/// When the folder cannot be written, or Python is not there.
pub fn draw(results: &Results, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut charts: Vec<Value> = Pattern::ALL.map(|pattern| course(results, pattern)).to_vec();
    charts.extend([changes(&results.plan), shares(&results.plan)]);
    for chart in &mut charts {
        let name = chart["name"].as_str().expect("every chart has a name").replace([' ', '/'], "-");
        chart["path"] = json!(folder.join(name).with_extension("svg"));
    }
    let mut child = Command::new("python3").arg(PROGRAM).stdin(Stdio::piped()).spawn()?;
    let mut input = child.stdin.take().expect("it is piped");
    input.write_all(Value::from(charts).to_string().as_bytes())?;
    drop(input);
    if child.wait()?.success() { Ok(()) } else { Err(io::Error::other("plots could not be drawn")) }
}

/// Rates in the course of time, scheme by scheme.
fn course(results: &Results, pattern: Pattern) -> Value {
    let of_pattern = results.schemes.iter().filter(|(case, _)| case.pattern == pattern);
    let lines = of_pattern.map(|(case, accuracy)| line(case.scheme, &accuracy.course)).collect();
    let title = format!("rates in 100 ms as parts of the limit, up to {MOST}");
    chart(pattern.name(), &title, &seconds(results.schemes[0].1.course.len(), 0.1), lines)
}

/// A limit that is lowered and raised.
fn changes(plan: &Plan) -> Value {
    let courses = COMPARED.map(|scheme| (scheme, change::measure(scheme, plan.cores, plan.seed).course));
    let lines = courses.iter().map(|(scheme, course)| line(*scheme, course)).collect();
    chart(
        "a change",
        "rates in 10 ms as parts of the higher limit",
        &seconds(courses[0].1.len(), 0.01),
        lines,
    )
}

/// What equal tenants get that have more and fewer connections.
fn shares(plan: &Plan) -> Value {
    let shares = COMPARED.map(|scheme| (scheme, sharing::fairness(scheme, plan.cores, plan.seed).shares));
    let lines = shares.iter().map(|(scheme, shares)| line(*scheme, shares)).collect();
    let labels = sharing::CONNECTIONS.map(|count| count.to_string());
    chart("equal tenants", "shares of all, by number of connections", &labels, lines)
}

fn line(scheme: Kind, points: &[f64]) -> Value {
    let number = Kind::ALL.iter().position(|one| *one == scheme).expect("only these are drawn");
    let points: Vec<Option<f64>> =
        points.iter().map(|point| Some(*point).filter(|point| *point <= MOST)).collect();
    json!({ "name": scheme.short_name(), "colour": COLOURS[number], "points": points })
}

fn chart(name: &str, title: &str, labels: &[String], lines: Vec<Value>) -> Value {
    json!({ "name": name, "title": format!("{name}: {title}"), "labels": labels, "lines": lines })
}

/// Seconds below some of `count` windows of `length` seconds.
fn seconds(count: usize, length: f64) -> Vec<String> {
    let every = count.div_ceil(LABELS).max(1);
    let label = |number: usize| {
        let is_written = number.is_multiple_of(every);
        if is_written { format!("{:.1} s", number as f64 * length) } else { String::new() }
    };
    (0..count).map(label).collect()
}
