//! Limits judged by the server's admission log: the short variant of `qos-judge`, for a machine that others use too.

use std::time::Duration;

use serde_json::json;
use testkit::judge::accuracy::Case;
use testkit::judge::verdict::{Limit, Meter, Verdict};
use testkit::judge::{self, LIMITED, changes, stage};
use testkit::server::can_serve;

/// How far below the limit a run may stay on a machine that does other things too. What is never above it has no margin.
const SHORTFALL_MAX: f64 = 0.5;

#[test]
fn no_window_is_above_a_limit_and_its_bound() {
    if !can_serve() {
        return;
    }
    for (workload, block_bytes, connections, meter) in [
        ("randread", 64 << 10, 16, Meter::Bytes),
        ("randwrite", 64 << 10, 1, Meter::Bytes),
        ("randread", 4 << 10, 16, Meter::Operations),
    ] {
        let case = Case { workload, block_bytes, connections, meter };
        let row = case.run(Duration::from_secs(3), 1).expect("a log");
        assert_eq!(row.breaches(), Vec::<String>::new(), "{}: {row:?}", case.name());
        assert!(row.verdict.mean_error > -SHORTFALL_MAX, "{}: {row:?}", case.name());
    }
}

#[test]
fn a_server_that_lets_twice_the_limit_through_is_caught() {
    if !can_serve() {
        return;
    }
    let rate = 10_000_000;
    let stage = stage::Stage::start("judged-twice");
    let load = |duration| stage::Load::new("randread", 64 << 10, 4, duration);
    stage.begin(&load(Duration::from_millis(100))).finish();
    stage.set(judge::CLIENT, &json!({ "bytes_per_second": 2 * rate }));
    let measured = stage.begin(&load(Duration::from_secs(2))).finish();
    let admissions = stage.admissions(LIMITED).expect("a log");
    let judged = |rate| {
        let limit = Limit { meter: Meter::Bytes, rate, from_ns: measured.from_ns, to_ns: measured.to_ns };
        let verdict = Verdict::of(&admissions, limit).expect("admissions");
        !verdict.is_above()
    };
    assert!(judged(2 * rate), "what is in force is kept to");
    assert!(!judged(rate), "twice as much is seen");
}

#[test]
fn what_a_change_allows_is_all_that_goes_on_after_it() {
    if !can_serve() {
        return;
    }
    for change in changes::run(1).expect("a log") {
        assert!(change.is_met(), "{change:?}");
    }
}
