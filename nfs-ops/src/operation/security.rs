//! SECINFO (RFC 8881 §18.29) and SECINFO_NO_NAME (§18.45): which flavors a client may use.

use vfs::{FileKind, Vfs};
use wire::nfs4::{Secinfo, SecinfoArgs, SecinfoResult, SecinfoStyle, Status};
use wire::rpc::{AUTH_NONE, AUTH_SYS};
use wire::xdr::{Encoder, List};

use super::lookup;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::name;
use crate::object::Object;

/// SECINFO: of a name in the current directory.
pub async fn by_name<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: SecinfoArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    name::check(&arguments.name)?;
    if let Object::Node(place) = compound.object()?
        && place.storage().attributes(&place.node).await?.kind != FileKind::Directory
    {
        return Err(Status::Notdir.into());
    }
    lookup::child(compound, &arguments.name).await?;
    answer(compound, reply)
}

/// SECINFO_NO_NAME: of the current file handle or of the directory above.
pub async fn without_name<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    style: SecinfoStyle,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if style == SecinfoStyle::Parent {
        lookup::parent(compound).await?;
    }
    answer(compound, reply)
}

/// Writes the flavors; the current file handle is consumed (RFC 8881 §2.6.3.1.1.8).
fn answer<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let flavors: SecinfoResult<'_> = List(vec![Secinfo::Flavor(AUTH_SYS), Secinfo::Flavor(AUTH_NONE)]);
    reply.put(&flavors)?;
    compound.current = None;
    compound.current_stateid = None;
    Ok(())
}
