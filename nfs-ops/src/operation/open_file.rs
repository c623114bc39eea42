//! From a stateid to an open file that may be used for this request.

use state::{FileKey, IoGrant, IoWant};
use vfs::{Authority, OpenAccess, Vfs};
use wire::nfs4::{Stateid, Status};

use crate::common::open_file::{OpenFile, key, open, require_regular};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;

/// What an open file is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Reading.
    Read,
    /// Writing or changing the size.
    Write,
    /// Neither: any open will do.
    Any,
}

/// The open file that the stateid stands for at the current file handle.
///
/// # Errors
/// The errors of stateids; for special stateids what opening the file for this one request meets.
pub async fn of_stateid<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    stateid: Stateid,
    want: Want,
) -> Result<OpenFile<V::File>, Failure> {
    let stateid = compound.stateid(stateid)?;
    resolve(compound, compound.place(Status::Isdir)?, stateid, want).await
}

/// The same at the saved file handle, for the source of a copy.
///
/// # Errors
/// As [`of_stateid`].
pub async fn of_saved_stateid<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    stateid: Stateid,
    want: Want,
) -> Result<OpenFile<V::File>, Failure> {
    resolve(compound, compound.saved_place(Status::Isdir)?, stateid, want).await
}

/// The open file for a change of size, or none when a special stateid leaves the permission to the storage.
///
/// # Errors
/// The errors of stateids.
pub fn for_size_change<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    stateid: Stateid,
) -> Result<Option<OpenFile<V::File>>, Failure> {
    let stateid = compound.stateid(stateid)?;
    match grant(compound, compound.place(Status::Isdir)?, &stateid, Want::Write)? {
        Granted::Open(opened) => Ok(Some(opened)),
        Granted::Special => Ok(None),
    }
}

async fn resolve<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
    stateid: Stateid,
    want: Want,
) -> Result<OpenFile<V::File>, Failure> {
    match grant(compound, place, &stateid, want) {
        Ok(Granted::Open(opened)) => Ok(opened),
        // RFC 8881 §9.1.2: with a special stateid the request is checked as if it opened the file.
        Ok(Granted::Special) => open_once(place, want).await,
        Err(status) => {
            // What is no file cannot have a good stateid either, and the client is better told the former.
            require_regular(place.storage().attributes(&place.node).await?.kind)?;
            Err(status.into())
        }
    }
}

/// Opens the file for this request alone.
async fn open_once<V: Vfs>(place: &Place<V>, want: Want) -> Result<OpenFile<V::File>, Failure> {
    let access = if want == Want::Write { OpenAccess::Write } else { OpenAccess::Read };
    if want == Want::Write {
        place.writable()?;
    }
    require_regular(place.storage().attributes(&place.node).await?.kind)?;
    Ok(OpenFile::Once(open(place, access, Authority::Caller).await?))
}

/// What a stateid is good for.
enum Granted<F> {
    /// I/O with this open file.
    Open(OpenFile<F>),
    /// A request as if it opened the file.
    Special,
}

fn grant<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    place: &Place<V>,
    stateid: &Stateid,
    want: Want,
) -> Result<Granted<V::File>, Status> {
    let file = key(place);
    match want {
        Want::Read => grant_io(compound, &file, stateid, IoWant::Read),
        Want::Write => grant_io(compound, &file, stateid, IoWant::Write),
        Want::Any => match grant_io(compound, &file, stateid, IoWant::Read) {
            Err(Status::Openmode) => grant_io(compound, &file, stateid, IoWant::Write),
            granted => granted,
        },
    }
}

/// How often a grant is asked for that ends before it is used.
const GRANT_TRIES: usize = 3;

/// From what this core keeps, else from the table that all cores share. Nothing is awaited between this and the
/// storage's call; where the storage makes the I/O wait, it is in flight already, and others' conflicting grants wait
/// for it.
fn grant_io<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    file: &FileKey,
    stateid: &Stateid,
    want: IoWant,
) -> Result<Granted<V::File>, Status> {
    let client = compound.session()?.session.client();
    let server = &compound.request.server;
    if let Some(in_flight) = server.grants.begin(client.id(), file, stateid, want) {
        return Ok(Granted::Open(OpenFile::Granted(in_flight)));
    }
    for _ in 0..GRANT_TRIES {
        match server.shared.state.check_io(client, file, stateid, want, server.env.now_ns())? {
            IoGrant::Special => return Ok(Granted::Special),
            IoGrant::Open(grant) => {
                // The open may have been changed or closed on another core since.
                if let Some(in_flight) = grant.begin() {
                    server.grants.keep(file, stateid, want, grant);
                    return Ok(Granted::Open(OpenFile::Granted(in_flight)));
                }
            }
        }
    }
    Err(Status::Delay)
}
