//! Opening again what is open, by another identity or for another use: /proc/self/fd.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;

/// What most places need.
const PLACE_BYTES: usize = 256;

/// Where the process's descriptors are listed.
pub const DIRECTORY: &str = "/proc/self/fd";

/// A path that leads to the object `fd` is open on, past all names. The kernel checks the permissions of the
/// object itself only.
pub fn path(fd: impl AsFd) -> CString {
    let text = format!("{DIRECTORY}/{}", fd.as_fd().as_raw_fd());
    CString::new(text).unwrap_or_default()
}

/// Where the object is, as the kernel finds it from the root of its mount or of the process up.
pub fn place(fd: impl AsFd) -> Result<CString, Errno> {
    readlinkat(CWD, path(fd), Vec::with_capacity(PLACE_BYTES))
}

/// Opens the object anew, with the permissions of the thread's identity.
pub fn reopen(fd: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat(CWD, path(fd), flags | OFlags::CLOEXEC | OFlags::NOCTTY, Mode::empty())
}
