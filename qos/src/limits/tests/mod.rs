//! The limits under a clock of the tests' own: cores that always want more, or only now and then.

mod accuracy;
mod changes;
mod fairness;
mod model;
mod pace;
mod parking;
mod tree;
mod usage;
mod wheel;
mod world;
