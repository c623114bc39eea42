//! CREATE: objects that are not regular files (RFC 8881 §18.4).

use vfs::{NewObject, Vfs};
use wire::nfs4::{CreateArgs, CreateResult, CreateType, Status};
use wire::xdr::Encoder;

use super::namespace::change_info;
use crate::common::create;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Object;
use crate::settable::Wanted;

/// CREATE. The new object becomes current.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CreateArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let object = new_object(&arguments.object_type)?;
    let server = &compound.request.server;
    let wanted =
        Wanted::read(&server.env, &server.shared.settings, compound.minor, &arguments.attributes).await?;
    let directory = compound.place(Status::Rofs)?;
    let made = create::object(directory, &arguments.name, object, &wanted.attributes).await?;
    let made_place = directory.with(made.node);
    reply.put(&CreateResult { change_info: change_info(&made.change), attributes_set: wanted.mask })?;
    compound.set_current(Object::Node(made_place));
    Ok(())
}

fn new_object<'a>(kind: &CreateType<'a>) -> Result<NewObject<'a>, Status> {
    Ok(match kind {
        CreateType::Directory => NewObject::Directory,
        CreateType::BlockDevice(device) => NewObject::BlockDevice(device.major, device.minor),
        CreateType::CharacterDevice(device) => NewObject::CharacterDevice(device.major, device.minor),
        CreateType::SymbolicLink(text) => NewObject::Symlink(text.bytes()),
        CreateType::Socket => NewObject::Socket,
        CreateType::Fifo => NewObject::Fifo,
        CreateType::Other(_) => return Err(Status::Badtype),
    })
}
