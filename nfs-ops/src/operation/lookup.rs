//! LOOKUP (RFC 8881 §18.13) and LOOKUPP (§18.14).

use vfs::{FileKind, Vfs};
use wire::nfs4::{LookupArgs, Status};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::handle::PseudoId;
use crate::name;
use crate::object::{Object, Place};
use crate::pseudo::Junction;

/// LOOKUP: the object of a name in the current directory.
pub async fn lookup<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: LookupArgs<'_>,
) -> Result<(), Failure> {
    name::check(&arguments.name)?;
    let found = child(compound, &arguments.name).await?;
    compound.set_current(found);
    Ok(())
}

/// LOOKUPP: the directory above the current one; above an export's root the pseudo directory it hangs in.
pub async fn lookup_parent<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
) -> Result<(), Failure> {
    let above = parent(compound).await?;
    compound.set_current(above);
    Ok(())
}

/// The object of `name` in the current directory. What is mounted here by the pseudo file system is entered.
///
/// # Errors
/// As LOOKUP's.
pub async fn child<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    name: &[u8],
) -> Result<Object<V>, Failure> {
    match compound.object()? {
        Object::Node(place) => {
            let found = place.storage().lookup(&place.node, &place.identity, name).await;
            Ok(Object::Node(place.with(from_directory(place, found).await?)))
        }
        Object::Pseudo(id) => match pseudo_child(compound, *id, name)? {
            Junction::Directory(id) => Ok(Object::Pseudo(id)),
            Junction::Export(export) => compound.request.export_root(export).await,
        },
    }
}

/// The directory above the current one.
///
/// # Errors
/// As LOOKUPP's: `NFS4ERR_NOENT` at the root.
pub async fn parent<V: Vfs, E: Env + Backchannel>(compound: &Compound<V, E>) -> Result<Object<V>, Failure> {
    match compound.object()? {
        Object::Node(place) => {
            let found = place.storage().parent(&place.node, &place.identity).await;
            match from_directory(place, found).await? {
                Some(node) => Ok(Object::Node(place.with(node))),
                None => {
                    let above = compound.request.exports.pseudo.parent_of(place.export.settings.id);
                    above.map(Object::Pseudo).ok_or(Status::Noent.into())
                }
            }
        }
        Object::Pseudo(id) => {
            let directory = compound.request.exports.pseudo.directory(*id).ok_or(Status::Stale)?;
            directory.parent.map(Object::Pseudo).ok_or(Status::Noent.into())
        }
    }
}

/// What was found from `place`. Where that is no directory but a symbolic link there is an error of its own (RFC 8881
/// §18.13.3, §18.14.3).
async fn from_directory<V: Vfs, T>(place: &Place<V>, found: vfs::Result<T>) -> Result<T, Failure> {
    match found {
        Err(vfs::Error::NotDirectory)
            if place.storage().attributes(&place.node).await?.kind == FileKind::Symlink =>
        {
            Err(Status::Symlink.into())
        }
        found => Ok(found?),
    }
}

/// Where `name` in a pseudo directory leads.
///
/// # Errors
/// `NFS4ERR_NOENT`, `NFS4ERR_STALE`.
pub fn pseudo_child<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    id: PseudoId,
    name: &[u8],
) -> Result<Junction, Status> {
    let directory = compound.request.exports.pseudo.directory(id).ok_or(Status::Stale)?;
    let name = std::str::from_utf8(name).map_err(|_| Status::Noent)?;
    directory.entries.get(name).copied().ok_or(Status::Noent)
}
