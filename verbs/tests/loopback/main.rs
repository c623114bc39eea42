//! The network within the process does what a real one does, also what a careless caller would rather it did not.

mod connections;
mod faults;
mod messages;
mod notices;
mod remote;
mod side;
mod threads;
