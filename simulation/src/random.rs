//! Random numbers that are the same for the same seed.

/// Where they come from.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The numbers of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound)
    }

    /// A number from 0 up to, and not, 1.
    pub fn unit(&mut self) -> f64 {
        self.0.f64()
    }

    /// A time between two events that know nothing of each other, of this mean.
    pub fn exponential_ns(&mut self, mean_ns: f64) -> u64 {
        (-(1.0 - self.unit()).ln() * mean_ns) as u64
    }
}
