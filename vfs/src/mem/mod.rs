//! A file system in memory, for tests and simulation: whole, deterministic, and as strict as a real one.
//!
//! [`MemStorage`] is the file system, shared by all cores; [`Mem`] is one core's view of it. Time stands still
//! but for one microsecond per change, unless [`MemStorage::set_time`] moves it.
//!
//! What a real machine does to data can be done here: [`MemStorage::crash`] is a power loss (what was not brought
//! to stable storage is gone, open files too), [`MemStorage::fail_next_sync`] a disk that loses a write.

mod attribute;
mod content;
mod data;
mod directory;
mod inode;
mod interface;
mod namespace;
mod open;
mod permission;
mod storage;
#[cfg(test)]
mod tests;
mod xattr;

use std::sync::{Arc, Mutex, MutexGuard};

pub use open::{KeptMemFile, MemFile};

use crate::{Error, Fsid, NodeHandle, Result, Time};
use inode::Number;
use storage::Storage;

/// Blocks of file contents, the unit of space and of clones, in bytes.
pub const BLOCK_BYTES: u64 = content::BLOCK as u64;

/// The shape of a file system in memory.
#[derive(Clone, Debug)]
pub struct MemOptions {
    /// Its identity.
    pub fsid: Fsid,
    /// Room for file contents.
    pub capacity_bytes: u64,
    /// Room for objects.
    pub files_max: u64,
    /// Makes the first write verifier; different seeds give different verifiers.
    pub seed: u64,
}

impl Default for MemOptions {
    /// A gibibyte and a million objects: nothing is taken before it is used.
    fn default() -> Self {
        Self {
            fsid: Fsid { major: 0x006d_656d, minor: 1 },
            capacity_bytes: 1 << 30,
            files_max: 1 << 20,
            seed: 1,
        }
    }
}

/// A file system in memory. Clones are the same file system.
#[derive(Clone, Debug)]
pub struct MemStorage(Arc<Mutex<Storage>>);

impl MemStorage {
    /// An empty file system: a root directory of mode 0755 that belongs to the superuser.
    pub fn new(options: MemOptions) -> Self {
        Self(Arc::new(Mutex::new(Storage::new(options))))
    }

    /// One core's view.
    pub fn view(&self) -> Mem {
        Mem { storage: self.clone() }
    }

    /// A power loss and a restart: contents that were not on stable storage are as they last were there, open
    /// files are dead ([`Error::Stale`]), what had no name is gone, and the write verifier is another.
    pub fn crash(&self) {
        self.lock().crash();
    }

    /// Lets the next sync of file contents fail with [`Error::Io`]. Every file open on the same object
    /// learns of it once.
    pub fn fail_next_sync(&self) {
        self.lock().fail_next_sync = true;
    }

    /// Sets the clock.
    pub fn set_time(&self, time: Time) {
        self.lock().time = time;
    }

    /// Limits the contents of the files that belong to `uid`; `None` lifts the limit. The superuser has none.
    pub fn set_quota(&self, uid: u32, bytes: Option<u64>) {
        self.lock().usage.set_quota(uid, bytes);
    }

    fn lock(&self) -> MutexGuard<'_, Storage> {
        self.0.lock().expect("nobody panics while holding the storage")
    }
}

impl Default for MemStorage {
    fn default() -> Self {
        Self::new(MemOptions::default())
    }
}

/// One core's view of a [`MemStorage`]; implements [`Vfs`](crate::Vfs).
#[derive(Clone, Debug)]
pub struct Mem {
    storage: MemStorage,
}

/// An object. The generation tells it from later ones that got the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MemNode {
    number: Number,
    generation: u64,
}

impl MemNode {
    fn handle(self) -> NodeHandle {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.number.0.to_be_bytes());
        bytes[8..].copy_from_slice(&self.generation.to_be_bytes());
        NodeHandle::new(&bytes).expect("16 bytes fit a handle")
    }

    fn from_handle(handle: &NodeHandle) -> Result<Self> {
        let bytes: &[u8; 16] = handle.as_bytes().try_into().map_err(|_| Error::BadHandle)?;
        let (number, generation) = bytes.split_at(8);
        let word = |half: &[u8]| u64::from_be_bytes(half.try_into().expect("half of 16 bytes"));
        Ok(Self { number: Number(word(number)), generation: word(generation) })
    }
}
