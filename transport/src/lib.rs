//! What transports have in common, whatever carries their messages.

#![forbid(unsafe_code)]

mod error;
mod load;
mod message;
mod pending;
mod signal;
mod timeout;
mod warnings;

pub use error::CallError;
pub use load::{Load, Loads};
pub use message::{CALL, Message, REPLY, prefix};
pub use pending::{Answer, Pending};
pub use signal::Signal;
pub use timeout::within;
pub use warnings::Warnings;
