//! From a stateid to an open file that may be used for this request.

use qos::Kind;
use state::{FileKey, InFlight, IoGrant, IoWant};
use vfs::{Access, Authority, FileKind, Identity, NODE_HANDLE_BYTES_MAX, OpenAccess, Vfs};
use wire::nfs4::{Stateid, Status};

use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::handle::HandleContent;
use crate::object::Place;

/// Bytes of an export's id in a file's key.
const EXPORT_BYTES: usize = 4;

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

/// An open file that may be used for this request, to be kept until its I/O has ended.
pub enum OpenFile<F> {
    /// Of an open.
    Granted(InFlight<F>),
    /// Opened for this request alone.
    Once(F),
}

impl<F> OpenFile<F> {
    /// The storage's open file.
    pub fn file(&self) -> &F {
        match self {
            Self::Granted(in_flight) => in_flight.file(),
            Self::Once(file) => file,
        }
    }
}

/// Names the file of `place` in state.
pub fn key<V: Vfs>(place: &Place<V>) -> FileKey {
    let HandleContent::Node(export, node) = place.content() else { unreachable!("a place is in an export") };
    let length = EXPORT_BYTES + node.as_bytes().len();
    let mut bytes = [0; EXPORT_BYTES + NODE_HANDLE_BYTES_MAX];
    bytes[..EXPORT_BYTES].copy_from_slice(&export.0.to_be_bytes());
    bytes[EXPORT_BYTES..length].copy_from_slice(node.as_bytes());
    FileKey::new(&bytes[..length]).expect("export and node fit a file key")
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
        Ok(Granted::Special) => open_once(place, want).await,
        Err(status) => {
            // What is no file cannot have a good stateid either, and the client is better told the former.
            require_regular(place.storage().attributes(&place.node).await?.kind)?;
            Err(status.into())
        }
    }
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
    let server = &compound.server;
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

/// RFC 8881 §9.1.2: with a special stateid the request is checked as if it opened the file.
async fn open_once<V: Vfs>(place: &Place<V>, want: Want) -> Result<OpenFile<V::File>, Failure> {
    let access = if want == Want::Write { OpenAccess::Write } else { OpenAccess::Read };
    if want == Want::Write {
        place.writable()?;
    }
    require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let file = open(place, access, Authority::Caller).await?;
    Ok(OpenFile::Once(file))
}

/// Opens the storage's file. Who may execute a file may read it: clients execute by reading, and the server cannot tell
/// the two apart (RFC 8881 §6.2.1.3.1, ACE4_EXECUTE).
///
/// # Errors
/// The storage's.
pub async fn open<V: Vfs>(
    place: &Place<V>,
    access: OpenAccess,
    authority: Authority,
) -> Result<V::File, vfs::Error> {
    let storage = place.storage();
    match storage.open(&place.node, &place.identity, access, authority).await {
        Err(vfs::Error::AccessDenied) if access == OpenAccess::Read && may_execute(place).await? => {
            storage.open(&place.node, &Identity::root(), access, authority).await
        }
        opened => opened,
    }
}

/// Whether the caller would be allowed now what its earlier opens of the file were.
///
/// # Errors
/// `NFS4ERR_ACCESS`, or the storage's.
pub async fn still_allowed<V: Vfs>(place: &Place<V>, read: bool, write: bool) -> Result<(), Failure> {
    if !read && !write {
        return Ok(());
    }
    let wanted = Access { read, write, execute: false };
    let held = place.storage().access(&place.node, &place.identity, wanted).await?;
    let readable = !read || held.read || may_execute(place).await?;
    if readable && (!write || held.write) { Ok(()) } else { Err(Status::Access.into()) }
}

async fn may_execute<V: Vfs>(place: &Place<V>) -> Result<bool, vfs::Error> {
    let execute = Access { execute: true, ..Access::default() };
    Ok(place.storage().access(&place.node, &place.identity, execute).await? == execute)
}

/// Refuses what has no data (RFC 8881 §18.22.4).
///
/// # Errors
/// `NFS4ERR_ISDIR`, `NFS4ERR_SYMLINK`, `NFS4ERR_WRONG_TYPE`.
pub fn require_regular(kind: FileKind) -> Result<(), Status> {
    match kind {
        FileKind::Regular => Ok(()),
        FileKind::Directory => Err(Status::Isdir),
        FileKind::Symlink => Err(Status::Symlink),
        _ => Err(Status::WrongType),
    }
}

impl<V: Vfs, E: Env + Backchannel> Compound<V, E> {
    /// Waits for admission; what is held until the end of the request counts it as in flight.
    ///
    /// # Errors
    /// `NFS4ERR_DELAY` when too many requests wait already.
    pub async fn enter(&self, kind: Kind, bytes: u64) -> Result<qos::Pass, Status> {
        let export = match &self.current {
            Some(crate::object::Object::Node(place)) => u64::from(place.export.settings.id.0),
            _ => 0,
        };
        let client = self.session()?.session.client().id().0;
        let request = qos::Request { client, export, bytes, kind };
        let admitted = self.server.admission.admit(request, self.server.env.now_ns()).await;
        admitted.map_err(|qos::Busy| Status::Delay)
    }
}
