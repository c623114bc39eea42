//! EXCHANGE_ID (RFC 8881 §18.35) and RECLAIM_COMPLETE (§18.51).

use vfs::Vfs;
use wire::nfs4::{
    ExchangeIdArgs, ExchangeIdResult, ImplementationId, NfsTime, ReclaimCompleteArgs, ServerOwner,
    StateProtectArgs, StateProtectResult, Status, exchange_flags,
};
use wire::xdr::{Encoder, Opaque};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Flags a client may send. SUPP_FENCE_OPS is not among them: it offers a kind of fencing that this server has no use
/// for, and the field's servers refuse it.
const KNOWN_FLAGS: u32 = exchange_flags::SUPP_MOVED_REFER
    | exchange_flags::SUPP_MOVED_MIGR
    | exchange_flags::BIND_PRINC_STATEID
    | exchange_flags::MASK_PNFS
    | exchange_flags::UPD_CONFIRMED_REC_A;

/// Told to clients as who made the server; nothing may depend on it.
const IMPLEMENTATION_DOMAIN: &str = "penstock.invalid";

/// EXCHANGE_ID.
pub fn exchange_id<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ExchangeIdArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if arguments.flags & !KNOWN_FLAGS != 0 {
        return Err(Status::Inval.into());
    }
    // Machine credentials need RPCSEC_GSS, which is what a client would have to use to ask for them
    // (RFC 8881 §18.35.3); the secret state verifier is optional for servers.
    match arguments.state_protect {
        StateProtectArgs::None => {}
        StateProtectArgs::MachineCredential(_) => return Err(Status::Inval.into()),
        StateProtectArgs::Ssv(_) => return Err(Status::EncrAlgUnsupp.into()),
    }
    let server = compound.request.server.clone();
    let asked = state::ExchangeId {
        owner: &arguments.client_owner.owner_id,
        verifier: arguments.client_owner.verifier,
        principal: &compound.request.caller.principal(),
        update: arguments.flags & exchange_flags::UPD_CONFIRMED_REC_A != 0,
        address: compound.request.peer.address.ip(),
    };
    let exchanged = server.shared.state.exchange_id(&asked, server.env.now_ns())?;
    let confirmed = if exchanged.confirmed { exchange_flags::CONFIRMED_R } else { 0 };
    let settings = &server.shared.settings;
    reply.put(&ExchangeIdResult {
        client_id: exchanged.client,
        sequence_id: exchanged.sequence,
        flags: exchange_flags::USE_NON_PNFS | confirmed,
        state_protect: StateProtectResult::None,
        server_owner: ServerOwner { minor_id: 0, major_id: Opaque(&settings.owner) },
        server_scope: Opaque(&settings.scope),
        implementation: Some(ImplementationId {
            domain: IMPLEMENTATION_DOMAIN.into(),
            name: concat!("Penstock ", env!("CARGO_PKG_VERSION")).into(),
            date: NfsTime::default(),
        }),
    })?;
    Ok(())
}

/// RECLAIM_COMPLETE: durable before the reply, for it ends the client's right to reclaim.
pub async fn reclaim_complete<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ReclaimCompleteArgs,
) -> Result<(), Failure> {
    let server = compound.request.server.clone();
    if arguments.one_fs {
        compound.object()?;
    }
    let client = compound.session()?.session.client().clone();
    let state = &server.shared.state;
    match state.reclaim_complete(&client, arguments.one_fs)? {
        state::ReclaimComplete::Done => Ok(()),
        state::ReclaimComplete::Pending(mut pending) => {
            let stored = pending.stored().await;
            state.finish_reclaim_complete(pending, stored, server.env.now_ns())?;
            Ok(())
        }
    }
}
