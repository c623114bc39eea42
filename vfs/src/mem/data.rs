//! Reading and writing open files.

use std::ops::Range;
use std::sync::atomic::Ordering;

use buf::Chain;

use super::content::{BLOCK, Content};
use super::inode::{Inode, Number};
use super::open::{MemFile, range_of};
use super::permission::mode_after_write;
use super::storage::Storage;
use crate::{Copied, Error, Identity, ReadDone, Result, SeekTarget, Stability, Written};

/// Most bytes of one copy, so that callers meet one that stops early.
const COPY_BYTES_MAX: u64 = 1 << 20;

impl Storage {
    pub(super) fn read(&mut self, file: &MemFile, offset: u64, buffer: &mut Chain) -> Result<ReadDone> {
        let number = file.readable(self)?;
        let content = self.content(number);
        let rest = content.size().saturating_sub(offset);
        let bytes = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        let mut done = 0;
        for piece in buffer.as_mut_slices() {
            let count = piece.len().min(bytes - done);
            content.read(offset + done as u64, &mut piece[..count]);
            done += count;
        }
        self.mark_read(number);
        Ok(ReadDone { bytes, end_of_file: bytes as u64 >= rest })
    }

    pub(super) fn write(
        &mut self,
        file: &MemFile,
        identity: &Identity,
        offset: u64,
        payload: &Chain,
        stability: Stability,
    ) -> Result<Written> {
        let number = file.writable(self)?;
        let range = range_of(offset, payload.len() as u64)?;
        if payload.is_empty() {
            return Ok(Written { bytes: 0, stability: Stability::File });
        }
        self.check_room_in(number, range)?;
        self.mark_written(number, identity);
        self.edit(number, |content| {
            let mut position = offset;
            for piece in payload.as_slices() {
                content.write(position, piece);
                position += piece.len() as u64;
            }
        });
        if stability > Stability::Unstable {
            self.commit(file)?;
            return Ok(Written { bytes: payload.len(), stability: Stability::File });
        }
        Ok(Written { bytes: payload.len(), stability })
    }

    /// As fsync on Linux: every open file learns once of each failure since it was opened.
    pub(super) fn commit(&mut self, file: &MemFile) -> Result<()> {
        let number = file.number(self)?;
        let synced = self.sync(number);
        let failures = self.content(number).sync_failures;
        let seen = file.failures_seen().swap(failures, Ordering::Relaxed);
        if seen == failures { synced } else { Err(Error::Io) }
    }

    pub(super) fn allocate(
        &mut self,
        file: &MemFile,
        identity: &Identity,
        offset: u64,
        bytes: u64,
    ) -> Result<()> {
        let number = file.writable(self)?;
        let range = nonempty(range_of(offset, bytes)?)?;
        self.check_room_in(number, range.clone())?;
        self.mark_written(number, identity);
        self.edit(number, |content| content.allocate(range));
        Ok(())
    }

    pub(super) fn deallocate(
        &mut self,
        file: &MemFile,
        identity: &Identity,
        offset: u64,
        bytes: u64,
    ) -> Result<()> {
        let number = file.writable(self)?;
        let range = nonempty(range_of(offset, bytes)?)?;
        // A block that is a hole in part gets zeros there, which may need a copy of it but no more room.
        self.mark_written(number, identity);
        self.edit(number, |content| content.punch(range));
        Ok(())
    }

    pub(super) fn seek(&self, file: &MemFile, offset: u64, target: SeekTarget) -> Result<u64> {
        let content = self.content(file.number(self)?);
        let found = match target {
            SeekTarget::Data => content.next_data(offset),
            SeekTarget::Hole => content.next_hole(offset),
        };
        found.ok_or(Error::NoSuchRange)
    }

    pub(super) fn copy(
        &mut self,
        (source, source_offset): (&MemFile, u64),
        (target, target_offset): (&MemFile, u64),
        bytes: u64,
        identity: &Identity,
    ) -> Result<Copied> {
        let (source, target) = (source.readable(self)?, target.writable(self)?);
        let rest = self.content(source).size().saturating_sub(source_offset);
        let bytes = bytes.min(rest);
        let range = range_of(target_offset, bytes)?;
        if source == target && overlaps(source_offset, target_offset, bytes) {
            return Err(Error::Invalid);
        }
        let bytes = bytes.min(COPY_BYTES_MAX);
        if bytes == 0 {
            return Ok(Copied { bytes: 0, stability: Stability::Unstable });
        }
        self.check_room_in(target, range.start..range.start + bytes)?;
        let mut copied = vec![0; bytes as usize];
        self.content(source).read(source_offset, &mut copied);
        self.mark_written(target, identity);
        self.edit(target, |content| content.write(target_offset, &copied));
        Ok(Copied { bytes, stability: Stability::Unstable })
    }

    pub(super) fn clone_range(
        &mut self,
        (source, source_offset): (&MemFile, u64),
        (target, target_offset): (&MemFile, u64),
        bytes: u64,
        identity: &Identity,
    ) -> Result<()> {
        let (source, target) = (source.readable(self)?, target.writable(self)?);
        let content = self.content(source).clone();
        let size = content.size();
        let bytes = if bytes == 0 { size.saturating_sub(source_offset) } else { bytes };
        let end = source_offset.checked_add(bytes).ok_or(Error::Invalid)?;
        let target_range = range_of(target_offset, bytes)?;
        let ends_well = end.is_multiple_of(BLOCK as u64)
            || (end == size && target_range.end >= self.content(target).size());
        let starts_well = (source_offset | target_offset).is_multiple_of(BLOCK as u64);
        if end > size || !starts_well || !ends_well {
            return Err(Error::Invalid);
        }
        if source == target && overlaps(source_offset, target_offset, bytes) {
            return Err(Error::Invalid);
        }
        if bytes == 0 {
            return Ok(());
        }
        self.check_room_in(target, target_range)?;
        self.mark_written(target, identity);
        self.edit(target, |target| target.share(&content, source_offset..end, target_offset));
        Ok(())
    }

    fn content(&self, number: Number) -> &Content {
        self.inode(number).content().expect("only regular files are opened")
    }

    fn check_room_in(&self, number: Number, range: Range<u64>) -> Result<()> {
        let inode = self.inode(number);
        self.check_room(inode.uid, self.content(number).missing_bytes(range))
    }

    /// The times, the change attribute and the mode after the contents changed.
    fn mark_written(&mut self, number: Number, identity: &Identity) {
        self.touch_contents(number);
        let inode = self.inode_mut(number);
        inode.mode = mode_after_write(inode, identity);
    }

    /// The access time, kept as Linux does by default: when it would not be newer than the last change.
    fn mark_read(&mut self, number: Number) {
        let now = self.time;
        let inode: &mut Inode = self.inode_mut(number);
        if inode.accessed <= inode.modified {
            inode.accessed = now;
        }
    }
}

fn nonempty(range: Range<u64>) -> Result<Range<u64>> {
    if range.is_empty() { Err(Error::Invalid) } else { Ok(range) }
}

/// Whether two ranges of one length have bytes in common.
fn overlaps(first: u64, second: u64, bytes: u64) -> bool {
    first.abs_diff(second) < bytes
}
