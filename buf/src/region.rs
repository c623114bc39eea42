//! One core's payload memory, as one mapping.
//!
//! UNSAFETY: the mapping comes from `mmap`, and disjoint parts of it are lent out as `&mut [u8]` without
//! reference counts on the parts. That is argued by construction here, once: [`Region::map`] makes exactly one
//! [`Span`] for the whole mapping, [`Span::split_off`] makes disjoint ones out of one, nothing else makes a span,
//! and every span keeps the mapping alive.
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;
use std::rc::Rc;

use crate::PAGE_BYTES;

/// A huge page: regions are aligned to it and sized in it.
const HUGE_PAGE_BYTES: usize = 2 << 20;

/// Largest buffer that the kernel registers as one.
pub const REGISTRATION_BYTES_MAX: usize = 1 << 30;

/// An anonymous private mapping, aligned to 2 MiB, for which transparent huge pages are asked.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

impl Region {
    /// Maps at least `bytes` (rounded up to 2 MiB) and returns the only span over all of it.
    pub(crate) fn map(bytes: usize) -> io::Result<Span> {
        let bytes = bytes.max(1).checked_next_multiple_of(HUGE_PAGE_BYTES);
        let bytes = bytes.ok_or(io::ErrorKind::OutOfMemory)?;
        let mapped = bytes.checked_add(HUGE_PAGE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a fresh anonymous mapping at an address of the kernel's choice touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                mapped,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let slack = address.align_offset(HUGE_PAGE_BYTES);
        // SAFETY: slack < 2 MiB, so [slack, slack + bytes) is inside the mapping, which nobody else knows yet; the
        // two ends that are cut off are page aligned and inside it as well.
        let base = unsafe {
            let base = address.byte_add(slack);
            if slack > 0 {
                libc::munmap(address, slack);
            }
            if HUGE_PAGE_BYTES > slack {
                libc::munmap(base.byte_add(bytes), HUGE_PAGE_BYTES - slack);
            }
            // Without transparent huge pages the region works, only its registration costs more.
            libc::madvise(base, bytes, libc::MADV_HUGEPAGE);
            base.cast::<u8>()
        };
        let base = NonNull::new(base).expect("mmap never returns the null page");
        let region = Rc::new(Self { base, bytes });
        Ok(Span { region, offset: 0, bytes })
    }

    /// Bytes mapped.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Address of the first byte.
    pub fn address(&self) -> *mut u8 {
        self.base.as_ptr()
    }

    /// The region as pieces that the kernel registers, each at most [`REGISTRATION_BYTES_MAX`].
    pub fn registration_slices(&self) -> Vec<(*mut u8, usize)> {
        (0..self.bytes)
            .step_by(REGISTRATION_BYTES_MAX)
            .map(|offset| {
                let bytes = REGISTRATION_BYTES_MAX.min(self.bytes - offset);
                (self.base.as_ptr().wrapping_add(offset), bytes)
            })
            .collect()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping was made by `map` with exactly this extent, and no span is left to use it, as each
        // holds a count on the region.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}

/// The only right to touch one part of a region.
#[derive(Debug)]
pub(crate) struct Span {
    region: Rc<Region>,
    offset: usize,
    bytes: usize,
}

impl Span {
    /// The region it is part of.
    pub(crate) fn region(&self) -> &Rc<Region> {
        &self.region
    }

    /// Cuts `bytes` off the front; `None` when it is shorter than that.
    pub(crate) fn split_off(&mut self, bytes: usize) -> Option<Span> {
        debug_assert!(bytes.is_multiple_of(PAGE_BYTES));
        self.bytes = self.bytes.checked_sub(bytes)?;
        let front = Span { region: self.region.clone(), offset: self.offset, bytes };
        self.offset += bytes;
        Some(front)
    }

    /// Its bytes.
    pub(crate) fn as_slice(&self) -> &[u8] {
        // SAFETY: offset and length are inside the mapping, which lives as long as `self.region`; anonymous memory
        // is initialised (zero); no other span overlaps, and `&self` excludes `as_mut_slice`.
        unsafe { std::slice::from_raw_parts(self.region.base.as_ptr().add(self.offset), self.bytes) }
    }

    /// Its bytes, to be changed.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_slice`; `&mut self` makes it exclusive.
        unsafe { std::slice::from_raw_parts_mut(self.region.base.as_ptr().add(self.offset), self.bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_are_aligned_and_registered_whole() {
        let span = Region::map(5 << 20).unwrap();
        let region = span.region();
        assert_eq!(region.bytes(), 6 << 20);
        assert_eq!(region.address() as usize % HUGE_PAGE_BYTES, 0);
        assert_eq!(region.registration_slices(), vec![(region.address(), 6 << 20)]);
    }

    #[test]
    fn spans_are_disjoint_and_outlive_each_other() {
        let mut rest = Region::map(2 << 20).unwrap();
        let mut front = rest.split_off(PAGE_BYTES).unwrap();
        front.as_mut_slice().fill(1);
        assert!(rest.as_slice().iter().all(|byte| *byte == 0));
        drop(rest);
        assert!(front.as_slice().iter().all(|byte| *byte == 1));
        assert!(front.split_off(2 << 20).is_none());
    }
}
