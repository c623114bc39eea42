//! Who goes first among those who wait for the same.

use std::num::NonZeroU32;

use super::world::{MS, SECOND, World, bytes_per_second, per_second, read_of};
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

/// A server of a gigabyte per second for which clients wait on `cores` cores, each on those that it has a row for.
fn scarce(cores: u32, clients: &[(Limit, &[usize])]) -> World {
    let limits = Limits::new();
    limits.set(SERVER, None, Limit { scarce: true, ..bytes_per_second(10 * RATE) }, 0).unwrap();
    let mut world = World::new(&limits, cores);
    for (number, (limit, on)) in clients.iter().enumerate() {
        let client = Entity(10 + number as u128);
        limits.set(client, Some(SERVER), *limit, 0).unwrap();
        on.iter().for_each(|core| {
            world.ask(*core, &[client], read_of(64 << 10), 16);
        });
    }
    world
}

/// What each client got from `from_ns` to `to_ns`, as a part of the server's rate.
fn parts(world: &World, clients: &[(Limit, &[usize])], from_ns: u64, to_ns: u64) -> Vec<f64> {
    let mut askers = 0..;
    let whole = (to_ns - from_ns) as f64 / 1e9 * (10 * RATE) as f64;
    let of_client = |on: &&[usize]| {
        let bytes: u64 =
            on.iter().zip(&mut askers).map(|(_, one)| world.bytes(from_ns, to_ns, Some(one))).sum();
        bytes as f64 / whole
    };
    clients.iter().map(|(_, on)| on).map(of_client).collect()
}

#[test]
fn shares_are_as_the_weights_however_clients_lie_on_the_cores() {
    let clients: [(Limit, &[usize]); 3] =
        [(weight(300), &[0]), (weight(100), &[0, 1, 2, 3, 4]), (weight(100), &[5, 6])];
    let mut world = scarce(8, &clients);
    world.run_until(2 * SECOND);
    let parts = parts(&world, &clients, SECOND, 2 * SECOND);
    println!("{parts:?}");
    for (part, due) in parts.iter().zip([0.6, 0.2, 0.2]) {
        assert!((part - due).abs() < 0.02, "{parts:?}");
    }
}

#[test]
fn eight_equal_clients_with_skewed_connections_get_the_same() {
    let on: [&[usize]; 8] =
        [&[0], &[0, 1], &[1, 2, 3], &[4], &[4, 5, 6, 7, 8, 9], &[10, 11], &[12], &[12, 13, 14, 15]];
    let clients = on.map(|on| (Limit::default(), on));
    let mut world = scarce(16, &clients);
    world.run_until(3 * SECOND + 100 * MS);
    for second in 0..3 {
        let from_ns = second * SECOND + 100 * MS;
        let parts = parts(&world, &clients, from_ns, from_ns + SECOND);
        let (sum, squares) =
            parts.iter().fold((0.0, 0.0), |(sum, squares), part| (sum + part, squares + part * part));
        println!("Jain {:.4}, total {sum:.4}: {parts:.3?}", sum * sum / 8.0 / squares);
        assert!(sum * sum / 8.0 / squares >= 0.98 && sum >= 0.98, "{parts:?}");
    }
}

#[test]
fn background_on_many_cores_leaves_the_server_to_one_that_is_not() {
    let clients: [(Limit, &[usize]); 2] =
        [(tier(Tier::Normal), &[0]), (tier(Tier::Background), &[0, 1, 2, 3])];
    let mut world = scarce(4, &clients);
    world.run_until(2 * SECOND);
    let both = parts(&world, &clients, SECOND, 2 * SECOND);
    assert!(both[0] > 0.96 && (0.018..0.04).contains(&both[1]), "{both:?}");
}

#[test]
fn what_a_client_leaves_goes_to_the_others_at_once() {
    let clients: [(Limit, &[usize]); 2] = [(weight(900), &[0, 1]), (weight(100), &[2])];
    let mut world = scarce(3, &clients);
    for asker in 0..2 {
        world.askers[asker].wants = |now_ns, _| now_ns < SECOND;
    }
    world.run_until(2 * SECOND);
    let after = parts(&world, &clients, SECOND + 5 * MS, SECOND + 105 * MS);
    assert!(after[1] >= 0.98, "{after:?}");
}

fn reserved(rate: u64, limit: Limit) -> Limit {
    Limit { reserved: per_second(rate), ..limit }
}

#[test]
fn what_is_reserved_is_there_beside_many_who_want_all() {
    // Half of the server for one core's client; all other cores are full of others.
    let others: &[usize] = &[0, 1, 2, 3, 4, 5, 6, 7];
    let clients: [(Limit, &[usize]); 3] =
        [(reserved(5 * RATE, weight(1)), &[0]), (weight(1000), others), (weight(1000), others)];
    let mut world = scarce(8, &clients);
    world.run_until(2 * SECOND);
    let mut short = 0;
    for window in 0..90 {
        let from_ns = SECOND + window * 10 * MS;
        let parts = parts(&world, &clients, from_ns, from_ns + 100 * MS);
        short += u32::from(parts[0] < 0.95 * 0.5);
        assert!(parts.iter().sum::<f64>() <= 1.02, "{parts:?}");
    }
    let parts = parts(&world, &clients, SECOND, 2 * SECOND);
    println!("{parts:?}, short in {short} of 90 windows");
    assert!(short == 0 && parts[0] < 0.55 && parts.iter().sum::<f64>() > 0.98, "{parts:?}");
}

#[test]
fn what_is_reserved_and_not_wanted_is_not_lost() {
    let clients: [(Limit, &[usize]); 2] = [(reserved(9 * RATE, weight(1000)), &[0]), (weight(100), &[1])];
    let mut world = scarce(2, &clients);
    world.askers[0].wants = |now_ns, _| now_ns >= SECOND;
    world.run_until(2 * SECOND);
    let before = parts(&world, &clients, 200 * MS, SECOND);
    let after = parts(&world, &clients, SECOND, SECOND + 100 * MS);
    assert!(before[1] >= 0.98 && after[0] >= 0.88, "{before:?} {after:?}");
}

#[test]
fn a_limit_binds_whatever_is_reserved() {
    let clients: [(Limit, &[usize]); 2] =
        [(reserved(5 * RATE, bytes_per_second(2 * RATE)), &[0]), (weight(100), &[0, 1])];
    let mut world = scarce(2, &clients);
    world.run_until(2 * SECOND);
    let parts = parts(&world, &clients, SECOND, 2 * SECOND);
    assert!((parts[0] - 0.2).abs() < 0.005 && (parts[1] - 0.8).abs() < 0.01, "{parts:?}");
}
