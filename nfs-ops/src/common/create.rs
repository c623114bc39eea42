//! Making objects, and files in all the ways of creating.

use vfs::{CreateHow, Created, NewObject, OpenAccess, Opened, SetAttributes, Vfs};
use wire::nfs4::Status;

use super::names::changeable;
use crate::failure::Failure;
use crate::name;
use crate::object::Place;

/// Longest text of a symbolic link that Linux takes (PATH_MAX less the terminating NUL).
const LINK_TEXT_BYTES_MAX: usize = 4095;

/// How often a create is tried again when the name changes under it; past it the client is asked to come again.
pub const RACES_MAX: usize = 4;

/// Makes an object that is not a regular file.
///
/// # Errors
/// As CREATE's (RFC 8881 §18.4).
pub async fn object<V: Vfs>(
    directory: &Place<V>,
    name: &[u8],
    object: NewObject<'_>,
    attributes: &SetAttributes,
) -> Result<Created<V::Node>, Failure> {
    name::check(name)?;
    if let NewObject::Symlink(text) = object {
        check_link_text(text)?;
    }
    let directory = changeable(directory)?;
    let storage = directory.storage();
    Ok(storage.create(&directory.node, &directory.identity, name, object, attributes).await?)
}

fn check_link_text(text: &[u8]) -> Result<(), Status> {
    match text {
        [] => Err(Status::Inval),
        text if text.len() > LINK_TEXT_BYTES_MAX => Err(Status::Nametoolong),
        text if text.contains(&0) => Err(Status::Inval),
        _ => Ok(()),
    }
}

/// What came of creating a file.
#[allow(clippy::large_enum_variant, reason = "it lives for a moment, and most are the large one")]
pub enum File<V: Vfs> {
    /// The name was taken, which an UNCHECKED create does not mind; nothing was done.
    There(Place<V>),
    /// It was made, or was made before by the same exclusive create.
    Made(Place<V>, Opened<V::Node, V::File>),
}

/// Creates a regular file and opens it.
///
/// # Errors
/// As OPEN's with OPEN4_CREATE (RFC 8881 §18.16); `NFS4ERR_DELAY` when the name keeps changing.
pub async fn file<V: Vfs>(
    directory: &Place<V>,
    name: &[u8],
    how: CreateHow,
    attributes: &SetAttributes,
    access: OpenAccess,
) -> Result<File<V>, Failure> {
    name::check(name)?;
    let directory = changeable(directory)?;
    let storage = directory.storage();
    for _ in 0..RACES_MAX {
        let there = match storage.lookup(&directory.node, &directory.identity, name).await {
            Ok(node) => Some(directory.with(node)),
            Err(vfs::Error::NotFound) => None,
            Err(error) => return Err(error.into()),
        };
        let make = match (there, how) {
            (Some(_), CreateHow::Guarded) => return Err(Status::Exist.into()),
            (Some(place), CreateHow::Unchecked) => return Ok(File::There(place)),
            // Guarded, so that a file that appears meanwhile is not truncated without its shares asked.
            (None, CreateHow::Unchecked) => CreateHow::Guarded,
            // The storage tells a repeated exclusive create from a name that is taken.
            (_, how) => how,
        };
        match storage.open_create(&directory.node, &directory.identity, name, make, attributes, access).await
        {
            Ok(opened) => return Ok(File::Made(directory.with(opened.node.clone()), opened)),
            Err(vfs::Error::Exists) if how == CreateHow::Unchecked => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Status::Delay.into())
}
