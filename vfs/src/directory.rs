//! Directories: pages of entries, new objects, and how a directory changed.

use crate::{Attributes, FileKind, NodeHandle};

/// How an operation changed a directory, or another object (RFC 8881 §3.3.3 change_info4, RFC 1813 §2.6 wcc_data).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryChange {
    /// Whether before, operation and after were one step for everybody else. True only where it is.
    pub atomic: bool,
    /// The object's attributes before.
    pub before: Attributes,
    /// Its attributes after.
    pub after: Attributes,
}

/// What kind of object a name may stand for that is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// Any (NFSv4's REMOVE).
    Anything,
    /// A directory (RMDIR).
    Directory,
    /// Anything but a directory (NFSv3's REMOVE).
    NoDirectory,
}

impl Removed {
    /// Refuses what is not to be removed.
    ///
    /// # Errors
    /// [`Error::IsDirectory`](crate::Error::IsDirectory), [`Error::NotDirectory`](crate::Error::NotDirectory).
    pub fn check(self, kind: FileKind) -> crate::Result<()> {
        match (self, kind) {
            (Self::NoDirectory, FileKind::Directory) => Err(crate::Error::IsDirectory),
            (Self::Directory, kind) if kind != FileKind::Directory => Err(crate::Error::NotDirectory),
            _ => Ok(()),
        }
    }
}

/// A new object, its attributes and what making it did to the directory.
#[derive(Clone, Debug)]
pub struct Created<N> {
    /// The object.
    pub node: N,
    /// Its attributes after all that was asked for was set.
    pub attributes: Attributes,
    /// The directory's change.
    pub change: DirectoryChange,
}

/// What kind of object to make besides regular files (those are made by opening).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NewObject<'a> {
    /// A directory.
    Directory,
    /// A symbolic link with this text.
    Symlink(&'a [u8]),
    /// A block device of (major, minor).
    BlockDevice(u32, u32),
    /// A character device of (major, minor).
    CharacterDevice(u32, u32),
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A regular file (NFSv3 makes them without opening).
    Regular,
}

/// Which entries are wanted, and how many at most.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryRequest {
    /// 0 for the start, else the cookie of the last entry seen. Stable over restarts.
    pub cookie: u64,
    /// At most this many entries.
    pub entries_max: usize,
    /// Names together at most this many bytes.
    pub name_bytes_max: usize,
    /// Whether each entry's attributes and handle are wanted too.
    pub with_attributes: bool,
}

/// One entry; '.' and '..' are never among them.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// The name.
    pub name: Vec<u8>,
    /// Goes on behind this entry.
    pub cookie: u64,
    /// Number of the object the name itself stands for: at a mount point the directory that is hidden.
    pub mounted_on_fileid: u64,
    /// Attributes and handle, where asked for and the object could be looked at; an error is the
    /// entry's own and does not fail the page.
    pub object: Option<crate::Result<(Attributes, NodeHandle)>>,
}

/// Some entries of a directory.
#[derive(Clone, Debug, Default)]
pub struct DirectoryPage {
    /// The entries in cookie order of the file system.
    pub entries: Vec<DirectoryEntry>,
    /// Whether the last entry of the directory is among them (or there are none behind the cookie).
    pub end: bool,
}
