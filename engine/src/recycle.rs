//! Memory that is used again: every request brings tasks and operations, and none of them is to cost an allocation.
//!
//! A [`Recycled`] is a box whose memory goes back to a list of its thread and from there to the next value of about
//! the same size.
//!
//! UNSAFETY: a box whose memory is not the allocator's to free cannot be written without raw memory. It stays sound
//! because a block has one owner at a time (a `Recycled`, then the list, then the next `Recycled`), because its layout
//! is computed from the value's in one place, [`layout_of`], and because neither blocks nor their owners leave their
//! thread.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::pin::Pin;
use std::ptr::{self, NonNull};

/// Alignment of all blocks: a cache line, so that no two values share one.
const BLOCK_ALIGN: usize = 64;

/// Bytes of the smallest blocks; those of each further class are twice as long.
const SMALLEST_BYTES: usize = 128;

/// Classes: the largest blocks have 64 KiB. What is longer, or aligned to more than a cache line, is rare and comes from
/// the allocator.
const CLASSES: usize = 10;

/// Bytes of unused blocks that a thread keeps of each class. What a crowd of requests has left beyond goes back to the
/// allocator.
const KEPT_BYTES_MAX: usize = 8 << 20;

thread_local! {
    /// Unused blocks by class.
    static KEPT: RefCell<Kept> = const { RefCell::new(Kept([const { Vec::new() }; CLASSES])) };
}

struct Kept([Vec<NonNull<u8>>; CLASSES]);

impl Drop for Kept {
    fn drop(&mut self) {
        for (class, blocks) in self.0.iter_mut().enumerate() {
            for block in blocks.drain(..) {
                // SAFETY: the list alone has the block, which was allocated with the layout of its class.
                unsafe { dealloc(block.as_ptr(), layout_of_class(class)) };
            }
        }
    }
}

fn layout_of_class(class: usize) -> Layout {
    Layout::from_size_align(SMALLEST_BYTES << class, BLOCK_ALIGN).expect("a power of two above another")
}

/// The layout of the block for a value of this layout, and the block's class if it has one.
fn layout_of(value: Layout) -> (Layout, Option<usize>) {
    let class = value.size().div_ceil(SMALLEST_BYTES).next_power_of_two().trailing_zeros() as usize;
    if class < CLASSES && value.align() <= BLOCK_ALIGN {
        return (layout_of_class(class), Some(class));
    }
    // The allocator is not to be asked for nothing.
    let bytes = value.size().max(1);
    (Layout::from_size_align(bytes, value.align()).expect("as the value's"), None)
}

/// Memory for a value of this layout.
fn take(value: Layout) -> NonNull<u8> {
    let (layout, class) = layout_of(value);
    // Fails when the thread is ending.
    let kept = class.and_then(|class| KEPT.try_with(|kept| kept.borrow_mut().0[class].pop()).ok().flatten());
    kept.unwrap_or_else(|| {
        // SAFETY: the layout has a size above 0.
        let block = unsafe { alloc(layout) };
        NonNull::new(block).unwrap_or_else(|| handle_alloc_error(layout))
    })
}

/// A block whose value is gone or on its way out: goes back when dropped, also while a destructor panics.
struct Vacant {
    block: NonNull<u8>,
    value: Layout,
}

impl Drop for Vacant {
    fn drop(&mut self) {
        let (layout, class) = layout_of(self.value);
        let is_kept = class.is_some_and(|class| {
            let keep = |kept: &RefCell<Kept>| {
                let blocks = &mut kept.borrow_mut().0[class];
                let has_room = blocks.len() < KEPT_BYTES_MAX / layout.size();
                if has_room {
                    blocks.push(self.block);
                }
                has_room
            };
            KEPT.try_with(keep).unwrap_or(false)
        });
        if !is_kept {
            // SAFETY: `take` has allocated the block for the same layout, and it is nobody else's any more.
            unsafe { dealloc(self.block.as_ptr(), layout) };
        }
    }
}

/// A value in memory that is used again. Stays in place until it is dropped, and never leaves its thread.
pub(crate) struct Recycled<T: ?Sized> {
    value: NonNull<T>,
    owned: PhantomData<T>,
}

impl<T> Recycled<T> {
    /// Makes a value in its place: as the place is known before the value is, the compiler need not make it elsewhere
    /// and copy all of it.
    #[inline(always)]
    pub(crate) fn new(make: impl FnOnce() -> T) -> Self {
        let place = take(Layout::new::<T>()).cast::<T>();
        // SAFETY: the block is ours alone, and long enough and aligned for the value.
        unsafe { place.write(make()) };
        Self { value: place, owned: PhantomData }
    }

    /// The same value, known by less than its type.
    ///
    /// # Safety
    ///
    /// `unsize` returns the pointer that it was given, coerced as `Box<T>` would be to `Box<U>`.
    pub(crate) unsafe fn unsize<U: ?Sized>(self, unsize: impl FnOnce(*mut T) -> *mut U) -> Recycled<U> {
        let value = self.value.as_ptr();
        // What owns the value is made below.
        let _this = std::mem::ManuallyDrop::new(self);
        // SAFETY: the pointer is the one given, which is not null.
        Recycled { value: unsafe { NonNull::new_unchecked(unsize(value)) }, owned: PhantomData }
    }
}

impl<T: ?Sized> Deref for Recycled<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the value is there until `self` is dropped, and is reached through `self` alone.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ?Sized> DerefMut for Recycled<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`.
        unsafe { self.value.as_mut() }
    }
}

impl<T: ?Sized> Drop for Recycled<T> {
    fn drop(&mut self) {
        let _vacant = Vacant { block: self.value.cast(), value: Layout::for_value(&**self) };
        // SAFETY: the value is there, and nobody reaches it after this.
        unsafe { ptr::drop_in_place(self.value.as_ptr()) };
    }
}

/// A task's future.
pub(crate) type TaskFuture = Pin<Recycled<dyn Future<Output = ()>>>;

/// Makes a task's future in its place.
#[inline(always)]
pub(crate) fn task<F: Future<Output = ()> + 'static>(make: impl FnOnce() -> F) -> TaskFuture {
    // SAFETY: the closure does nothing but coerce.
    let future = unsafe { Recycled::new(make).unsize(|future| future as *mut dyn Future<Output = ()>) };
    // SAFETY: the value stays in place until it is dropped, as in a box, and is reached through the pin alone.
    unsafe { Pin::new_unchecked(future) }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    /// A value of a size of its own that tells when it goes.
    struct Told<const BYTES: usize>(Rc<RefCell<Vec<usize>>>, [u8; BYTES]);

    impl<const BYTES: usize> Drop for Told<BYTES> {
        fn drop(&mut self) {
            assert!(self.1.iter().all(|byte| *byte == BYTES as u8), "nobody else wrote here");
            self.0.borrow_mut().push(BYTES);
        }
    }

    fn address<T: ?Sized>(value: &Recycled<T>) -> usize {
        value.value.cast::<u8>().as_ptr() as usize
    }

    #[test]
    fn memory_is_used_again_and_values_are_dropped_once() {
        let gone = Rc::new(RefCell::new(Vec::new()));
        let first = Recycled::new(|| Told::<10>(gone.clone(), [10; 10]));
        let second = Recycled::new(|| Told::<100>(gone.clone(), [100; 100]));
        let (at_first, at_second) = (address(&first), address(&second));
        assert!(at_first != at_second && at_first % BLOCK_ALIGN == 0);
        drop(first);
        let third = Recycled::new(|| Told::<60>(gone.clone(), [60; 60]));
        assert_eq!(address(&third), at_first);
        drop((second, third));
        assert_eq!(*gone.borrow(), [10, 100, 60]);
    }

    #[test]
    fn what_fits_no_class_comes_from_the_allocator() {
        #[repr(align(256))]
        struct Aligned(u8);
        let aligned = Recycled::new(|| Aligned(1));
        assert_eq!((address(&aligned) % 256, aligned.0), (0, 1));
        let long = Recycled::new(|| [7_u8; 100_000]);
        assert_eq!((long[0], long[99_999]), (7, 7));
        let nothing = Recycled::new(|| ());
        assert_eq!(*nothing, ());
        let largest = SMALLEST_BYTES << (CLASSES - 1);
        let class = |bytes| layout_of(Layout::from_size_align(bytes, 8).unwrap()).1;
        assert_eq!((class(0), class(128), class(129)), (Some(0), Some(0), Some(1)));
        assert_eq!((class(largest), class(largest + 1)), (Some(CLASSES - 1), None));
    }

    #[test]
    fn a_panic_of_a_destructor_loses_no_memory() {
        struct Panics;
        impl Drop for Panics {
            fn drop(&mut self) {
                panic!("as asked");
            }
        }
        let value = Recycled::new(|| Panics);
        let at = address(&value);
        let dropped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(value)));
        assert!(dropped.is_err());
        assert_eq!(address(&Recycled::new(|| 1_u8)), at);
    }

    #[test]
    fn tasks_run_where_they_are() {
        let mut future = task(|| async {});
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_ready());
    }
}
