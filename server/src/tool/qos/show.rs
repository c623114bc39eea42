//! Limits on a terminal.

use std::time::Duration;

use serde_json::Value;

use super::rate::{bytes_text, operations_text};
use crate::tool::display::printable;

/// Where nothing is said.
const NOTHING: &str = "-";

/// A column of the table, and a line of one limit.
struct Column {
    head: &'static str,
    field: &'static str,
    text: fn(&Value) -> String,
}

const COLUMNS: [Column; 13] = [
    Column { head: "ENTITY", field: "entity", text: name },
    Column { head: "BYTES", field: "bytes_per_second", text: bytes },
    Column { head: "READ BYTES", field: "read_bytes_per_second", text: bytes },
    Column { head: "WRITE BYTES", field: "write_bytes_per_second", text: bytes },
    Column { head: "OPS", field: "operations_per_second", text: operations },
    Column { head: "READ OPS", field: "read_operations_per_second", text: operations },
    Column { head: "WRITE OPS", field: "write_operations_per_second", text: operations },
    Column { head: "RESERVE", field: "reserve_bytes_per_second", text: bytes },
    Column { head: "BURST", field: "burst_microseconds", text: burst },
    Column { head: "WEIGHT", field: "weight", text: Value::to_string },
    Column { head: "TIER", field: "tier", text: name },
    Column { head: "EXPIRES", field: "expires_in_seconds", text: expiry },
    Column { head: "GENERATION", field: "generation", text: Value::to_string },
];

/// The fields that are words: they begin where their head does, numbers end where it does.
const WORDS: [&str; 2] = ["entity", "tier"];

/// The fields that every limit has.
const ALWAYS: [&str; 2] = ["entity", "generation"];

/// One limit, a line for each field.
pub fn one(limit: &Value) -> String {
    let said: Vec<&Column> = COLUMNS.iter().filter(|column| limit.get(column.field).is_some()).collect();
    let width = said.iter().map(|column| column.head.len()).max().unwrap_or(0);
    let mut text = String::new();
    for column in &said {
        let head = column.head.to_lowercase();
        text += &format!("{head:<width$}  {}\n", (column.text)(&limit[column.field]));
    }
    if is_unlimited(limit) {
        text += "no limit of its own\n";
    }
    text
}

/// One limit in a line.
pub fn brief(limit: &Value) -> String {
    if is_unlimited(limit) {
        return "no limit".to_owned();
    }
    let said = COLUMNS.iter().filter(|column| column.field != "entity" && limit.get(column.field).is_some());
    let said =
        said.map(|column| format!("{} {}", column.head.to_lowercase(), (column.text)(&limit[column.field])));
    said.collect::<Vec<_>>().join(", ")
}

/// Many limits, with the columns in which one of them says something.
pub fn table(limits: &[Value]) -> String {
    let is_shown = |column: &&Column| {
        ALWAYS.contains(&column.field) || limits.iter().any(|limit| limit.get(column.field).is_some())
    };
    let mut lines = vec![String::new(); limits.len() + 1];
    for column in COLUMNS.iter().filter(is_shown) {
        let cell = |limit: &Value| limit.get(column.field).map_or_else(|| NOTHING.to_owned(), column.text);
        let cells: Vec<String> =
            std::iter::once(column.head.to_owned()).chain(limits.iter().map(cell)).collect();
        let width = cells.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
        let is_word = WORDS.contains(&column.field);
        for (line, cell) in lines.iter_mut().zip(&cells) {
            let gap = if line.is_empty() { "" } else { "  " };
            *line += &if is_word { format!("{gap}{cell:<width$}") } else { format!("{gap}{cell:>width$}") };
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

/// Whether nothing is said but who it is.
fn is_unlimited(limit: &Value) -> bool {
    limit.as_object().is_some_and(|fields| fields.keys().all(|field| ALWAYS.contains(&field.as_str())))
}

fn name(value: &Value) -> String {
    printable(value.as_str().unwrap_or_default().as_bytes())
}

fn bytes(value: &Value) -> String {
    value.as_u64().map_or_else(|| value.to_string(), bytes_text)
}

fn operations(value: &Value) -> String {
    value.as_u64().map_or_else(|| value.to_string(), operations_text)
}

fn burst(value: &Value) -> String {
    format!("{:?}", Duration::from_micros(value.as_u64().unwrap_or_default()))
}

fn expiry(value: &Value) -> String {
    let seconds = value.as_u64().unwrap_or_default();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("in {seconds}s"),
        (0, 0, minutes, seconds) => format!("in {minutes}m {seconds}s"),
        (0, hours, minutes, _) => format!("in {hours}h {minutes}m"),
        (days, hours, ..) => format!("in {days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_are_there_when_they_say_something() {
        let limits = [
            json!({ "entity": "server", "generation": 12, "bytes_per_second": 1_000_000_000, "burst_microseconds": 1000 }),
            json!({ "entity": "client:192.0.2.7", "generation": 3, "tier": "background", "burst_microseconds": 2500 }),
        ];
        let text = "\
ENTITY             BYTES  BURST  TIER        GENERATION
server            1 GB/s    1ms  -                   12
client:192.0.2.7       -  2.5ms  background           3
";
        assert_eq!(table(&limits), text);
        assert_eq!(table(&[]), "ENTITY  GENERATION\n");
    }

    #[test]
    fn one_limit_has_a_line_for_each_field() {
        let limit = json!({ "entity": "group:batch", "generation": 1, "read_operations_per_second": 5000, "expires_in_seconds": 3700 });
        let text = "entity      group:batch\nread ops    5k\nexpires     in 1h 1m\ngeneration  1\n";
        assert_eq!(one(&limit), text);
        assert_eq!(brief(&limit), "read ops 5k, expires in 1h 1m, generation 1");
        assert_eq!(brief(&json!({ "entity": "server", "generation": 0 })), "no limit");
    }
}
