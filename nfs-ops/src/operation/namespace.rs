//! REMOVE (RFC 8881 §18.25), RENAME (§18.26), LINK (§18.9), READLINK (§18.24).

use vfs::{DirectoryChange, FileKind, Vfs};
use wire::nfs4::{ChangeInfo, LinkArgs, RemoveArgs, RenameArgs, Status};
use wire::xdr::Encoder;

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::name;
use crate::object::Place;

/// REMOVE.
pub async fn remove<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: RemoveArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    name::check(&arguments.target)?;
    let place = changeable(compound.place(Status::Rofs)?)?;
    let change = place.storage().remove(&place.node, &place.identity, &arguments.target).await?;
    reply.put(&change_info(change))?;
    Ok(())
}

/// RENAME, from the saved directory to the current one.
pub async fn rename<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: RenameArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    name::check(&arguments.old_name)?;
    name::check(&arguments.new_name)?;
    let source = changeable(compound.saved_place(Status::Rofs)?)?;
    let target = changeable(compound.place(Status::Rofs)?)?;
    same_export(source, target)?;
    let renamed = source
        .storage()
        .rename(&source.node, &arguments.old_name, &target.node, &arguments.new_name, &source.identity)
        .await;
    let (left, entered) = match renamed {
        Ok(changes) => changes,
        Err(vfs::Error::IsDirectory | vfs::Error::NotDirectory) => {
            return Err(refuse_rename(source, target).await?.into());
        }
        Err(error) => return Err(error.into()),
    };
    reply.put(&change_info(left))?;
    reply.put(&change_info(entered))?;
    Ok(())
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

/// LINK: the saved object gets a name in the current directory.
pub async fn link<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: LinkArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    name::check(&arguments.new_name)?;
    let source = compound.saved_place(Status::Isdir)?;
    let target = changeable(compound.place(Status::Rofs)?)?;
    same_export(source, target)?;
    let storage = target.storage();
    let change = storage.link(&source.node, &target.node, &target.identity, &arguments.new_name).await?;
    reply.put(&change_info(change))?;
    Ok(())
}

/// READLINK.
pub async fn read_link<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let place = compound.place(Status::WrongType)?;
    let text = place.storage().read_link(&place.node, &place.identity).await?;
    reply.put_opaque(&text)?;
    Ok(())
}

/// How a change of a directory is told.
pub fn change_info(change: DirectoryChange) -> ChangeInfo {
    ChangeInfo { atomic: change.atomic, before: change.before, after: change.after }
}

/// The place, if its caller may change things there.
pub fn changeable<V: Vfs>(place: &Place<V>) -> Result<&Place<V>, Status> {
    place.writable().map(|()| place)
}

fn same_export<V: Vfs>(one: &Place<V>, other: &Place<V>) -> Result<(), Status> {
    if one.export.settings.id == other.export.settings.id { Ok(()) } else { Err(Status::Xdev) }
}
