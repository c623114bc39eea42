//! What the calling thread's file system identity may do to an open object: faccessat2(2).
//!
//! UNSAFETY: rustix refuses the combination of flags that asks about a descriptor.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd};

use rustix::io::Errno;

/// Whether the thread, as its file system identity, has all of `mode` (R_OK, W_OK, X_OK) on `fd`.
pub fn allowed(fd: impl AsFd, mode: i32) -> Result<bool, Errno> {
    // SAFETY: the path is a NUL-terminated constant and all else are numbers.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_faccessat2,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            mode,
            libc::AT_EMPTY_PATH | libc::AT_EACCESS,
        )
    };
    if answer == 0 {
        return Ok(true);
    }
    match Errno::from_io_error(&std::io::Error::last_os_error()) {
        Some(Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY) => Ok(false),
        Some(other) => Err(other),
        None => Err(Errno::IO),
    }
}
