//! Reading.
//!
//! Reads try the page cache first, on the spot and without sleeping; what is not there is read through the ring.

use std::io::IoSliceMut;
use std::sync::Arc;

use buf::{Chain, Slice};
use engine::IoOptions;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use vfs::{Error, ReadDone, Result};

use crate::attribute;
use crate::local::{File, Local};
use crate::open::OpenFile;
use crate::sys::errno::{error, from_ring};

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
            (buffer, outcome) = self.read_direct(&file.0, direct, offset, buffer).await;
            if let Some(done) = outcome {
                return (buffer, done);
            }
        }
        let mut bytes = match read_cached(&file.0, offset, &mut buffer) {
            Ok(bytes) => bytes,
            Err(failure) => return (buffer, Err(failure)),
        };
        while bytes.unwrap_or(0) < length {
            let done = bytes.unwrap_or(0);
            // A short answer from the cache may be the end of the file, or the end of what is cached.
            if done > 0 && is_past_end(&file.0, offset + done as u64) {
                break;
            }
            let (back, outcome) = self.read_ring(&file.0, offset + done as u64, buffer, done).await;
            buffer = back;
            match outcome {
                Ok(0) => {
                    bytes = Some(done);
                    break;
                }
                Ok(more) => bytes = Some(done + more),
                Err(failure) => return (buffer, Err(failure)),
            }
        }
        let bytes = bytes.unwrap_or(0);
        let done = end_of_file(&file.0, offset, bytes).map(|end_of_file| ReadDone { bytes, end_of_file });
        (buffer, done)
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

/// What of it can be had without sleeping; `None` when that is not to be known here.
fn read_cached(file: &OpenFile, offset: u64, buffer: &mut Chain) -> Result<Option<usize>> {
    let mount = file.object().mount();
    if !mount.reads_without_waiting() {
        return Ok(None);
    }
    let mut pieces: Vec<_> = buffer.as_mut_slices().map(IoSliceMut::new).collect();
    match preadv2(file, &mut pieces, offset, ReadWriteFlags::NOWAIT) {
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
    let size = attribute::raw(file)?.stx_size;
    Ok(offset.saturating_add(bytes as u64) >= size)
}

fn is_past_end(file: &OpenFile, position: u64) -> bool {
    attribute::raw(file).is_ok_and(|seen| position >= seen.stx_size)
}
