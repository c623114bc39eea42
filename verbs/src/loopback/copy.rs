//! Bytes that move between places.

use std::ptr;

use crate::Place;

/// The memory at an address that its owner has lent.
fn at(address: u64) -> *mut u8 {
    ptr::with_exposed_provenance_mut(usize::try_from(address).expect("addresses came from pointers"))
}

/// Copies the places, one behind the other, to the address.
///
/// # Safety
/// Each place lies in memory that is registered, and so do as many bytes from the address on as the places have. All of it is
/// lent: nobody else writes there meanwhile, nor reads what is written.
pub(super) unsafe fn gather(places: &[Place], mut to: u64) {
    for place in places {
        // SAFETY: the caller's promise; registered memory is mapped. Both may be the same memory, which `copy` bears.
        unsafe { ptr::copy(at(place.address), at(to), place.length as usize) };
        to += u64::from(place.length);
    }
}

/// Copies what begins at the address to the places, one behind the other.
///
/// # Safety
/// As [`gather`].
pub(super) unsafe fn scatter(mut from: u64, places: &[Place]) {
    for place in places {
        // SAFETY: as in `gather`.
        unsafe { ptr::copy(at(from), at(place.address), place.length as usize) };
        from += u64::from(place.length);
    }
}
