//! Who waits, until when, and what happens to those who do not want to any more.

use super::world::{MIB, MS, SECOND, World, bytes_per_second, ran, read_of, waits, woken};
use crate::limits::{Core, Decision, Entity, HOLD_NS_MAX, Limits, Path};

const CLIENT: Entity = Entity(7);
const OTHER: Entity = Entity(8);
const EXPORT: Entity = Entity(20);
const ELSEWHERE: Entity = Entity(21);

/// One core with a limit of a mebibyte per second for the client.
fn core_and_path() -> (Core, Path) {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    (Core::new(&limits, 0), Path::new(&[CLIENT]))
}

#[test]
fn who_is_charged_to_nobody_never_waits() {
    let (mut core, _) = core_and_path();
    for mut path in [Path::none(), Path::new(&[OTHER])] {
        for _ in 0..100 {
            ran(core.offer(&mut path, read_of(MIB), 0, 0));
        }
    }
    assert_eq!(core.next_deadline_ns(), None);
}

#[test]
fn an_operation_of_many_slices_passes_and_those_behind_it_wait_for_it() {
    let (mut core, mut path) = core_and_path();
    ran(core.offer(&mut path, read_of(4 * MIB), 0, 0));
    let (turn, until_ns) = waits(core.offer(&mut path, read_of(8 * MIB), 0, 0));
    assert!(until_ns.abs_diff(4 * SECOND) <= 2 * MS, "{until_ns}");
    assert!(woken(&mut core, 3_990 * MS).is_empty());
    let [one] = woken(&mut core, 4_001 * MS)[..] else { panic!("it is woken once") };
    assert_eq!(one.turn, turn);
    assert!(one.charged.is_some());
    let (_, until_ns) = waits(core.offer(&mut path, read_of(1), 4_001 * MS, 4_001 * MS));
    assert!(until_ns.abs_diff(12 * SECOND) <= 3 * MS, "{until_ns}");
}

#[test]
fn nobody_is_held_longer_than_the_bound() {
    let (mut core, mut path) = core_and_path();
    let now_ns = 10 * SECOND;
    ran(core.offer(&mut path, read_of(15 * MIB), now_ns, now_ns));
    // Its payload took six seconds to come: the hold began then.
    assert_eq!(core.offer(&mut path, read_of(MIB), now_ns - 6 * SECOND, now_ns), Decision::Refuse);
    for _ in 0..6 {
        let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), now_ns, now_ns));
        assert!(until_ns < now_ns + HOLD_NS_MAX);
    }
    assert_eq!(core.offer(&mut path, read_of(MIB), now_ns, now_ns), Decision::Refuse);
}

#[test]
fn who_waits_when_a_limit_is_lowered_is_refused_at_the_bound() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    let (mut core, mut path) = (Core::new(&limits, 0), Path::new(&[CLIENT]));
    for _ in 0..10 {
        core.offer(&mut path, read_of(MIB), 0, 0);
    }
    limits.set(CLIENT, None, bytes_per_second(MIB / 10), 0).unwrap();
    let mut outcomes = Vec::new();
    for now_ms in 0..=20_010 {
        outcomes.extend(woken(&mut core, now_ms * MS).iter().map(|one| (one.charged.is_some(), now_ms)));
    }
    let late = outcomes.iter().filter(|(is_charged, _)| !is_charged).map(|(_, now_ms)| *now_ms);
    assert!(late.clone().all(|now_ms| (20_000..=20_001).contains(&now_ms)), "{outcomes:?}");
    assert_eq!((outcomes.len(), core.parked_count()), (9, 0));
    assert_eq!(late.count(), 7, "one at 1 s, one at 11 s");
}

#[test]
fn what_was_charged_in_vain_comes_back() {
    let (mut core, mut path) = core_and_path();
    let charged = ran(core.offer(&mut path, read_of(MIB), 0, 0));
    let (_, _) = waits(core.offer(&mut path, read_of(MIB / 2), 0, 0));
    // The file ended after half of it.
    core.refund(&path, read_of(MIB).less(read_of(MIB / 2)), charged, 10 * MS);
    assert_eq!(core.next_deadline_ns(), Some(0), "who waits may have it");
    assert_eq!(woken(&mut core, 10 * MS).len(), 1);
    assert!(matches!(core.offer(&mut path, read_of(1), 10 * MS, 10 * MS), Decision::Wait { .. }));
}

#[test]
fn what_was_charged_before_a_change_does_not_come_back_after_it() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(100 * MIB), 0).unwrap();
    let (mut core, mut path) = (Core::new(&limits, 0), Path::new(&[CLIENT]));
    let charged = ran(core.offer(&mut path, read_of(100 * MIB), 0, 0));
    let now_ns = SECOND + MS;
    limits.set(CLIENT, None, bytes_per_second(MIB), now_ns).unwrap();
    ran(core.offer(&mut path, read_of(MIB), now_ns, now_ns));
    core.refund(&path, read_of(100 * MIB), charged, now_ns);
    let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), now_ns, now_ns));
    assert!(until_ns >= 2 * SECOND - 2 * MS, "{until_ns}");
}

#[test]
fn a_cost_known_afterwards_is_paid_by_those_who_come_next() {
    for (owed_bytes, wait_ns) in [(MIB / 2, SECOND / 2), (MIB, SECOND), (100 * MIB, SECOND)] {
        let (mut core, mut path) = core_and_path();
        core.owe(&mut path, read_of(owed_bytes), 0);
        core.owe(&mut path, read_of(owed_bytes / 1000), 0);
        let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), 0, 0));
        assert!(until_ns.abs_diff(wait_ns) <= 2 * MS, "{until_ns} ns for {owed_bytes} bytes");
    }
}

#[test]
fn who_gives_up_leaves_no_trace() {
    let (mut core, mut path) = core_and_path();
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    let (first, _) = waits(core.offer(&mut path, read_of(10 * MIB), 0, 0));
    let (second, _) = waits(core.offer(&mut path, read_of(MIB), 0, 0));
    core.cancel(first, MS);
    core.cancel(first, MS);
    let outcomes = woken(&mut core, SECOND + 5 * MS);
    assert_eq!(outcomes.iter().map(|one| one.turn).collect::<Vec<_>>(), [second]);
    assert_eq!(core.parked_count(), 0);
    // What the one that gave up would have taken is there for others.
    let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), SECOND + 5 * MS, SECOND + 5 * MS));
    assert!(until_ns <= 2 * SECOND + 20 * MS, "{until_ns}");
}

#[test]
fn those_of_one_flow_go_on_in_order_of_arrival() {
    let (mut core, mut path) = core_and_path();
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    let turns: Vec<_> = (0..6).map(|_| waits(core.offer(&mut path, read_of(MIB), 0, 0)).0).collect();
    let mut order = Vec::new();
    for now_ms in 0..7_000 {
        order.extend(woken(&mut core, now_ms * MS).iter().map(|one| one.turn));
    }
    assert_eq!(order, turns);
}

#[test]
fn who_waits_for_one_export_does_not_hold_up_the_other() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(100 * MIB), 0).unwrap();
    limits.set(EXPORT, None, bytes_per_second(MIB), 0).unwrap();
    let mut world = World::new(&limits, 1);
    let slow = world.ask(0, &[CLIENT, EXPORT], read_of(64 << 10), 16);
    let fast = world.ask(0, &[CLIENT, ELSEWHERE], read_of(64 << 10), 16);
    world.run_until(2 * SECOND);
    let (slow, fast) =
        (world.bytes(SECOND, 2 * SECOND, Some(slow)), world.bytes(SECOND, 2 * SECOND, Some(fast)));
    assert!(slow.abs_diff(MIB) <= 128 << 10, "{slow}");
    assert!((98 * MIB..=100 * MIB).contains(&fast), "{fast}");
}

#[test]
fn two_exhausted_entities_do_not_send_a_request_to_and_fro_for_ever() {
    let limits = Limits::new();
    for entity in [CLIENT, EXPORT] {
        limits.set(entity, None, bytes_per_second(10 * MIB), 0).unwrap();
    }
    let mut world = World::new(&limits, 1);
    let both = world.ask(0, &[CLIENT, EXPORT], read_of(64 << 10), 8);
    world.ask(0, &[CLIENT, ELSEWHERE], read_of(64 << 10), 8);
    world.ask(0, &[OTHER, EXPORT], read_of(64 << 10), 8);
    world.run_until(3 * SECOND);
    let part = world.bytes(SECOND, 3 * SECOND, Some(both)) as f64 / (20 * MIB) as f64;
    assert!(part > 0.2, "it gets {part} of what it waits for twice");
    assert_eq!(world.refused, 0);
}

#[test]
fn a_core_on_which_more_comes_to_wait_does_not_take_its_share_for_what_it_was() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(100 * MIB), 0).unwrap();
    let (mut one, mut other) = (Core::new(&limits, 0), Core::new(&limits, 1));
    let (mut path, mut same) = (Path::new(&[CLIENT]), Path::new(&[CLIENT]));
    ran(one.offer(&mut path, read_of(MIB), MS, MS));
    (0..8).for_each(|_| {
        waits(one.offer(&mut path, read_of(MIB), MS, MS));
    });
    waits(other.offer(&mut same, read_of(4096), MS, MS));
    for _ in 0..8 {
        let (_, until_ns) = waits(other.offer(&mut same, read_of(MIB), MS, MS));
        assert!(until_ns < 300 * MS, "{until_ns}");
    }
}

#[test]
fn tokens_that_nobody_spends_go_back_after_a_slice() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(1000 * MIB), 0).unwrap();
    let (mut one, mut other) = (Core::new(&limits, 0), Core::new(&limits, 1));
    let (mut path, mut same) = (Path::new(&[CLIENT]), Path::new(&[CLIENT]));
    assert!(woken(&mut one, 10 * MS).is_empty());
    ran(one.offer(&mut path, read_of(4096), 10 * MS, 10 * MS));
    let due_ns = one.next_deadline_ns().expect("the rest of the slice is to go back");
    assert!((11 * MS..12 * MS).contains(&due_ns), "{due_ns}");
    assert!(woken(&mut one, due_ns).is_empty());
    assert_eq!(one.next_deadline_ns(), None);
    // Both slices and the burst are there for the other core, but for what was spent.
    let mut bytes = 0;
    while let Decision::Run(_) = other.offer(&mut same, read_of(4096), due_ns, due_ns) {
        bytes += 4096;
    }
    assert!((MIB..=2 * MIB + MIB / 2).contains(&bytes), "{bytes}");
}
