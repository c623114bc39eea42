//! LOOKUP, READLINK, REMOVE, RMDIR, RENAME, LINK (RFC 1813 §3.3.3, §3.3.5, §3.3.12 to §3.3.15).

use vfs::{Removed, Vfs};
use wire::nfs3::{
    DirOpArgs, LinkArgs, LinkResult, LookupArgs, LookupResult, Outcome, PostOpAttributes, ReadLinkArgs,
    RenameArgs, RenameResult, WccData,
};
use wire::nfs4::Status;

use super::place::{
    after, bare, changed, check_name, directory_to_change, handle_of, place, place_to_look, wcc, with,
};
use crate::common::names;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::name;
use crate::object::Place;
use crate::request::Request;

/// LOOKUP. '.' and '..' are names here; above an export's root there is only itself.
pub async fn lookup<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: LookupArgs<'_>,
) -> Outcome<LookupResult, PostOpAttributes> {
    check_name(&arguments.what).map_err(|status| bare(status.into()))?;
    let (directory, _pass) = place_to_look(request, &arguments.what.directory).await.map_err(bare)?;
    let found = find(&directory, &arguments.what.name).await;
    let directory_attributes = after(&directory).await;
    match found {
        Ok(found) => Ok(LookupResult {
            object: handle_of(request, &found.content()),
            attributes: after(&found).await,
            directory_attributes,
        }),
        Err(failure) => Err(with(failure, directory_attributes)),
    }
}

async fn find<V: Vfs>(directory: &Place<V>, name: &[u8]) -> Result<Place<V>, Failure> {
    let (storage, identity) = (directory.storage(), &directory.identity);
    if name == b"." || name == b".." {
        // Who asks for either must be allowed to search.
        let above = storage.parent(&directory.node, identity).await?.filter(|_| name == b"..");
        return Ok(above.map_or_else(|| directory.clone(), |above| directory.with(above)));
    }
    name::check(name)?;
    Ok(directory.with(storage.lookup(&directory.node, identity, name).await?))
}

/// READLINK: the link's attributes and its text.
pub async fn read_link<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: ReadLinkArgs,
) -> Outcome<(PostOpAttributes, Vec<u8>), PostOpAttributes> {
    let (place, _pass) = place_to_look(request, &arguments.link).await.map_err(bare)?;
    let text = place.storage().read_link(&place.node, &place.identity).await;
    let attributes = after(&place).await;
    text.map(|text| (attributes, text)).map_err(|error| with(error.into(), attributes))
}

/// REMOVE and RMDIR: of what may be `removed`.
pub async fn remove<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    target: DirOpArgs<'_>,
    removed: Removed,
) -> Outcome<WccData, WccData> {
    let (directory, _pass) = directory_to_change(request, &target).await.map_err(bare)?;
    match names::remove(&directory, &target.name, removed).await {
        Ok(change) => Ok(wcc(&change)),
        Err(failure) => {
            let failure = dots(&target.name, removed).map_or(failure, Failure::from);
            Err(with(failure, changed(&directory).await))
        }
    }
}

/// What is said to who would remove '.' or '..'. For RMDIR RFC 1813 §3.3.13 tells one from the other; for REMOVE both are
/// directories (§3.2), as any other.
fn dots(name: &[u8], removed: Removed) -> Option<Status> {
    match (name, removed) {
        (b".", Removed::Directory) => Some(Status::Inval),
        (b"..", Removed::Directory) => Some(Status::Exist),
        (b"." | b"..", _) => Some(Status::Isdir),
        _ => None,
    }
}

/// RENAME.
pub async fn rename<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: RenameArgs<'_>,
) -> Outcome<RenameResult, RenameResult> {
    check_name(&arguments.to).map_err(|status| bare(status.into()))?;
    let (source, _pass) = directory_to_change(request, &arguments.from).await.map_err(bare)?;
    let target = place(request, &arguments.to.directory).await.map_err(bare)?;
    let sets = &request.server.shared.limiting.file_sets;
    match names::rename(sets, &source, &arguments.from.name, &target, &arguments.to.name).await {
        Ok((left, entered)) => {
            Ok(RenameResult { from_directory_wcc: wcc(&left), to_directory_wcc: wcc(&entered) })
        }
        Err(failure) => {
            let (from_directory_wcc, to_directory_wcc) = (changed(&source).await, changed(&target).await);
            Err(with(failure, RenameResult { from_directory_wcc, to_directory_wcc }))
        }
    }
}

/// LINK.
pub async fn link<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: LinkArgs<'_>,
) -> Outcome<LinkResult, LinkResult> {
    let (directory, _pass) = directory_to_change(request, &arguments.link).await.map_err(bare)?;
    let source = place(request, &arguments.file).await.map_err(bare)?;
    let linked = names::link(&source, &directory, &arguments.link.name).await;
    let attributes = after(&source).await;
    match linked {
        Ok(change) => Ok(LinkResult { attributes, directory_wcc: wcc(&change) }),
        Err(failure) => {
            let directory_wcc = changed(&directory).await;
            Err(with(failure, LinkResult { attributes, directory_wcc }))
        }
    }
}
