//! What an operation in steady state costs the server's shards: allocations, and locks that cores share.
//!
//! The server runs in this process, the client on a thread of its own, and only what the server's shards allocate is
//! counted. To see the figures and where allocations come from:
//!
//! ```text
//! cargo test -p testkit --test steady -- --nocapture
//! STEADY_SITES=1 cargo test -p testkit --test steady -- --nocapture
//! ```

mod counting;
mod load;
mod serving;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::Version;
use testkit::server::{Scratch, can_serve};

use crate::counting::{Counted, Counting, SIZES_UP_TO};
use crate::load::{Cost, Plan, Work};
use crate::serving::{Done, SHARDS, Serving, Way};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Operations that count, and those before: at least so many, and so many times as many as are under way at a time.
const OPERATIONS: usize = 2_000;
const WARM_UP: usize = 3_000;
const WARM_UP_ROUNDS: usize = 60;

/// Those that are looked at one by one.
const OPERATIONS_TRACED: usize = 100;

/// Allocations per operation that are none: tables that grow once more.
const NONE: f64 = 0.03;

/// Allocations that are none however few operations there are in a second: each core looks over its sessions and grants,
/// and opens anew what NFSv3 uses.
const NONE_PER_SECOND: f64 = 40.0;

/// Operations under way at a time on each connection, usually.
const DEPTH: usize = 4;

/// As many as a session has slots for, nearly.
const DEEP: usize = 60;

/// An operation and what it may cost.
struct Case {
    name: &'static str,
    work: Work,
    /// Operations under way at a time on each connection. Of many, many replies leave together.
    depth: usize,
    /// Allocations per operation at most.
    allocations_max: f64,
}

const CASES: [Case; 8] = [
    Case { name: "GETATTR", work: Work::Attributes, depth: DEPTH, allocations_max: 0.0 },
    Case { name: "READ 4 KiB", work: Work::Read(4 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "READ 4 KiB deep", work: Work::Read(4 << 10), depth: DEEP, allocations_max: 0.0 },
    Case { name: "READ 64 KiB", work: Work::Read(64 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 4 KiB", work: Work::Write(4 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 4 KiB deep", work: Work::Write(4 << 10), depth: DEEP, allocations_max: 0.0 },
    Case { name: "WRITE 64 KiB", work: Work::Write(64 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 1 MiB", work: Work::Write(1 << 20), depth: DEPTH, allocations_max: 0.0 },
];

/// The same of READs whose payload leaves without the kernel's copy. The kernel may let go of such sends in crowds, of short
/// ones by the hundred, and memory for a whole crowd has to be there first: so these are long.
const SPARING_COPY: [Case; 1] =
    [Case { name: "READ 1 MiB sparing", work: Work::Read(1 << 20), depth: DEPTH, allocations_max: 0.0 }];

/// The same past the page cache.
const DIRECT: [Case; 4] = [
    Case { name: "READ 64 KiB direct", work: Work::Read(64 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "READ 1 MiB direct", work: Work::Read(1 << 20), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 64 KiB direct", work: Work::Write(64 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 1 MiB direct", work: Work::Write(1 << 20), depth: DEPTH, allocations_max: 0.0 },
];

/// The same of clients with a limit.
const LIMITED: [Case; 4] = [
    Case { name: "GETATTR limited", work: Work::Attributes, depth: DEPTH, allocations_max: 0.0 },
    Case { name: "READ 4 KiB limited", work: Work::Read(4 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "READ 64 KiB limited", work: Work::Read(64 << 10), depth: DEPTH, allocations_max: 0.0 },
    Case { name: "WRITE 64 KiB limited", work: Work::Write(64 << 10), depth: DEPTH, allocations_max: 0.0 },
];

#[test]
fn operations_in_steady_state_allocate_nothing_and_share_no_lock() {
    if !can_serve() {
        return;
    }
    print_heading();
    let mut findings = Vec::new();
    let enough = |done: &AtomicU64, what: &str| {
        let done = done.load(Ordering::Relaxed);
        assert!(done > OPERATIONS_TRACED as u64, "{done} {what}");
    };
    let usual = measure(Way::Usual, &CASES, &mut findings);
    enough(&usual.piped, "READs were answered with pages in a pipe");
    let sparing = measure(Way::SparingCopy, &SPARING_COPY, &mut findings);
    enough(&sparing.spared, "sends asked the kernel not to copy");
    let direct = measure(Way::Direct, &DIRECT, &mut findings);
    assert_eq!(direct.piped.load(Ordering::Relaxed), 0, "pipes hold pages of the cache");
    measure(Way::Limited, &LIMITED, &mut findings);
    testkit::expect_none("operations that cost more than they did", &findings);
}

/// Measures cases by each protocol, over one connection and several; answers what the server has done.
fn measure(way: Way, cases: &[Case], findings: &mut Vec<String>) -> Arc<Done> {
    let scratch = Scratch::new("steady");
    let serving = Arc::new(Serving::start(&scratch.directory("data"), way));
    let sites = std::env::var_os("STEADY_SITES").is_some();
    let operations = if sites { OPERATIONS_TRACED } else { OPERATIONS };
    let kinds = [1, 4].map(|connections| [Version::V4_2, Version::V3].map(|version| (version, connections)));
    for (version, connections) in kinds.into_iter().flatten() {
        for case in cases {
            let warm_up = WARM_UP.max(WARM_UP_ROUNDS * connections * case.depth);
            let plan = Plan { connections, depth: case.depth, warm_up, operations, sites };
            let server = Arc::clone(&serving);
            let locks = move || server.locks_taken();
            let Cost { counted, locks, time } = load::run(serving.address, version, case.work, plan, locks);
            let by_itself = NONE_PER_SECOND * time.as_secs_f64() / operations as f64;
            let what = format!("{} by NFSv{version}", case.name);
            print_row(&what, &plan, &counted, locks);
            let allocations = per_operation(counted.by_size.iter().sum(), operations);
            let what = format!("{what} over {connections} connections");
            if !sites && allocations > case.allocations_max + NONE + by_itself {
                let max = case.allocations_max;
                findings.push(format!("{what}: {allocations:.3} allocations each, {max} are known"));
            }
            if locks > 0 {
                findings.push(format!("{what}: {locks} times a lock that cores share"));
            }
        }
    }
    let done = Arc::into_inner(serving).expect("the clients have ended").stop();
    assert_eq!(done.shards.load(Ordering::Relaxed), SHARDS as u64, "shards have taken calls");
    done
}

fn per_operation(count: u64, operations: usize) -> f64 {
    count as f64 / operations as f64
}

fn print_heading() {
    print!("{:<31} {:>11} {:>9}", "operation", "connections", "allocs/op");
    SIZES_UP_TO.iter().for_each(|size| print!(" {:>9}", format!("<={size}")));
    println!(" {:>9} {:>9}", "larger", "locks/op");
}

fn print_row(what: &str, plan: &Plan, counted: &Counted, locks: u64) {
    let each = |count: u64| per_operation(count, plan.operations);
    print!("{what:<31} {:>11} {:>9.3}", plan.connections, each(counted.by_size.iter().sum()));
    counted.by_size.iter().for_each(|count| print!(" {:>9.3}", each(*count)));
    println!(" {:>9.3}", each(locks));
    for (site, count) in &counted.sites {
        println!("    {:>8.3} {site}", each(*count));
    }
}
