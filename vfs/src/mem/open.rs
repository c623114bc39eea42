//! Opening files.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::attribute::FILE_BYTES_MAX;
use super::inode::{Body, Inode, Number};
use super::permission::{READ, WRITE, check, mode_after_write};
use super::storage::Storage;
use super::{MemNode, MemStorage};
use crate::{
    Attributes, Authority, CreateHow, DirectoryChange, Error, Identity, OpenAccess, Result, SetAttributes,
};

/// An open file. Its object stays while it exists, name or no name.
#[derive(Clone, Debug)]
pub struct MemFile(Arc<OpenFile>);

#[derive(Debug)]
struct OpenFile {
    storage: MemStorage,
    number: Number,
    access: OpenAccess,
    /// The storage's life in which it was opened.
    life: u64,
    /// How many of the object's failed syncs were reported here.
    failures_seen: AtomicU64,
}

/// How a file can be opened again: nothing stays open here.
#[derive(Debug)]
pub struct KeptMemFile {
    node: MemNode,
    access: OpenAccess,
    life: u64,
}

impl KeptMemFile {
    /// The file, if its object has a name and the storage was not started anew.
    pub(super) fn open(&self, owner: &MemStorage) -> Option<MemFile> {
        let mut storage = owner.lock();
        let is_named = storage.get(self.node).is_ok_and(|inode| inode.links > 0);
        let is_open = is_named && self.life == storage.life;
        is_open.then(|| MemFile::new(owner, &mut storage, self.node.number, self.access))
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        let mut storage = self.storage.lock();
        if self.life == storage.life {
            storage.inode_mut(self.number).opens -= 1;
            storage.release_if_unused(self.number);
        }
    }
}

/// What opening by name found or made.
pub(super) struct Found {
    pub(super) number: Number,
    pub(super) attributes: Attributes,
    pub(super) created: bool,
    pub(super) change: DirectoryChange,
}

impl MemFile {
    /// An open file of an object that was checked. The storage must not be locked by the caller when the
    /// result is dropped.
    pub(super) fn new(owner: &MemStorage, storage: &mut Storage, number: Number, access: OpenAccess) -> Self {
        let inode = storage.inode_mut(number);
        inode.opens += 1;
        let failures = inode.content().map_or(0, |content| content.sync_failures);
        Self(Arc::new(OpenFile {
            storage: owner.clone(),
            number,
            access,
            life: storage.life,
            failures_seen: AtomicU64::new(failures),
        }))
    }

    pub(super) fn keep(&self, storage: &Storage) -> KeptMemFile {
        let OpenFile { number, access, life, .. } = *self.0;
        KeptMemFile { node: storage.inode(number).node(), access, life }
    }

    /// The object, unless a restart has closed the file.
    pub(super) fn number(&self, storage: &Storage) -> Result<Number> {
        if self.0.life == storage.life { Ok(self.0.number) } else { Err(Error::Stale) }
    }

    /// As [`MemFile::number`], for a file opened for reading.
    pub(super) fn readable(&self, storage: &Storage) -> Result<Number> {
        if self.0.access.reads() { self.number(storage) } else { Err(Error::AccessDenied) }
    }

    /// As [`MemFile::number`], for a file opened for writing.
    pub(super) fn writable(&self, storage: &Storage) -> Result<Number> {
        if self.0.access.writes() { self.number(storage) } else { Err(Error::AccessDenied) }
    }

    pub(super) fn failures_seen(&self) -> &AtomicU64 {
        &self.0.failures_seen
    }
}

impl Storage {
    pub(super) fn check_open(
        &self,
        node: MemNode,
        identity: &Identity,
        access: OpenAccess,
        authority: Authority,
    ) -> Result<()> {
        let inode = self.get(node)?;
        check_regular(inode)?;
        match authority {
            Authority::Reclaim => Ok(()),
            Authority::Caller => check_access(inode, identity, access),
        }
    }

    pub(super) fn open_create(
        &mut self,
        directory: MemNode,
        identity: &Identity,
        name: &[u8],
        how: CreateHow,
        set: &SetAttributes,
        access: OpenAccess,
    ) -> Result<Found> {
        let (number, created, change) = match self.find(directory, identity, name)? {
            Some(number) => {
                self.open_existing(number, identity, how, set, access)?;
                (number, false, self.unchanged(directory))
            }
            None => {
                check(self.get(directory)?, identity, WRITE)?;
                let body = Body::Regular(Default::default());
                let (number, change) = self.make(directory, identity, name, body, set)?;
                if let CreateHow::Exclusive(verifier) = how {
                    self.inode_mut(number).verifier = Some(verifier);
                }
                (number, true, change)
            }
        };
        Ok(Found { number, attributes: self.attributes(number), created, change })
    }

    fn open_existing(
        &mut self,
        number: Number,
        identity: &Identity,
        how: CreateHow,
        set: &SetAttributes,
        access: OpenAccess,
    ) -> Result<()> {
        let inode = self.inode(number);
        match how {
            CreateHow::Guarded => Err(Error::Exists),
            // A replay: its first run was allowed, whatever the mode now says.
            CreateHow::Exclusive(verifier) if inode.verifier == Some(verifier) => Ok(()),
            CreateHow::Exclusive(_) => Err(Error::Exists),
            CreateHow::Unchecked => {
                check_regular(inode)?;
                check_access(inode, identity, access)?;
                if set.size_bytes == Some(0) {
                    self.truncate(number, identity)?;
                }
                Ok(())
            }
        }
    }

    fn truncate(&mut self, number: Number, identity: &Identity) -> Result<()> {
        let inode = self.inode(number);
        check(inode, identity, WRITE)?;
        let mode = mode_after_write(inode, identity);
        let set = SetAttributes { size_bytes: Some(0), ..Default::default() };
        self.apply(number, mode, (inode.uid, inode.gid), &set);
        Ok(())
    }
}

/// Refuses ranges that no file can have.
pub(super) fn range_of(offset: u64, bytes: u64) -> Result<std::ops::Range<u64>> {
    let end = offset.checked_add(bytes).filter(|end| *end <= FILE_BYTES_MAX);
    end.map(|end| offset..end).ok_or(Error::TooLarge)
}

fn check_regular(inode: &Inode) -> Result<()> {
    match inode.body {
        Body::Regular(_) => Ok(()),
        Body::Directory(_) => Err(Error::IsDirectory),
        Body::Symlink(_) => Err(Error::IsSymlink),
        Body::Special(..) => Err(Error::WrongType),
    }
}

fn check_access(inode: &Inode, identity: &Identity, access: OpenAccess) -> Result<()> {
    if access.reads() {
        check(inode, identity, READ)?;
    }
    if access.writes() {
        check(inode, identity, WRITE)?;
    }
    Ok(())
}
