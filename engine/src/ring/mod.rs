//! One io_uring, as the shard's loop drives it.
//!
//! UNSAFETY: queue entries and registered buffers carry raw addresses that the kernel uses later. What keeps them
//! valid is the caller's promise at [`Ring::push`] and [`Ring::open`]; the in-flight table is the only caller.
#![allow(unsafe_code)]

pub(crate) mod buffers;
pub(crate) mod driver;
pub(crate) mod kernel;
pub(crate) mod setup;

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd;
use std::time::Duration;

use io_uring::{IoUring, squeue};

use crate::ring::kernel::Wait;

/// One completion as the kernel posted it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// What the operation was submitted with.
    pub(crate) user_data: u64,
    /// Bytes, a descriptor or zero; or a negated errno.
    pub(crate) result: i32,
    /// `IORING_CQE_F_*`.
    pub(crate) flags: u32,
}

impl Completion {
    /// Whether the operation will complete again.
    pub(crate) fn more(self) -> bool {
        io_uring::cqueue::more(self.flags)
    }

    /// The result as a number or an error.
    pub(crate) fn outcome(self) -> io::Result<usize> {
        usize::try_from(self.result).map_err(|_| io::Error::from_raw_os_error(self.result.wrapping_neg()))
    }
}

/// Where the registered region lies, to recognise memory that the kernel already knows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Registered {
    base: usize,
    bytes: usize,
}

impl Registered {
    /// The index of the registered buffer that holds all of these bytes.
    pub(crate) fn index(&self, address: *const u8, length: usize) -> Option<u16> {
        let offset = (address as usize).checked_sub(self.base)?;
        let end = offset.checked_add(length).filter(|end| *end <= self.bytes)?;
        let index = offset / buf::REGISTRATION_BYTES_MAX;
        let whole = end.saturating_sub(1) / buf::REGISTRATION_BYTES_MAX == index;
        if whole { u16::try_from(index).ok() } else { None }
    }
}

/// An io_uring used by the thread that made it, and by no other.
pub(crate) struct Ring {
    uring: IoUring,
    /// Index of the registered ring descriptor.
    registered_ring: Option<u32>,
    /// Entries that found the submission queue full; at most as many as operations in flight.
    backlog: VecDeque<squeue::Entry>,
    registered: Registered,
    min_wait: bool,
}

impl Ring {
    /// Queues an entry; it reaches the kernel with the next [`enter`](Self::enter).
    ///
    /// # Safety
    ///
    /// Every address in the entry stays valid, and what it points to is left alone, until the last completion
    /// of the entry's user data.
    pub(crate) unsafe fn push(&mut self, entry: squeue::Entry) {
        // SAFETY: the caller's promise is the queue's condition.
        if !self.backlog.is_empty() || unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.backlog.push_back(entry);
        }
    }

    /// Submits what is queued and waits for `want` completions (none: just looks), at least one within
    /// `min_wait_us` of waiting where the kernel can, and no longer than `timeout`.
    pub(crate) fn enter(&mut self, want: u32, min_wait_us: u32, timeout: Option<Duration>) -> io::Result<()> {
        loop {
            let queued = self.uring.submission().len() as u32;
            let last = self.backlog.is_empty();
            let want = if last { want } else { 0 };
            let min_wait_us = if self.min_wait { min_wait_us } else { 0 };
            let wait = Wait { want, min_wait_us, timeout };
            let entered = kernel::enter(self.uring.as_raw_fd(), self.registered_ring, queued, wait);
            match entered.as_ref().map_err(io::Error::raw_os_error) {
                Ok(_) | Err(Some(libc::ETIME | libc::EINTR)) => {}
                // The completion queue is full: the caller reaps and comes again.
                Err(Some(libc::EBUSY | libc::EAGAIN)) => return Ok(()),
                Err(_) => return entered,
            }
            if last {
                return Ok(());
            }
            self.refill();
        }
    }

    /// Takes all completions there are.
    pub(crate) fn reap(&mut self, completions: &mut Vec<Completion>) {
        completions.extend(self.uring.completion().map(|entry| Completion {
            user_data: entry.user_data(),
            result: entry.result(),
            flags: entry.flags(),
        }));
    }

    /// What the kernel has registered of the payload region.
    pub(crate) fn registered(&self) -> Registered {
        self.registered
    }

    /// Registers the calling thread's credentials.
    pub(crate) fn register_personality(&self) -> io::Result<u16> {
        self.uring.submitter().register_personality()
    }

    /// Forgets registered credentials.
    pub(crate) fn unregister_personality(&self, personality: u16) -> io::Result<()> {
        self.uring.submitter().unregister_personality(personality)
    }

    /// Moves the backlog to the queue, as far as it has room.
    fn refill(&mut self) {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.backlog.front() {
            // SAFETY: promised for this entry when it was handed to `push`.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.backlog.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_in_the_region_counts_as_registered() {
        let registered = Registered { base: 0x10000, bytes: 0x2000 };
        let index = |address: usize, length| registered.index(address as *const u8, length);
        assert_eq!(index(0x10000, 0x2000), Some(0));
        assert_eq!(index(0x10000, 0x2001), None);
        assert_eq!(index(0xffff, 1), None);
        assert_eq!(Registered::default().index(std::ptr::without_provenance(1), 1), None);
    }
}
