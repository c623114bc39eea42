//! Reading.
//!
//! Reads try the page cache first, on the spot and without sleeping; what is not there is read through the ring. Pages
//! that are all there can also go into a pipe, on their way to a socket.

use std::io::IoSliceMut;
use std::sync::Arc;
use std::time::{Duration, Instant};

use buf::{CHAIN_BLOCKS_MAX, Chain, Piped, Slice};
use engine::IoOptions;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tracing::Instrument;
use vfs::{CROSSOVER_BYTES, Error, ReadDone, Result};

use crate::local::{File, Local};
use crate::open::OpenFile;
use crate::sys::cachestat;
use crate::sys::errno::{error, from_ring};
use crate::{attribute, trace};

/// How long moving pages into a pipe takes at the least when one of them had to be read first. From memory 1 MiB takes
/// some 10 us.
const SLEPT_MIN: Duration = Duration::from_micros(500);

metric::counters! {
    /// Reads of one core.
    pub struct ReadCounters;

    /// What reading has done on one core.
    pub struct ReadStats {
        /// Reads answered with pages in a pipe.
        pub piped: Counter,
        /// Bytes of the reads answered with pages in a pipe.
        pub piped_bytes: Counter,
        /// Reads answered with pages in a pipe that held the core up longer than memory does: a page had left the cache
        /// after it was looked for, and was read; or, rarely, the core was taken away meanwhile.
        pub piped_slept: Counter,
    }
}

impl ReadCounters {
    fn count(&self, bytes: usize, slept: bool) {
        self.piped.update(|count| count + 1);
        self.piped_bytes.update(|sum| sum + bytes as u64);
        self.piped_slept.update(|count| count + u64::from(slept));
    }
}

impl Local {
    /// Reads into the front of `buffer`.
    pub(crate) async fn read_file(
        &self,
        file: &File,
        offset: u64,
        mut buffer: Chain,
    ) -> (Chain, Result<ReadDone>) {
        let length = buffer.len();
        if i64::try_from(offset).is_err() || length == 0 {
            let done = end_of_file(&file.0, offset, 0).map(|end_of_file| ReadDone { bytes: 0, end_of_file });
            return (buffer, done);
        }
        if let Some(direct) = self.direct(&file.0).await {
            let outcome;
            let submitted = self.read_direct(&file.0, direct, offset, buffer);
            (buffer, outcome) = submitted.instrument(trace::submission("read")).await;
            if let Some(done) = outcome {
                return (buffer, done);
            }
        }
        let mut bytes = match read_cached(&file.0, offset, &mut buffer) {
            Ok(bytes) => bytes,
            Err(failure) => return (buffer, Err(failure)),
        };
        while bytes < length {
            // A short answer from the cache may be the end of the file, or the end of what is cached.
            if bytes > 0 && is_past_end(&file.0, offset + bytes as u64) {
                break;
            }
            let submitted = self.read_ring(&file.0, offset + bytes as u64, buffer, bytes);
            let (back, outcome) = submitted.instrument(trace::submission("read")).await;
            buffer = back;
            match outcome {
                Ok(0) => break,
                Ok(more) => bytes += more,
                Err(failure) => return (buffer, Err(failure)),
            }
        }
        let done = end_of_file(&file.0, offset, bytes).map(|end_of_file| ReadDone { bytes, end_of_file });
        (buffer, done)
    }

    /// Moves pages that are in the page cache into `pipe`; `None` unless all of them are there and enough.
    pub(crate) fn pipe_file(
        &self,
        file: &File,
        offset: u64,
        bytes: usize,
        pipe: &mut Piped,
    ) -> Option<ReadDone> {
        if file.0.object().mount().goes_direct() {
            return None;
        }
        let range = find_cached(&file.0, offset, bytes)?;
        if range.bytes < CROSSOVER_BYTES || !pipe.holds(offset, range.bytes) {
            return None;
        }
        let begun = Instant::now();
        // Whatever fails here fails again, and is told, where it is read into memory.
        let filled = pipe.fill(&file.0, offset, range.bytes).ok().filter(|filled| *filled > 0)?;
        self.read_counters().count(filled, begun.elapsed() >= SLEPT_MIN);
        // What the pipe holds decides: the file may have been cut meanwhile.
        let goes_on = range.goes_on && filled == range.bytes;
        let end_of_file = !goes_on && is_past_end(&file.0, offset + filled as u64);
        Some(ReadDone { bytes: filled, end_of_file })
    }

    async fn read_ring(
        &self,
        file: &OpenFile,
        offset: u64,
        buffer: Chain,
        done: usize,
    ) -> (Chain, Result<usize>) {
        let _place = match self.read_place(file.object()).await {
            Ok(place) => place,
            Err(failure) => return (buffer, Err(failure)),
        };
        let length = buffer.len();
        let fd = Arc::clone(file.fd());
        // Unsliced where possible, as one registered piece reads fastest.
        let (outcome, buffer) = if done == 0 {
            self.shard().read_at(fd, offset, buffer, IoOptions::default()).await
        } else {
            let rest = Slice::new(buffer, done..length);
            let (outcome, rest) = self.shard().read_at(fd, offset, rest, IoOptions::default()).await;
            (outcome, rest.into_inner())
        };
        (buffer, outcome.map_err(|failure| from_ring(&failure)))
    }
}

/// What of a range can be had without sleeping.
#[derive(Clone, Copy, Debug)]
struct Cached {
    /// Bytes from its beginning on.
    bytes: usize,
    /// Whether the file certainly goes on behind them.
    goes_on: bool,
}

/// Reads what can be had without sleeping: nothing where that is not to be known here. A byte more would tell whether the file goes
/// on, but it is in a page that nobody asked for, and to look at the size takes less.
fn read_cached(file: &OpenFile, offset: u64, buffer: &mut Chain) -> Result<usize> {
    let mut pieces: [IoSliceMut<'_>; CHAIN_BLOCKS_MAX] = std::array::from_fn(|_| IoSliceMut::new(&mut []));
    let mut count = 0;
    for (place, piece) in pieces.iter_mut().zip(buffer.as_mut_slices()) {
        *place = IoSliceMut::new(piece);
        count += 1;
    }
    Ok(read_without_waiting(file, &mut pieces[..count], offset)?.unwrap_or(0))
}

/// What of the range is in the page cache, up to the end of the file; `None` unless all of it is. Pages can leave it again
/// at any time.
fn find_cached(file: &OpenFile, offset: u64, bytes: usize) -> Option<Cached> {
    // Of a range that is just being read ahead the last page comes last.
    let last = offset.checked_add(bytes.checked_sub(1)? as u64)?;
    i64::try_from(last).ok()?;
    let range = match peek(file, last, &mut [0; 2])? {
        0 => {
            let rest = attribute::size(file).ok()?.checked_sub(offset)?;
            let bytes = bytes.min(usize::try_from(rest).ok()?);
            peek(file, offset + bytes.checked_sub(1)? as u64, &mut [0])?;
            Cached { bytes, goes_on: false }
        }
        seen => Cached { bytes, goes_on: seen > 1 },
    };
    is_cached(file, offset, range.bytes as u64)?.then_some(range)
}

/// Whether the range, whose last page is, lies wholly in the page cache: as the kernel tells, or as its first page tells
/// where the kernel does not.
fn is_cached(file: &OpenFile, offset: u64, bytes: u64) -> Option<bool> {
    let mount = file.object().mount();
    if mount.shows_cache() {
        let page = rustix::param::page_size() as u64;
        let wanted = (offset + bytes).div_ceil(page) - offset / page;
        match cachestat::pages(file, offset, bytes) {
            // Pages that can be read are not there, and stay so: they are another file's.
            Ok(0)
                if peek(file, offset, &mut [0]) == Some(1)
                    && cachestat::pages(file, offset, bytes) == Ok(0) =>
            {
                mount.note_cache_hidden();
            }
            Ok(pages) => return Some(pages >= wanted),
            // Before Linux 6.5, or without the right to know.
            Err(_) => mount.note_cache_hidden(),
        }
    }
    Some(peek(file, offset, &mut [0])? == 1)
}

/// How many bytes at `offset` can be had without sleeping; `None` when that is not to be known.
fn peek(file: &OpenFile, offset: u64, bytes: &mut [u8]) -> Option<usize> {
    read_without_waiting(file, &mut [IoSliceMut::new(bytes)], offset).ok().flatten()
}

/// Reads from the page cache, as much as is there; `None` when nothing is, or the file system cannot read so.
fn read_without_waiting(
    file: &OpenFile,
    pieces: &mut [IoSliceMut<'_>],
    offset: u64,
) -> Result<Option<usize>> {
    let mount = file.object().mount();
    if !mount.reads_without_waiting() {
        return Ok(None);
    }
    match preadv2(file, pieces, offset, ReadWriteFlags::NOWAIT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Errno::AGAIN) => Ok(None),
        Err(Errno::OPNOTSUPP) => {
            mount.note_reads_wait();
            Ok(None)
        }
        Err(Errno::BADF) => Err(Error::AccessDenied),
        Err(errno) => Err(error(errno)),
    }
}

/// Whether a read of `bytes` at `offset` reached the end.
pub fn end_of_file(file: &OpenFile, offset: u64, bytes: usize) -> Result<bool> {
    Ok(offset.saturating_add(bytes as u64) >= attribute::size(file)?)
}

fn is_past_end(file: &OpenFile, position: u64) -> bool {
    attribute::size(file).is_ok_and(|size| position >= size)
}
