//! The checklist of RPC-over-RDMA, version 1 (RFC 8166, 8167, 8267, 8797), item by item, over adapters within the process.

mod agreement;
mod arguments;
mod asking;
mod callbacks;
mod credits;
mod endings;
mod keys;
mod lies;
mod malformed;
mod random;
mod reading;
mod results;
mod support;
