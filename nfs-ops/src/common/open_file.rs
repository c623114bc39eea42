//! Open files that may be used for one request, however the protocol came by them.

use state::{FileKey, InFlight};
use vfs::{Access, Authority, FileKind, Identity, NODE_HANDLE_BYTES_MAX, OpenAccess, Vfs};
use wire::nfs4::Status;

use crate::failure::Failure;
use crate::handle::HandleContent;
use crate::object::Place;

/// Bytes of an export's id in a file's key.
const EXPORT_BYTES: usize = 4;

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
