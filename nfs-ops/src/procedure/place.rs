//! From an NFSv3 file handle to the object, and to the attributes that go with every answer.

use qos::{Kind, Pass};
use vfs::{Attributes, DirectoryChange, FileKind, Time, Vfs};
use wire::nfs3::{
    self, DirOpArgs, FileAttributes, FileHandle, FileType, NfsTime, PostOpAttributes, Specdata,
    WccAttributes, WccData,
};
use wire::nfs4::Status;

use super::status;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::handle::HandleContent;
use crate::object::{Object, Place};
use crate::request::Request;

/// What the handle stands for. NFSv3 sees exports alone: how to come to them is MOUNT's business.
///
/// # Errors
/// `NFS4ERR_BADHANDLE`, `NFS4ERR_STALE`, `NFS4ERR_ACCESS`.
pub async fn place<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    handle: &FileHandle,
) -> Result<Place<V>, Failure> {
    let content = request.server.shared.handle_key.open(handle).ok_or(Status::Badhandle)?;
    match request.resolve(&content).await? {
        Object::Node(place) => Ok(place),
        Object::Pseudo(_) => Err(Status::Stale.into()),
    }
}

/// Refuses the empty name (RFC 1813 §3.2). Others are checked where they are used.
///
/// # Errors
/// `NFS4ERR_ACCESS`.
pub fn check_name(named: &DirOpArgs<'_>) -> Result<(), Status> {
    if named.name.is_empty() { Err(Status::Access) } else { Ok(()) }
}

/// The directory of a name that is to be made, changed or removed.
///
/// # Errors
/// As [`check_name`]'s and [`place_to_change`]'s.
pub async fn directory_to_change<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    named: &DirOpArgs<'_>,
) -> Result<(Place<V>, Pass), Failure> {
    check_name(named)?;
    place_to_change(request, &named.directory).await
}

/// As [`place`], for a procedure that changes something, which is admitted first. It is in flight while the pass is held.
///
/// # Errors
/// As [`place`]'s, and `NFS4ERR_DELAY`.
pub async fn place_to_change<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    handle: &FileHandle,
) -> Result<(Place<V>, Pass), Failure> {
    let place = place(request, handle).await?;
    let pass = request.admit(Some(&place), Kind::Change, 0).await?;
    Ok((place, pass))
}

/// As [`place`], for a procedure that only looks, which waits for its turn first.
///
/// # Errors
/// As [`place`]'s, and `NFS4ERR_DELAY`.
pub async fn place_to_look<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    handle: &FileHandle,
) -> Result<(Place<V>, Option<Pass>), Failure> {
    let place = place(request, handle).await?;
    let pass = request.look(Some(&place), || true).await?;
    Ok((place, pass))
}

/// A failure that can tell nothing else.
pub fn bare<F: Default>(failure: Failure) -> nfs3::Failure<F> {
    with(failure, F::default())
}

/// A failure that tells attributes even so.
pub fn with<F>(failure: Failure, body: F) -> nfs3::Failure<F> {
    nfs3::Failure { status: status::of(failure.status()), body }
}

/// The same of a procedure that is for regular files: for what is none it is NFS3ERR_INVAL (RFC 1813 §3.3.6).
pub fn with_file<F>(failure: Failure, body: F) -> nfs3::Failure<F> {
    match failure.status() {
        Status::Isdir | Status::Symlink => with(Status::Inval.into(), body),
        _ => with(failure, body),
    }
}

/// The handle of an object.
pub fn handle_of<V: Vfs, E>(request: &Request<V, E>, content: &HandleContent) -> FileHandle {
    let sealed = request.server.shared.handle_key.seal(content);
    FileHandle::new(sealed.as_bytes()).expect("handles have 64 bytes, for NFSv3's sake")
}

/// The attributes behind a procedure, where they are to be had.
pub async fn after<V: Vfs>(place: &Place<V>) -> PostOpAttributes {
    place.storage().attributes(&place.node).await.ok().map(|attributes| told(&attributes))
}

/// The object behind a procedure that may not have been alone with it, so that what was before says nothing.
pub async fn changed<V: Vfs>(place: &Place<V>) -> WccData {
    WccData { before: None, after: after(place).await }
}

/// A directory around a change.
pub fn wcc(change: &DirectoryChange) -> WccData {
    let before = change.atomic.then(|| WccAttributes::from(&told(&change.before)));
    WccData { before, after: Some(told(&change.after)) }
}

/// Attributes as NFSv3 has them.
pub fn told(attributes: &Attributes) -> FileAttributes {
    let (major, minor) = attributes.device;
    FileAttributes {
        file_type: file_type(attributes.kind),
        mode: attributes.mode,
        links: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        size: attributes.size_bytes,
        used: attributes.used_bytes,
        device: Specdata { major, minor },
        // One number where NFSv4 has two.
        fsid: attributes.fsid.major.rotate_left(32) ^ attributes.fsid.minor,
        file_id: attributes.fileid,
        time_access: time(attributes.accessed),
        time_modify: time(attributes.modified),
        time_metadata: time(attributes.changed),
    }
}

fn file_type(kind: FileKind) -> FileType {
    match kind {
        FileKind::Regular => FileType::Regular,
        FileKind::Directory => FileType::Directory,
        FileKind::BlockDevice => FileType::BlockDevice,
        FileKind::CharacterDevice => FileType::CharacterDevice,
        FileKind::Symlink => FileType::SymbolicLink,
        FileKind::Socket => FileType::Socket,
        FileKind::Fifo => FileType::Fifo,
    }
}

/// A time as NFSv3 has it: what does not fit its 32 bits wraps, as with all servers.
pub fn time(time: Time) -> NfsTime {
    NfsTime { seconds: time.seconds as u32, nanoseconds: time.nanoseconds }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attributes::pseudo_attributes;
    use crate::pseudo::{Junction, PseudoTree};

    #[test]
    fn attributes_before_are_told_of_what_was_alone() {
        let tree = PseudoTree::new(std::iter::empty()).unwrap();
        let Junction::Directory(root) = tree.root() else { panic!("nothing is exported") };
        let before = pseudo_attributes(&tree, root).unwrap();
        let after = Attributes { size_bytes: 77, ..before };
        let alone = wcc(&DirectoryChange { atomic: true, before, after });
        assert_eq!(alone.before, Some(WccAttributes::from(&told(&before))));
        assert_eq!(alone.after, Some(told(&after)));
        let crowded = wcc(&DirectoryChange { atomic: false, before, after });
        assert_eq!(crowded, WccData { before: None, ..alone });
    }
}
