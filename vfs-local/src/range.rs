//! Ranges of a file: room, holes, advice.

use std::num::NonZeroU64;
use std::sync::Arc;

use rustix::fs::{FallocateFlags, SeekFrom, fadvise, fallocate, seek};
use vfs::{Advice, Error, Identity, Result, SeekTarget};

use crate::identity::as_identity;
use crate::local::{File, Local};
use crate::sys::errno::error;
use crate::{attribute, durable};

impl Local {
    /// Makes room for the range, or a hole of it, durably.
    pub(crate) async fn reserve(
        &self,
        file: &File,
        identity: &Identity,
        offset: u64,
        bytes: u64,
        flags: FallocateFlags,
    ) -> Result<()> {
        if offset.checked_add(bytes).is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Error::TooLarge);
        }
        let (file, identity) = (Arc::clone(&file.0), identity.clone());
        self.on_helper(move |_| {
            as_identity(&identity, || fallocate(&*file, flags, offset, bytes).map_err(error))?;
            attribute::note_change(file.object())?;
            durable::sync_file(&*file)
        })
        .await
    }

    /// The first offset of what is looked for.
    pub(crate) async fn find(&self, file: &File, offset: u64, target: SeekTarget) -> Result<u64> {
        if i64::try_from(offset).is_err() {
            return Err(Error::NoSuchRange);
        }
        let whence = match target {
            SeekTarget::Data => SeekFrom::Data(offset),
            SeekTarget::Hole => SeekFrom::Hole(offset),
        };
        let file = Arc::clone(&file.0);
        // Moves the descriptor's own position, which nothing else uses.
        self.on_helper(move |_| seek(&*file, whence).map_err(error)).await
    }

    /// Passes advice on to the kernel.
    pub(crate) async fn pass_advice(
        &self,
        file: &File,
        offset: u64,
        bytes: u64,
        advice: Advice,
    ) -> Result<bool> {
        let advice = match advice {
            Advice::Normal => rustix::fs::Advice::Normal,
            Advice::Sequential => rustix::fs::Advice::Sequential,
            Advice::Random => rustix::fs::Advice::Random,
            Advice::WillNeed => rustix::fs::Advice::WillNeed,
            Advice::DontNeed => rustix::fs::Advice::DontNeed,
        };
        let file = Arc::clone(&file.0);
        // Reading ahead may wait for the disk's queue.
        self.on_helper(move |_| Ok(fadvise(&*file, offset, NonZeroU64::new(bytes), advice).is_ok())).await
    }
}
