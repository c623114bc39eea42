//! PUTFH, PUTROOTFH, PUTPUBFH, GETFH, SAVEFH, RESTOREFH (RFC 8881 §18.19-§18.21, §18.8, §18.28, §18.27).

use vfs::Vfs;
use wire::nfs4::{PutFhArgs, Status};
use wire::xdr::Encoder;

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Object;
use crate::pseudo::Junction;

/// PUTFH: what the client was given before becomes current.
pub async fn put<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: PutFhArgs,
) -> Result<(), Failure> {
    let key = &compound.request.server.shared.handle_key;
    let content = key.open(&arguments.object).ok_or(Status::Badhandle)?;
    let object = compound.request.resolve(&content).await?;
    compound.set_current(object);
    Ok(())
}

/// PUTROOTFH, and PUTPUBFH, whose file handle is the root's here.
pub async fn put_root<V: Vfs, E: Env + Backchannel>(compound: &mut Compound<V, E>) -> Result<(), Failure> {
    let object = match compound.request.exports.pseudo.root() {
        Junction::Directory(id) => Object::Pseudo(id),
        Junction::Export(export) => compound.request.export_root(export).await?,
    };
    compound.set_current(object);
    Ok(())
}

/// GETFH.
pub fn get<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let content = compound.object()?.content();
    reply.put(&compound.request.server.shared.handle_key.seal(&content))?;
    Ok(())
}

/// SAVEFH: with the current stateid (RFC 8881 §16.2.3.1.2).
pub fn save<V: Vfs, E: Env + Backchannel>(compound: &mut Compound<V, E>) -> Result<(), Failure> {
    compound.saved = Some(compound.object()?.clone());
    compound.saved_stateid = compound.current_stateid;
    Ok(())
}

/// RESTOREFH: with the saved stateid.
pub fn restore<V: Vfs, E: Env + Backchannel>(compound: &mut Compound<V, E>) -> Result<(), Failure> {
    let saved = compound.saved.clone().ok_or(Status::Nofilehandle)?;
    compound.set_current(saved);
    compound.current_stateid = compound.saved_stateid;
    Ok(())
}
