//! TEST_STATEID (RFC 8881 §18.48) and FREE_STATEID (§18.38).

use vfs::Vfs;
use wire::nfs4::{FreeStateidArgs, TestStateidArgs, TestStateidResult};
use wire::xdr::{Encoder, List};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// TEST_STATEID: each stateid gets its own verdict.
pub fn test<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: TestStateidArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let client = compound.session()?.session.client().clone();
    let state = &compound.request.server.shared.state;
    let statuses = arguments.stateids.iter().map(|stateid| state.test_stateid(&client, stateid)).collect();
    reply.put(&TestStateidResult { statuses: List(statuses) })?;
    Ok(())
}

/// FREE_STATEID.
pub fn free<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: FreeStateidArgs,
) -> Result<(), Failure> {
    let stateid = compound.stateid(arguments.stateid)?;
    let client = compound.session()?.session.client().clone();
    let server = &compound.request.server;
    server.shared.state.free_stateid(&client, &stateid, server.env.now_ns())?;
    Ok(())
}
