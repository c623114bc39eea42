//! What a protected tenant notices of others that ask for much more than there is.

use super::Target::{AtLeast, AtMost};
use super::{Figure, MS_NS, Unit, depth, empty};
use crate::demand::{Load, Tenant};
use crate::device::Device;
use crate::log::Log;
use crate::scheme::{Kind, Policy};
use crate::world;

/// A fast device: 2 GB/s in reads of 4 KiB, 3.5 GB/s in reads of 1 MiB.
const DEVICE: Device = Device { latency_ns: 60_000, jitter_ns: 20_000, reads_4k_per_second: Some(500_000) };

/// A fifth of what the device does in reads of 4 KiB.
const SERVER_LIMIT: u64 = 400_000_000;

/// What the victim has reserved.
const RESERVED: u64 = SERVER_LIMIT / 5;
const VICTIM_BYTES: u64 = 4096;

/// Which part of its reservation it asks for.
const LOAD: f64 = 0.9;

/// The figures of a scheme.
pub fn figures(scheme: Kind, cores: usize, seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (place, scarce) in [("limited server", Scarce::Limit), ("busy device", Scarce::Device)] {
        for (size, noise_bytes) in [("4 KiB", 4096), ("1 MiB", 1 << 20)] {
            let of = measure(scheme, cores, scarce, noise_bytes, seed);
            let name = |what| format!("victim's {what}, {place}, noise of {size}");
            figures.extend([
                Figure::new(name("p99 beside alone"), of.p99_ratio, AtMost(1.25), Unit::Ratio),
                Figure::new(name("p99.9 beside alone"), of.p999_ratio, AtMost(1.5), Unit::Ratio),
                Figure::new(name("retention"), of.retention, AtLeast(0.97), Unit::Part),
            ]);
        }
    }
    figures
}

/// Where there is too little.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scarce {
    /// The server has a limit, far below what the device does.
    Limit,
    /// The server has none: the device has too little.
    Device,
}

/// What the victim had beside others, and alone.
#[derive(Clone, Copy, Debug)]
pub struct Isolation {
    /// The slowest hundredth, beside that alone.
    pub p99_ratio: f64,
    /// The slowest thousandth.
    pub p999_ratio: f64,
    /// Throughput beside that alone.
    pub retention: f64,
    /// The slowest hundredth beside others, in microseconds.
    pub p99_us: f64,
}

/// A protected victim that asks, at random, for less than what is reserved for it, alone and beside four others that ask for as
/// much as they can get in operations of `noise_bytes`.
pub fn measure(scheme: Kind, cores: usize, scarce: Scarce, noise_bytes: u64, seed: u64) -> Isolation {
    let run = |with_noise: bool| -> Log {
        let mut setup = empty(cores, 4, seed);
        setup.counted_from_ns = 1_000 * MS_NS;
        setup.device = DEVICE;
        if scarce == Scarce::Limit {
            setup.server = Policy::limited(SERVER_LIMIT);
        }
        let everywhere: Vec<usize> = (0..cores).collect();
        let policy = Policy { is_protected: true, ..Policy::reserved(RESERVED) };
        let mut victim = Tenant::greedy(policy, everywhere.clone(), depth(VICTIM_BYTES), VICTIM_BYTES);
        victim.load = Load::Open { operations_per_second: LOAD * RESERVED as f64 / VICTIM_BYTES as f64 };
        setup.tenants = vec![victim];
        if with_noise {
            let noise = Tenant::greedy(Policy::NONE, everywhere, depth(noise_bytes), noise_bytes);
            setup.tenants.extend(vec![noise; 4]);
        }
        world::run(&setup, scheme.build(&setup)).swap_remove(0)
    };
    let (alone, beside) = (run(false), run(true));
    let ratio = |quantile| beside.latency_ns(quantile) as f64 / alone.latency_ns(quantile) as f64;
    Isolation {
        p99_ratio: ratio(0.99),
        p999_ratio: ratio(0.999),
        retention: beside.total() as f64 / alone.total() as f64,
        p99_us: beside.latency_ns(0.99) as f64 / 1e3,
    }
}
