//! Who asks for what.

use crate::scheme::Policy;

/// Operations of one kind over some connections, charged to one client.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// What it may have.
    pub policy: Policy,
    /// The core of each of its connections.
    pub connections: Vec<usize>,
    /// How it asks.
    pub load: Load,
    /// When it asks.
    pub activity: Activity,
    /// Bytes of each operation.
    pub operation_bytes: u64,
}

/// How operations follow each other.
#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Each connection has so many operations outstanding: when one is done the next is there.
    Closed {
        /// How many.
        depth: usize,
    },
    /// They come when they come (Poisson), over any connection, however long others take.
    Open {
        /// Mean rate.
        operations_per_second: f64,
    },
}

/// When a tenant's connections ask.
#[derive(Clone, Copy, Debug)]
pub enum Activity {
    /// All the time.
    Always,
    /// Never: what it may have is there for others.
    Never,
    /// Each connection is on and off for random times of these means, but never all are off: the demand does not stop, it
    /// moves.
    Moving {
        /// Mean time on.
        on_ns: u64,
        /// Mean time off.
        off_ns: u64,
    },
    /// All together are on and off for these times.
    Pulsed {
        /// Time on.
        on_ns: u64,
        /// Time off.
        off_ns: u64,
    },
}

impl Tenant {
    /// One that asks for as much as it can get, with `depth` operations outstanding on each connection.
    pub fn greedy(policy: Policy, connections: Vec<usize>, depth: usize, operation_bytes: u64) -> Self {
        Self {
            policy,
            connections,
            load: Load::Closed { depth },
            activity: Activity::Always,
            operation_bytes,
        }
    }

    /// The same at other times.
    #[must_use]
    pub fn when(self, activity: Activity) -> Self {
        Self { activity, ..self }
    }
}

/// The cores of `count` connections when the first cores have the most: core k has 1/(k+1) of what core 0 has.
pub fn skewed(count: usize, cores: usize) -> Vec<usize> {
    let weight = |core: usize| 1.0 / (core + 1) as f64;
    let total: f64 = (0..cores).map(weight).sum();
    let core_at = |share: f64| {
        let mut below = 0.0;
        (0..cores).find(|core| {
            below += weight(*core) / total;
            share < below
        })
    };
    // The middle of each connection's share of all.
    (0..count).map(|number| core_at((number as f64 + 0.5) / count as f64).unwrap_or(cores - 1)).collect()
}
