//! Memory that the kernel fills when bytes arrive, instead of memory that waits for them: thousands of connections
//! that say nothing share one set of buffers.
//!
//! UNSAFETY: the kernel reads the list of free buffers and writes into the buffers on it while operations that choose
//! from it are in flight. Every such operation holds the [`Buffers`] until its last completion; a buffer is on the list
//! or in one [`Loan`], never in both: [`Buffers::loan`] alone makes loans, one for each time the kernel says that it
//! took the buffer off the list, and the loan's end puts it back.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::ring::{Completion, Ring};

/// Bytes of one buffer: a page holds many small calls.
pub const RECEIVE_BUFFER_BYTES: usize = 4096;

/// Buffers of one shard, a power of two. No task keeps one while it waits, so that this bounds what arrives in one
/// turn of the loop, not how many connections there may be.
const BUFFERS: usize = 512;

/// Bytes of all buffers of one shard, with the list of those that are free.
pub const RECEIVE_POOL_BYTES: usize = LIST_BYTES + BUFFERS * RECEIVE_BUFFER_BYTES;

/// Bytes of the list, whole pages.
const LIST_BYTES: usize = BUFFERS * size_of::<Free>();

/// The only group of buffers on a ring.
pub(crate) const GROUP: u16 = 0;

/// `struct io_uring_buf`. The list's tail overlays the last word of its first element.
#[repr(C)]
struct Free {
    address: u64,
    length: u32,
    id: u16,
    tail: u16,
}

/// The buffers of one shard.
pub(crate) struct Buffers {
    /// The list, then the buffers.
    base: NonNull<u8>,
    /// Elements ever put on the list, as far as the kernel is to know with the next [`publish`](Self::publish).
    tail: Cell<u16>,
    /// Buffers whose loans have ended since.
    returned: RefCell<Vec<u16>>,
}

impl Buffers {
    fn map() -> io::Result<Self> {
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                RECEIVE_POOL_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(address.cast()).expect("mmap never returns the null page");
        let all = (0..BUFFERS as u16).collect();
        Ok(Self { base, tail: Cell::new(0), returned: RefCell::new(all) })
    }

    /// Gives the kernel back what was returned, with one store.
    pub(crate) fn publish(&self) {
        let mut returned = self.returned.borrow_mut();
        if returned.is_empty() {
            return;
        }
        for id in returned.drain(..) {
            let index = usize::from(self.tail.get()) % BUFFERS;
            // SAFETY: the index is inside the list, which is aligned to a page and as long as the value lives; the
            // kernel does not look at elements beyond the tail that it was told, and there are never more buffers
            // than elements. The tail itself is left alone.
            unsafe {
                let free = self.base.as_ptr().cast::<Free>().add(index);
                (&raw mut (*free).address).write(self.address(id) as u64);
                (&raw mut (*free).length).write(RECEIVE_BUFFER_BYTES as u32);
                (&raw mut (*free).id).write(id);
            }
            self.tail.set(self.tail.get().wrapping_add(1));
        }
        // SAFETY: the word is inside the list and aligned; the kernel only reads it, and every access of ours is
        // atomic.
        let tail = unsafe { AtomicU16::from_ptr(&raw mut (*self.base.as_ptr().cast::<Free>()).tail) };
        tail.store(self.tail.get(), Ordering::Release);
    }

    /// What an operation that chose a buffer has received; no bytes at the end of the stream.
    pub(crate) fn loan(self: &Rc<Self>, completion: Completion) -> io::Result<Loan> {
        let chosen = io_uring::cqueue::buffer_select(completion.flags);
        let id =
            chosen.inspect(|id| assert!(usize::from(*id) < BUFFERS, "the kernel names a buffer of ours"));
        // Whatever the result, a buffer that was taken goes back when this is dropped.
        let mut loan =
            Loan { held: id.map_or(Held::Nothing, |id| Held::Buffer(self.clone(), id)), length: 0 };
        let length = completion.outcome()?;
        assert!(length <= RECEIVE_BUFFER_BYTES && (length == 0 || id.is_some()), "bytes are in a buffer");
        loan.length = length;
        Ok(loan)
    }

    fn address(&self, id: u16) -> *mut u8 {
        self.base.as_ptr().wrapping_add(LIST_BYTES + usize::from(id) * RECEIVE_BUFFER_BYTES)
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with exactly this extent. No loan is left, as each holds a count, and no
        // operation that could choose a buffer, for the same reason; the kernel's own hold on the list's pages does
        // not depend on the mapping.
        unsafe { libc::munmap(self.base.as_ptr().cast(), RECEIVE_POOL_BYTES) };
    }
}

impl Ring {
    /// Makes buffers and tells the kernel of them.
    pub(crate) fn lend_buffers(&mut self) -> io::Result<Rc<Buffers>> {
        let buffers = Buffers::map()?;
        let list = buffers.base.as_ptr() as u64;
        // SAFETY: the list is as long as told and page aligned. The kernel pins its pages, and touches list and buffers
        // only for operations that choose from the group, which keep the value.
        unsafe {
            self.uring.submitter().register_buf_ring_with_flags(list, BUFFERS as u16, GROUP, 0)?;
        }
        buffers.publish();
        Ok(Rc::new(buffers))
    }
}

/// Received bytes in a buffer of the shard, which the kernel gets back when this is dropped. Tasks copy or consume what
/// they need before they wait for anything: whoever keeps a buffer keeps it from all other connections.
#[must_use = "dropping it throws received bytes away"]
pub struct Loan {
    held: Held,
    length: usize,
}

enum Held {
    /// There are no bytes.
    Nothing,
    Buffer(Rc<Buffers>, u16),
    /// Where the kernel has no list of buffers.
    Heap(Vec<u8>),
}

impl Loan {
    /// Bytes in memory of their own.
    pub(crate) fn heap(bytes: Vec<u8>, length: usize) -> Self {
        assert!(length <= bytes.len(), "what was received is in the buffer");
        Self { held: Held::Heap(bytes), length }
    }
}

impl Deref for Loan {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.held {
            Held::Nothing => &[],
            // SAFETY: the bytes are inside the mapping, which lives as long as the buffers do, and initialised; the
            // buffer is off the list, so that the kernel leaves it alone, and in this loan only.
            Held::Buffer(buffers, id) => unsafe {
                std::slice::from_raw_parts(buffers.address(*id), self.length)
            },
            Held::Heap(bytes) => &bytes[..self.length],
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        if let Held::Buffer(buffers, id) = &self.held {
            buffers.returned.borrow_mut().push(*id);
        }
    }
}

impl fmt::Debug for Loan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Loan").field("bytes", &self.length).finish()
    }
}
