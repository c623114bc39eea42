//! Asking the kernel to give up.

use io_uring::{opcode, types::CancelBuilder};

use crate::ring::Ring;
use crate::ring::driver::CANCELLATION;

/// Cancels one operation. It completes in any case, cancelled or not.
pub(crate) fn one(ring: &mut Ring, user_data: u64) {
    let entry = opcode::AsyncCancel::new(user_data).build();
    // SAFETY: the entry carries no address.
    unsafe { ring.push(entry.user_data(CANCELLATION)) };
}

/// Cancels everything on the ring.
pub(crate) fn everything(ring: &mut Ring) {
    let entry = opcode::AsyncCancel2::new(CancelBuilder::any()).build();
    // SAFETY: the entry carries no address.
    unsafe { ring.push(entry.user_data(CANCELLATION)) };
}
