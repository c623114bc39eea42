//! Lending a region out in blocks of a few sizes.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use crate::region::{Region, Span};
use crate::wait::{Take, Waiters};
use crate::{Block, CHAIN_BLOCKS_MAX, Chain, PAGE_BYTES};

/// Payload bytes of each size class. A block has one page more, so that a payload of the class's size fits
/// wherever its first byte must lie within a page.
pub const CLASS_BYTES: [usize; 4] = [4 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Share of the region that each class gets, in percent. Bulk payloads are most of the bytes; what does not
/// divide evenly goes to the smallest class.
const CLASS_PERCENT: [usize; 4] = [6, 14, 20, 60];

const CLASSES: usize = CLASS_BYTES.len();

/// Bytes of a block of a class.
const fn block_bytes(class: usize) -> usize {
    CLASS_BYTES[class] + PAGE_BYTES
}

/// Why no memory was lent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeError {
    /// The pool could not lend so much even if all of it were free.
    TooLong,
    /// [`WAITERS_MAX`](crate::WAITERS_MAX) others already wait.
    TooManyWaiting,
}

impl std::fmt::Display for TakeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::TooLong => "the payload is longer than the pool can ever hold",
            Self::TooManyWaiting => "too many requests already wait for payload memory",
        })
    }
}

impl std::error::Error for TakeError {}

/// One core's payload memory. A handle: clones name the same pool; it stays on its core.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Rc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    region: Rc<Region>,
    free: RefCell<[Vec<Span>; CLASSES]>,
    blocks: [usize; CLASSES],
    bytes_taken: Cell<usize>,
    pub(crate) waiters: RefCell<Waiters>,
}

impl Pool {
    /// Maps a region of at least `region_bytes` and divides it among the size classes.
    ///
    /// Fails as `mmap` does.
    pub fn new(region_bytes: usize) -> io::Result<Self> {
        let mut rest = Region::map(region_bytes)?;
        let region = rest.region().clone();
        let mut free: [Vec<Span>; CLASSES] = Default::default();
        for class in (0..CLASSES).rev() {
            let share = region.bytes() / 100 * CLASS_PERCENT[class];
            let count = if class == 0 { usize::MAX } else { share / block_bytes(class) };
            free[class].extend((0..count).map_while(|_| rest.split_off(block_bytes(class))));
        }
        let blocks = std::array::from_fn(|class| free[class].len());
        let waiters = RefCell::new(Waiters::default());
        let inner = Inner { region, free: RefCell::new(free), blocks, bytes_taken: Cell::new(0), waiters };
        Ok(Self { inner: Rc::new(inner) })
    }

    /// Memory for `length` bytes whose first byte's address is `offset_modulo_page` modulo [`PAGE_BYTES`].
    ///
    /// `None` when the pool has not got it now, or when somebody is already waiting in
    /// [`take_wait`](Self::take_wait), as nobody overtakes. The bytes are whatever the last owner left there.
    ///
    /// Panics when `offset_modulo_page` is not smaller than the page.
    pub fn take(&self, length: usize, offset_modulo_page: usize) -> Option<Chain> {
        if !self.inner.waiters.borrow().is_empty() {
            return None;
        }
        self.take_now(length, offset_modulo_page)
    }

    /// As [`take`](Self::take), but waits, first come first served, until there is memory.
    pub fn take_wait(&self, length: usize, offset_modulo_page: usize) -> Take {
        Take::new(self.clone(), length, offset_modulo_page)
    }

    /// Bytes of the region: what this pool costs, all of it accounted for at start.
    pub fn bytes(&self) -> usize {
        self.inner.region.bytes()
    }

    /// Bytes of the blocks that are out.
    pub fn bytes_taken(&self) -> usize {
        self.inner.bytes_taken.get()
    }

    /// Tasks that wait in [`take_wait`](Self::take_wait).
    pub fn waiting(&self) -> usize {
        self.inner.waiters.borrow().len()
    }

    /// The region, to be registered with a ring or a NIC.
    pub fn region(&self) -> &Region {
        &self.inner.region
    }

    /// Whether this much could be lent if nothing were out.
    pub(crate) fn could_take(&self, length: usize, offset_modulo_page: usize) -> bool {
        plan(length.saturating_add(offset_modulo_page), self.inner.blocks).is_some()
    }

    /// As `take`, without regard for those who wait.
    pub(crate) fn take_now(&self, length: usize, offset_modulo_page: usize) -> Option<Chain> {
        assert!(offset_modulo_page < PAGE_BYTES, "an offset within a page is smaller than the page");
        let mut free = self.inner.free.borrow_mut();
        let available = std::array::from_fn(|class| free[class].len());
        let counts = plan(length.checked_add(offset_modulo_page)?, available)?;
        let mut chain = Chain::new(offset_modulo_page, length);
        for class in (0..CLASSES).rev() {
            for _ in 0..counts[class] {
                let span = free[class].pop().expect("the plan counts what is free");
                self.inner.bytes_taken.update(|bytes| bytes + block_bytes(class));
                chain.push(Block::new(span, class, self.inner.clone()));
            }
        }
        Some(chain)
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }
}

impl Inner {
    /// Takes a block's memory back and lets the first who waits try again.
    pub(crate) fn give_back(&self, span: Span, class: usize) {
        self.free.borrow_mut()[class].push(span);
        self.bytes_taken.update(|bytes| bytes - block_bytes(class));
        self.wake_first();
    }

    /// Lets the first who waits try again.
    pub(crate) fn wake_first(&self) {
        let waker = self.waiters.borrow().first();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// How many blocks of each class carry `bytes`: one block where one fits, else the largest first.
fn plan(bytes: usize, available: [usize; CLASSES]) -> Option<[usize; CLASSES]> {
    let mut counts = [0; CLASSES];
    let whole = (0..CLASSES).find(|&class| available[class] > 0 && block_bytes(class) >= bytes);
    if let Some(class) = whole {
        counts[class] = 1;
        return Some(counts);
    }
    let mut rest = bytes;
    for class in (0..CLASSES).rev() {
        counts[class] = available[class].min(rest / block_bytes(class));
        rest -= counts[class] * block_bytes(class);
    }
    if rest > 0 {
        // Every class that has blocks left has blocks longer than the rest, or the loop had taken another.
        let last = (0..CLASSES).find(|&class| available[class] > counts[class])?;
        counts[last] += 1;
    }
    (counts.iter().sum::<usize>() <= CHAIN_BLOCKS_MAX).then_some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_block_where_one_fits() {
        assert_eq!(plan(4 << 10, [1, 1, 1, 1]), Some([1, 0, 0, 0]));
        assert_eq!(plan((1 << 20) + 4095, [1, 1, 1, 1]), Some([0, 0, 0, 1]));
        assert_eq!(plan(5 << 10, [0, 0, 1, 1]), Some([0, 0, 1, 0]));
    }

    #[test]
    fn several_blocks_where_one_does_not() {
        assert_eq!(plan(1 << 20, [99, 99, 3, 0]), Some([5, 3, 3, 0]));
        assert_eq!(plan(1 << 20, [0, 16, 0, 0]), Some([0, 16, 0, 0]));
        assert_eq!(plan(1 << 20, [0, 15, 0, 0]), None);
        assert_eq!(plan((1 << 20) + 4095, [300, 0, 0, 0]), None, "more blocks than a chain has");
        assert_eq!(plan(3 << 20, [0, 0, 0, 3]), Some([0, 0, 0, 3]));
    }

    #[test]
    fn every_offset_of_a_full_payload_fits_one_block() {
        let pool = Pool::new(8 << 20).unwrap();
        for modulo in [0, 1, 512, 4095] {
            let chain = pool.take(1 << 20, modulo).unwrap();
            let slices: Vec<_> = chain.as_slices().collect();
            assert_eq!((slices.len(), slices[0].len()), (1, 1 << 20));
            assert_eq!(slices[0].as_ptr() as usize % PAGE_BYTES, modulo);
        }
        assert_eq!(pool.bytes_taken(), 0);
    }

    #[test]
    fn the_whole_pool_goes_out_and_comes_back() {
        let pool = Pool::new(4 << 20).unwrap();
        let mut out = Vec::new();
        while let Some(chain) = pool.take(4096, 0) {
            out.push(chain);
        }
        assert!(pool.bytes_taken() > pool.bytes() - (64 << 10), "{} of {}", pool.bytes_taken(), pool.bytes());
        out.clear();
        assert_eq!(pool.bytes_taken(), 0);
        assert!(pool.take(1 << 20, 0).is_some());
        assert!(pool.take(64 << 20, 0).is_none());
    }
}
