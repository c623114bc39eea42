//! Kernel file handles: name_to_handle_at(2) and open_by_handle_at(2).
//!
//! UNSAFETY: rustix has neither call, and the handle is a structure of variable length.

#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// The longest kernel handle taken: with the mount number and the type it fills a node handle.
pub const KERNEL_HANDLE_BYTES_MAX: usize = 32;

/// A kernel file handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelHandle {
    /// Its type, the file system's business.
    pub kind: i32,
    /// How many of `bytes` count.
    pub length: usize,
    /// The opaque bytes.
    pub bytes: [u8; KERNEL_HANDLE_BYTES_MAX],
}

/// `struct file_handle` with room for the longest handle taken.
#[repr(C)]
struct Raw {
    handle_bytes: libc::c_uint,
    handle_type: libc::c_int,
    f_handle: [u8; KERNEL_HANDLE_BYTES_MAX],
}

/// The handle of the object `fd` is open on (O_PATH suffices). Fails with `OVERFLOW` when the file system's
/// handles are longer than [`KERNEL_HANDLE_BYTES_MAX`], with `OPNOTSUPP` when it has none.
pub fn of(fd: impl AsFd) -> Result<KernelHandle, Errno> {
    let mut raw = Raw {
        handle_bytes: KERNEL_HANDLE_BYTES_MAX as libc::c_uint,
        handle_type: 0,
        f_handle: [0; KERNEL_HANDLE_BYTES_MAX],
    };
    let mut mount_id: libc::c_int = 0;
    // SAFETY: the path is a NUL-terminated constant, `raw` starts like `struct file_handle` and says truthfully
    // how many bytes follow, and both out-pointers live over the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_name_to_handle_at,
            fd.as_fd().as_raw_fd(),
            c"".as_ptr(),
            std::ptr::from_mut(&mut raw),
            std::ptr::from_mut(&mut mount_id),
            libc::AT_EMPTY_PATH,
        )
    };
    check(answer)?;
    Ok(KernelHandle { kind: raw.handle_type, length: raw.handle_bytes as usize, bytes: raw.f_handle })
}

/// Opens the object named by `handle` on the file system that `mount` is open on, as an O_PATH descriptor.
/// The thread must be the superuser itself (CAP_DAC_READ_SEARCH).
pub fn open(mount: impl AsFd, handle: &KernelHandle) -> Result<OwnedFd, Errno> {
    let mut raw =
        Raw { handle_bytes: handle.length as libc::c_uint, handle_type: handle.kind, f_handle: handle.bytes };
    // SAFETY: `raw` starts like `struct file_handle`, its length is at most the room behind it (`length` is
    // bounded where handles are decoded), and it lives over the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_open_by_handle_at,
            mount.as_fd().as_raw_fd(),
            std::ptr::from_mut(&mut raw),
            libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC,
        )
    };
    let number = check(answer)?;
    // SAFETY: the kernel has just given out this descriptor, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as libc::c_int) })
}

fn check(answer: libc::c_long) -> Result<libc::c_long, Errno> {
    if answer >= 0 {
        return Ok(answer);
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}
