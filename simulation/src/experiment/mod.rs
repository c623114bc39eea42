//! What is tried, and the figures that come of it.

pub mod accuracy;
pub mod change;
pub mod isolation;
pub mod sharing;

use crate::device::Device;
use crate::scheme::Policy;
use crate::world::Setup;

/// The limit that accuracy is judged by, in bytes per second.
pub const LIMIT: u64 = 1_000_000_000;

/// Operations that a connection has outstanding where it asks for as much as it can get: so many that, if none were held, it
/// would get several times [`LIMIT`] from a device that is not busy.
fn depth(operation_bytes: u64) -> usize {
    (262_144 / operation_bytes).max(16) as usize
}

const MS_NS: u64 = 1_000_000;

/// A device that is never busy.
const IDLE_DEVICE: Device = Device { latency_ns: 20_000, jitter_ns: 10_000, reads_4k_per_second: None };

/// A run of nobody, to be filled in.
fn empty(cores: usize, seconds: u64, seed: u64) -> Setup {
    Setup {
        cores,
        server: Policy::NONE,
        tenants: Vec::new(),
        device: IDLE_DEVICE,
        away_ns_max: None,
        changes: Vec::new(),
        duration_ns: seconds * 1_000 * MS_NS,
        counted_from_ns: 0,
        seed,
    }
}

/// A figure beside what is asked for.
#[derive(Clone, Debug)]
pub struct Figure {
    /// What it says.
    pub name: String,
    /// What came of it.
    pub value: f64,
    /// What is asked for.
    pub target: Target,
    /// Of both.
    pub unit: Unit,
}

/// What is asked for of a figure.
#[derive(Clone, Copy, Debug)]
pub enum Target {
    /// No less.
    AtLeast(f64),
    /// No more.
    AtMost(f64),
}

/// What a figure is in.
#[derive(Clone, Copy, Debug)]
pub enum Unit {
    /// Of two of the same, or an index.
    Ratio,
    /// A part of all.
    Part,
    /// Milliseconds.
    Ms,
    /// Millions of bytes.
    Megabytes,
}

impl Figure {
    fn new(name: impl Into<String>, value: f64, target: Target, unit: Unit) -> Self {
        Self { name: name.into(), value, target, unit }
    }

    /// Whether it is farther from what is asked for, beside what may be asked for on another number of cores.
    pub fn is_worse_than(&self, other: &Self) -> bool {
        match (self.target, other.target) {
            (Target::AtMost(most), Target::AtMost(of_other)) => self.value - most > other.value - of_other,
            _ => self.value < other.value,
        }
    }

    /// Whether it is good enough.
    pub fn holds(&self) -> bool {
        match self.target {
            Target::AtLeast(least) => self.value >= least,
            Target::AtMost(most) => self.value <= most,
        }
    }
}
