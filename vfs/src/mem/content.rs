//! The contents of one regular file: blocks with holes between them, and what a power loss would leave.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of a block.
pub(super) const BLOCK: usize = 4096;

type Block = Arc<[u8; BLOCK]>;

/// What is on stable storage, where it differs from what is read.
#[derive(Clone, Debug)]
struct Stable {
    size: u64,
    /// The blocks that were touched since; `None` was a hole.
    blocks: BTreeMap<u64, Option<Block>>,
}

/// Blocks are shared between clones and with the stable state until they are written.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    size: u64,
    blocks: BTreeMap<u64, Block>,
    /// `None` while everything is stable.
    stable: Option<Stable>,
    /// How many syncs failed: what each open file has seen is kept with it.
    pub(super) sync_failures: u64,
}

impl Content {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn used_bytes(&self) -> u64 {
        (self.blocks.len() * BLOCK) as u64
    }

    /// Bytes of storage that writing all of `range` would take more.
    pub(super) fn missing_bytes(&self, range: Range<u64>) -> u64 {
        let indexes = indexes(&range);
        let present = self.blocks.range(indexes.clone()).count() as u64;
        (indexes.end - indexes.start - present) * BLOCK as u64
    }

    /// Fills `target` from `offset` on; the range must lie within the size.
    pub(super) fn read(&self, offset: u64, target: &mut [u8]) {
        for (index, within, part) in pieces(offset, target.len()) {
            match self.blocks.get(&index) {
                Some(block) => target[part].copy_from_slice(&block[within]),
                None => target[part].fill(0),
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, source: &[u8]) {
        for (index, within, part) in pieces(offset, source.len()) {
            self.block_mut(index)[within].copy_from_slice(&source[part]);
        }
        self.grow(offset + source.len() as u64);
    }

    /// Gives every hole in the range a block of zeros; a longer range makes the file longer.
    pub(super) fn allocate(&mut self, range: Range<u64>) {
        for index in indexes(&range) {
            self.block_mut(index);
        }
        self.grow(range.end);
    }

    /// Makes the range a hole as far as whole blocks go, and zeros beside them. The size stays.
    pub(super) fn punch(&mut self, range: Range<u64>) {
        let touched: Vec<u64> = self.blocks.range(indexes(&range)).map(|(index, _)| *index).collect();
        for index in touched {
            let start = index * BLOCK as u64;
            let within = range.start.saturating_sub(start) as usize..BLOCK.min((range.end - start) as usize);
            if within.len() == BLOCK {
                self.remember(index);
                self.blocks.remove(&index);
            } else {
                self.block_mut(index)[within].fill(0);
            }
        }
    }

    pub(super) fn set_size(&mut self, size: u64) {
        if size < self.size {
            self.punch(size..self.size.next_multiple_of(BLOCK as u64));
        }
        self.remember_size();
        self.size = size;
    }

    /// Shares the blocks of `source` in `range` from `offset` on. Both are at block borders; the range may end
    /// inside the source's last block.
    pub(super) fn share(&mut self, source: &Self, range: Range<u64>, offset: u64) {
        let length = range.end - range.start;
        self.punch(offset..(offset + length).next_multiple_of(BLOCK as u64));
        for (index, block) in source.blocks.range(indexes(&range)) {
            let target = index - range.start / BLOCK as u64 + offset / BLOCK as u64;
            self.remember(target);
            self.blocks.insert(target, block.clone());
        }
        self.grow(offset + length);
    }

    /// The first byte at or behind `offset` that has a block.
    pub(super) fn next_data(&self, offset: u64) -> Option<u64> {
        let (index, _) = self.blocks.range(offset / BLOCK as u64..).next()?;
        let found = offset.max(index * BLOCK as u64);
        (found < self.size).then_some(found)
    }

    /// The first byte at or behind `offset` that has none; the end of the file is one.
    pub(super) fn next_hole(&self, offset: u64) -> Option<u64> {
        if offset >= self.size {
            return None;
        }
        let first = offset / BLOCK as u64;
        let run = self.blocks.range(first..).zip(first..).take_while(|((index, _), at)| *index == at);
        let end = (first + run.count() as u64) * BLOCK as u64;
        Some(end.max(offset).min(self.size))
    }

    pub(super) fn is_stable(&self) -> bool {
        self.stable.is_none()
    }

    /// Brings everything to stable storage.
    pub(super) fn make_stable(&mut self) {
        self.stable = None;
    }

    /// Falls back to what is on stable storage.
    pub(super) fn lose_unstable(&mut self) {
        let Some(stable) = self.stable.take() else { return };
        self.size = stable.size;
        for (index, block) in stable.blocks {
            match block {
                Some(block) => self.blocks.insert(index, block),
                None => self.blocks.remove(&index),
            };
        }
    }

    /// A block to be changed; a hole gets one of zeros.
    fn block_mut(&mut self, index: u64) -> &mut [u8; BLOCK] {
        self.remember(index);
        Arc::make_mut(self.blocks.entry(index).or_insert_with(|| Arc::new([0; BLOCK])))
    }

    fn grow(&mut self, size: u64) {
        if size > self.size {
            self.remember_size();
            self.size = size;
        }
    }

    /// Keeps what is stable of a block before it changes.
    fn remember(&mut self, index: u64) {
        let block = self.blocks.get(&index);
        self.stable
            .get_or_insert_with(|| Stable { size: self.size, blocks: BTreeMap::new() })
            .blocks
            .entry(index)
            .or_insert_with(|| block.cloned());
    }

    fn remember_size(&mut self) {
        let size = self.size;
        self.stable.get_or_insert_with(|| Stable { size, blocks: BTreeMap::new() });
    }
}

/// The blocks that a range of bytes touches.
fn indexes(range: &Range<u64>) -> Range<u64> {
    let first = range.start / BLOCK as u64;
    first..range.end.div_ceil(BLOCK as u64).max(first)
}

/// Block, range in the block and range in the buffer of each piece of a transfer.
fn pieces(offset: u64, length: usize) -> impl Iterator<Item = (u64, Range<usize>, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == length {
            return None;
        }
        let position = offset + done as u64;
        let within = (position % BLOCK as u64) as usize;
        let count = (BLOCK - within).min(length - done);
        let part = done..done + count;
        done += count;
        Some((position / BLOCK as u64, within..within + count, part))
    })
}
