//! Parts of the server under a virtual clock: what decides when operations may go on, beside simpler ways to decide it.
//!
//! A run has cores, tenants whose operations come over connections on these cores, a device, and a [`scheme`] that lets
//! operations go on. It has no threads and no time of its own: the same seed gives the same run. [`experiment`] has what is
//! tried and the figures that come of it.

#![forbid(unsafe_code)]

mod agenda;
mod demand;
mod device;
pub mod experiment;
mod log;
pub mod plot;
mod random;
pub mod report;
pub mod results;
pub mod scheme;
mod world;

pub use log::{BIN_NS, Errors, Log, jain};
