//! Further, other and fewer names: link, rename, remove.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, CWD, ResolveFlags, linkat, renameat, unlinkat};
use rustix::io::Errno;
use vfs::{DirectoryChange, Error, FileKind, Identity, Removed, Result};

use crate::changing::{Changing, Turn};
use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::lookup::open_entry;
use crate::object::{self, Object};
use crate::storage::LocalStorage;
use crate::sys::errno::error;
use crate::sys::handle;
use crate::{attribute, durable, name, process, procfs};

impl Local {
    /// Gives `node` a further name.
    pub(crate) async fn add_name(
        &self,
        node: &Node,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
    ) -> Result<DirectoryChange> {
        directory.0.expect_directory()?;
        if node.0.kind() == FileKind::Directory {
            return Err(Error::IsDirectory);
        }
        let name = name::check(name)?;
        let (object, directory) = (Arc::clone(&node.0), Arc::clone(&directory.0));
        let identity = identity.clone();
        self.on_helper(move |_| {
            let changing = Changing::begin(&directory)?;
            as_identity(&identity, || {
                // Past /proc, because linking a descriptor itself is the superuser's right only.
                linkat(CWD, &*procfs::path(&*object), &*directory, &*name, AtFlags::SYMLINK_FOLLOW)
                    .map_err(error)
            })
            .map_err(|failure| match failure {
                // Its last name is gone already.
                Error::NotFound => Error::Stale,
                other => other,
            })?;
            attribute::note_change(&object)?;
            changing.end_durably()
        })
        .await
    }

    /// Renames.
    pub(crate) async fn change_name(
        &self,
        source: &Node,
        source_name: &[u8],
        target: &Node,
        target_name: &[u8],
        identity: &Identity,
    ) -> Result<(DirectoryChange, DirectoryChange)> {
        source.0.expect_directory()?;
        target.0.expect_directory()?;
        let (source_name, target_name) = (name::check(source_name)?, name::check(target_name)?);
        let (source, target) = (Arc::clone(&source.0), Arc::clone(&target.0));
        let identity = identity.clone();
        self.on_helper(move |storage| {
            rename(storage, (&source, &source_name), (&target, &target_name), &identity)
        })
        .await
    }

    /// Removes a name.
    pub(crate) async fn remove_name(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        removed: Removed,
    ) -> Result<DirectoryChange> {
        directory.0.expect_directory()?;
        let name = name::check(name)?;
        let (directory, identity) = (Arc::clone(&directory.0), identity.clone());
        self.on_helper(move |storage| remove(storage, &directory, &identity, &name, removed)).await
    }
}

fn rename(
    storage: &LocalStorage,
    (source, source_name): (&Object, &CStr),
    (target, target_name): (&Object, &CStr),
    identity: &Identity,
) -> Result<(DirectoryChange, DirectoryChange)> {
    let entered = Changing::begin(target)?;
    let left = if source.key() == target.key() { None } else { Some(Changing::begin(source)?) };
    let moved = as_identity(identity, || look(storage, source, source_name))?;
    let seen = object::identifying(&moved)?;
    // A directory that is moved is changed itself.
    let turn = (object::kind(&seen)? == FileKind::Directory).then(|| Turn::begin(object::key(&seen)));
    let victim = match as_identity(identity, || look(storage, target, target_name)) {
        Ok(victim) => Some(victim),
        Err(Error::NotFound) => None,
        Err(failure) => return Err(failure),
    };
    as_identity(identity, || renameat(source, source_name, target, target_name).map_err(not_empty))?;
    if let Some(victim) = victim {
        let kept = forget_if_gone(storage, victim)?;
        note_if_coarse(kept)?;
    }
    note_if_coarse(Some(storage.object(moved)?))?;
    drop(turn);
    let entered = entered.end()?;
    let left = left.map(Changing::end).transpose()?;
    // The new name first: whatever happens in between, the object has one.
    durable::sync_directory(target)?;
    if left.is_some() {
        durable::sync_directory(source)?;
    }
    Ok((left.unwrap_or(entered), entered))
}

fn remove(
    storage: &LocalStorage,
    directory: &Object,
    identity: &Identity,
    name: &CStr,
    removed: Removed,
) -> Result<DirectoryChange> {
    let changing = Changing::begin(directory)?;
    let victim = as_identity(identity, || look(storage, directory, name))?;
    let kind = object::kind(&object::identifying(&victim)?)?;
    removed.check(kind)?;
    let flags = match kind {
        FileKind::Directory => AtFlags::REMOVEDIR,
        _ => AtFlags::empty(),
    };
    as_identity(identity, || unlinkat(directory, name, flags).map_err(not_empty))?;
    let kept = forget_if_gone(storage, victim)?;
    note_if_coarse(kept)?;
    changing.end_durably()
}

/// Some file systems say that a directory exists where they mean that it has entries; POSIX lets them.
fn not_empty(errno: Errno) -> Error {
    match errno {
        Errno::EXIST => Error::NotEmpty,
        other => error(other),
    }
}

fn look(storage: &LocalStorage, directory: &Object, name: &CStr) -> Result<OwnedFd> {
    open_entry(storage, directory, name, ResolveFlags::empty())
}

/// Closes the object everywhere if it has lost its last name, so that its space is free when this returns unless
/// somebody has it open; answers it if it has others.
fn forget_if_gone(storage: &LocalStorage, victim: OwnedFd) -> Result<Option<Object>> {
    let seen = attribute::raw(&victim)?;
    if seen.stx_nlink > 0 {
        return storage.object(victim).map(Some);
    }
    let mount = storage.mounts().find_id(seen.stx_mnt_id)?;
    let name = object::encode(mount.number(), &handle::of(&victim).map_err(error)?)?;
    drop(victim);
    process::forget(&name);
    Ok(None)
}

fn note_if_coarse(object: Option<Object>) -> Result<()> {
    object.map_or(Ok(()), |object| attribute::note_change(&object))
}
