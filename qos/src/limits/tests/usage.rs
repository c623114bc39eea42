//! What is told of those whose limits bind.

use crate::Kind;
use crate::limits::{Core, Cost, Decision, Entity, HOLD_NS_MAX, Limit, Limits, Path, Seat, Usage};

use super::world::{MS, SECOND, World, bytes_per_second, ran, read_of, waits, woken};

const CLIENT: Entity = Entity(1);
const OTHER: Entity = Entity(2);
const SERVER: Entity = Entity(3);
const BLOCK: u64 = 1 << 16;

fn seat(limits: &Limits, entity: Entity) -> Seat {
    limits.seat(entity).expect("it was set")
}

#[test]
fn what_is_let_through_is_counted_at_every_level() {
    let limits = Limits::new();
    limits.set(SERVER, None, Limit::default(), 0).unwrap();
    limits.set(CLIENT, Some(SERVER), bytes_per_second(100 * BLOCK), 0).unwrap();
    let mut world = World::new(&limits, 4);
    for core in 0..4 {
        world.ask(core, &[CLIENT], read_of(BLOCK), 2);
    }
    world.run_until(SECOND);
    let sum = |entity| -> Usage {
        let seat = seat(&limits, entity);
        world.cores.iter().map(|core| core.usage(seat)).sum()
    };
    let (client, server) = (sum(CLIENT), sum(SERVER));
    assert_eq!(client.read_bytes, world.bytes(0, SECOND, None));
    assert_eq!((client.read_bytes / BLOCK, client.reads), (client.reads, world.admitted.len() as u64));
    assert_eq!((server.read_bytes, server.reads), (client.read_bytes, client.reads));
    assert_eq!((client.written_bytes, client.writes, client.refused), (0, 0, 0));
    // Eight wait all the time, but for the moments in which one is let through.
    assert_eq!((client.parked, server.parked, server.waits, server.waited_ns), (8, 0, 0, 0));
    assert!((client.reads - 8..=client.reads).contains(&client.waits), "{client:?}");
    assert!((7 * SECOND..=8 * SECOND).contains(&client.waited_ns), "{client:?}");
}

#[test]
fn what_is_given_back_was_not_used() {
    let limits = Limits::new();
    limits.set(CLIENT, None, Limit::default(), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[CLIENT]);
    let write = Cost::new(Kind::Write, 3 * BLOCK, BLOCK);
    let charged = ran(core.offer(&mut path, write, 0, 0));
    core.refund(&path, write.less(Cost::new(Kind::Write, 2 * BLOCK, BLOCK)), charged, MS);
    core.owe(&mut path, read_of(5), MS);
    let told = core.usage(seat(&limits, CLIENT));
    let right = Usage { written_bytes: 2 * BLOCK, writes: 2, read_bytes: 5, reads: 1, ..Usage::default() };
    assert_eq!(told, right);
}

#[test]
fn waiting_is_counted_where_it_takes_place() {
    let limits = Limits::new();
    limits.set(SERVER, None, bytes_per_second(1 << 20), 0).unwrap();
    limits.set(CLIENT, Some(SERVER), Limit::default(), 0).unwrap();
    limits.set(OTHER, Some(SERVER), Limit::default(), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let (mut path, mut other) = (Path::new(&[CLIENT]), Path::new(&[OTHER]));
    ran(core.offer(&mut path, read_of(1 << 20), 0, SECOND));
    let (_, until_ns) = waits(core.offer(&mut path, read_of(1 << 20), SECOND, SECOND));
    let (given_up, _) = waits(core.offer(&mut other, read_of(BLOCK), SECOND, SECOND));
    let seats = [CLIENT, SERVER].map(|entity| seat(&limits, entity));
    assert_eq!(core.parked_at(&[CLIENT], &seats), (1, vec![0, 1]));
    assert_eq!(core.parked_at(&[OTHER], &seats[..1]), (1, vec![0]));
    assert_eq!(core.parked_at(&[SERVER], &seats), (2, vec![0, 2]), "it stands above both");
    assert_eq!(core.parked_at(&[], &seats), (2, vec![0, 2]));
    assert_eq!(core.parked_at(&[Entity(9)], &seats), (0, vec![0, 0]));
    assert_eq!(core.usage(seats[1]).parked, 2);

    core.cancel(given_up, SECOND + 3 * MS);
    let at_ns = until_ns + MS;
    assert_eq!(woken(&mut core, at_ns).len(), 1);
    let server = core.usage(seats[1]);
    assert_eq!((server.waits, server.parked, server.waited_ns), (2, 0, 3 * MS + at_ns - SECOND));
    assert_eq!(core.usage(seats[0]).waits, 0);

    // Two take longer than anybody is held.
    let much = read_of((1 << 20) * (HOLD_NS_MAX / SECOND) * 3 / 4);
    waits(core.offer(&mut path, much, at_ns, at_ns));
    waits(core.offer(&mut path, much, at_ns, at_ns));
    assert_eq!(core.offer(&mut path, much, at_ns, at_ns), Decision::Refuse);
    assert_eq!(core.usage(seats[1]).refused, 1);
}

#[test]
fn who_comes_later_has_not_used_what_others_did() {
    let limits = Limits::new();
    limits.set(CLIENT, None, bytes_per_second(BLOCK), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    let before = seat(&limits, CLIENT);
    ran(core.offer(&mut Path::new(&[CLIENT]), read_of(1), 0, SECOND));
    assert_eq!(core.usage(before).reads, 1);
    limits.set(CLIENT, None, bytes_per_second(2 * BLOCK), SECOND).unwrap();
    assert_eq!(seat(&limits, CLIENT), before, "a change of its limit is none of who it is");
    ran(core.offer(&mut Path::new(&[CLIENT]), read_of(1), 0, SECOND + MS));
    assert_eq!(core.usage(before).reads, 2);

    limits.remove(CLIENT, SECOND).unwrap();
    limits.set(OTHER, None, bytes_per_second(BLOCK), SECOND).unwrap();
    let after = seat(&limits, OTHER);
    assert_eq!((core.usage(before), core.usage(after)), (Usage::default(), Usage::default()));
    ran(core.offer(&mut Path::new(&[OTHER]), read_of(1), 0, 2 * SECOND));
    assert_eq!((core.usage(before), core.usage(after).reads), (Usage::default(), 1));
    assert_eq!(limits.seat(CLIENT), None);
}
