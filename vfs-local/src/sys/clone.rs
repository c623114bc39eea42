//! Sharing of storage between files: the FICLONERANGE request.
//!
//! UNSAFETY: rustix has FICLONE only, and requests pass a pointer to a structure.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// `struct file_clone_range`.
#[repr(C)]
struct Range {
    source: i64,
    source_offset: u64,
    length: u64,
    target_offset: u64,
}

/// Makes the target's range share the source's storage; `length` 0 means to the source's end.
pub fn range(
    source: impl AsFd,
    source_offset: u64,
    target: impl AsFd,
    target_offset: u64,
    length: u64,
) -> Result<(), Errno> {
    let range = Range { source: i64::from(source.as_fd().as_raw_fd()), source_offset, length, target_offset };
    // SAFETY: the structure is laid out as the kernel defines it, is only read, and lives over the call.
    let answer =
        unsafe { libc::ioctl(target.as_fd().as_raw_fd(), libc::FICLONERANGE, std::ptr::from_ref(&range)) };
    if answer == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
