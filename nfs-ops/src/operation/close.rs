//! CLOSE (RFC 8881 §18.2) and OPEN_DOWNGRADE (§18.18).

use state::{Access, Deny};
use vfs::Vfs;
use wire::nfs4::{CloseArgs, OpenDowngradeArgs, OpenDowngradeResult, Status, share_access};
use wire::xdr::Encoder;

use crate::common::open_file;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// CLOSE: the open and the locks made with it are gone.
pub fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CloseArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let stateid = compound.stateid(arguments.stateid)?;
    let file = open_file::key(compound.place(Status::BadStateid)?);
    let client = compound.session()?.session.client();
    let (state, now_ns) = (&compound.request.server.shared.state, compound.request.server.env.now_ns());
    let closed = state.close_file(client, &file, &stateid, now_ns)?;
    compound.request.server.grants.prune_file(client.id(), &file);
    reply.put(&closed.stateid)?;
    compound.current_stateid = Some(closed.stateid);
    Ok(())
}

/// OPEN_DOWNGRADE: exactly to a union of what was opened.
pub fn downgrade<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: OpenDowngradeArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let stateid = compound.stateid(arguments.stateid)?;
    // RFC 8881 §18.18.3: what the client wants of delegations may stand there and says nothing.
    let access = arguments.share_access & !share_access::WANT_DELEG_MASK;
    let access = Access::from_u32(access).ok_or(Status::Inval)?;
    let deny = Deny::from_u32(arguments.share_deny).ok_or(Status::Inval)?;
    let file = open_file::key(compound.place(Status::BadStateid)?);
    let client = compound.session()?.session.client();
    let state = &compound.request.server.shared.state;
    let stateid = state.open_downgrade(client, &file, &stateid, access, deny)?;
    compound.request.server.grants.prune_file(client.id(), &file);
    reply.put(&OpenDowngradeResult { stateid })?;
    compound.current_stateid = Some(stateid);
    Ok(())
}
