//! DESTROY_SESSION (RFC 8881 §18.37) and DESTROY_CLIENTID (§18.50).

use state::ConnectionId;
use vfs::Vfs;
use wire::nfs4::{DestroyClientIdArgs, DestroySessionArgs, Status};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// DESTROY_SESSION.
pub fn session<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: DestroySessionArgs,
) -> Result<(), Failure> {
    let own = compound.session.as_ref().and_then(|session| session.claim());
    // RFC 8881 §18.37.3: nothing can follow in a session that is gone.
    let is_own = own.is_some_and(|claim| claim.session().id() == arguments.session_id);
    if is_own && !compound.is_last {
        return Err(Status::NotOnlyOp.into());
    }
    let connection = ConnectionId(compound.request.peer.connection.to_u64());
    compound.request.server.shared.state.destroy_session(&arguments.session_id, connection, own)?;
    Ok(())
}

/// DESTROY_CLIENTID. A record that cannot be removed only makes the next grace period longer, so that is no failure.
pub async fn client<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: DestroyClientIdArgs,
) -> Result<(), Failure> {
    let server = compound.request.server.clone();
    let ticket = server.shared.state.destroy_client(arguments.client_id, server.env.now_ns())?;
    if let Some(ticket) = ticket
        && let Err(error) = ticket.await
    {
        tracing::warn!(%error, "the record of a client that said goodbye could not be removed");
    }
    Ok(())
}
