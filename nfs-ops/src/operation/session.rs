//! CREATE_SESSION (RFC 8881 §18.36) and BIND_CONN_TO_SESSION (§18.34).

use state::{CallbackCredential, ConnectionId, CreateOutcome, CreateSession, Direction, SessionCreated};
use vfs::Vfs;
use wire::nfs4::{
    BindConnToSessionArgs, BindConnToSessionResult, CallbackSecurity, ChannelAttributes,
    ChannelDirectionArgs, ChannelDirectionResult, CreateSessionArgs, CreateSessionResult, Status,
    create_session_flags,
};
use wire::xdr::Encoder;

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

const KNOWN_FLAGS: u32 =
    create_session_flags::PERSIST | create_session_flags::CONN_BACK_CHAN | create_session_flags::CONN_RDMA;

/// CREATE_SESSION. The client's record is durable before the reply that confirms it.
pub async fn create<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CreateSessionArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if arguments.flags & !KNOWN_FLAGS != 0 {
        return Err(Status::Inval.into());
    }
    let server = compound.request.server.clone();
    let state = &server.shared.state;
    let asked = CreateSession {
        client: arguments.client_id,
        sequence: arguments.sequence,
        minor_version: compound.minor,
        principal: &compound.request.caller.principal(),
        back_channel: arguments.flags & create_session_flags::CONN_BACK_CHAN != 0,
        fore: channel(&arguments.fore_channel),
        back: channel(&arguments.back_channel),
        callback_program: arguments.callback_program,
        callback_credential: callback_credential(&arguments.callback_security)?,
        connection: ConnectionId(compound.request.peer.connection.to_u64()),
    };
    let created = match state.create_session(&asked, server.env.now_ns())? {
        CreateOutcome::Done(created) => created,
        CreateOutcome::Pending(mut pending) => {
            let stored = pending.stored().await;
            state.finish_create_session(pending, stored, server.env.now_ns())?
        }
    };
    reply.put(&result(&created))?;
    Ok(())
}

fn result(created: &SessionCreated) -> CreateSessionResult {
    CreateSessionResult {
        session_id: created.session,
        sequence: created.sequence,
        // Sessions do not survive a restart, so PERSIST is never set (RFC 8881 §2.10.6.5).
        flags: if created.back_channel { create_session_flags::CONN_BACK_CHAN } else { 0 },
        fore_channel: told_channel(&created.fore),
        back_channel: told_channel(&created.back),
    }
}

/// BIND_CONN_TO_SESSION.
pub fn bind_connection<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: BindConnToSessionArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let asked = match arguments.direction {
        ChannelDirectionArgs::Fore => Direction::Fore,
        ChannelDirectionArgs::Back => Direction::Back,
        ChannelDirectionArgs::ForeOrBoth | ChannelDirectionArgs::BackOrBoth => Direction::Both,
    };
    let state = &compound.request.server.shared.state;
    let connection = ConnectionId(compound.request.peer.connection.to_u64());
    let bound = state.bind_connection(&arguments.session_id, connection, asked)?;
    reply.put(&BindConnToSessionResult {
        session_id: arguments.session_id,
        direction: match bound {
            Direction::Fore => ChannelDirectionResult::Fore,
            Direction::Back => ChannelDirectionResult::Back,
            Direction::Both => ChannelDirectionResult::Both,
        },
        use_rdma: false,
    })?;
    Ok(())
}

/// The credential for callbacks: the first the client offers that this server can make (RFC 8881 §18.36.3).
///
/// # Errors
/// `NFS4ERR_ENCR_ALG_UNSUPP` when only RPCSEC_GSS is offered.
pub fn callback_credential(offered: &[CallbackSecurity<'_>]) -> Result<CallbackCredential, Status> {
    let usable = offered.iter().find_map(|security| match security {
        CallbackSecurity::None => Some(CallbackCredential::None),
        CallbackSecurity::Sys(sys) => Some(CallbackCredential::Sys {
            stamp: sys.stamp,
            machine_name: sys.machine_name.to_vec(),
            uid: sys.uid,
            gid: sys.gid,
            gids: sys.gids.as_slice().to_vec(),
        }),
        CallbackSecurity::Gss(_) => None,
    });
    match usable {
        Some(credential) => Ok(credential),
        None if offered.is_empty() => Ok(CallbackCredential::None),
        None => Err(Status::EncrAlgUnsupp),
    }
}

fn channel(asked: &ChannelAttributes) -> state::ChannelAttributes {
    state::ChannelAttributes {
        header_pad_bytes: asked.header_pad_size,
        request_bytes_max: asked.request_size_max,
        response_bytes_max: asked.response_size_max,
        response_cached_bytes_max: asked.response_size_max_cached,
        operations_max: asked.operations_max,
        requests_max: asked.requests_max,
    }
}

fn told_channel(granted: &state::ChannelAttributes) -> ChannelAttributes {
    ChannelAttributes {
        header_pad_size: granted.header_pad_bytes,
        request_size_max: granted.request_bytes_max,
        response_size_max: granted.response_bytes_max,
        response_size_max_cached: granted.response_cached_bytes_max,
        operations_max: granted.operations_max,
        requests_max: granted.requests_max,
        rdma_ird: None,
    }
}
