//! What must hold for whatever a peer sends. Each module is one fuzz target: its `check` gets the fuzzer's
//! bytes and panics when something does not hold. `scripts/fuzz` runs them, beginning from the inputs in
//! `seeds/`, which the example `seeds` makes with the encoders of `wire`.
//!
//! Allocations are bounded from outside: `scripts/fuzz` lets the fuzzer fail on a single allocation that an
//! input of its size cannot justify.
#![forbid(unsafe_code)]

pub mod annotation;
pub mod attributes;
pub mod callback;
pub mod compound;
pub mod head;
pub mod mount3;
pub mod nfs3_call;
pub mod nfs3_reply;
pub mod rdma;
pub mod record;
pub mod results;
mod round_trip;
pub mod rpc_call;
pub mod rpcbind;
