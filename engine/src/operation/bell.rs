//! Hearing the bell: a standing poll of the shard's event counter.

use std::os::fd::RawFd;

use io_uring::{opcode, types};

use crate::ring::Ring;
use crate::ring::driver::BELL;

/// Starts the poll. Each write to the counter completes it once, without it being read.
pub(crate) fn arm(ring: &mut Ring, bell: RawFd) {
    let entry = opcode::PollAdd::new(types::Fd(bell), libc::POLLIN as u32).multi(true).build();
    // SAFETY: the entry carries no address.
    unsafe { ring.push(entry.user_data(BELL)) };
}
