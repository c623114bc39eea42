//! From names and handles to objects.

use std::ffi::CStr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;
use vfs::{Error, Identity, NodeHandle, Result};

use crate::cache::Epoch;
use crate::identity::as_identity;
use crate::local::{Local, Node};
use crate::name;
use crate::object::{self, Object};
use crate::storage::LocalStorage;
use crate::sys::errno::error;

/// Directories between an object and the export's root at most, when '..' is followed: the longest path has
/// half as many components as bytes.
const DEPTH_MAX: usize = 4096;

const LOOK: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Local {
    /// The object of this name, from this core's cache or the file system.
    pub(crate) async fn node_of(&self, handle: &NodeHandle) -> Result<Node> {
        let storage = self.storage();
        if handle == storage.root().handle() {
            return Ok(Node(Arc::clone(storage.root())));
        }
        let epoch = storage.caches().epoch();
        if let Some(object) = self.recent().get(handle, epoch) {
            return Ok(Node(object));
        }
        let open = storage.caches().get(self.core(), handle).or_else(|| storage.open_files().get(handle));
        if let Some(object) = open {
            self.recent().note(&object, epoch);
            return Ok(Node(object));
        }
        let handle = *handle;
        let object = self.on_helper(move |storage| storage.object_by_handle(&handle)).await?;
        Ok(self.keep(object, epoch))
    }

    /// Looks `name` up: at once when all it takes is in memory, else on a helper thread.
    pub(crate) async fn look_up(&self, directory: &Node, identity: &Identity, name: &[u8]) -> Result<Node> {
        directory.0.expect_directory()?;
        let name = name::check(name)?;
        let epoch = self.storage().caches().epoch();
        let cached =
            as_identity(identity, || open_entry(self.storage(), &directory.0, &name, ResolveFlags::CACHED));
        let found = match cached {
            Ok(fd) => self.storage().known_object(fd)?,
            Err(Error::TryLater) => {
                let (directory, identity) = (Arc::clone(&directory.0), identity.clone());
                let object = self
                    .on_helper(move |storage| {
                        let fd = as_identity(&identity, || {
                            open_entry(storage, &directory, &name, ResolveFlags::empty())
                        })?;
                        storage.object(fd)
                    })
                    .await?;
                return Ok(self.keep(object, epoch));
            }
            Err(failure) => return Err(failure),
        };
        match found {
            Ok(object) => Ok(self.keep(object, epoch)),
            // On a mount met for the first time.
            Err(fd) => Ok(self.keep(self.on_helper(move |storage| storage.object(fd)).await?, epoch)),
        }
    }

    /// The directory above `directory`.
    pub(crate) async fn parent_of(&self, directory: &Node, identity: &Identity) -> Result<Option<Node>> {
        directory.0.expect_directory()?;
        if directory.0.handle() == self.storage().root().handle() {
            return Ok(None);
        }
        let epoch = self.storage().caches().epoch();
        let (directory, identity) = (Arc::clone(&directory.0), identity.clone());
        let object = self.on_helper(move |storage| parent(storage, &directory, &identity)).await?;
        Ok(Some(self.keep(object, epoch)))
    }

    pub(crate) fn keep(&self, object: Object, epoch: Epoch) -> Node {
        Node(self.storage().keep(self.core(), object, epoch))
    }
}

/// Opens the entry `name` of `directory` as an O_PATH descriptor with the thread's identity.
/// [`Error::TryLater`] with [`ResolveFlags::CACHED`] where that would have to sleep.
pub fn open_entry(
    storage: &LocalStorage,
    directory: &Object,
    name: &CStr,
    extra: ResolveFlags,
) -> Result<OwnedFd> {
    openat2(directory, name, LOOK, Mode::empty(), storage.resolution() | extra).map_err(|errno| match errno {
        // A mount point that is not to be entered and that hides its directory from us.
        Errno::XDEV => Error::Busy,
        other => error(other),
    })
}

/// The directory above, as long as that is within the export. A directory that somebody moved out of the export
/// stays usable through its handle, as with the kernel's server, but leads nowhere.
fn parent(storage: &LocalStorage, directory: &Object, identity: &Identity) -> Result<Object> {
    let flags = LOOK | OFlags::DIRECTORY;
    let above = as_identity(identity, || openat(directory, "..", flags, Mode::empty()).map_err(error))?;
    let object = storage.object(above)?;
    if is_inside(storage, &object)? { Ok(object) } else { Err(Error::AccessDenied) }
}

/// Whether `directory` is the export's root or below it.
fn is_inside(storage: &LocalStorage, directory: &Object) -> Result<bool> {
    let root = storage.root();
    let is_root = |key, mount_id| key == root.key() && mount_id == root.mount().id();
    if is_root(directory.key(), directory.mount().id()) {
        return Ok(true);
    }
    let flags = LOOK | OFlags::DIRECTORY;
    let mut last = (directory.key(), directory.mount().id());
    let mut above = openat(directory, "..", flags, Mode::empty()).map_err(error)?;
    for _ in 0..DEPTH_MAX {
        let seen = object::identifying(&above)?;
        let here = (object::key(&seen), seen.stx_mnt_id);
        if is_root(here.0, here.1) {
            return Ok(true);
        }
        if here == last {
            return Ok(false);
        }
        last = here;
        above = openat(&above, "..", flags, Mode::empty()).map_err(error)?;
    }
    Ok(false)
}
