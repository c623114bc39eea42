//! CREATE: objects that are not regular files (RFC 8881 §18.4).

use vfs::{NewObject, Vfs};
use wire::nfs4::{CreateArgs, CreateResult, CreateType, Status};
use wire::xdr::Encoder;

use super::namespace::{change_info, changeable};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::name;
use crate::object::Object;
use crate::settable::Wanted;

/// Longest text of a symbolic link that Linux takes (PATH_MAX less the terminating NUL).
const LINK_TEXT_BYTES_MAX: usize = 4095;

/// CREATE. The new object becomes current.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CreateArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let object = new_object(&arguments.object_type)?;
    name::check(&arguments.name)?;
    let server = compound.server.clone();
    let wanted =
        Wanted::read(&server.env, &server.shared.settings, compound.minor, &arguments.attributes).await?;
    let place = changeable(compound.place(Status::Rofs)?)?.clone();
    let made = place
        .storage()
        .create(&place.node, &place.identity, &arguments.name, object, &wanted.attributes)
        .await?;
    reply.put(&CreateResult { change_info: change_info(made.change), attributes_set: wanted.mask })?;
    compound.set_current(Object::Node(place.with(made.node)));
    Ok(())
}

fn new_object<'a>(kind: &CreateType<'a>) -> Result<NewObject<'a>, Status> {
    Ok(match kind {
        CreateType::Directory => NewObject::Directory,
        CreateType::BlockDevice(device) => NewObject::BlockDevice(device.major, device.minor),
        CreateType::CharacterDevice(device) => NewObject::CharacterDevice(device.major, device.minor),
        CreateType::SymbolicLink(text) => NewObject::Symlink(link_text(text.bytes())?),
        CreateType::Socket => NewObject::Socket,
        CreateType::Fifo => NewObject::Fifo,
        CreateType::Other(_) => return Err(Status::Badtype),
    })
}

fn link_text(text: &[u8]) -> Result<&[u8], Status> {
    match text {
        [] => Err(Status::Inval),
        text if text.len() > LINK_TEXT_BYTES_MAX => Err(Status::Nametoolong),
        text if text.contains(&0) => Err(Status::Inval),
        text => Ok(text),
    }
}
