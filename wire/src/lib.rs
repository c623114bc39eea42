//! Bytes to typed values and back: XDR, ONC RPC, record marking, NFSv4, NFSv3, MOUNT, rpcbind and
//! RPC-over-RDMA.
//!
//! Nothing here does I/O, reads a clock or holds state between calls. Every variable-length item has a
//! bound, a peer's length never sizes an allocation, and bulk data is a range of the stream, never a copy.
//! Decoding borrows from the received bytes, so the operations of the hot path allocate nothing.
#![forbid(unsafe_code)]

pub mod head;
mod listing;
pub mod mount3;
pub mod nfs3;
pub mod nfs4;
pub mod origin;
pub mod rdma;
pub mod record;
pub mod rpc;
pub mod rpcbind;
pub mod xdr;
