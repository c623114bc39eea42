//! What is printed.

use serde_json::{Value, json};

use crate::Comparison;

/// A table for people.
pub fn table(comparisons: &[Comparison]) -> String {
    let mut table = format!(
        "{:38} {:>10}  {:34} {:>10}  {:>6}  {}\n",
        "ours", "ns", "floor", "ns", "ratio", "half of turns"
    );
    for comparison in comparisons {
        let Comparison { name, floor_name, ours_ns, floor_ns, ratios: [low, ratio, high] } = comparison;
        table += &format!(
            "{name:38} {ours_ns:>10.1}  {floor_name:34} {floor_ns:>10.1}  {ratio:>6.2}  {low:.2} to {high:.2}\n"
        );
    }
    table
}

/// The same for programs.
pub fn json(comparisons: &[Comparison]) -> Value {
    let row = |comparison: &Comparison| {
        let Comparison { name, floor_name, ours_ns, floor_ns, ratios: [low, ratio, high] } = comparison;
        json!({
            "name": name, "ours_ns": ours_ns, "floor": floor_name, "floor_ns": floor_ns,
            "ratio": ratio, "ratio_quartile_low": low, "ratio_quartile_high": high,
        })
    };
    comparisons.iter().map(row).collect()
}
