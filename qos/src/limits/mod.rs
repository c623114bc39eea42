//! The limits tree: what clients, exports, sets of files and the server as a whole may use, changed while they use it.
//!
//! An [`Entity`] has a [`Limit`] and a parent. A request is charged to every entity on its [`Path`]; where one of them has
//! nothing left, it is parked until its turn comes. What the cores of a server share of an entity is one point in time
//! per meter, from which a core takes tokens for many requests at once; what it does not spend it gives back. The
//! error of a rate over any time is therefore bounded by one slice of a millisecond, one request per core and the burst.
//!
//! A [`Core`] is one core's part. It takes the time as an argument and touches no lock that cores share, except where a
//! path is looked up. [`Limits`] is what they share, and is changed from any thread.

mod bucket;
mod core;
mod limit;
mod local;
mod mailbox;
mod pace;
mod path;
mod queue;
mod share;
mod table;
mod usage;
mod wheel;
mod word;

#[cfg(test)]
mod tests;

pub use self::core::{Charged, Core, Decision, HOLD_NS_MAX, Turn, Woken, Worked};
pub use limit::{BURST_NS_DEFAULT, Cost, Entity, IO_UNIT_BYTES_DEFAULT, Limit, Rates, Tier, reservable};
pub use path::{PATH_ENTITIES_MAX, PATH_LEAVES_MAX, Path, WEIGHT_DEFAULT};
pub use table::{CORES_MAX, ENTITIES_MAX, Limits, Refusal, Seat};
pub use usage::Usage;
