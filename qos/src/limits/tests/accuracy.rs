//! The rate that is let through, in windows in which there is demand all the time.

use super::world::{MIB, MS, SECOND, World, always, bytes_per_second};
use crate::limits::{Entity, Limits};

const SERVER: Entity = Entity(1);
const RATE: u64 = 1_000_000_000;

/// The largest and the smallest deviation from the limit over windows of `window_ns`, as a part of the limit.
fn deviations(world: &World, rate: u64, window_ns: u64) -> (f64, f64) {
    let windows = (MS * 100..world.now_ns - window_ns).step_by((window_ns / 7) as usize);
    let parts = windows.map(|from_ns| {
        let bytes = world.bytes(from_ns, from_ns + window_ns, None);
        bytes as f64 / (rate as f64 * window_ns as f64 / 1e9) - 1.0
    });
    parts.fold((f64::MAX, f64::MIN), |(low, high), part| (low.min(part), high.max(part)))
}

/// Askers with `bytes` each on the first `busy` of `cores` cores.
fn world_of(cores: u32, busy: usize, bytes: u64, wants: fn(u64, usize) -> bool) -> World {
    let limits = Limits::new();
    limits.set(SERVER, None, bytes_per_second(RATE), 0).unwrap();
    let mut world = World::new(&limits, cores);
    for core in 0..busy {
        let asker = world.ask(core, &[SERVER], super::world::read_of(bytes), 4);
        world.askers[asker].wants = wants;
    }
    world.run_until(SECOND + 300 * MS);
    world
}

#[track_caller]
fn assert_accurate(world: &World, in_100_ms: f64, in_1_s: f64) {
    for (window_ns, bound) in [(100 * MS, in_100_ms), (SECOND, in_1_s)] {
        let (low, high) = deviations(world, RATE, window_ns);
        println!("{:5} ms: {:+.3} % .. {:+.3} %", window_ns / MS, low * 100.0, high * 100.0);
        assert!(-bound <= low && high <= bound, "{window_ns} ns: {low} .. {high}");
    }
}

#[test]
fn one_limit_is_exact_however_its_load_lies_on_the_cores() {
    for (cores, busy, bytes) in
        [(1, 1, 64 << 10), (16, 16, 4 << 10), (16, 1, 64 << 10), (64, 64, 64 << 10), (64, 3, 64 << 10)]
    {
        println!("{busy} of {cores} cores, {bytes} bytes");
        assert_accurate(&world_of(cores, busy, bytes, always), 0.02, 0.005);
    }
}

#[test]
fn a_large_operation_is_the_only_error_it_makes() {
    assert_accurate(&world_of(4, 4, MIB, always), 0.05, 0.005);
}

#[test]
fn load_that_moves_from_core_to_core_neither_loses_nor_gains() {
    // At each time half of the cores want something, others every 30 ms.
    let world = world_of(16, 16, 64 << 10, |now_ns, core| (now_ns / (30 * MS) + core as u64) % 4 < 2);
    assert_accurate(&world, 0.02, 0.005);
}

#[test]
fn a_full_rate_for_each_core_would_be_seen() {
    // Each core has a table of its own: the limit holds on each core, not on the server.
    let cores = (0..4).map(|number| {
        let limits = Limits::new();
        limits.set(SERVER, None, bytes_per_second(RATE), 0).unwrap();
        crate::limits::Core::new(&limits, number)
    });
    let mut world = World::of_cores(cores.collect());
    for core in 0..4 {
        world.ask(core, &[SERVER], super::world::read_of(64 << 10), 4);
    }
    world.run_until(SECOND);
    let (low, _) = deviations(&world, RATE, 100 * MS);
    assert!(low > 2.0, "the check must see four times the rate: {low}");
}

#[test]
fn operations_are_counted_in_units() {
    let limits = Limits::new();
    let mut limit = crate::limits::Limit::default();
    limit.operations.together = super::world::per_second(1000);
    limits.set(SERVER, None, limit, 0).unwrap();
    let mut world = World::new(&limits, 2);
    // 200 KiB are four operations of 64 KiB.
    world.ask(0, &[SERVER], super::world::read_of(200 << 10), 2);
    world.ask(1, &[SERVER], super::world::read_of(200 << 10), 2);
    world.run_until(2 * SECOND);
    let operations = world.bytes(SECOND, 2 * SECOND, None) / (200 << 10) * 4;
    assert!((990..=1010).contains(&operations), "{operations}");
}
