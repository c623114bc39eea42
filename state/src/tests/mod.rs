//! Tests of the whole crate, each area with a helper of its own.

mod anonymous;
mod clients;
mod courtesy;
mod duplicates;
mod fixture;
mod grace;
mod in_flight;
mod locks;
mod opens;
mod random;
mod recall;
mod sessions;
mod slots;
mod threads;

pub(crate) use random::Random;
