//! What the server's limits promise, held against the targets.

use simulation::experiment::accuracy::{Case, Pattern};
use simulation::experiment::{Figure, change, isolation, sharing};
use simulation::scheme::Kind;

/// Every pattern, on one to 64 cores.
fn check_accuracy(operation_bytes: u64, seconds: u64) {
    let mut misses = Vec::new();
    for cores in [1, 2, 16, 64] {
        for pattern in Pattern::ALL {
            let case = Case { scheme: Kind::Penstock, cores, operation_bytes, pattern, seconds, seed: 1 };
            let accuracy = case.run();
            let found = case.misses(&accuracy);
            misses.extend(found.into_iter().map(|miss| format!("{cores} cores, {}: {miss}", pattern.name())));
            if accuracy.refused > 0.0 {
                misses.push(format!("{cores} cores, {}: {} refused", pattern.name(), accuracy.refused));
            }
        }
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn limits_are_exact_with_operations_of_4_kib() {
    check_accuracy(4096, 2);
}

#[test]
fn limits_are_exact_with_operations_of_64_kib() {
    check_accuracy(65_536, 5);
}

#[test]
fn limits_are_exact_with_operations_of_1_mib() {
    check_accuracy(1 << 20, 10);
}

/// The figures of ours on many cores and few, each with a seed of its own.
fn check(measure: fn(Kind, usize, u64) -> Vec<Figure>, cores: &[usize]) {
    let mut misses = Vec::new();
    for (cores, seed) in cores.iter().zip(1..) {
        let missed = measure(Kind::Penstock, *cores, seed).into_iter().filter(|figure| !figure.holds());
        misses.extend(missed.map(|figure| format!("{cores} cores, seed {seed}: {figure:?}")));
    }
    assert!(misses.is_empty(), "{}", misses.join("\n"));
}

#[test]
fn changes_are_there_at_once() {
    check(change::figures, &[1, 2, 16, 64]);
}

#[test]
fn what_one_does_not_need_is_used_by_others() {
    check(sharing::use_of_all, &[1, 2, 16, 64]);
}

#[test]
fn equal_tenants_are_served_equally() {
    check(sharing::equality, &[1, 2, 16, 64]);
}

#[test]
fn reservations_hold() {
    check(sharing::reservations, &[1, 2, 16, 64]);
}

#[test]
fn a_protected_tenant_does_not_notice_others_on_one_core() {
    check(isolation::figures, &[1]);
}

#[test]
fn a_protected_tenant_does_not_notice_others_on_many_cores() {
    check(isolation::figures, &[16]);
}
