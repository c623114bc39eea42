//! The simple schemes have the errors that they are known for: the simulator sees what it has to see.

use simulation::experiment::accuracy::{Accuracy, Case, Pattern};
use simulation::experiment::change;
use simulation::experiment::isolation::{self, Scarce};
use simulation::experiment::sharing::{self, Demand};
use simulation::scheme::Kind;

const CORES: usize = 16;

fn accuracy(scheme: Kind, pattern: Pattern) -> Accuracy {
    Case { scheme, cores: CORES, operation_bytes: 65_536, pattern, seconds: 3, seed: 1 }.run()
}

/// The least and the greatest error in windows of 100 ms.
fn errors(scheme: Kind, pattern: Pattern) -> (f64, f64) {
    let errors = accuracy(scheme, pattern).short.expect("something waited");
    (errors.min, errors.max)
}

#[test]
fn a_part_of_the_rate_on_each_core_starves_those_who_use_one() {
    let (min, max) = errors(Kind::Divided, Pattern::AllBusy);
    assert!(min > -0.02 && max < 0.02, "{min} {max}");
    let (min, max) = errors(Kind::Divided, Pattern::OneBusy);
    assert!(min > -0.95 && max < -0.92, "{min} {max}");
    let (_, max) = errors(Kind::Divided, Pattern::Moving);
    assert!(max < -0.2, "{max}");
}

#[test]
fn the_whole_rate_on_each_core_is_the_rate_times_the_cores() {
    let (min, max) = errors(Kind::Full, Pattern::AllBusy);
    assert!(min > 14.5 && max < 15.5, "{min} {max}");
    let (min, max) = errors(Kind::Full, Pattern::OneBusy);
    assert!(min > -0.02 && max < 0.02, "{min} {max}");
    let (min, max) = errors(Kind::Full, Pattern::Moving);
    assert!(min > 0.5 && max > 4.0, "{min} {max}");
}

#[test]
fn parts_that_follow_demand_leave_idle_cores_what_others_need() {
    // The first ten milliseconds are divided as if all had demand.
    let (_, max) = errors(Kind::Rebalanced, Pattern::OneBusy);
    assert!(max > -0.1 && max < -0.085, "{max}");
    let (min, _) = errors(Kind::Rebalanced, Pattern::Moving);
    assert!(min < -0.1, "{min}");
}

#[test]
fn one_shared_word_is_exact() {
    for pattern in Pattern::ALL {
        let accuracy = accuracy(Kind::SharedWord, pattern);
        let errors = accuracy.short.expect("something waited");
        assert!(errors.worst() < 0.002, "{pattern:?} {errors:?}");
        // One operation, and a burst of 1 ms.
        assert!(accuracy.excess_bytes <= 65_536 + 1_000_000, "{pattern:?} {}", accuracy.excess_bytes);
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let course = |seed| {
        let scheme = Kind::Rebalanced;
        let case =
            Case { scheme, cores: 4, operation_bytes: 65_536, pattern: Pattern::Moving, seconds: 1, seed };
        case.run().course
    };
    assert_eq!(course(1), course(1));
    assert_ne!(course(1), course(2));
}

#[test]
fn a_change_is_timed() {
    let reaction = change::measure(Kind::SharedWord, CORES, 1);
    assert!(reaction.lowered_ms.is_some_and(|ms| ms <= 2), "{reaction:?}");
    assert!(reaction.raised_ms.is_some_and(|ms| ms <= 2), "{reaction:?}");
}

#[test]
fn the_order_of_arrival_serves_who_has_most_connections() {
    let fairness = sharing::fairness(Kind::SharedWord, CORES, 1);
    assert!(fairness.whole < 0.8 && fairness.second_min < 0.8, "{fairness:?}");
}

#[test]
fn the_order_of_arrival_keeps_no_reservation() {
    let shortfall = sharing::shortfall(Kind::SharedWord, CORES, Demand::Above, 1);
    assert!(shortfall > 0.5, "{shortfall}");
}

#[test]
fn one_shared_word_leaves_nothing_unused() {
    let used = sharing::conservation(Kind::SharedWord, CORES, 1);
    assert!(used > 0.98 && used < 1.01, "{used}");
    let used = sharing::conservation(Kind::Divided, CORES, 1);
    assert!(used > 0.98 && used < 1.02, "{used}");
    let reuse_ms = sharing::reuse_ms(Kind::SharedWord, CORES, 1);
    assert!(reuse_ms <= 5, "{reuse_ms}");
}

#[test]
fn the_order_of_arrival_makes_a_victim_wait_for_its_neighbours() {
    for noise_bytes in [4096, 1 << 20] {
        let isolation = isolation::measure(Kind::SharedWord, CORES, Scarce::Limit, noise_bytes, 1);
        assert!(isolation.p99_ratio > 5.0, "{isolation:?}");
    }
}
