//! COPY, OFFLOAD_STATUS, OFFLOAD_CANCEL, CLONE (RFC 7862 §15.2, §15.9, §15.8, §15.13).

use std::rc::Rc;
use std::sync::Arc;

use qos::limits::Limits;
use qos::{Kind, Pass};
use state::{Client, Standing};
use vfs::{Identity, Stability, Vfs};
use wire::nfs4::{
    CloneArgs, CopyArgs, CopyRequirements, CopyResult, FileHandle, OffloadCancelArgs, OffloadInfo,
    OffloadStatusArgs, OffloadStatusResult, Status, Verifier, WriteResponse,
};
use wire::xdr::Encoder;

use super::open_file::{self, Want};
use crate::callback;
use crate::common::data::stable_how;
use crate::common::names::changeable;
use crate::common::open_file::{OpenFile, key};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::offload::Offload;
use crate::request::Account;
use crate::server::Server;

/// A copy of more than this goes on after its reply, if the client agrees: it may take longer than the client waits.
const SYNCHRONOUS_BYTES_MAX: u64 = 64 << 20;

/// How much of a copy that goes on is done in one step, between which it can be cancelled and its progress is seen.
const STEP_BYTES: u64 = 32 << 20;

/// As [`STEP_BYTES`] where limits may hold a step up: as long as the longest WRITE.
const LIMITED_STEP_BYTES: u64 = 1 << 20;

/// A copy that is answered when it has ended is cut short once it was held for so long, in nanoseconds: its client asks for the
/// rest (RFC 7862 §15.2.3), and does not take the server for dead.
const HELD_NS_MAX: u64 = 2_000_000_000;

/// After so long, in nanoseconds, a copy that goes on tries again where too many others wait.
const AGAIN_NS: u64 = 100_000_000;

/// A copy that was checked and can begin.
struct Job<V: Vfs> {
    storage: V,
    identity: Identity,
    source: OpenFile<V::File>,
    source_offset: u64,
    target: OpenFile<V::File>,
    target_offset: u64,
    bytes: u64,
    /// The target's handle, for the callback.
    handle: FileHandle,
}

/// COPY within the server, from the saved file to the current one.
pub async fn copy<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CopyArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if !arguments.source_servers.is_empty() {
        return Err(Status::Notsupp.into());
    }
    let job = prepare(compound, &arguments).await?;
    let client = compound.session()?.session.client().clone();
    let server = compound.request.server.clone();
    // As it is before the copy: what a sync that fails meanwhile loses must not pass for copied after it.
    let verifier = Verifier(job.storage.write_verifier());
    let target = compound.place(Status::WrongType)?;
    // Whoever cannot be called would wait for the end for ever.
    let may_be_called = server.shared.state.callback_session(client.id()).is_some();
    if !arguments.synchronous && may_be_called && job.bytes > SYNCHRONOUS_BYTES_MAX {
        let mut other = [0; 12];
        server.env.random(&mut other);
        if let Some(offload) = server.shared.offloads.begin(client.id(), other) {
            let callback_id = Some(offload.stateid);
            reply.put(&result(callback_id, 0, Stability::Unstable, verifier))?;
            let account = compound.request.account(target);
            server.env.spawn(go_on(server.clone(), job, account, client, offload));
            return Ok(());
        }
    }
    let request = &compound.request;
    let admit = async |bytes| request.admit(Some(target), Kind::Write, bytes).await;
    let may_go_on = |copied| copied == 0 || request.held_ns.get() < HELD_NS_MAX;
    let copied = copy_all(&job, &server.shared.limiting.table, admit, may_go_on, |_| ()).await;
    let (copied, stability) = copied.map_err(|(failure, _)| failure)?;
    reply.put(&result(None, copied, stability, verifier))?;
    Ok(())
}

async fn prepare<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: &CopyArgs<'_>,
) -> Result<Job<V>, Failure> {
    let (source, target) =
        both_files(compound, arguments.source_stateid, arguments.destination_stateid).await?;
    let (from, to) = places(compound)?;
    let size_bytes = from.storage().attributes(&from.node).await?.size_bytes;
    let left = size_bytes.checked_sub(arguments.source_offset).ok_or(Status::Inval)?;
    // RFC 7862 §15.2.3: a count of 0 means up to the end; a range past the end is invalid.
    let bytes = match arguments.count {
        0 => left,
        count if count > left => return Err(Status::Inval.into()),
        count => count,
    };
    arguments
        .destination_offset
        .checked_add(bytes)
        .filter(|end| *end <= i64::MAX as u64)
        .ok_or(Status::Fbig)?;
    // A storage that copies in steps would not notice that a later step reads what an earlier one has written.
    let apart = arguments.source_offset.abs_diff(arguments.destination_offset) >= bytes;
    if !apart && key(from) == key(to) {
        return Err(Status::Inval.into());
    }
    Ok(Job {
        storage: to.storage().clone(),
        identity: to.identity.clone(),
        source,
        source_offset: arguments.source_offset,
        target,
        target_offset: arguments.destination_offset,
        bytes,
        handle: compound.request.server.shared.handle_key.seal(&to.content()),
    })
}

/// Source and target, which must be in one export.
fn places<V: Vfs, E: Env + Backchannel>(compound: &Compound<V, E>) -> Result<(&Place<V>, &Place<V>), Status> {
    let from = compound.saved_place(Status::WrongType)?;
    let to = changeable(compound.place(Status::WrongType)?)?;
    if from.export.settings.id == to.export.settings.id { Ok((from, to)) } else { Err(Status::Xdev) }
}

async fn both_files<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    source: wire::nfs4::Stateid,
    target: wire::nfs4::Stateid,
) -> Result<(OpenFile<V::File>, OpenFile<V::File>), Failure> {
    places(compound)?;
    let target = open_file::of_stateid(compound, target, Want::Write).await?;
    let source = if source.is_current() { compound.saved_stateid.ok_or(Status::BadStateid)? } else { source };
    let source = open_file::of_saved_stateid(compound, source, Want::Read).await?;
    Ok((source, target))
}

/// Copies step by step, in small ones where there are `limits`, each when `admit` lets it, while it `may_go_on` with what is
/// copied, and tells how far each step `advanced`; answers how many bytes, and how durable all are.
async fn copy_all<V: Vfs>(
    job: &Job<V>,
    limits: &Limits,
    admit: impl AsyncFn(u64) -> Result<Pass, Status>,
    may_go_on: impl Fn(u64) -> bool,
    advanced: impl Fn(u64),
) -> Result<(u64, Stability), (Failure, u64)> {
    let (mut copied, mut stability) = (0, Stability::File);
    while copied < job.bytes && may_go_on(copied) {
        let most = if limits.has_been_set() { LIMITED_STEP_BYTES } else { STEP_BYTES };
        let step = (job.bytes - copied).min(most);
        let _pass = match admit(step).await {
            Ok(pass) => pass,
            Err(_) if copied > 0 => break,
            Err(status) => return Err((status.into(), copied)),
        };
        let (source_offset, target_offset) = (job.source_offset + copied, job.target_offset + copied);
        let (source, target) = (job.source.file(), job.target.file());
        let done = job.storage.copy(source, source_offset, target, target_offset, step, &job.identity).await;
        let done = match done {
            Ok(done) => done,
            // What was copied before the error counts; the client asks for the rest and learns of the error then.
            Err(_) if copied > 0 => return Ok((copied, stability)),
            Err(error) => return Err((error.into(), copied)),
        };
        stability = stability.min(done.stability);
        copied += done.bytes;
        advanced(done.bytes);
        if done.bytes == 0 {
            break;
        }
    }
    Ok((copied, stability))
}

/// A copy after its reply: does it and tells the client by CB_OFFLOAD. It ends with the right to do it: when the client
/// is gone or all that it held was revoked, others may have the target open and rely on it.
async fn go_on<V: Vfs, E: Env + Backchannel>(
    server: Rc<Server<V, E>>,
    job: Job<V>,
    account: Account<V, E>,
    client: Arc<Client>,
    offload: Arc<Offload>,
) {
    let verifier = Verifier(job.storage.write_verifier());
    let may_go_on = |_: u64| !offload.is_cancelled() && client.standing() == Standing::Live;
    let admit = async |bytes| loop {
        match account.admit(bytes).await {
            Err(_) if may_go_on(0) => server.env.sleep(AGAIN_NS).await,
            admitted => break admitted,
        }
    };
    let outcome =
        copy_all(&job, &server.shared.limiting.table, admit, &may_go_on, |bytes| offload.advance(bytes))
            .await;
    let (status, info) = match outcome {
        Ok((copied, stability)) => {
            (Status::Ok, OffloadInfo::Done(response(None, copied, stability, verifier)))
        }
        Err((failure, bytes_copied)) => {
            let status = failure.status();
            (status, OffloadInfo::Failed { status, bytes_copied })
        }
    };
    let handle = job.handle;
    // Telling may take long, and the files are not in others' way for it.
    drop((job, account));
    server.shared.offloads.finish(&offload, status);
    if !offload.is_cancelled() {
        callback::offload(&server, offload.client, handle, offload.stateid, info).await;
    }
}

fn result(
    callback_id: Option<wire::nfs4::Stateid>,
    count: u64,
    stability: Stability,
    verifier: Verifier,
) -> CopyResult {
    let synchronous = callback_id.is_none();
    CopyResult {
        response: response(callback_id, count, stability, verifier),
        requirements: CopyRequirements { consecutive: true, synchronous },
    }
}

fn response(
    callback_id: Option<wire::nfs4::Stateid>,
    count: u64,
    stability: Stability,
    verifier: Verifier,
) -> WriteResponse {
    WriteResponse { callback_id, count, committed: stable_how(stability), verifier }
}

/// OFFLOAD_STATUS.
pub fn status<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: OffloadStatusArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let client = compound.session()?.session.client().id();
    let found = compound.request.server.shared.offloads.find(client, &arguments.stateid);
    let offload = found.ok_or(Status::BadStateid)?;
    reply.put(&OffloadStatusResult { count: offload.copied_bytes(), complete: offload.end() })?;
    Ok(())
}

/// OFFLOAD_CANCEL.
pub fn cancel<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: OffloadCancelArgs,
) -> Result<(), Failure> {
    let client = compound.session()?.session.client().id();
    let known = compound.request.server.shared.offloads.cancel(client, &arguments.stateid);
    if known { Ok(()) } else { Err(Status::BadStateid.into()) }
}

/// CLONE: the whole range or nothing.
pub async fn clone<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CloneArgs,
) -> Result<(), Failure> {
    let (source, target) =
        both_files(compound, arguments.source_stateid, arguments.destination_stateid).await?;
    let (_, to) = places(compound)?;
    to.storage()
        .clone_range(
            source.file(),
            arguments.source_offset,
            target.file(),
            arguments.destination_offset,
            arguments.count,
            &to.identity,
        )
        .await?;
    Ok(())
}
