//! Reading directories.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{OFlags, RawDir, RawDirEntry, ResolveFlags, SeekFrom, seek};
use rustix::io::Errno;
use vfs::{Attributes, DirectoryEntry, DirectoryPage, DirectoryRequest, Error, Identity, NodeHandle, Result};

use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::lookup::open_entry;
use crate::object::Object;
use crate::storage::LocalStorage;
use crate::sys::errno::error;
use crate::{attribute, procfs};

/// Room for entries as the kernel hands them out. One call's worth, whatever the caller asks for.
const BUFFER_BYTES: usize = 32 * 1024;

/// Entries of a page at most, however many are asked for.
const ENTRIES_MAX: usize = 4096;

/// Added to the kernel's positions: no entry may have 0, 1 or 2 for a cookie (RFC 8881 §18.23.3), and some file
/// systems use them.
const COOKIE_SHIFT: u64 = 3;

impl Local {
    /// A page of `directory`'s entries.
    pub(crate) async fn list(
        &self,
        directory: &Node,
        identity: &Identity,
        request: DirectoryRequest,
    ) -> Result<DirectoryPage> {
        directory.0.expect_directory()?;
        let (directory, identity) = (Arc::clone(&directory.0), identity.clone());
        self.on_helper(move |storage| list(storage, &directory, &identity, request)).await
    }
}

fn list(
    storage: &LocalStorage,
    directory: &Object,
    identity: &Identity,
    request: DirectoryRequest,
) -> Result<DirectoryPage> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let opened = as_identity(identity, || procfs::reopen(directory, flags).map_err(error))?;
    go_to(&opened, request.cookie)?;
    let mut page = names(&opened, request)?;
    if request.with_attributes {
        look_at_all(storage, directory, identity, &mut page.entries)?;
    }
    Ok(page)
}

fn go_to(opened: &OwnedFd, cookie: u64) -> Result<()> {
    if cookie == 0 {
        return Ok(());
    }
    let position = cookie.checked_sub(COOKIE_SHIFT).ok_or(Error::BadCookie)?;
    match seek(opened, SeekFrom::Start(position)) {
        Ok(_) => Ok(()),
        Err(Errno::INVAL | Errno::OVERFLOW) => Err(Error::BadCookie),
        Err(errno) => Err(error(errno)),
    }
}

fn names(opened: &OwnedFd, request: DirectoryRequest) -> Result<DirectoryPage> {
    let mut buffer = vec![MaybeUninit::uninit(); BUFFER_BYTES];
    let mut reader = RawDir::new(opened, &mut buffer);
    let mut page = DirectoryPage::default();
    let mut name_bytes_left = request.name_bytes_max;
    let entries_max = request.entries_max.min(ENTRIES_MAX);
    while let Some(next) = reader.next() {
        let entry = next.map_err(error)?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        if page.entries.len() == entries_max || name.len() > name_bytes_left {
            return Ok(page);
        }
        name_bytes_left -= name.len();
        page.entries.push(plain(&entry));
    }
    page.end = true;
    Ok(page)
}

fn plain(entry: &RawDirEntry<'_>) -> DirectoryEntry {
    DirectoryEntry {
        name: entry.file_name().to_bytes().to_vec(),
        cookie: entry.next_entry_cookie().wrapping_add(COOKIE_SHIFT),
        mounted_on_fileid: entry.ino(),
        object: None,
    }
}

fn look_at_all(
    storage: &LocalStorage,
    directory: &Object,
    identity: &Identity,
    entries: &mut [DirectoryEntry],
) -> Result<()> {
    if storage.mounts().crossed() {
        // An entry may lead to a mount not met before, and that is the superuser's to look at.
        for entry in entries {
            let opened = as_identity(identity, || open(storage, directory, entry));
            entry.object = Some(opened.and_then(|fd| describe(storage, fd)));
        }
        return Ok(());
    }
    as_identity(identity, || {
        for entry in entries {
            entry.object = Some(open(storage, directory, entry).and_then(|fd| describe(storage, fd)));
        }
        Ok(())
    })
}

fn open(storage: &LocalStorage, directory: &Object, entry: &DirectoryEntry) -> Result<OwnedFd> {
    open_entry(storage, directory, &crate::name::check(&entry.name)?, ResolveFlags::empty())
}

fn describe(storage: &LocalStorage, fd: OwnedFd) -> Result<(Attributes, NodeHandle)> {
    let object = storage.object(fd)?;
    Ok((attribute::read(&object)?, *object.handle()))
}
