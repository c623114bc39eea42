//! Reading and writing past the page cache.
//!
//! A file of an export that goes direct has a second descriptor, opened when it is first read or written, for the same
//! access as the first: who may do what was decided at OPEN. Payload memory lies at the file offset's place within a
//! page, so that what is aligned in the file is aligned in memory.
//!
//! A write goes direct where it covers whole pages; its ends go through the page cache, those bytes and no others. The
//! kernel then merges what two clients write into one page, from whatever cores, and we never read, change and write
//! back. [`crate::turns`] keeps the two ways apart in time.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use buf::{Chain, PAGE_BYTES, Slice};
use engine::IoOptions;
use rustix::fs::{AtFlags, OFlags, Statx, StatxFlags, fcntl_setfl, statx};
use rustix::io::Errno;
use vfs::{Error, Identity, ReadDone, Result};

use crate::local::Local;
use crate::object::Object;
use crate::open::{OpenFile, flags};
use crate::procfs;
use crate::read::end_of_file;
use crate::turns::Way;
use crate::write::Target;

/// `STATX_DIO_READ_ALIGN` (6.15).
const DIO_READ_ALIGN: StatxFlags = StatxFlags::from_bits_retain(0x0002_0000);

/// Of what direct I/O must be a multiple, in bytes; powers of two, at most a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alignment {
    /// Memory addresses.
    pub memory_bytes: u32,
    /// Offset and length of writes.
    pub write_bytes: u32,
    /// Offset and length of reads.
    pub read_bytes: u32,
}

impl Alignment {
    /// What is taken where the kernel does not tell.
    pub const PAGE: Self = {
        let page = PAGE_BYTES as u32;
        Self { memory_bytes: page, write_bytes: page, read_bytes: page }
    };

    /// What the kernel tells of an open file (`STATX_DIOALIGN`).
    ///
    /// # Errors
    /// A reason why the file cannot be read and written directly.
    pub fn of(file: &OwnedFd) -> std::result::Result<Self, String> {
        let wanted = StatxFlags::DIOALIGN | DIO_READ_ALIGN;
        let seen: Statx = statx(file, "", AtFlags::EMPTY_PATH, wanted).map_err(|errno| errno.to_string())?;
        let told = StatxFlags::from_bits_retain(seen.stx_mask);
        if !told.contains(StatxFlags::DIOALIGN) {
            return Ok(Self::PAGE);
        }
        let (memory_bytes, write_bytes) = (seen.stx_dio_mem_align, seen.stx_dio_offset_align);
        if memory_bytes == 0 || write_bytes == 0 {
            return Err("the file system says that it cannot".to_owned());
        }
        let read_bytes = match seen.stx_dio_read_offset_align {
            bytes if bytes > 0 && told.contains(DIO_READ_ALIGN) => bytes,
            _ => write_bytes,
        };
        let fits = |bytes: u32| bytes.is_power_of_two() && bytes as usize <= PAGE_BYTES;
        if [memory_bytes, write_bytes, read_bytes].into_iter().all(fits) {
            Ok(Self { memory_bytes, write_bytes, read_bytes })
        } else {
            Err(format!(
                "it needs an alignment beyond a page ({memory_bytes}, {write_bytes}, {read_bytes} bytes)"
            ))
        }
    }
}

/// A descriptor for direct I/O.
#[derive(Debug)]
pub struct Direct {
    fd: Arc<OwnedFd>,
    alignment: Alignment,
}

impl Local {
    /// The file's descriptor for direct I/O, if its export goes direct and the file can.
    pub(crate) async fn direct<'a>(&self, file: &'a OpenFile) -> Option<&'a Direct> {
        if !file.object().mount().goes_direct() {
            return None;
        }
        if let Some(known) = file.direct().get() {
            return known.as_ref();
        }
        let (object, access) = (Arc::clone(file.object()), flags(file.access()));
        // Not the caller's permission counts but what the file was opened for.
        let opened = self.on_helper(move |_| Ok(open(&object, access))).await;
        match opened {
            Ok(Ok(direct)) => _ = file.direct().set(Some(direct)),
            Ok(Err(Some(reason))) => {
                tracing::debug!(reason, "a file cannot be read and written directly");
                _ = file.direct().set(None);
            }
            // For want of descriptors or threads; next time perhaps.
            Ok(Err(None)) | Err(_) => return None,
        }
        file.direct().get().and_then(Option::as_ref)
    }

    /// Reads all around what is asked for that alignment demands, and gives what was asked for. The buffer alone where
    /// it has to be read in another way.
    pub(crate) async fn read_direct(
        &self,
        file: &OpenFile,
        direct: &Direct,
        offset: u64,
        mut buffer: Chain,
    ) -> (Chain, Option<Result<ReadDone>>) {
        let unit = u64::from(direct.alignment.read_bytes);
        let wanted = buffer.len();
        let front = (offset % unit) as usize;
        let back = (unit - (offset + wanted as u64) % unit) % unit;
        if !is_congruent(&buffer, offset) || !buffer.widen(front, back as usize) {
            return (buffer, None);
        }
        let (mut buffer, outcome) = self.read_whole_units(file, direct, offset - front as u64, buffer).await;
        let bytes = match &outcome {
            Ok(bytes) => bytes.saturating_sub(front).min(wanted),
            Err(_) => 0,
        };
        buffer.narrow(front..front + wanted);
        match outcome {
            Ok(_) => {
                let done = end_of_file(file, offset, bytes);
                (buffer, Some(done.map(|end_of_file| ReadDone { bytes, end_of_file })))
            }
            Err(Error::Invalid) => (buffer, None),
            Err(failure) => (buffer, Some(Err(failure))),
        }
    }

    async fn read_whole_units(
        &self,
        file: &OpenFile,
        direct: &Direct,
        offset: u64,
        mut buffer: Chain,
    ) -> (Chain, Result<usize>) {
        let _place = match self.read_place(file.object()).await {
            Ok(place) => place,
            Err(failure) => return (buffer, Err(failure)),
        };
        let (length, mut done) = (buffer.len(), 0);
        while done < length {
            let (fd, at) = (Arc::clone(&direct.fd), offset + done as u64);
            let rest = Slice::new(buffer, done..length);
            let (outcome, rest) = self.shard().read_at(fd, at, rest, IoOptions::default()).await;
            buffer = rest.into_inner();
            match outcome {
                Ok(bytes) => {
                    done += bytes;
                    // The end of the file, which alone may stand anywhere.
                    if bytes == 0 || !done.is_multiple_of(direct.alignment.read_bytes as usize) {
                        break;
                    }
                }
                Err(failure) => return (buffer, Err(crate::sys::errno::from_ring(&failure))),
            }
        }
        (buffer, Ok(done))
    }

    /// Writes whole pages directly and the ends through the page cache. The caller has a place.
    pub(crate) async fn write_direct(
        &self,
        (file, direct): (&OpenFile, &Direct),
        identity: &Identity,
        offset: u64,
        mut payload: Chain,
        options: &IoOptions,
    ) -> (Chain, Result<()>) {
        let turns = file.inode().turns();
        let length = payload.len();
        let mut middle = whole_pages(offset, length);
        if !is_congruent(&payload, offset) {
            middle = length..length;
        }
        if !middle.is_empty() {
            let _turn = turns.enter(Way::Direct).await;
            let target = Target { fd: &direct.fd, file, identity, offset, cached: false };
            let outcome;
            (payload, outcome) = self.write_range(target, payload, middle.clone(), options).await;
            match outcome {
                Ok(()) => {}
                // Not what was told of its alignment, or no turn in the ring.
                Err(Error::Invalid | Error::TryLater) => middle = length..length,
                Err(failure) => return (payload, Err(failure)),
            }
        }
        for end in [0..middle.start, middle.end..length] {
            if !end.is_empty() {
                let _turn = turns.enter(Way::Cached).await;
                let target = Target { fd: file.fd(), file, identity, offset, cached: true };
                let outcome;
                (payload, outcome) = self.write_range(target, payload, end, options).await;
                if outcome.is_err() {
                    return (payload, outcome);
                }
            }
        }
        (payload, Ok(()))
    }
}

/// The part of `length` bytes at `offset` that covers whole pages; empty, at the end, when there is none. Pages and not
/// the file system's blocks, as the page cache goes by pages.
fn whole_pages(offset: u64, length: usize) -> std::ops::Range<usize> {
    let page = PAGE_BYTES as u64;
    let start = ((page - offset % page) % page) as usize;
    let beyond = ((offset + length as u64) % page) as usize;
    match length.checked_sub(beyond) {
        Some(end) if start < end => start..end,
        _ => length..length,
    }
}

/// Whether the payload's bytes lie in memory as they do in the pages of the file.
fn is_congruent(payload: &Chain, offset: u64) -> bool {
    let address = payload.as_slices().next().map_or(0, |piece| piece.as_ptr() as usize);
    address % PAGE_BYTES == (offset % PAGE_BYTES as u64) as usize
}

/// Opens `object` anew for direct I/O, or says why the file cannot have it. No reason where it is not the file's.
fn open(object: &Object, access: OFlags) -> std::result::Result<Direct, Option<String>> {
    let fd = procfs::reopen(object, access | OFlags::DIRECT | OFlags::NONBLOCK)
        .map_err(|errno| (errno == Errno::INVAL).then(|| "O_DIRECT is refused".to_owned()))?;
    fcntl_setfl(&fd, OFlags::DIRECT).map_err(|errno| Some(errno.to_string()))?;
    let alignment = Alignment::of(&fd).map_err(Some)?;
    Ok(Direct { fd: Arc::new(fd), alignment })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_pages_are_found() {
        let page = PAGE_BYTES;
        assert_eq!(whole_pages(0, 2 * page), 0..2 * page);
        assert_eq!(whole_pages(1, 2 * page), page - 1..2 * page - 1);
        assert_eq!(whole_pages(page as u64 - 1, page + 2), 1..page + 1);
        for (offset, length) in [(0, page - 1), (1, page), (1, page - 1), (100, 10), (page as u64 - 1, 2)] {
            assert_eq!(whole_pages(offset, length), length..length, "{offset} {length}");
        }
    }
}
