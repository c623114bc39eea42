//! Which memory the adapters know, and how they name it.

use buf::Region;
use verbs::{MemoryId, Place};

/// The regions that were registered.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    regions: Vec<(usize, usize, MemoryId)>,
}

impl Memory {
    /// Notes that a region is known under this number.
    pub fn add(&mut self, region: &Region, id: MemoryId) {
        self.regions.push((region.address() as usize, region.bytes(), id));
    }

    /// Where these bytes lie; `None` when they lie in no region.
    pub fn place(&self, bytes: &[u8]) -> Option<Place> {
        let address = bytes.as_ptr() as usize;
        let within = |(base, length, _): &&(usize, usize, MemoryId)| {
            address >= *base && address + bytes.len() <= base + length
        };
        let (_, _, memory) = self.regions.iter().find(within)?;
        let length = u32::try_from(bytes.len()).ok()?;
        Some(Place { address: address as u64, length, memory: *memory })
    }
}
