//! A call that failed.

use std::ffi::c_int;
use std::fmt;
use std::io;

/// Which call failed, and why.
#[derive(Debug)]
pub(crate) struct Failure {
    call: &'static str,
    errno: c_int,
}

impl Failure {
    /// Of a call that returned this `errno`, whichever its sign.
    pub(crate) fn of(call: &'static str, errno: c_int) -> Self {
        let errno = if errno == 0 { libc::EIO } else { errno.wrapping_abs() };
        Self { call, errno }
    }

    /// Of a call that left its `errno` where the C library keeps it.
    pub(crate) fn last(call: &'static str) -> Self {
        Self::of(call, io::Error::last_os_error().raw_os_error().unwrap_or(libc::EIO))
    }

    /// That there is no adapter.
    pub(crate) fn none() -> Self {
        Self::of("no RDMA device: `rdma link show` lists none", libc::ENODEV)
    }

    /// As the functions of the table return it.
    pub(crate) fn negated(&self) -> c_int {
        -self.errno
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.call, io::Error::from_raw_os_error(self.errno))?;
        if self.errno == libc::ENOMEM
            && let Some(bytes) = locked_bytes_max()
        {
            write!(formatter, "; at most {bytes} bytes may be locked here: raise RLIMIT_MEMLOCK")?;
        }
        Ok(())
    }
}

/// Bytes of memory that this process may lock, if there is a limit.
fn locked_bytes_max() -> Option<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the place is valid for the call.
    let outcome = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    (outcome == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// The outcome of a call that returns 0, or -1 and leaves its `errno` where the C library keeps it.
pub(crate) fn check(call: &'static str, outcome: c_int) -> Result<(), Failure> {
    if outcome == 0 { Ok(()) } else { Err(Failure::last(call)) }
}

/// The outcome of a call that returns 0 or an `errno`.
pub(crate) fn check_returned(call: &'static str, outcome: c_int) -> Result<(), Failure> {
    if outcome == 0 { Ok(()) } else { Err(Failure::of(call, outcome)) }
}
