//! Taking turns and what comes of it.

use std::time::{Duration, Instant};

/// Turns of each side when a turn has to wait for other threads. The first is for warming up and not counted.
pub(crate) const TURNS: usize = 31;

/// Turns of each side when it computes only. They are short and many, so that most are not interrupted.
const TURNS_SHORT: usize = 501;

/// How long a short turn is: many times the clock's resolution, and short beside the scheduler's slices.
const TURN_SHORT: Duration = Duration::from_micros(100);

/// What ours and the floor cost.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// What is measured.
    pub name: String,
    /// What it is held against.
    pub floor_name: &'static str,
    /// Median time of one operation of ours, in nanoseconds.
    pub ours_ns: f64,
    /// Median time of one operation of the floor, in nanoseconds.
    pub floor_ns: f64,
    /// Quartiles of the ratio of ours to the floor, turn by turn: a quarter of the turns was below the first, half
    /// below the second.
    pub ratios: [f64; 3],
}

impl Comparison {
    /// Of turns with the nanoseconds that one operation of ours, then of the floor, took in each.
    pub(crate) fn of(name: impl Into<String>, floor_name: &'static str, turns: &[(f64, f64)]) -> Self {
        let counted = &turns[1..];
        let [_, ours_ns, _] = quartiles(counted.iter().map(|turn| turn.0));
        let [_, floor_ns, _] = quartiles(counted.iter().map(|turn| turn.1));
        let ratios = quartiles(counted.iter().map(|turn| turn.0 / turn.1));
        Comparison { name: name.into(), floor_name, ours_ns, floor_ns, ratios }
    }
}

/// Lets two things take turns that do not wait for anything.
pub(crate) fn compare(
    name: impl Into<String>,
    mut ours: impl FnMut(),
    floor_name: &'static str,
    mut floor: impl FnMut(),
) -> Comparison {
    let (ours_count, floor_count) = (operations_per_turn(&mut ours), operations_per_turn(&mut floor));
    let turn = |_| (time(ours_count, &mut ours), time(floor_count, &mut floor));
    Comparison::of(name, floor_name, &(0..TURNS_SHORT).map(turn).collect::<Vec<_>>())
}

/// Nanoseconds of one operation out of `count`.
pub(crate) fn time(count: u32, operation: &mut impl FnMut()) -> f64 {
    let start = Instant::now();
    for _ in 0..count {
        operation();
    }
    per_operation(start.elapsed(), count)
}

/// Nanoseconds of one operation when `count` took `elapsed`.
pub(crate) fn per_operation(elapsed: Duration, count: u32) -> f64 {
    elapsed.as_nanos() as f64 / f64::from(count)
}

fn operations_per_turn(operation: &mut impl FnMut()) -> u32 {
    let mut count = 1;
    // The shortest of three: an interruption must not be taken for work.
    while (0..3).map(|_| time(count, operation)).fold(f64::MAX, f64::min) * f64::from(count)
        < TURN_SHORT.as_nanos() as f64
    {
        count *= 2;
    }
    count
}

fn quartiles(values: impl Iterator<Item = f64>) -> [f64; 3] {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| values[(values.len() - 1) * quarter / 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_turn_does_not_count_and_ratios_are_taken_turn_by_turn() {
        // The machine is half as fast in every other turn, for both.
        let turns = [(900.0, 1.0), (2.0, 1.0), (4.0, 2.0), (2.0, 1.0), (4.0, 2.0), (2.0, 1.0)];
        let comparison = Comparison::of("name", "floor", &turns);
        assert_eq!(comparison.ratios, [2.0; 3]);
        assert_eq!((comparison.ours_ns, comparison.floor_ns), (2.0, 1.0));
        assert_eq!(quartiles([5.0, 1.0, 2.0, 4.0, 3.0].into_iter()), [2.0, 3.0, 4.0]);
    }
}
