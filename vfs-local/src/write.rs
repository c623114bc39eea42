//! Writing.
//!
//! Writes always go through the ring: even a write that must not sleep (RWF_NOWAIT) waits on the spot for a frozen
//! file system, and the ring does not. Each carries the caller's credentials, so that set-id bits are cleared and
//! quotas and reserved blocks obeyed as for the caller, whoever opened the file.

use std::io::IoSlice;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use buf::{Chain, Slice};
use engine::IoOptions;
use rustix::io::{Errno, ReadWriteFlags, pwritev2};
use tracing::Instrument;
use vfs::{Error, Identity, Result, Stability, Written};

use crate::identity::as_identity;
use crate::local::{File, Local};
use crate::open::OpenFile;
use crate::sys::errno::{error, from_ring};
use crate::turns::Way;
use crate::{attribute, durable, process, trace};

/// How long a write waits for its turn in the ring before it is taken elsewhere: longer than any but a hung one takes
/// before it.
const TURN_MAX: Duration = Duration::from_millis(500);

/// Where a payload goes.
#[derive(Clone, Copy)]
pub struct Target<'a> {
    /// The descriptor to write to.
    pub fd: &'a Arc<OwnedFd>,
    /// The file.
    pub file: &'a OpenFile,
    /// As whom.
    pub identity: &'a Identity,
    /// Where in the file the payload begins.
    pub offset: u64,
    /// Whether that goes through the page cache.
    pub cached: bool,
}

impl Local {
    /// Writes all of `payload` or fails.
    pub(crate) async fn write_file(
        &self,
        file: &File,
        identity: &Identity,
        offset: u64,
        payload: Chain,
        stability: Stability,
    ) -> (Chain, Result<Written>) {
        let length = payload.len();
        if offset.checked_add(length as u64).is_none_or(|end| i64::try_from(end).is_err()) {
            return (payload, Err(Error::TooLarge));
        }
        if length == 0 {
            return (payload, Ok(Written { bytes: 0, stability }));
        }
        let personality = match self.personality(identity) {
            Ok(personality) => personality,
            Err(failure) => return (payload, Err(failure)),
        };
        let flags = match stability {
            _ if durable::is_skipped() => 0,
            Stability::Unstable => 0,
            Stability::Data => libc::RWF_DSYNC,
            Stability::File => libc::RWF_SYNC,
        };
        let options = IoOptions { personality, flags };
        let submitted = self.write_ring(&file.0, identity, offset, payload, &options);
        let (mut payload, outcome) = submitted.instrument(trace::submission("write")).await;
        let failed_sync = match outcome {
            Err(Error::Io) => true,
            // No room for this write, or none for what the sync brought to the disk: without the sync it is the former.
            Err(Error::NoSpace | Error::Quota) if options.flags != 0 => {
                let unsynced = IoOptions { flags: 0, ..options };
                let again;
                (payload, again) = self.write_ring(&file.0, identity, offset, payload, &unsynced).await;
                again.is_ok()
            }
            _ => false,
        };
        if failed_sync {
            // Whoever else has written to the file unstably may have lost it.
            process::note_failed_sync();
        }
        // Part of it may have been written before something failed.
        if stability == Stability::Unstable {
            file.0.note_unsynced();
        }
        let noted = attribute::note_change(file.0.object());
        let written = outcome.and(noted).map(|()| Written { bytes: length, stability });
        (payload, written)
    }

    async fn write_ring(
        &self,
        file: &OpenFile,
        identity: &Identity,
        offset: u64,
        payload: Chain,
        options: &IoOptions,
    ) -> (Chain, Result<()>) {
        let _place = match self.write_place().await {
            Ok(place) => place,
            Err(failure) => return (payload, Err(failure)),
        };
        if let Some(direct) = self.direct(file).await {
            return self.write_direct((file, direct), identity, offset, payload, options).await;
        }
        // Others may go direct at this moment, though this one has no descriptor for it.
        let turns = file.object().mount().goes_direct().then(|| file.inode().turns());
        let _turn = match turns {
            Some(turns) => Some(turns.enter(Way::Cached).await),
            None => None,
        };
        let target = Target { fd: file.fd(), file, identity, offset, cached: true };
        let all = 0..payload.len();
        self.write_range(target, payload, all, options).await
    }

    /// Writes a range of the payload.
    pub(crate) async fn write_range(
        &self,
        target: Target<'_>,
        mut payload: Chain,
        range: Range<usize>,
        options: &IoOptions,
    ) -> (Chain, Result<()>) {
        let mut done = range.start;
        while done < range.end {
            let (fd, at) = (Arc::clone(target.fd), target.offset + done as u64);
            let outcome;
            let (shard, flags, options) = (self.shard(), options.flags, options.clone());
            (outcome, payload) = if done == 0 && range.end == payload.len() {
                shard.write_at_within(fd, at, payload, options, TURN_MAX).await
            } else {
                let rest = Slice::new(payload, done..range.end);
                let (outcome, rest) = shard.write_at_within(fd, at, rest, options, TURN_MAX).await;
                (outcome, rest.into_inner())
            };
            match outcome {
                Err(failure) if failure.raw_os_error() == Some(libc::ECANCELED) && target.cached => {
                    let written = self.write_helped(target, &payload, done..range.end, flags).await;
                    return (payload, written);
                }
                Ok(0) => return (payload, Err(Error::NoSpace)),
                Ok(bytes) => done += bytes,
                Err(failure) => return (payload, Err(from_ring(&failure))),
            }
        }
        (payload, Ok(()))
    }

    /// Writes a range of the payload on a helper thread: in the ring it would have to wait behind a write
    /// that hangs, of another file system perhaps. The bytes are copied, for payload memory stays on its core; this is
    /// rare.
    async fn write_helped(
        &self,
        target: Target<'_>,
        payload: &Chain,
        range: Range<usize>,
        flags: i32,
    ) -> Result<()> {
        let mut bytes = Vec::with_capacity(payload.len());
        payload.as_slices().for_each(|slice| bytes.extend_from_slice(slice));
        let flags = ReadWriteFlags::from_bits_retain(flags.cast_unsigned());
        let (fd, identity) = (Arc::clone(target.file.fd()), target.identity.clone());
        let offset = target.offset + range.start as u64;
        self.on_helper(move |_| as_identity(&identity, || write_all(&fd, offset, &bytes[range], flags))).await
    }
}

/// Writes all of `bytes` on the spot, which may sleep.
fn write_all(fd: &OwnedFd, mut offset: u64, mut bytes: &[u8], flags: ReadWriteFlags) -> Result<()> {
    while !bytes.is_empty() {
        match pwritev2(fd, &[IoSlice::new(bytes)], offset, flags) {
            Ok(0) => return Err(Error::NoSpace),
            Ok(count) => {
                bytes = &bytes[count..];
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error(errno)),
        }
    }
    Ok(())
}
