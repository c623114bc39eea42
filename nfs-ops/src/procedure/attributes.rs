//! GETATTR, SETATTR, ACCESS (RFC 1813 §3.3.1, §3.3.2, §3.3.4).

use state::IoWant;
use vfs::{SetAttributes, SetTime, Vfs};
use wire::nfs3::{
    self, AccessArgs, AccessResult, FileAttributes, GetAttrArgs, Outcome, PostOpAttributes, SetAttrArgs,
    WccData,
};
use wire::nfs4::Status;

use super::anonymous;
use super::place::{after, bare, changed, place_to_change, place_to_look, time, told, with, with_file};
use crate::common;
use crate::common::access;
use crate::common::data::check_range;
use crate::common::names::changeable;
use crate::common::open_file::OpenFile;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;
use crate::settable::{MODE_BITS, client_time};

/// GETATTR.
pub async fn get<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: GetAttrArgs,
) -> Outcome<FileAttributes, ()> {
    let (place, _pass) = place_to_look(request, &arguments.object).await.map_err(bare)?;
    let attributes = place.storage().attributes(&place.node).await;
    attributes.map(|attributes| told(&attributes)).map_err(|error| bare(error.into()))
}

/// SETATTR.
pub async fn set<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: SetAttrArgs,
) -> Outcome<WccData, WccData> {
    let (place, _pass) = place_to_change(request, &arguments.object).await.map_err(bare)?;
    if let Some(guard) = arguments.guard {
        let attributes = place.storage().attributes(&place.node).await.map_err(|error| bare(error.into()))?;
        if time(attributes.changed) != guard {
            let status = nfs3::Status::NotSync;
            return Err(nfs3::Failure { status, body: changed(&place).await });
        }
    }
    let applied = match wanted(&arguments.attributes) {
        Ok(wanted) => apply(request, &place, &wanted).await,
        Err(status) => Err(status.into()),
    };
    let wcc = changed(&place).await;
    applied.map(|()| wcc).map_err(|failure| with_file(failure, wcc))
}

/// Sets attributes; a new size is written like data.
///
/// # Errors
/// As SETATTR's.
pub async fn apply<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    wanted: &SetAttributes,
) -> Result<(), Failure> {
    changeable(place)?;
    let opened = match wanted.size_bytes {
        Some(_) => Some(anonymous::open(request, place, IoWant::Write).await?),
        None => None,
    };
    let file = opened.as_ref().map(OpenFile::file);
    common::attributes::set(request, place, file, wanted).await
}

/// What is to be set, for the storage.
///
/// # Errors
/// `NFS4ERR_INVAL`, `NFS4ERR_FBIG`.
pub fn wanted(sent: &nfs3::SetAttributes) -> Result<SetAttributes, Status> {
    check_range(sent.size.unwrap_or(0), 0)?;
    Ok(SetAttributes {
        mode: sent.mode.map(|mode| mode & MODE_BITS),
        umask: None,
        uid: sent.uid,
        gid: sent.gid,
        size_bytes: sent.size,
        accessed: set_time(sent.time_access)?,
        modified: set_time(sent.time_modify)?,
    })
}

fn set_time(sent: nfs3::SetTime) -> Result<Option<SetTime>, Status> {
    match sent {
        nfs3::SetTime::Keep => Ok(None),
        nfs3::SetTime::Server => Ok(Some(SetTime::Now)),
        nfs3::SetTime::Client(time) => client_time(time.seconds.into(), time.nanoseconds).map(Some),
    }
}

/// ACCESS.
pub async fn access<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: AccessArgs,
) -> Outcome<AccessResult, PostOpAttributes> {
    let (place, _pass) = place_to_look(request, &arguments.object).await.map_err(bare)?;
    let answer = access::of_place(&place, arguments.access & access::BASIC).await;
    let attributes = after(&place).await;
    match answer {
        Ok(answer) => Ok(AccessResult { attributes, access: answer.granted }),
        Err(failure) => Err(with(failure, attributes)),
    }
}
