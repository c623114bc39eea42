//! Who goes first among those who wait for the same.

use std::num::NonZeroU32;

use super::world::{SECOND, World, bytes_per_second, read_of};
use crate::limits::{Entity, Limit, Limits, Tier};

const SERVER: Entity = Entity(1);
const RATE: u64 = 100_000_000;

/// What two clients get of one server's rate on one core, as a part of it.
fn shares(one: Limit, other: Limit) -> (f64, f64) {
    let limits = Limits::new();
    limits.set(SERVER, None, bytes_per_second(RATE), 0).unwrap();
    limits.set(Entity(10), Some(SERVER), one, 0).unwrap();
    limits.set(Entity(11), Some(SERVER), other, 0).unwrap();
    let mut world = World::new(&limits, 1);
    let askers = [Entity(10), Entity(11)].map(|client| world.ask(0, &[client], read_of(64 << 10), 8));
    world.run_until(4 * SECOND);
    let part = |asker| world.bytes(SECOND, 4 * SECOND, Some(asker)) as f64 / (3 * RATE) as f64;
    (part(askers[0]), part(askers[1]))
}

fn weight(weight: u32) -> Limit {
    Limit { weight: NonZeroU32::new(weight), ..Limit::default() }
}

fn tier(tier: Tier) -> Limit {
    Limit { tier: Some(tier), ..Limit::default() }
}

#[test]
fn shares_are_as_the_weights() {
    let (one, other) = shares(weight(300), weight(100));
    assert!((one - 0.75).abs() < 0.01 && (other - 0.25).abs() < 0.01, "{one} {other}");
}

#[test]
fn who_is_limited_leaves_the_rest_to_others() {
    let (one, other) =
        shares(Limit { weight: NonZeroU32::new(900), ..bytes_per_second(RATE / 5) }, weight(100));
    assert!((one - 0.2).abs() < 0.01 && (other - 0.8).abs() < 0.01, "{one} {other}");
}

#[test]
fn background_gets_what_others_leave_and_a_fiftieth_at_least() {
    let (normal, background) = shares(tier(Tier::Normal), tier(Tier::Background));
    assert!((0.019..0.025).contains(&background), "{normal} {background}");
    let (_, alone) = shares(bytes_per_second(RATE / 10), tier(Tier::Background));
    assert!((alone - 0.9).abs() < 0.01, "{alone}");
}
