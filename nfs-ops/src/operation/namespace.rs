//! REMOVE (RFC 8881 §18.25), RENAME (§18.26), LINK (§18.9), READLINK (§18.24).

use vfs::{DirectoryChange, Removed, Vfs};
use wire::nfs4::{ChangeInfo, LinkArgs, RemoveArgs, RenameArgs, Status};
use wire::xdr::Encoder;

use crate::common::names;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// REMOVE.
pub async fn remove<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: RemoveArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let change = names::remove(compound.place(Status::Rofs)?, &arguments.target, Removed::Anything).await?;
    reply.put(&change_info(&change))?;
    Ok(())
}

/// RENAME, from the saved directory to the current one.
pub async fn rename<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: RenameArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let (source, target) = (compound.saved_place(Status::Rofs)?, compound.place(Status::Rofs)?);
    let sets = &compound.request.server.shared.limiting.file_sets;
    let (left, entered) =
        names::rename(sets, source, &arguments.old_name, target, &arguments.new_name).await?;
    reply.put(&change_info(&left))?;
    reply.put(&change_info(&entered))?;
    Ok(())
}

/// LINK: the saved object gets a name in the current directory.
pub async fn link<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: LinkArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let (source, directory) = (compound.saved_place(Status::Isdir)?, compound.place(Status::Rofs)?);
    let change = names::link(source, directory, &arguments.new_name).await?;
    reply.put(&change_info(&change))?;
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
pub fn change_info(change: &DirectoryChange) -> ChangeInfo {
    ChangeInfo { atomic: change.atomic, before: change.before.change, after: change.after.change }
}
