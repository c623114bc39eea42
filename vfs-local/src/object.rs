//! One object of an export, open as an O_PATH descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Statx, StatxFlags, statx};
use vfs::{Error, FileKind, NodeHandle, Result};

use crate::change::FileKey;
use crate::mounts::Mount;
use crate::sys::errno::error;
use crate::sys::handle::{self, KERNEL_HANDLE_BYTES_MAX, KernelHandle};

/// Bytes of a handle before the kernel's own: mount number and handle type.
const PREFIX_BYTES: usize = 8;

const _: () = assert!(PREFIX_BYTES + KERNEL_HANDLE_BYTES_MAX <= vfs::NODE_HANDLE_BYTES_MAX);

/// An object of an export. Keeps the object from going away while it lives, so that long-lived ones are in the
/// caches (from which a removal takes them) or in open files only.
#[derive(Debug)]
pub struct Object {
    fd: OwnedFd,
    kind: FileKind,
    key: FileKey,
    handle: NodeHandle,
    mount: Arc<Mount>,
    named: bool,
    permissions_cached: AtomicBool,
    used: AtomicBool,
}

impl Object {
    /// The object that `fd` is open on, which `seen` (with [`identifying`] fields) is of, on `mount`.
    pub fn new(fd: OwnedFd, seen: &Statx, mount: Arc<Mount>) -> Result<Self> {
        let handle = encode(mount.number(), &handle::of(&fd).map_err(error)?)?;
        let (kind, key) = (kind(seen)?, key(seen));
        let named = seen.stx_nlink > 0;
        let (permissions_cached, used) = (AtomicBool::new(false), AtomicBool::new(false));
        Ok(Self { fd, kind, key, handle, mount, named, permissions_cached, used })
    }

    /// Whether it had a name when it was found. One without is there only because somebody has it open, and must
    /// not be kept beyond that.
    pub fn named(&self) -> bool {
        self.named
    }

    /// Its kind.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    /// Device and inode number.
    pub fn key(&self) -> FileKey {
        self.key
    }

    /// Its persistent name.
    pub fn handle(&self) -> &NodeHandle {
        &self.handle
    }

    /// The file system it is on.
    pub fn mount(&self) -> &Arc<Mount> {
        &self.mount
    }

    /// Whether its ACL has been read once; it then stays in memory as long as this object does.
    pub fn permissions_cached(&self) -> bool {
        self.permissions_cached.load(Ordering::Relaxed)
    }

    /// Notes that its ACL has been read.
    pub fn note_permissions_cached(&self) {
        self.permissions_cached.store(true, Ordering::Relaxed);
    }

    /// Notes for the cache it is in that it was used.
    pub fn note_use(&self) {
        // Looked at first: many uses in a row write nothing.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was used since this was last asked.
    pub fn forget_use(&self) -> bool {
        self.used.swap(false, Ordering::Relaxed)
    }

    /// Fails unless it is a directory.
    pub fn expect_directory(&self) -> Result<()> {
        match self.kind {
            FileKind::Directory => Ok(()),
            _ => Err(Error::NotDirectory),
        }
    }

    /// Fails unless it is a regular file, saying what it is instead.
    pub fn expect_regular(&self) -> Result<()> {
        match self.kind {
            FileKind::Regular => Ok(()),
            FileKind::Directory => Err(Error::IsDirectory),
            FileKind::Symlink => Err(Error::IsSymlink),
            _ => Err(Error::WrongType),
        }
    }
}

impl AsFd for Object {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// What identifies an object, read from its descriptor. Never sleeps: the inode is in memory.
pub fn identifying(fd: impl AsFd) -> Result<Statx> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::MNT_ID;
    statx(fd, "", AtFlags::EMPTY_PATH, wanted).map_err(error)
}

/// Device and inode number.
pub fn key(seen: &Statx) -> FileKey {
    FileKey {
        device: (u64::from(seen.stx_dev_major) << 32) | u64::from(seen.stx_dev_minor),
        inode: seen.stx_ino,
    }
}

/// The kind of object.
pub fn kind(seen: &Statx) -> Result<FileKind> {
    match FileType::from_raw_mode(seen.stx_mode.into()) {
        FileType::RegularFile => Ok(FileKind::Regular),
        FileType::Directory => Ok(FileKind::Directory),
        FileType::Symlink => Ok(FileKind::Symlink),
        FileType::Fifo => Ok(FileKind::Fifo),
        FileType::Socket => Ok(FileKind::Socket),
        FileType::CharacterDevice => Ok(FileKind::CharacterDevice),
        FileType::BlockDevice => Ok(FileKind::BlockDevice),
        FileType::Unknown => Err(Error::WrongType),
    }
}

/// A kernel handle on the mount of this number as a node handle.
pub fn encode(mount: u32, kernel: &KernelHandle) -> Result<NodeHandle> {
    let mut bytes = [0; PREFIX_BYTES + KERNEL_HANDLE_BYTES_MAX];
    bytes[..4].copy_from_slice(&mount.to_be_bytes());
    bytes[4..PREFIX_BYTES].copy_from_slice(&kernel.kind.to_be_bytes());
    let end = PREFIX_BYTES + kernel.length;
    bytes[PREFIX_BYTES..end].copy_from_slice(&kernel.bytes[..kernel.length]);
    NodeHandle::new(&bytes[..end]).ok_or(Error::Io)
}

/// The mount number and the kernel handle within a node handle.
pub fn decode(handle: &NodeHandle) -> Result<(u32, KernelHandle)> {
    let (mount, rest) = handle.as_bytes().split_first_chunk::<4>().ok_or(Error::BadHandle)?;
    let (kind, rest) = rest.split_first_chunk::<4>().ok_or(Error::BadHandle)?;
    let mut bytes = [0; KERNEL_HANDLE_BYTES_MAX];
    bytes.get_mut(..rest.len()).ok_or(Error::BadHandle)?.copy_from_slice(rest);
    let kernel = KernelHandle { kind: i32::from_be_bytes(*kind), length: rest.len(), bytes };
    Ok((u32::from_be_bytes(*mount), kernel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn handles_go_there_and_back() {
        let mut bytes = [0; KERNEL_HANDLE_BYTES_MAX];
        bytes[..3].copy_from_slice(&[1, 2, 3]);
        let kernel = KernelHandle { kind: -5, length: 3, bytes };
        let node = encode(7, &kernel).expect("it fits");
        assert_eq!(decode(&node), Ok((7, kernel)));
    }

    #[test]
    fn what_is_too_short_is_refused() {
        for length in 0..PREFIX_BYTES {
            let node = NodeHandle::new(&vec![0; length]).expect("short");
            assert_eq!(decode(&node), Err(Error::BadHandle));
        }
    }
}
