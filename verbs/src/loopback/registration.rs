//! Memory that an adapter knows, and the keys by which its peers do.

use std::collections::BTreeMap;

use rustix::io::Errno;

use crate::{Access, MemoryId, Place, Remote};

/// What a key lets peers do with the memory it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Read it.
    Read,
    /// Write it.
    Write,
    /// Both.
    ReadWrite,
}

impl Permission {
    /// Whether it lets a peer write, or else read.
    fn covers(self, is_write: bool) -> bool {
        match self {
            Self::Read => !is_write,
            Self::Write => is_write,
            Self::ReadWrite => true,
        }
    }
}

/// A range of addresses whose end is an address too.
#[derive(Clone, Copy)]
struct Range {
    start: u64,
    bytes: u64,
}

impl Range {
    fn contains(self, address: u64, bytes: u64) -> bool {
        let offset = address.checked_sub(self.start);
        offset.and_then(|offset| offset.checked_add(bytes)).is_some_and(|end| end <= self.bytes)
    }
}

/// Memory that was registered.
struct Memory {
    range: Range,
    access: Access,
    /// The key to all of it, unless a peer has ended it.
    key: Option<u32>,
}

/// What a key opens.
struct Window {
    range: Range,
    permission: Permission,
}

/// All that one adapter knows. Memory never leaves it: it lives as long as the adapter.
#[derive(Default)]
pub(super) struct Registrations {
    memories: Vec<Memory>,
    open: BTreeMap<u32, Window>,
}

impl Registrations {
    /// Takes memory in; the key is for memory that peers may use.
    pub(super) fn register(
        &mut self,
        start: u64,
        bytes: u64,
        access: Access,
        key: u32,
    ) -> Result<MemoryId, Errno> {
        if start == 0 || start.checked_add(bytes).is_none() {
            return Err(Errno::INVAL);
        }
        let id = u32::try_from(self.memories.len()).map_err(|_| Errno::NOMEM)?;
        self.memories.push(Memory { range: Range { start, bytes }, access, key: None });
        let id = MemoryId(id);
        if access == Access::Remote {
            self.open_whole(id, key)?;
        }
        Ok(id)
    }

    /// Opens all of a memory with a key, in place of the one it had.
    pub(super) fn open_whole(&mut self, memory: MemoryId, key: u32) -> Result<(), Errno> {
        let bytes = self.memory(memory)?.range.bytes;
        if let Some(earlier) = self.memory(memory)?.key {
            self.close(earlier);
        }
        self.open(memory, 0, bytes, Permission::ReadWrite, key)?;
        self.memories[memory.0 as usize].key = Some(key);
        Ok(())
    }

    /// Opens a part of a memory with a key.
    ///
    /// # Errors
    /// `EINVAL` when there is no such part, `EACCES` when the memory was not registered for peers.
    pub(super) fn open(
        &mut self,
        memory: MemoryId,
        offset: u64,
        bytes: u64,
        permission: Permission,
        key: u32,
    ) -> Result<(), Errno> {
        let Memory { range, access, .. } = self.memory(memory)?;
        if *access != Access::Remote {
            return Err(Errno::ACCESS);
        }
        let start = range.start.checked_add(offset).ok_or(Errno::INVAL)?;
        if !range.contains(start, bytes) {
            return Err(Errno::INVAL);
        }
        self.open.insert(key, Window { range: Range { start, bytes }, permission });
        Ok(())
    }

    /// Ends a key. Says whether it was open.
    pub(super) fn close(&mut self, key: u32) -> bool {
        for memory in &mut self.memories {
            memory.key.take_if(|of_memory| *of_memory == key);
        }
        self.open.remove(&key).is_some()
    }

    /// Ends all keys.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
        for memory in &mut self.memories {
            memory.key = None;
        }
    }

    /// Whether the key opens anything.
    pub(super) fn is_open(&self, key: u32) -> bool {
        self.open.contains_key(&key)
    }

    /// The key to all of a memory.
    pub(super) fn key(&self, memory: MemoryId) -> Option<u32> {
        self.memory(memory).ok()?.key
    }

    /// Whether a place lies in the memory that it says.
    pub(super) fn holds(&self, place: &Place) -> bool {
        let memory = self.memory(place.memory);
        memory.is_ok_and(|memory| memory.range.contains(place.address, u64::from(place.length)))
    }

    /// Whether a peer may read, or write, so many bytes there. If so, they lie in one memory of these.
    pub(super) fn allows(&self, remote: Remote, bytes: u64, is_write: bool) -> bool {
        let window = self.open.get(&remote.key);
        window.is_some_and(|window| {
            window.permission.covers(is_write) && window.range.contains(remote.address, bytes)
        })
    }

    fn memory(&self, memory: MemoryId) -> Result<&Memory, Errno> {
        self.memories.get(memory.0 as usize).ok_or(Errno::INVAL)
    }
}
