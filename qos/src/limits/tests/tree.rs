//! The table of entities.

use std::num::NonZeroU64;

use super::world::{MIB, bytes_per_second, ran, read_of, waits};
use crate::limits::{Core, Entity, Limit, Limits, Path, Refusal};

const SERVER: Entity = Entity(1);
const EXPORT: Entity = Entity(2);
const CLIENT: Entity = Entity(3);

#[test]
fn mistakes_are_named_and_change_nothing() {
    let limits = Limits::new();
    let none = Limit::default();
    assert_eq!(limits.set(EXPORT, Some(SERVER), none, 0), Err(Refusal::Unknown(SERVER)));
    limits.set(SERVER, None, none, 0).unwrap();
    limits.set(EXPORT, Some(SERVER), none, 0).unwrap();
    assert_eq!(limits.set(SERVER, Some(EXPORT), none, 0), Err(Refusal::Circle));
    assert_eq!(limits.remove(SERVER, 0), Err(Refusal::HasChildren));
    assert_eq!(limits.remove(CLIENT, 0), Err(Refusal::Unknown(CLIENT)));
    let below = (10..16).fold(EXPORT, |above, key| {
        limits.set(Entity(key), Some(above), none, 0).unwrap();
        Entity(key)
    });
    assert_eq!(limits.set(CLIENT, Some(below), none, 0), Err(Refusal::TooDeep));
    assert_eq!(limits.list().len(), 8);
    limits.remove(below, 0).unwrap();
    limits.set(CLIENT, Some(SERVER), bytes_per_second(5), 0).unwrap();
    assert_eq!(limits.get(CLIENT), Some((bytes_per_second(5), Some(SERVER))));
}

#[test]
fn a_request_is_charged_on_its_whole_path() {
    let limits = Limits::new();
    limits.set(SERVER, None, bytes_per_second(MIB), 0).unwrap();
    limits.set(EXPORT, Some(SERVER), Limit::default(), 0).unwrap();
    limits.set(CLIENT, None, bytes_per_second(4 * MIB), 0).unwrap();
    let mut core = Core::new(&limits, 0);
    // A client without limits of its own exhausts the server for all.
    ran(core.offer(&mut Path::new(&[Entity(99), EXPORT]), read_of(MIB), 0, 0));
    let mut path = Path::new(&[CLIENT, EXPORT]);
    let (_, until_ns) = waits(core.offer(&mut path, read_of(MIB), 0, 0));
    assert!(until_ns >= 990_000_000, "{until_ns}");
}

#[test]
fn a_path_finds_what_came_later() {
    let limits = Limits::new();
    let mut core = Core::new(&limits, 0);
    let mut path = Path::new(&[CLIENT]);
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    limits.set(CLIENT, None, bytes_per_second(MIB), 0).unwrap();
    ran(core.offer(&mut path, read_of(MIB), 0, 0));
    waits(core.offer(&mut path, read_of(MIB), 0, 0));
}

#[test]
fn a_hundred_thousand_entities_fit_and_leave_room_for_those_that_follow() {
    let limits = Limits::new();
    for round in 0..2 {
        for key in 0..100_000 {
            limits.set(Entity(round << 32 | key), None, bytes_per_second(MIB), 0).unwrap();
        }
        assert_eq!(limits.list().len(), 100_000);
        for key in 0..100_000 {
            limits.remove(Entity(round << 32 | key), 0).unwrap();
        }
    }
    assert!(std::mem::size_of::<crate::limits::local::Local>() + 48 <= 256);
}

#[test]
fn no_more_is_reserved_than_there_is() {
    let limits = Limits::new();
    let half = Limit { reserved: NonZeroU64::new(500), ..Limit::default() };
    limits.set(SERVER, None, Limit { scarce: true, ..bytes_per_second(1000) }, 0).unwrap();
    limits.set(CLIENT, None, half, 0).unwrap();
    assert_eq!(limits.set(EXPORT, None, half, 0), Err(Refusal::Overbooked(SERVER)));
    assert_eq!(limits.get(EXPORT), None);
    let low = Limit { scarce: true, ..bytes_per_second(555) };
    assert_eq!(limits.set(SERVER, None, low, 0), Err(Refusal::Overbooked(SERVER)));
    limits.set(SERVER, None, Limit { scarce: true, ..bytes_per_second(556) }, 0).unwrap();
    limits.set(CLIENT, None, half, 0).unwrap();
}
