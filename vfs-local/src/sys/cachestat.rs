//! What of a file is in the page cache: `cachestat(2)`, since Linux 6.5.
//!
//! UNSAFETY: neither rustix nor libc has the call, and it passes pointers to structures.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// The call's number, the same on all architectures.
const CACHESTAT: libc::c_long = 451;

/// `struct cachestat_range`.
#[repr(C)]
struct Range {
    offset: u64,
    length: u64,
}

/// `struct cachestat`.
#[repr(C)]
#[derive(Default)]
struct Counts {
    cached: u64,
    dirty: u64,
    writeback: u64,
    evicted: u64,
    recently_evicted: u64,
}

/// How many pages of the range are in the page cache, those included that are just being read. A file system that keeps
/// its data in another's files has none.
pub fn pages(file: impl AsFd, offset: u64, length: u64) -> Result<u64, Errno> {
    let (range, mut counts) = (Range { offset, length }, Counts::default());
    // SAFETY: both structures are laid out as the kernel defines them and live over the call; the first is only read.
    let answer = unsafe {
        libc::syscall(
            CACHESTAT,
            file.as_fd().as_raw_fd(),
            std::ptr::from_ref(&range),
            std::ptr::from_mut(&mut counts),
            0,
        )
    };
    if answer == 0 {
        return Ok(counts.cached);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
