//! Messages' own memory: many places of one size, which adapters know as one region.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Poll, Waker};

use crate::PAGE_BYTES;
use crate::region::{Region, Span};

/// A number of equal places. A handle: clones name the same ones; it stays on its core.
#[derive(Clone, Debug)]
pub struct Slots {
    inner: Rc<Inner>,
}

#[derive(Debug)]
struct Inner {
    region: Rc<Region>,
    free: RefCell<Vec<Span>>,
    /// Who waits for one.
    waiting: RefCell<Vec<Waker>>,
}

/// One of them. Dropping it gives it back.
#[derive(Debug)]
pub struct Slot {
    /// Empty only while being dropped.
    span: Option<Span>,
    slots: Rc<Inner>,
}

impl Slots {
    /// Maps `count` places of `bytes` each, a whole number of pages.
    ///
    /// # Errors
    /// As `mmap`.
    ///
    /// # Panics
    /// When it is no whole number of pages: the caller's mistake.
    pub fn new(count: usize, bytes: usize) -> io::Result<Self> {
        assert!(bytes > 0 && bytes.is_multiple_of(PAGE_BYTES), "places are whole pages");
        let mut rest = Region::map(count.saturating_mul(bytes))?;
        let region = rest.region().clone();
        let free = (0..count).map_while(|_| rest.split_off(bytes)).collect();
        Ok(Self { inner: Rc::new(Inner { region, free: RefCell::new(free), waiting: RefCell::default() }) })
    }

    /// One that nobody has.
    pub fn take(&self) -> Option<Slot> {
        let span = self.inner.free.borrow_mut().pop()?;
        Some(Slot { span: Some(span), slots: Rc::clone(&self.inner) })
    }

    /// The same, as soon as there is one.
    pub async fn take_wait(&self) -> Slot {
        poll_fn(|context| match self.take() {
            Some(slot) => Poll::Ready(slot),
            None => {
                self.inner.waiting.borrow_mut().push(context.waker().clone());
                Poll::Pending
            }
        })
        .await
    }

    /// How many nobody has.
    pub fn free(&self) -> usize {
        self.inner.free.borrow().len()
    }

    /// All of their memory.
    pub fn region(&self) -> &Region {
        &self.inner.region
    }
}

impl Slot {
    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        self.span.as_ref().expect("a living place has its memory").as_slice()
    }

    /// Its bytes, to be changed.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.span.as_mut().expect("a living place has its memory").as_mut_slice()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.free.borrow_mut().extend(self.span.take());
        let waiting = self.slots.waiting.take();
        waiting.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_lent_apart_and_come_back() {
        let slots = Slots::new(3, PAGE_BYTES).expect("memory");
        let mut taken: Vec<Slot> = (0..3).map(|_| slots.take().expect("one is free")).collect();
        assert!(slots.take().is_none());
        for (byte, slot) in taken.iter_mut().enumerate() {
            slot.as_mut_slice().fill(byte as u8);
        }
        assert!(taken.iter().enumerate().all(|(byte, slot)| slot.as_slice() == [byte as u8; PAGE_BYTES]));
        drop(taken);
        assert_eq!(slots.free(), 3);
    }
}
