//! Tests of the whole crate, each area with a helper of its own.

mod random;

pub(crate) use random::Random;
