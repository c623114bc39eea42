//! Rates against limits on a terminal.

use serde_json::Value;

use super::rate::{about_bytes, about_operations, bytes_text, operations_text};
use crate::tool::display::printable;
use crate::tool::unit::microseconds_text;

/// Where nothing is said.
const NOTHING: &str = "-";

/// A rate and its limit: the head, the field of both, whether it is always shown, the width of the longest rate that is about
/// right, and how the two are written.
struct Rate {
    head: &'static str,
    field: &'static str,
    is_always: bool,
    width: usize,
    about: fn(u64) -> String,
    exact: fn(u64) -> String,
}

const RATES: [Rate; 6] = [
    of_bytes("BYTES", "bytes_per_second", true),
    of_bytes("READ BYTES", "read_bytes_per_second", false),
    of_bytes("WRITE BYTES", "write_bytes_per_second", false),
    of_operations("OPS", "operations_per_second", true),
    of_operations("READ OPS", "read_operations_per_second", false),
    of_operations("WRITE OPS", "write_operations_per_second", false),
];

const fn of_bytes(head: &'static str, field: &'static str, is_always: bool) -> Rate {
    Rate { head, field, is_always, width: "99.9 MB/s".len(), about: about_bytes, exact: bytes_text }
}

const fn of_operations(head: &'static str, field: &'static str, is_always: bool) -> Rate {
    Rate { head, field, is_always, width: "99.9k".len(), about: about_operations, exact: operations_text }
}

/// What is told beside the rates: the head, the least width, and the text.
struct Figure {
    head: &'static str,
    width: usize,
    text: fn(&Value) -> String,
}

const FIGURES: [Figure; 4] = [
    Figure { head: "USED", width: 7, text: used },
    Figure { head: "PARKED", width: 6, text: |level| number(&level["usage"]["parked"]) },
    Figure { head: "WAIT", width: 9, text: wait },
    Figure { head: "REFUSED", width: 7, text: |level| number(&level["usage"]["refused"]) },
];

/// What is told where certain requests are asked about.
const WAITING: Figure = Figure { head: "OF THESE WAIT", width: 0, text: |level| number(&level["waiting"]) };

/// A table: a line of heads, and one for each limit and what is used of it. Lines of the same limits are of the same width
/// whatever their rates are.
pub fn table(levels: &[Value]) -> Vec<String> {
    let mut lines = vec![String::new(); levels.len() + 1];
    let names = levels.iter().map(|level| printable(level["entity"].as_str().unwrap_or_default().as_bytes()));
    let names: Vec<String> = std::iter::once("ENTITY".to_owned()).chain(names).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    lines.iter_mut().zip(names).for_each(|(line, name)| *line = format!("{name:<width$}"));
    for rate in &RATES {
        if rate.is_always || levels.iter().any(|level| level.get(rate.field).is_some()) {
            add(&mut lines, rate.head, 0, levels.iter().map(|level| rate.cell(level)));
        }
    }
    let waiting = levels.iter().any(|level| level.get("waiting").is_some()).then_some(&WAITING);
    for figure in FIGURES.iter().chain(waiting) {
        add(&mut lines, figure.head, figure.width, levels.iter().map(figure.text));
    }
    lines
}

fn add(lines: &mut [String], head: &str, least: usize, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = std::iter::once(head.to_owned()).chain(cells).collect();
    let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0).max(least);
    lines.iter_mut().zip(cells).for_each(|(line, cell)| *line += &format!("  {cell:>width$}"));
}

impl Rate {
    fn cell(&self, level: &Value) -> String {
        let usage = level["usage"][self.field].as_u64();
        let now = usage.map_or_else(|| NOTHING.to_owned(), self.about);
        let now = format!("{now:>width$}", width = self.width);
        match level[self.field].as_u64() {
            Some(limit) => format!("{now} of {}", (self.exact)(limit)),
            None => now,
        }
    }
}

fn used(level: &Value) -> String {
    let used = level["usage"]["used"].as_f64();
    used.map_or_else(|| NOTHING.to_owned(), |used| format!("{:.1} %", used * 100.0))
}

fn wait(level: &Value) -> String {
    level["usage"]["wait_microseconds"].as_u64().map_or_else(|| NOTHING.to_owned(), microseconds_text)
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| NOTHING.to_owned(), |number| number.to_string())
}

/// Which limit binds, in a sentence.
pub fn verdict(path: &Value) -> String {
    let waiting = path["waiting"].as_u64().unwrap_or(0);
    let levels = path["path"].as_array().map_or(&[][..], Vec::as_slice);
    let here = |level: &Value| level["waiting"].as_u64().unwrap_or(0);
    let elsewhere = waiting.saturating_sub(levels.iter().map(here).sum());
    let Some(binds) = path["binds"].as_str() else {
        return match waiting {
            0 => "nothing binds: none of these requests waits for a limit".to_owned(),
            _ => {
                format!("{waiting} of these requests wait, but for none of these limits: for one of a client")
            }
        };
    };
    let level = levels.iter().find(|level| level["entity"] == binds);
    let most = level.and_then(|level| RATES.iter().find(|rate| level["usage"]["used_most"] == rate.field));
    let most = most.map_or_else(String::new, |rate| format!(", with its {}", rate.head.to_lowercase()));
    let count = level.map_or(0, here);
    let mut text = format!(
        "{} binds{most}: {count} of {waiting} requests that wait do so for it",
        printable(binds.as_bytes())
    );
    if elsewhere > 0 {
        text += &format!("; {elsewhere} wait for another limit");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn level(entity: &str, rate: u64, more: Value) -> Value {
        let mut level = json!({
            "entity": entity, "generation": 3,
            "usage": { "bytes_per_second": rate, "operations_per_second": rate / 65_536, "parked": 8,
                       "wait_microseconds": 52_100, "refused": 0 }
        });
        for (field, value) in more.as_object().unwrap() {
            level[field] = value.clone();
        }
        level
    }

    #[test]
    fn columns_line_up_whatever_the_rates_are() {
        let limited = |rate: u64| {
            let more = json!({ "bytes_per_second": 10_000_000, "waiting": 8 });
            let mut level = level("client:192.0.2.7", rate, more);
            level["usage"]["used"] = json!(rate as f64 / 1e7);
            level
        };
        let others = ["export:/data", "server"].map(|entity| json!({ "entity": entity, "generation": 0 }));
        let text = "\
ENTITY                           BYTES    OPS     USED  PARKED       WAIT  REFUSED  OF THESE WAIT
client:192.0.2.7  9.98 MB/s of 10 MB/s    152   99.8 %       8    52.1 ms        0              8
export:/data                         -      -        -       -          -        -              -
server                               -      -        -       -          -        -              -";
        assert_eq!(table(&[&[limited(9_980_000)][..], &others].concat()).join("\n"), text);
        let document = include_str!("../../../../docs/OPERATIONS.md");
        assert!(text.lines().all(|line| document.contains(&format!("\n    {line}\n"))), "as documented");
        let widths = [0, 1, 999, 1_234_567, 12_345_678].map(|rate| table(&[limited(rate)])[1].len());
        assert_eq!(widths, [widths[0]; 5]);
    }

    #[test]
    fn who_binds_is_said_in_a_sentence() {
        let level = |entity: &str, waiting: u64| {
            let mut level = level(entity, 1, json!({ "waiting": waiting, "bytes_per_second": 5 }));
            level["usage"]["used_most"] = json!("bytes_per_second");
            level
        };
        let path = |binds: Value, waiting: u64, levels: &[Value]| {
            verdict(&json!({ "path": levels, "waiting": waiting, "binds": binds }))
        };
        let levels = [level("client:192.0.2.7", 3), level("server", 1)];
        assert_eq!(
            path(json!("client:192.0.2.7"), 4, &levels),
            "client:192.0.2.7 binds, with its bytes: 3 of 4 requests that wait do so for it"
        );
        assert!(path(json!("client:192.0.2.7"), 6, &levels).ends_with("; 2 wait for another limit"));
        assert!(path(Value::Null, 0, &levels).starts_with("nothing binds"));
        assert!(
            path(Value::Null, 2, &[]).starts_with("2 of these requests wait, but for none of these limits")
        );
    }
}
