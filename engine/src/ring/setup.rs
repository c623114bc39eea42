//! Making a ring with the best the kernel offers.
//!
//! UNSAFETY: registering the payload region hands its address to the kernel for the ring's lifetime.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;

use io_uring::IoUring;

use crate::ring::{Registered, Ring, kernel};

/// Completion queue entries per submission queue entry: an operation may complete several times, and an overflow
/// ends every multishot operation.
const COMPLETIONS_PER_SUBMISSION: u32 = 8;

/// What a ring got.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Offered {
    /// `IORING_SETUP_NO_SQARRAY` (6.6).
    pub(crate) no_sqarray: bool,
    /// `min_wait_usec` (6.12).
    pub(crate) min_wait: bool,
    /// The ring's descriptor is registered.
    pub(crate) registered_ring: bool,
}

/// Makes a ring in the calling thread, which alone may use it.
pub(crate) fn build(entries: u32) -> io::Result<(IoUring, bool)> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_submit_all()
        .setup_cqsize(entries.saturating_mul(COMPLETIONS_PER_SUBMISSION))
        .dontfork();
    // SETUP flags that a kernel does not know are refused with EINVAL, so the optional one is tried first.
    match builder.clone().setup_no_sqarray().build(entries) {
        Ok(uring) => Ok((uring, true)),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok((builder.build(entries)?, false)),
        Err(error) => Err(error),
    }
}

impl Ring {
    /// Makes a ring for the calling thread, with at most so many kernel workers for files, and for other work.
    pub(crate) fn open(entries: u32, workers: u32) -> io::Result<(Self, Offered)> {
        let (uring, no_sqarray) = build(entries)?;
        let min_wait = uring.params().is_feature_min_timeout();
        let registered_ring = kernel::register_ring(uring.as_raw_fd()).ok();
        if let Err(error) = uring.submitter().register_iowq_max_workers(&mut [workers, workers]) {
            tracing::warn!(%error, "the kernel's workers for this ring could not be capped");
        }
        let offered = Offered { no_sqarray, min_wait, registered_ring: registered_ring.is_some() };
        let registered = Registered::default();
        Ok((Self { uring, registered_ring, backlog: VecDeque::new(), registered, min_wait }, offered))
    }

    /// Registers the payload region, so that the kernel need not look its pages up for every direct I/O.
    ///
    /// # Safety
    ///
    /// The region outlives the ring.
    pub(crate) unsafe fn register_region(&mut self, region: &buf::Region) -> io::Result<()> {
        let slices = region.registration_slices();
        let buffers: Vec<_> = slices
            .into_iter()
            .map(|(address, bytes)| libc::iovec { iov_base: address.cast(), iov_len: bytes })
            .collect();
        // SAFETY: the slices are the region's own mapping, which the caller keeps longer than the ring.
        unsafe { self.uring.submitter().register_buffers(&buffers) }?;
        self.registered = Registered { base: region.address() as usize, bytes: region.bytes() };
        Ok(())
    }
}
