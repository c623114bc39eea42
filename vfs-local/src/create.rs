//! Making objects.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, getxattr, makedev, mkdirat, mknodat, openat2, symlinkat,
    unlinkat,
};
use vfs::{Created, Error, Identity, NewObject, Result, SetAttributes};

use crate::changing::Changing;
use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::lookup::open_entry;
use crate::object::Object;
use crate::storage::LocalStorage;
use crate::sys::errno::error;
use crate::{attribute, durable, name, procfs, set_attributes};

/// Bits of a mode that mkdir(2) does not set.
const SET_ID_BITS: u32 = 0o6000;

/// Mode of a new file whose maker names none: nobody else's business.
pub const FILE_MODE_DEFAULT: u32 = 0o600;

/// Mode of a new directory whose maker names none.
const DIRECTORY_MODE_DEFAULT: u32 = 0o700;

/// As [`NewObject`], to be taken to a helper thread.
enum Kind {
    Directory,
    Symlink(CString),
    Node(FileType, u64),
    Regular,
}

impl Local {
    /// Makes an object that is not being opened.
    pub(crate) async fn make(
        &self,
        directory: &Node,
        identity: &Identity,
        name: &[u8],
        object: NewObject<'_>,
        attributes: &SetAttributes,
    ) -> Result<Created<Node>> {
        directory.0.expect_directory()?;
        let (name, kind) = (name::check(name)?, kind(object)?);
        let epoch = self.storage().caches().epoch();
        let (directory, identity, attributes) = (Arc::clone(&directory.0), identity.clone(), *attributes);
        let made = self
            .on_helper(move |storage| make(storage, &directory, &identity, &name, &kind, &attributes))
            .await?;
        let Created { node, attributes, change } = made;
        Ok(Created { node: self.keep(node, epoch), attributes, change })
    }
}

fn kind(object: NewObject<'_>) -> Result<Kind> {
    let device = |major, minor| makedev(major, minor);
    Ok(match object {
        NewObject::Directory => Kind::Directory,
        NewObject::Symlink([]) => return Err(Error::Invalid),
        NewObject::Symlink(text) => Kind::Symlink(CString::new(text).map_err(|_| Error::Invalid)?),
        NewObject::BlockDevice(major, minor) => Kind::Node(FileType::BlockDevice, device(major, minor)),
        NewObject::CharacterDevice(major, minor) => {
            Kind::Node(FileType::CharacterDevice, device(major, minor))
        }
        NewObject::Socket => Kind::Node(FileType::Socket, 0),
        NewObject::Fifo => Kind::Node(FileType::Fifo, 0),
        NewObject::Regular => Kind::Regular,
    })
}

fn make(
    storage: &LocalStorage,
    directory: &Object,
    identity: &Identity,
    name: &CStr,
    kind: &Kind,
    attributes: &SetAttributes,
) -> Result<Created<Object>> {
    let changing = Changing::begin(directory)?;
    let default = if matches!(kind, Kind::Directory) { DIRECTORY_MODE_DEFAULT } else { FILE_MODE_DEFAULT };
    let mode = creation_mode(directory, attributes, default);
    as_identity(identity, || make_name(storage, directory, name, kind, mode))?;
    let settled = settle(storage, directory, identity, name, kind, mode, attributes);
    let object = match settled {
        Ok(object) => object,
        Err(failure) => {
            let flags = if matches!(kind, Kind::Directory) { AtFlags::REMOVEDIR } else { AtFlags::empty() };
            undo(directory, name, flags);
            return Err(failure);
        }
    };
    let change = changing.end_durably()?;
    Ok(Created { attributes: attribute::read(&object)?, node: object, change })
}

fn make_name(storage: &LocalStorage, directory: &Object, name: &CStr, kind: &Kind, mode: u32) -> Result<()> {
    let bits = Mode::from_raw_mode(mode);
    match kind {
        Kind::Directory => mkdirat(directory, name, Mode::from_raw_mode(mode & !SET_ID_BITS)),
        Kind::Symlink(text) => symlinkat(&**text, directory, name),
        Kind::Node(kind, device) => mknodat(directory, name, *kind, bits, *device),
        Kind::Regular => openat2(
            directory,
            name,
            OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
            bits,
            storage.resolution(),
        )
        .map(drop),
    }
    .map_err(error)
}

/// Gives the new object what its making could not, and makes that durable.
fn settle(
    storage: &LocalStorage,
    directory: &Object,
    identity: &Identity,
    name: &CStr,
    kind: &Kind,
    mode: u32,
    attributes: &SetAttributes,
) -> Result<Object> {
    let object = storage.object(open_entry(storage, directory, name, ResolveFlags::empty())?)?;
    let set_id = matches!(kind, Kind::Directory) && mode & SET_ID_BITS != 0;
    let owned = attributes.uid.is_some() || attributes.gid.is_some();
    // A change of owner takes the set-id bits away again.
    let mode_anew = set_id || (owned && mode & SET_ID_BITS != 0);
    let rest = SetAttributes {
        mode: mode_anew.then_some(mode),
        umask: None,
        size_bytes: attributes.size_bytes.filter(|_| matches!(kind, Kind::Regular)),
        ..*attributes
    };
    if !rest.is_empty() {
        as_identity(identity, || set_attributes::apply(&object, None, &rest))?;
        durable::sync_object(&object)?;
    }
    Ok(object)
}

/// Takes back a name whose object could not be finished.
pub fn undo(directory: &Object, name: &CStr, flags: AtFlags) {
    if let Err(errno) = unlinkat(directory, name, flags) {
        tracing::warn!("an unfinished new object could not be removed: {errno}");
    }
}

/// The mode a new object gets. The umask counts unless the directory has a default ACL, which the kernel then
/// combines with the mode (RFC 8275 §5).
pub fn creation_mode(directory: &Object, attributes: &SetAttributes, default: u32) -> u32 {
    let mode = attributes.mode.unwrap_or(default) & 0o7777;
    match attributes.umask {
        Some(umask) if !has_default_acl(directory) => mode & !(umask & 0o777),
        _ => mode,
    }
}

fn has_default_acl(directory: &Object) -> bool {
    let mut nothing: [u8; 0] = [];
    getxattr(&*procfs::path(directory), "system.posix_acl_default", &mut nothing[..])
        .is_ok_and(|bytes| bytes > 0)
}
