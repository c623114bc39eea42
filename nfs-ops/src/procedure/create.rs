//! CREATE, MKDIR, SYMLINK, MKNOD (RFC 1813 §3.3.8 to §3.3.11).

use vfs::{FileKind, NewObject, OpenAccess, SetAttributes, Vfs};
use wire::nfs3::{
    self, CreateArgs, CreateHow, CreateResult, DirOpArgs, MkdirArgs, MknodArgs, MknodData, Outcome, Specdata,
    SymlinkArgs, WccData,
};
use wire::nfs4::Status;

use super::attributes::{apply, wanted};
use super::place::{after, bare, changed, directory_to_change, handle_of, told, wcc, with};
use crate::common::create::{self, File};
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;

/// CREATE, in its three ways.
pub async fn file<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: CreateArgs<'_>,
) -> Outcome<CreateResult, WccData> {
    let (directory, _pass) = directory_to_change(request, &arguments.place).await.map_err(bare)?;
    match make_file(request, &directory, &arguments).await {
        Ok(result) => Ok(result),
        Err(failure) => Err(not_made(&directory, &arguments.place.name, failure).await),
    }
}

/// Why nothing was made in the directory. '.' and '..' are there already (RFC 1813 §3.3.9).
async fn not_made<V: Vfs>(directory: &Place<V>, name: &[u8], failure: Failure) -> nfs3::Failure<WccData> {
    let exists = name == b"." || name == b"..";
    let failure = if exists { Status::Exist.into() } else { failure };
    with(failure, changed(directory).await)
}

async fn make_file<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    directory: &Place<V>,
    arguments: &CreateArgs<'_>,
) -> Result<CreateResult, Failure> {
    let (how, attributes) = match arguments.how {
        CreateHow::Unchecked(sent) => (vfs::CreateHow::Unchecked, wanted(&sent)?),
        CreateHow::Guarded(sent) => (vfs::CreateHow::Guarded, wanted(&sent)?),
        CreateHow::Exclusive(verifier) => (vfs::CreateHow::Exclusive(verifier.0), SetAttributes::default()),
    };
    match create::file(directory, &arguments.place.name, how, &attributes, OpenAccess::Write).await? {
        File::Made(place, opened) => Ok(CreateResult {
            object: Some(handle_of(request, &place.content())),
            attributes: Some(told(&opened.attributes)),
            directory_wcc: wcc(&opened.change),
        }),
        File::There(place) => {
            empty(request, &place, &attributes).await?;
            Ok(CreateResult {
                object: Some(handle_of(request, &place.content())),
                attributes: after(&place).await,
                directory_wcc: changed(directory).await,
            })
        }
    }
}

/// Of a file that was there already nothing is set but a size of 0: that is how clients open to truncate.
async fn empty<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    wanted: &SetAttributes,
) -> Result<(), Failure> {
    if place.storage().attributes(&place.node).await?.kind != FileKind::Regular {
        return Err(Status::Exist.into());
    }
    match wanted.size_bytes {
        Some(0) => {
            apply(request, place, &SetAttributes { size_bytes: Some(0), ..SetAttributes::default() }).await
        }
        _ => Ok(()),
    }
}

/// MKDIR.
pub async fn directory<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: MkdirArgs<'_>,
) -> Outcome<CreateResult, WccData> {
    object(request, arguments.place, NewObject::Directory, &arguments.attributes).await
}

/// SYMLINK.
pub async fn symlink<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: SymlinkArgs<'_>,
) -> Outcome<CreateResult, WccData> {
    let link = &arguments.symlink;
    object(request, arguments.place, NewObject::Symlink(link.link.bytes()), &link.attributes).await
}

/// MKNOD.
pub async fn node<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: MknodArgs<'_>,
) -> Outcome<CreateResult, WccData> {
    let (new, attributes) = match &arguments.what {
        MknodData::BlockDevice(device) => {
            let Specdata { major, minor } = device.device;
            (NewObject::BlockDevice(major, minor), &device.attributes)
        }
        MknodData::CharacterDevice(device) => {
            let Specdata { major, minor } = device.device;
            (NewObject::CharacterDevice(major, minor), &device.attributes)
        }
        MknodData::Socket(attributes) => (NewObject::Socket, attributes),
        MknodData::Fifo(attributes) => (NewObject::Fifo, attributes),
        MknodData::Other(_) => return Err(bare(Status::Badtype.into())),
    };
    object(request, arguments.place, new, attributes).await
}

async fn object<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: DirOpArgs<'_>,
    new: NewObject<'_>,
    attributes: &nfs3::SetAttributes,
) -> Outcome<CreateResult, WccData> {
    let (directory, _pass) = directory_to_change(request, &place).await.map_err(bare)?;
    let made = match wanted(attributes) {
        Ok(wanted) => create::object(&directory, &place.name, new, &wanted).await,
        Err(status) => Err(status.into()),
    };
    match made {
        Ok(made) => Ok(CreateResult {
            object: Some(handle_of(request, &directory.with(made.node).content())),
            attributes: Some(told(&made.attributes)),
            directory_wcc: wcc(&made.change),
        }),
        Err(failure) => Err(not_made(&directory, &place.name, failure).await),
    }
}
