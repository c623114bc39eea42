//! Names that objects get, change and lose.

use vfs::{DirectoryChange, FileKind, Removed, Vfs};
use wire::nfs4::Status;

use crate::failure::Failure;
use crate::file_sets::FileSets;
use crate::name;
use crate::object::Place;

/// Removes `target` from the directory, if it is of the kind that is to be `removed`.
///
/// # Errors
/// As REMOVE's (RFC 8881 §18.25).
pub async fn remove<V: Vfs>(
    directory: &Place<V>,
    target: &[u8],
    removed: Removed,
) -> Result<DirectoryChange, Failure> {
    name::check(target)?;
    let directory = changeable(directory)?;
    Ok(directory.storage().remove(&directory.node, &directory.identity, target, removed).await?)
}

/// Renames from one directory to another; answers what became of both.
///
/// # Errors
/// As RENAME's (RFC 8881 §18.26).
pub async fn rename<V: Vfs>(
    sets: &FileSets,
    source: &Place<V>,
    old_name: &[u8],
    target: &Place<V>,
    new_name: &[u8],
) -> Result<(DirectoryChange, DirectoryChange), Failure> {
    name::check(old_name)?;
    name::check(new_name)?;
    let (source, target) = (changeable(source)?, changeable(target)?);
    same_export(source, target)?;
    let storage = source.storage();
    let renamed = storage.rename(&source.node, old_name, &target.node, new_name, &source.identity).await;
    match renamed {
        Err(vfs::Error::IsDirectory | vfs::Error::NotDirectory) => {
            Err(refuse_rename(source, target).await?.into())
        }
        renamed => {
            let changed = renamed?;
            note_move(sets, (source, old_name), (target, new_name));
            Ok(changed)
        }
    }
}

/// What was moved may be in another file set now.
fn note_move<V: Vfs>(sets: &FileSets, from: (&Place<V>, &[u8]), to: (&Place<V>, &[u8])) {
    let export = from.0.export.settings.id;
    if !sets.are_in(export) {
        return;
    }
    let path = |(directory, name): (&Place<V>, &[u8])| {
        let above = directory.storage().path(&directory.node)?;
        Some(if above.is_empty() { name.to_vec() } else { [&above, name].join(&b'/') })
    };
    match (path(from), path(to)) {
        (Some(old), Some(new)) => sets.moved(export, &old, &new),
        _ => sets.note_change(),
    }
}

/// Why a rename failed for the kind of something: one of the two is no directory, or the new name stands for what
/// the old one cannot replace (RFC 8881 §18.26.3).
async fn refuse_rename<V: Vfs>(source: &Place<V>, target: &Place<V>) -> Result<Status, Failure> {
    for place in [source, target] {
        match place.storage().attributes(&place.node).await?.kind {
            FileKind::Directory => {}
            FileKind::Symlink => return Ok(Status::Symlink),
            _ => return Ok(Status::Notdir),
        }
    }
    Ok(Status::Exist)
}

/// Gives the object of `source` a further name in the directory.
///
/// # Errors
/// As LINK's (RFC 8881 §18.9).
pub async fn link<V: Vfs>(
    source: &Place<V>,
    directory: &Place<V>,
    new_name: &[u8],
) -> Result<DirectoryChange, Failure> {
    name::check(new_name)?;
    let directory = changeable(directory)?;
    same_export(source, directory)?;
    let storage = directory.storage();
    Ok(storage.link(&source.node, &directory.node, &directory.identity, new_name).await?)
}

/// The place, if its caller may change things there.
///
/// # Errors
/// `NFS4ERR_ROFS`.
pub fn changeable<V: Vfs>(place: &Place<V>) -> Result<&Place<V>, Status> {
    place.writable().map(|()| place)
}

fn same_export<V: Vfs>(one: &Place<V>, other: &Place<V>) -> Result<(), Status> {
    if one.export.settings.id == other.export.settings.id { Ok(()) } else { Err(Status::Xdev) }
}
