//! Callbacks: CB_NOTIFY_LOCK, CB_OFFLOAD, CB_RECALL_SLOT, each behind a CB_SEQUENCE (RFC 8881 §20, RFC 7862 §16.1).

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rpc::ConnectionId;
use state::{CallbackClaim, CallbackCredential, Effects, LockNotice, Session};
use std::sync::Arc;
use vfs::Vfs;
use wire::nfs4::{
    CALLBACK_PROCEDURE_COMPOUND, CALLBACK_VERSION, CallbackArguments, CallbackCompoundArgs,
    CallbackNotifyLockArgs, CallbackOffloadArgs, CallbackOperation, CallbackRecallSlotArgs,
    CallbackSequenceArgs, ClientId, CompoundResult, FileHandle, OffloadInfo, ResultHead, StateOwner, Stateid,
    Status,
};
use wire::rpc::{Accepted, AuthSys, CallHeader, Credential, Gids, OpaqueAuth, ReplyBody, ReplyHeader};
use wire::xdr::{self, Decoder, Encoder, List, NoRoom, Opaque};

use crate::env::{Backchannel, BackchannelError, Env};
use crate::handle::{ExportId, HandleContent};
use crate::server::Server;

/// How long a client may take to answer a callback; Linux answers at once or not at all.
const TIMEOUT_NS: u64 = 20_000_000_000;

/// How often a callback that found every slot of the back channel taken looks again, and how many times.
const SLOT_RETRY_NS: u64 = 50_000_000;
const SLOT_RETRIES: usize = 100;

/// How often CB_OFFLOAD is tried, and how long apart: longer than a client takes to connect again. One that never hears of
/// the end of its copy waits for ever.
const OFFLOAD_TRIES: usize = 120;
const OFFLOAD_RETRY_NS: u64 = 1_000_000_000;

/// Room for a callback; clients offer at least a page.
const CALLBACK_BYTES_MAX: usize = 4096;

/// Sends what state wants sent since the last time. What only hints is sent by tasks of its own.
pub fn send_pending<V: Vfs, E: Env + Backchannel>(server: &Rc<Server<V, E>>) {
    act_on(server, server.shared.state.take_effects());
}

/// Has state look over what time alone brings about, and does what comes of it. To be called about once a second,
/// on one core.
pub fn sweep<V: Vfs, E: Env + Backchannel>(server: &Rc<Server<V, E>>) {
    let now = server.env.now_ns();
    act_on(server, server.shared.state.sweep(now));
}

/// Sends the notices and asks for slots. The files that no state needs any more are dropped here, outside of state's locks.
fn act_on<V: Vfs, E: Env + Backchannel>(server: &Rc<Server<V, E>>, effects: Effects<V::File>) {
    for notice in effects.notices {
        let task_server = server.clone();
        server.env.spawn(async move { notify_lock(&task_server, notice).await });
    }
    for session in effects.recalls {
        let task_server = server.clone();
        server.env.spawn(async move { recall_slots(&task_server, &session).await });
    }
}

/// CB_NOTIFY_LOCK: a hint that a lock may be had now. A client that does not get it asks again by itself.
async fn notify_lock<V: Vfs, E: Env + Backchannel>(server: &Rc<Server<V, E>>, notice: LockNotice) {
    let Some(handle) = handle_of(server, notice.file.as_bytes()) else { return };
    let lock_owner = StateOwner { client_id: notice.client, owner: Opaque(&notice.owner) };
    send(server, notice.client, &CallbackNotifyLockArgs { handle, lock_owner }.into()).await;
}

/// CB_OFFLOAD: how a copy ended. Tried again until the client has heard it or is gone, or the server stops.
pub async fn offload<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    client: ClientId,
    handle: FileHandle,
    stateid: Stateid,
    info: OffloadInfo,
) {
    let operation = CallbackOffloadArgs { handle, stateid, info }.into();
    let state = &server.shared.state;
    for _ in 0..OFFLOAD_TRIES {
        if state.is_closing() || state.client(client).is_err() || send(server, client, &operation).await {
            return;
        }
        server.env.sleep(OFFLOAD_RETRY_NS).await;
    }
    tracing::warn!(client = client.0, "a client could not be told that its copy has ended");
}

/// CB_RECALL_SLOT: asks the client to make do with the target of one session. One that does not get it hears of the
/// target with the next reply.
pub async fn recall_slots<V: Vfs, E: Env + Backchannel>(server: &Rc<Server<V, E>>, session: &Arc<Session>) {
    let target_highest_slot_id = session.sequence_reply().target_highest_slot;
    send_in(server, session, &CallbackRecallSlotArgs { target_highest_slot_id }.into()).await;
}

/// The file handle behind a key of state: export and storage's name, as `open_file::key` puts them together.
fn handle_of<V: Vfs, E>(server: &Server<V, E>, key: &[u8]) -> Option<FileHandle> {
    let (export, node) = key.split_first_chunk::<4>()?;
    let content = HandleContent::Node(ExportId(u32::from_be_bytes(*export)), vfs::NodeHandle::new(node)?);
    Some(server.shared.handle_key.seal(&content))
}

/// Whether the client has got it.
async fn send<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    client: ClientId,
    operation: &CallbackArguments<'_>,
) -> bool {
    let Some(session) = server.shared.state.callback_session(client) else {
        tracing::debug!(client = client.0, "no back channel for a callback");
        return false;
    };
    send_in(server, &session, operation).await
}

/// The same on one session.
async fn send_in<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    session: &Arc<Session>,
    operation: &CallbackArguments<'_>,
) -> bool {
    let Some(mut claim) = take_slot(server, session).await else {
        tracing::debug!(?session, "the back channel has no free slot for a callback");
        return false;
    };
    let mut connection = claim.connection();
    loop {
        let transaction = server.env.next_transaction();
        let Ok(message) = message(&claim, transaction, operation) else {
            claim.refused();
            return false;
        };
        let to = ConnectionId::from_u64(connection.0);
        match server.env.call_back(to, message, TIMEOUT_NS).await {
            Ok(reply) => return settle(claim, &reply),
            // The same again over another connection: the client's slot tells whether it has done it already.
            Err(BackchannelError::Lost) => match claim.retry_on() {
                Some(other) => connection = other,
                None => break,
            },
            Err(BackchannelError::TimedOut) => break,
        }
    }
    claim.give_up();
    false
}

async fn take_slot<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    session: &Arc<Session>,
) -> Option<CallbackClaim> {
    for _ in 0..SLOT_RETRIES {
        if let Some(claim) = session.begin_callback() {
            return Some(claim);
        }
        if !session.has_backchannel() {
            return None;
        }
        server.env.sleep(SLOT_RETRY_NS).await;
    }
    None
}

fn message(
    claim: &CallbackClaim,
    transaction: u32,
    operation: &CallbackArguments<'_>,
) -> Result<BytesMut, NoRoom> {
    let (program, credential) = claim.session().backchannel();
    let mut encoder = Encoder::new(BytesMut::new(), CALLBACK_BYTES_MAX);
    encoder.put(&CallHeader {
        xid: transaction,
        program,
        version: CALLBACK_VERSION,
        procedure: CALLBACK_PROCEDURE_COMPOUND,
        credential: wire_credential(&credential),
        verifier: OpaqueAuth::NONE,
    })?;
    encoder.put(&CallbackCompoundArgs {
        tag: Opaque(&[]),
        minor_version: claim.session().minor_version(),
        callback_ident: 0,
        operations: 2,
    })?;
    let sequence: CallbackArguments<'_> = CallbackSequenceArgs {
        session_id: claim.session().id(),
        sequence_id: claim.sequence(),
        slot_id: claim.slot(),
        highest_slot_id: claim.highest_slot(),
        cache_this: false,
        referring_calls: List(Vec::new()),
    }
    .into();
    encoder.put(&sequence)?;
    encoder.put(operation)?;
    Ok(encoder.finish().head)
}

fn wire_credential(credential: &CallbackCredential) -> Credential<'_> {
    match credential {
        CallbackCredential::None => Credential::None,
        CallbackCredential::Sys { stamp, machine_name, uid, gid, gids } => Credential::Sys(AuthSys {
            stamp: *stamp,
            machine_name: Opaque(machine_name),
            uid: *uid,
            gid: *gid,
            gids: Gids::new(gids).unwrap_or_default(),
        }),
    }
}

/// Ends the slot by what the client says of CB_SEQUENCE; whether that was yes.
fn settle(claim: CallbackClaim, reply: &Bytes) -> bool {
    match sequence_status(reply) {
        Ok(Some(Status::Ok)) => {
            claim.answered();
            return true;
        }
        Ok(status) => {
            tracing::debug!(?status, session = ?claim.session(), "a client refused a callback");
            claim.refused();
        }
        Err(error) => {
            tracing::debug!(%error, session = ?claim.session(), "a client's answer to a callback is malformed");
            claim.give_up();
        }
    }
    false
}

/// The status of CB_SEQUENCE in the reply to a callback; none if the call was not even accepted.
fn sequence_status(reply: &[u8]) -> Result<Option<Status>, xdr::Error> {
    let mut decoder = Decoder::new(reply);
    let header: ReplyHeader<'_> = decoder.get()?;
    let ReplyBody::Accepted { status: Accepted::Success, .. } = header.body else { return Ok(None) };
    let compound: CompoundResult<'_> = decoder.get()?;
    if compound.results == 0 {
        return Ok(Some(compound.status));
    }
    let head: ResultHead = decoder.get()?;
    if head.operation != CallbackOperation::Sequence.number() {
        return Err(xdr::Error::Value);
    }
    Ok(Some(head.status))
}
