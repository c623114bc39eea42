//! Limits that change under load: lowered and raised, both at once on all cores.

use super::world::{MIB, MS, SECOND, World, bytes_per_second, ran, read_of, waits, woken};
use crate::limits::table::Defect;
use crate::limits::{Core, Decision, Entity, Limit, Limits, Path};

const CLIENT: Entity = Entity(7);

/// What two cores let through around a change from `before` to `after` bytes per second at one second.
fn changed(limits: &Limits, before: u64, after: u64, bytes: u64) -> World {
    limits.set(CLIENT, None, bytes_per_second(before), 0).unwrap();
    let mut world = World::new(limits, 2);
    world.ask(0, &[CLIENT], read_of(bytes), 4);
    world.ask(1, &[CLIENT], read_of(bytes), 4);
    world.run_until(SECOND);
    limits.set(CLIENT, None, bytes_per_second(after), SECOND).unwrap();
    world.run_until(SECOND + 200 * MS);
    world
}

/// What is let through in the tenth of a second that begins 10 ms after the change, in bytes per second.
fn rate_after(world: &World) -> u64 {
    world.bytes(SECOND + 10 * MS, SECOND + 110 * MS, None) * 10
}

fn is_lowered(limits: &Limits) -> bool {
    let world = changed(limits, 1_000_000_000, 20_000_000, 64 << 10);
    // From the change on: what the new rate gives in 10 ms, what it may have saved, one request per core.
    let at_once = world.bytes(SECOND, SECOND + 10 * MS, None);
    at_once <= 200_000 + 20_000 + 2 * (64 << 10) && rate_after(&world).abs_diff(20_000_000) <= 1_400_000
}

fn is_raised(limits: &Limits) -> bool {
    // A request of a mebibyte has a ticket that is a second ahead, on each core.
    rate_after(&changed(limits, 1_000_000, 1_000_000_000, MIB)) >= 950_000_000
}

#[test]
fn a_lowered_limit_holds_at_once_on_all_cores() {
    assert!(is_lowered(&Limits::new()));
    assert!(!is_lowered(&Limits::with_defect(Defect::SkippedGeneration)), "tokens of old terms must be seen");
}

#[test]
fn a_raised_limit_wakes_who_waits_on_all_cores() {
    assert!(is_raised(&Limits::new()));
    assert!(!is_raised(&Limits::with_defect(Defect::LostWakeUp)), "a lost wake-up must be seen");
}

#[test]
fn a_limit_that_is_taken_away_lets_everybody_go() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[CLIENT]);
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    for _ in 0..5 {
        waits(core.offer(&mut path, read_of(MIB), 0, 0));
    }
    limits.remove(CLIENT, MS).unwrap();
    assert_eq!(core.next_deadline_ns(), Some(0));
    assert_eq!(woken(&mut core, MS).len(), 5);
    ran(core.offer(&mut path, read_of(MIB), MS, MS));
}

#[test]
fn who_waits_below_a_new_limit_is_charged_to_it() {
    let limits = Limits::new();
    let server = Entity(1);
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[CLIENT, server]);
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    let _first = waits(core.offer(&mut path, read_of(MIB), 0, 0));
    let _second = waits(core.offer(&mut path, read_of(MIB), 0, 0));
    limits.set(server, None, bytes_per_second(MIB / 2), MS).unwrap();
    limits.set(CLIENT, None, Limit::default(), MS).unwrap();
    // The client's limit is gone; the server's lets one of the two go on, and the other after two seconds.
    assert_eq!(woken(&mut core, 2 * MS).len(), 1);
    assert!(woken(&mut core, SECOND).is_empty());
    assert_eq!(woken(&mut core, 2 * SECOND + 10 * MS).len(), 1);
}

#[test]
fn tokens_given_back_on_one_core_are_spent_on_another_soon() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    let (mut one, mut other) = (Core::new(&limits, 0), Core::new(&limits, 1));
    let (mut path, mut same) = (Path::new(&[CLIENT]), Path::new(&[CLIENT]));
    ran(one.offer(&mut path, read_of(MIB), 0, 0));
    let (first, _) = waits(one.offer(&mut path, read_of(5 * MIB), 0, 0));
    let (_, until_ns) = waits(other.offer(&mut same, read_of(MIB), 0, 0));
    assert!(until_ns >= 6 * SECOND, "it waits behind five seconds of the other core: {until_ns}");
    one.cancel(first, MS);
    assert_eq!(other.next_deadline_ns(), Some(0), "the other core is told");
    assert!(woken(&mut other, MS).is_empty());
    assert!(other.next_deadline_ns().unwrap() <= SECOND + 2 * MS);
    assert_eq!(woken(&mut other, SECOND + 2 * MS).len(), 1);
}

#[test]
fn a_debt_of_a_low_rate_does_not_outlive_it() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(1000), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[CLIENT]);
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    assert_eq!(
        core.offer(&mut path, read_of(MIB), 0, 0),
        Decision::Refuse,
        "a thousand seconds are too long"
    );
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), 0, 0));
    assert!(until_ns.abs_diff(SECOND) <= 2 * MS, "{until_ns}");
}
