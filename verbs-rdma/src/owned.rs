//! Objects of the C libraries that end with their owner.

use std::ffi::c_int;
use std::ptr::NonNull;

use crate::failure::Failure;

/// An object of a C library, and how it is ended.
pub(crate) struct Owned<T> {
    pointer: NonNull<T>,
    end: unsafe extern "C" fn(*mut T) -> c_int,
}

impl<T> Owned<T> {
    /// Takes what a call has made.
    ///
    /// # Errors
    /// When the call has made nothing and left an `errno`.
    ///
    /// # Safety
    /// A pointer that is not null is of an object that nobody else ends, which `end` may end when this value is dropped.
    pub(crate) unsafe fn new(
        call: &'static str,
        pointer: *mut T,
        end: unsafe extern "C" fn(*mut T) -> c_int,
    ) -> Result<Self, Failure> {
        let pointer = NonNull::new(pointer).ok_or_else(|| Failure::last(call))?;
        Ok(Self { pointer, end })
    }

    /// The object, valid for as long as this value.
    pub(crate) fn get(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the promise of `new`. When it fails something still uses the object, which then stays: memory lost, none reused.
        unsafe { (self.end)(self.pointer.as_ptr()) };
    }
}
