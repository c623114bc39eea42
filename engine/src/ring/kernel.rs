//! The system calls that no crate in use offers in the form needed.
//!
//! UNSAFETY: each function makes one raw call with arguments built here, and argues it there.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

const ENTER_GETEVENTS: u32 = 1;
const ENTER_EXT_ARG: u32 = 1 << 3;
const ENTER_REGISTERED_RING: u32 = 1 << 4;
const REGISTER_RING_FDS: u32 = 20;
const SYS_CACHESTAT: libc::c_long = 451;

/// How long [`enter`] waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Completions to wait for; 0 only looks.
    pub(crate) want: u32,
    /// Once so many microseconds have passed, one completion is enough. 0 for no such rule.
    pub(crate) min_wait_us: u32,
    /// Longest wait.
    pub(crate) timeout: Option<Duration>,
}

/// `struct io_uring_getevents_arg`.
#[repr(C)]
struct GetEvents {
    sigmask: u64,
    sigmask_bytes: u32,
    min_wait_us: u32,
    timeout: u64,
}

/// `struct __kernel_timespec`.
#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `io_uring_enter(2)`: submits, runs deferred completions, waits. Through the registered ring where there is one.
pub(crate) fn enter(ring: RawFd, registered: Option<u32>, submit: u32, wait: Wait) -> io::Result<()> {
    let timespec = wait.timeout.map(|timeout| Timespec {
        seconds: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        nanoseconds: i64::from(timeout.subsec_nanos()),
    });
    let timeout = timespec.as_ref().map_or(0, |timespec| std::ptr::from_ref(timespec) as u64);
    let argument = GetEvents { sigmask: 0, sigmask_bytes: 0, min_wait_us: wait.min_wait_us, timeout };
    let (descriptor, flag) = match registered {
        Some(index) => (index as libc::c_int, ENTER_REGISTERED_RING),
        None => (ring, 0),
    };
    // SAFETY: the argument and the time it points to live until the call returns, and have the kernel's layout.
    let entered = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            descriptor,
            submit,
            wait.want,
            ENTER_GETEVENTS | ENTER_EXT_ARG | flag,
            &raw const argument,
            size_of::<GetEvents>(),
        )
    };
    if entered < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Registers the ring's descriptor with the calling thread and returns its index.
pub(crate) fn register_ring(ring: RawFd) -> io::Result<u32> {
    /// `struct io_uring_rsrc_update`.
    #[repr(C)]
    struct Update {
        offset: u32,
        reserved: u32,
        data: u64,
    }
    let mut update = Update { offset: u32::MAX, reserved: 0, data: ring as u64 };
    // SAFETY: one element of the kernel's layout, alive during the call, which writes the index into it.
    let registered =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring, REGISTER_RING_FDS, &raw mut update, 1) };
    if registered < 0 { Err(io::Error::last_os_error()) } else { Ok(update.offset) }
}

/// A counter that wakes who polls it.
pub(crate) fn event_counter() -> io::Result<OwnedFd> {
    // SAFETY: no memory is passed; a non-negative result is a descriptor that nobody else owns.
    unsafe {
        let descriptor = libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }
}

/// A TCP socket, not connected, with Nagle's delay off.
pub(crate) fn tcp_socket(ipv6: bool) -> io::Result<OwnedFd> {
    let family = if ipv6 { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: no memory is passed; a non-negative result is a descriptor that nobody else owns.
    let socket = unsafe {
        let descriptor = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0);
        if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(descriptor)) }
    }?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

/// Whether the kernel has `cachestat(2)` (6.5).
pub(crate) fn has_cachestat() -> bool {
    // SAFETY: the descriptor is invalid, so the call looks at no memory: EBADF where it exists, ENOSYS elsewhere.
    let called = unsafe { libc::syscall(SYS_CACHESTAT, -1, 0, 0, 0) };
    called >= 0 || io::Error::last_os_error().raw_os_error() != Some(libc::ENOSYS)
}

/// Raises this process's limit on open descriptors to what it may have, and returns it.
///
/// Every connection, open file and ring costs a descriptor, and the usual soft limit of 1024 is meant for
/// programs that use `select`.
pub fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is the call's own type and outlives both calls.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) < 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = limit.rlim_max;
        if libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(limit.rlim_cur)
}
