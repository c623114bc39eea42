//! LOCK, LOCKT, LOCKU (RFC 8881 §18.10-§18.12).

use state::{LockDenied, LockKind, LockRange, LockRefusal, LockRequest, Locker};
use vfs::Vfs;
use wire::nfs4::{self, LockArgs, LockResult, LockTestArgs, LockType, StateOwner, Status, UnlockArgs};
use wire::xdr::{Encoder, Opaque};

use crate::common::open_file;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// LOCK. A denied request says who stands in the way.
pub async fn lock<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: LockArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let range = range(arguments.offset, arguments.length)?;
    let locker = match &arguments.locker {
        nfs4::Locker::New(new) => {
            Locker::Open { stateid: compound.stateid(new.open_stateid)?, owner: &new.lock_owner.owner }
        }
        nfs4::Locker::Existing(existing) => {
            Locker::Lock { stateid: compound.stateid(existing.lock_stateid)? }
        }
    };
    let place = compound.place(Status::Isdir)?;
    open_file::require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let request = LockRequest {
        file: open_file::key(place),
        locker,
        kind: kind(arguments.lock_type),
        blocking: arguments.lock_type.is_waiting(),
        range,
        reclaim: arguments.reclaim,
    };
    let client = compound.session()?.session.client();
    let (state, now_ns) = (&compound.request.server.shared.state, compound.request.server.env.now_ns());
    match state.lock(client, &request, now_ns) {
        Ok(stateid) => {
            reply.put(&LockResult { stateid })?;
            compound.current_stateid = Some(stateid);
            Ok(())
        }
        Err(refusal) => refuse(refusal, reply),
    }
}

/// LOCKT.
pub async fn test<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: LockTestArgs<'_>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let range = range(arguments.offset, arguments.length)?;
    let place = compound.place(Status::Isdir)?;
    open_file::require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let file = open_file::key(place);
    let client = compound.session()?.session.client();
    let (state, now_ns) = (&compound.request.server.shared.state, compound.request.server.env.now_ns());
    let owner = &arguments.owner.owner;
    match state.test_lock(client, &file, owner, kind(arguments.lock_type), range, now_ns) {
        Ok(()) => Ok(()),
        Err(refusal) => refuse(refusal, reply),
    }
}

/// LOCKU.
pub fn unlock<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: UnlockArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let range = range(arguments.offset, arguments.length)?;
    let stateid = compound.stateid(arguments.stateid)?;
    let file = open_file::key(compound.place(Status::Isdir)?);
    let client = compound.session()?.session.client();
    let (state, now_ns) = (&compound.request.server.shared.state, compound.request.server.env.now_ns());
    let stateid = state.unlock(client, &file, &stateid, range, now_ns)?;
    reply.put(&LockResult { stateid })?;
    compound.current_stateid = Some(stateid);
    Ok(())
}

fn range(offset: u64, length: u64) -> Result<LockRange, Status> {
    LockRange::new(offset, length)
}

fn kind(lock_type: LockType) -> LockKind {
    if lock_type.is_write() { LockKind::Write } else { LockKind::Read }
}

fn refuse(refusal: LockRefusal, reply: &mut Encoder) -> Result<(), Failure> {
    match refusal {
        LockRefusal::Status(status) => Err(status.into()),
        LockRefusal::Denied(denied) => {
            put_denied(&denied, reply)?;
            Err(Failure::WithBody(Status::Denied))
        }
    }
}

fn put_denied(denied: &LockDenied, reply: &mut Encoder) -> Result<(), Failure> {
    let (offset, length) = (denied.range.offset(), denied.range.length());
    let lock_type = if denied.kind == LockKind::Write { LockType::Write } else { LockType::Read };
    let owner = StateOwner { client_id: denied.client, owner: Opaque(&denied.owner) };
    reply.put(&nfs4::LockDenied { offset, length, lock_type, owner })?;
    Ok(())
}
