//! Payload memory: aligned, registered with the kernel once, and move-only.
//!
//! Each core has one [`Region`], mapped at start, and one [`Pool`] that lends it out in blocks. A payload
//! lives in a [`Chain`] of blocks whose addresses are congruent to the payload's file offset modulo the page
//! size, so that the same memory serves a socket, cached file I/O and direct file I/O without a copy.
//!
//! There are no reference counts and no clones of the memory: a chain has one owner, and dropping it gives its
//! blocks back. While the kernel may read or write a chain, the owner is the engine's in-flight table, which is
//! why operations take buffers by value and hand them back with the result ([`IoBuffer`], [`IoBufferMut`]).
//!
//! ```
//! let pool = buf::Pool::new(4 << 20).unwrap();
//! // 100 000 bytes that will be written at file offset 4096 * 7 + 512.
//! let mut chain = pool.take(100_000, 512).unwrap();
//! assert_eq!(chain.len(), 100_000);
//! let first = chain.as_mut_slices().next().unwrap();
//! assert_eq!(first.as_ptr() as usize % buf::PAGE_BYTES, 512);
//! first.fill(7);
//! drop(chain);
//! assert_eq!(pool.bytes_taken(), 0);
//! ```

mod chain;
mod io;
mod pipe;
mod pool;
mod region;
mod slots;
mod wait;

pub use chain::{Block, Chain};
pub use io::{IoBuffer, IoBufferMut, Piece, Slice};
pub use pipe::{PIPES_MAX, PipePool, Piped};
pub use pool::{CLASS_BYTES, Pool, TakeError};
pub use region::{REGISTRATION_BYTES_MAX, Region};
pub use slots::{Slot, Slots};
pub use wait::{Take, WAITERS_MAX};

/// The page: the unit of alignment of every block, and the modulus of [`Pool::take`].
pub const PAGE_BYTES: usize = 4096;

/// Most blocks in one chain, so that a chain's I/O vector is short and has a fixed bound: sixteen blocks of
/// 64 KiB still carry a payload of 1 MiB when all larger blocks are out.
pub const CHAIN_BLOCKS_MAX: usize = 16;
