//! Copying and sharing ranges within the file system.

use std::sync::Arc;

use rustix::fs::copy_file_range;
use rustix::io::{Errno, pread, pwrite};
use vfs::{Copied, Error, Identity, Result, Stability};

use crate::identity::as_identity;
use crate::local::{File, Local};
use crate::open::OpenFile;
use crate::sys::errno::error;
use crate::{attribute, durable, sys};

/// Bytes a helper thread copies in one job, so that others get their turn.
const SLICE_BYTES: u64 = 16 << 20;

/// Bytes copied in one call: what a slow disk does within seconds.
const CALL_BYTES_MAX: u64 = 64 << 20;

/// Bytes read and written at once where the kernel cannot copy.
const BUFFER_BYTES: usize = 1 << 20;

/// A copy of one slice.
#[derive(Clone, Copy)]
struct Slice {
    source_offset: u64,
    target_offset: u64,
    bytes: u64,
}

impl Local {
    /// Copies up to `bytes`, stopping early after [`CALL_BYTES_MAX`].
    pub(crate) async fn copy_range(
        &self,
        source: (&File, u64),
        target: (&File, u64),
        bytes: u64,
        identity: &Identity,
    ) -> Result<Copied> {
        check_range(source.1, bytes)?;
        check_range(target.1, bytes)?;
        let wanted = bytes.min(CALL_BYTES_MAX);
        let mut done = 0;
        while done < wanted {
            let slice = Slice {
                source_offset: source.1 + done,
                target_offset: target.1 + done,
                bytes: (wanted - done).min(SLICE_BYTES),
            };
            let (from, to) = (Arc::clone(&source.0.0), Arc::clone(&target.0.0));
            let identity = identity.clone();
            let copied = self
                .on_helper(move |_| {
                    let copied = as_identity(&identity, || copy_slice(&from, &to, slice))?;
                    to.note_unsynced();
                    attribute::note_change(to.object())?;
                    Ok(copied)
                })
                .await;
            match copied {
                Ok(0) => break,
                Ok(copied) => done += copied,
                Err(failure) if done == 0 => return Err(failure),
                Err(_) => break,
            }
        }
        Ok(Copied { bytes: done, stability: Stability::Unstable })
    }

    /// Makes the target range share the source's storage, durably.
    pub(crate) async fn share_range(
        &self,
        source: (&File, u64),
        target: (&File, u64),
        bytes: u64,
        identity: &Identity,
    ) -> Result<()> {
        check_range(source.1, bytes)?;
        check_range(target.1, bytes)?;
        let (from, to) = (Arc::clone(&source.0.0), Arc::clone(&target.0.0));
        let (source_offset, target_offset) = (source.1, target.1);
        let identity = identity.clone();
        self.on_helper(move |_| {
            as_identity(&identity, || {
                sys::clone::range(&*from, source_offset, &*to, target_offset, bytes).map_err(error)
            })?;
            attribute::note_change(to.object())?;
            durable::sync_file(&*to)
        })
        .await
    }
}

fn check_range(offset: u64, bytes: u64) -> Result<()> {
    match offset.checked_add(bytes).map(i64::try_from) {
        Some(Ok(_)) => Ok(()),
        _ => Err(Error::Invalid),
    }
}

/// Copies with the thread's identity; may stop early, fails only if nothing was copied.
fn copy_slice(from: &OpenFile, to: &OpenFile, slice: Slice) -> Result<u64> {
    let Slice { mut source_offset, mut target_offset, bytes } = slice;
    let mut done = 0;
    while done < bytes {
        let left = (bytes - done) as usize;
        match copy_file_range(from, Some(&mut source_offset), to, Some(&mut target_offset), left) {
            Ok(0) => break,
            Ok(copied) => done += copied as u64,
            Err(Errno::XDEV | Errno::OPNOTSUPP | Errno::NOSYS) if done == 0 => {
                return copy_by_hand(from, to, slice);
            }
            Err(errno) if done == 0 => return Err(error(errno)),
            Err(_) => break,
        }
    }
    Ok(done)
}

fn copy_by_hand(from: &OpenFile, to: &OpenFile, slice: Slice) -> Result<u64> {
    let mut buffer = vec![0; BUFFER_BYTES.min(slice.bytes as usize)];
    let mut done = 0;
    while done < slice.bytes {
        let wanted = buffer.len().min((slice.bytes - done) as usize);
        let step = pread(from, &mut buffer[..wanted], slice.source_offset + done)
            .and_then(|read| pwrite(to, &buffer[..read], slice.target_offset + done));
        match step {
            Ok(0) => break,
            Ok(written) => done += written as u64,
            Err(errno) if done == 0 => return Err(error(errno)),
            Err(_) => break,
        }
    }
    Ok(done)
}
