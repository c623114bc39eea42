//! What is printed.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::experiment::accuracy::{Accuracy, Case, Pattern};
use crate::experiment::{Figure, LIMIT, Target, Unit};
use crate::log::Errors;
use crate::results::{COMPARED, CORES, Results, Worst};
use crate::scheme::Kind;

/// Tables for people.
pub fn text(results: &Results) -> String {
    let plan = &results.plan;
    let mut text = format!(
        "Error of the achieved rate beside a limit of {} GB/s, {} cores, operations of 64 KiB, {} s;\n\
         windows in which something was asked for all the time.\n\n",
        LIMIT as f64 / 1e9,
        plan.cores,
        plan.seconds
    );
    text += &schemes(&results.schemes);
    text += "\nPenstock with more and fewer cores: the worst of windows of 100 ms, 1 s.\n\n";
    text += &ours(&results.ours);
    text += &format!("\nFurther figures, {} cores.\n\n", plan.cores);
    text += &figures(results);
    text += &format!(
        "\nThe same of penstock, the worst of {CORES:?} cores and {} seeds from {}.\n\n",
        plan.seeds, plan.seed
    );
    text += &judged_figures(&results.worst);
    text
}

/// The table of schemes: worst or least and greatest errors by pattern, and the most above the limit in any time.
fn schemes(rows: &[(Case, Accuracy)]) -> String {
    let mut lines = vec![
        ["scheme", "all busy 100 ms", "one busy", "moving 100 ms", "1 s", "skewed 100 ms", "excess MB"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for scheme in Kind::ALL {
        let of = |pattern| {
            let row = rows.iter().find(|(case, _)| (case.scheme, case.pattern) == (scheme, pattern));
            &row.expect("every scheme was tried with every pattern").1
        };
        let excess =
            rows.iter().filter(|(case, _)| case.scheme == scheme).map(|(_, row)| row.excess_bytes).max();
        lines.push(vec![
            scheme.name().to_owned(),
            worst(of(Pattern::AllBusy).short),
            worst(of(Pattern::OneBusy).short),
            range(of(Pattern::Moving).short),
            range(of(Pattern::Moving).long),
            range(of(Pattern::Skewed).short),
            format!("{:.2}", excess.unwrap_or(0) as f64 / 1e6),
        ]);
    }
    aligned(&lines)
}

/// Ours by cores and operations: the worst error of each pattern in short and long windows, the most above the limit in any
/// time beside what it may be, and whether all is as near as it has to be.
fn ours(rows: &[(Case, Accuracy)]) -> String {
    let mut head = vec!["cores, operations".to_owned()];
    head.extend(Pattern::ALL.map(|pattern| pattern.name().to_owned()));
    head.extend(["excess MB", "refused", "met"].map(str::to_owned));
    let mut lines = vec![head];
    for rows in rows.chunks_exact(Pattern::ALL.len()) {
        let first = &rows[0].0;
        let mut line = vec![format!("{:2}, {:4} KiB", first.cores, first.operation_bytes >> 10)];
        line.extend(rows.iter().map(|(_, row)| format!("{}, {}", worst(row.short), worst(row.long))));
        let excess = rows.iter().map(|(_, row)| row.excess_bytes).max().unwrap_or(0);
        let excess_max = rows.iter().map(|(case, _)| case.excess_bytes_max()).max().unwrap_or(0);
        line.push(format!("{:.2} of {:.2}", excess as f64 / 1e6, excess_max as f64 / 1e6));
        let refused = rows.iter().map(|(_, row)| row.refused).fold(0.0, f64::max);
        line.push(shown(refused, Unit::Part));
        // Two seconds of work are outstanding at most: nobody need be refused.
        let is_met = refused == 0.0 && rows.iter().all(|(case, row)| case.misses(row).is_empty());
        line.push(if is_met { "yes" } else { "NO" }.to_owned());
        lines.push(line);
    }
    aligned(&lines)
}

fn figures(results: &Results) -> String {
    let mut head = vec!["figure".to_owned()];
    head.extend(COMPARED.map(|scheme| scheme.name().to_owned()));
    head.extend(["target", "met"].map(str::to_owned));
    let mut lines = vec![head];
    let [.., ours] = &results.figures;
    for (number, figure) in ours.iter().enumerate() {
        let mut line = vec![figure.name.clone()];
        line.extend(results.figures.iter().map(|of| shown(of[number].value, figure.unit)));
        line.extend(judged(figure));
        lines.push(line);
    }
    aligned(&lines)
}

fn judged_figures(worst: &[Worst]) -> String {
    let mut lines =
        vec![["figure", "penstock", "cores", "seed", "target", "met"].map(str::to_owned).to_vec()];
    for Worst { figure, cores, seed } in worst {
        let mut line = vec![figure.name.clone(), shown(figure.value, figure.unit)];
        line.extend([cores.to_string(), seed.to_string()]);
        line.extend(judged(figure));
        lines.push(line);
    }
    aligned(&lines)
}

/// What is asked for, and whether it is met.
fn judged(figure: &Figure) -> [String; 2] {
    let target = match figure.target {
        Target::AtLeast(least) => format!(">= {}", shown(least, figure.unit)),
        Target::AtMost(most) => format!("<= {}", shown(most, figure.unit)),
    };
    [target, if figure.holds() { "yes" } else { "NO" }.to_owned()]
}

fn shown(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{value:.3}"),
        Unit::Part => format!("{:.1} %", 100.0 * value),
        Unit::Ms => format!("{value:.0} ms"),
        Unit::Megabytes => format!("{value:.2} MB"),
    }
}

/// The error that is farthest from nothing.
fn worst(errors: Option<Errors>) -> String {
    let Some(errors) = errors else { return "-".to_owned() };
    percent(if errors.max >= -errors.min { errors.max } else { errors.min })
}

/// The least and the greatest error.
pub fn range(errors: Option<Errors>) -> String {
    errors.map_or("-".to_owned(), |errors| format!("{} .. {}", percent(errors.min), percent(errors.max)))
}

/// A part of one, with two digits that count.
pub fn percent(part: f64) -> String {
    let percent = 100.0 * part;
    let digits = if percent.abs() >= 100.0 {
        0
    } else if percent.abs() >= 0.995 {
        1
    } else {
        2
    };
    format!("{percent:+.digits$} %")
}

/// Columns below each other; the first begins at the left, the others end at the right.
pub fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines[0].len();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        for (column, cell) in line.iter().enumerate() {
            let width = widths[column];
            let written =
                if column == 0 { write!(text, "{cell:width$}") } else { write!(text, "   {cell:>width$}") };
            written.expect("a String takes all");
        }
        text.push('\n');
        if number == 0 {
            let total = widths.iter().sum::<usize>() + 3 * (columns - 1);
            text += &format!("{}\n", "-".repeat(total));
        }
    }
    text
}

/// The same for programs, with more figures.
pub fn json(results: &Results) -> Value {
    let plan = &results.plan;
    json!({
        "cores": plan.cores, "seconds": plan.seconds, "seed": plan.seed, "limit_bytes_per_second": LIMIT,
        "schemes": results.schemes.iter().map(case).collect::<Vec<_>>(),
        "penstock": results.ours.iter().map(case).collect::<Vec<_>>(),
        "figures": COMPARED.iter().zip(&results.figures).map(of_scheme).collect::<Vec<_>>(),
        "worst": results.worst.iter().map(of_worst).collect::<Vec<_>>(),
    })
}

fn case((case, accuracy): &(Case, Accuracy)) -> Value {
    json!({
        "scheme": case.scheme.name(), "cores": case.cores, "operation_bytes": case.operation_bytes,
        "pattern": case.pattern.name(), "windows_100_ms": errors(accuracy.short), "windows_1_s": errors(accuracy.long),
        "excess_bytes": accuracy.excess_bytes, "refused": accuracy.refused,
    })
}

fn of_scheme((scheme, figures): (&Kind, &Vec<Figure>)) -> Value {
    let figure = |Figure { name, value, .. }: &Figure| json!({ "name": name, "value": value });
    json!({ "scheme": scheme.name(), "figures": figures.iter().map(figure).collect::<Vec<_>>() })
}

fn of_worst(Worst { figure, cores, seed }: &Worst) -> Value {
    let (name, value, met) = (&figure.name, figure.value, figure.holds());
    json!({ "name": name, "value": value, "met": met, "cores": cores, "seed": seed })
}

fn errors(errors: Option<Errors>) -> Value {
    let shown = |Errors { count, mean, p1, p99, min, max }| json!({ "count": count, "mean": mean, "p1": p1, "p99": p99, "min": min, "max": max });
    errors.map_or(Value::Null, shown)
}
