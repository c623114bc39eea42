//! Headers of RPC-over-RDMA, version 1 (RFC 8166, RFC 8167), and what peers tell each other when they connect (RFC 8797).
//!
//! Every message begins with a header that says where in memory of the requester the rest of it lies: what follows it in the
//! same Send is the payload stream, reduced by what lies in chunks. Nothing here has a length that a peer could size.

mod chunk;
mod header;
mod private_data;

pub use chunk::{Chunk, ReadList, ReadSegment, SEGMENTS_MAX, Segment};
pub use header::{Chunks, Content, ErrorCode, Failure, Header, Procedure, Received, Unacceptable};
pub use private_data::{Inline, PRIVATE_DATA_LEN, PrivateData};

/// The version of the protocol.
pub const VERSION: u32 = 1;
/// The port where NFS listens (RFC 8267 §9).
pub const PORT: u16 = 20_049;
