//! One export, as all cores share it.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use vfs::{Capabilities, NodeHandle, Result};

use crate::cache::{Caches, Epoch};
use crate::close::Closes;
use crate::direct::Alignment;
use crate::mounts::{Mount, Mounts};
use crate::object::{self, Object};
use crate::open_files::OpenFiles;
use crate::options::{Io, OpenError, Options};
use crate::sys::errno::error;
use crate::sys::handle;
use crate::{probe, process, procfs};

/// Most names of one object, as announced. File systems differ and answer EMLINK themselves; this is ext4's.
const LINKS_MAX: u32 = 65_000;

/// An exported directory. Made once, when the export comes into being; [`Local`](crate::Local) is what one core
/// sees of it.
#[derive(Debug)]
pub struct LocalStorage {
    options: Options,
    /// Keeps the file system from being unmounted unnoticed: `mounts` may be on a mount of the server's own.
    _path: OwnedFd,
    mounts: Mounts,
    root: Arc<Object>,
    caches: Arc<Caches>,
    capabilities: Capabilities,
    closes: Closes,
    open_files: Arc<OpenFiles>,
}

impl LocalStorage {
    /// Opens and probes the directory. May sleep as long as the file system does.
    ///
    /// Sets the umask of the process to 0, as the modes of new objects are the callers' business.
    pub fn open(options: Options) -> std::result::Result<Arc<Self>, OpenError> {
        rustix::process::umask(Mode::empty());
        let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, procfs::DIRECTORY, directory, Mode::empty())
            .map_err(|errno| OpenError::NoProc { source: errno.into() })?;
        let at_path = |source: std::io::Error| OpenError::Path { path: options.path.clone(), source };
        let path = std::fs::canonicalize(&options.path).map_err(at_path)?;
        let opened = openat(CWD, &path, directory, Mode::empty()).map_err(|errno| at_path(errno.into()))?;
        check_handles(&options, &opened)?;
        let probed = |errno: Errno| OpenError::Probe { path: options.path.clone(), source: errno.into() };
        let base = if options.cross_mounts { None } else { bare_mount(&opened) };
        let base = match base {
            Some(bare) => bare,
            None => rustix::io::fcntl_dupfd_cloexec(&opened, 0).map_err(probed)?,
        };
        let probing = (options.io, options.coarse_time_stamps);
        let own = Mount::new(base, options.export_id, b"", probing, None).map_err(probed)?;
        if let (Io::Direct, Err(reason)) = (options.io, &own.facts().direct) {
            return Err(OpenError::NoDirect { path: options.path.clone(), reason: reason.clone() });
        }
        let root = own_root(&own).map_err(probed)?;
        let own = Arc::new(own);
        let seen = object::identifying(&root).map_err(|_| probed(Errno::IO))?;
        let root = Object::new(root, &seen, Arc::clone(&own)).map_err(|_| probed(Errno::IO))?;
        let capabilities = capabilities(&own);
        let crossed = options.cross_mounts.then_some(path);
        let mounts = Mounts::new(own, crossed, options.export_id, probing);
        let caches = Arc::new(Caches::new(options.shards, options.cached_objects_max));
        let open_files = Arc::<OpenFiles>::default();
        process::register(&caches, &open_files);
        Ok(Arc::new(Self {
            options,
            _path: opened,
            mounts,
            root: Arc::new(root),
            caches,
            capabilities,
            closes: Closes::default(),
            open_files,
        }))
    }

    /// How it was asked for.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// What the file system of the export's root can do.
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Where an object lies below the root. `None` for what is on a file system mounted below, and for a file without a
    /// name in the kernel's cache, as after a restart when nobody has looked it up yet.
    pub fn path(&self, object: &Object) -> Option<Vec<u8>> {
        if object.mount().number() != self.root.mount().number() {
            return None;
        }
        let (root, place) = (procfs::place(&self.root).ok()?, procfs::place(object).ok()?);
        let below = place.to_bytes().strip_prefix(root.to_bytes())?;
        // What has no name there seems to be at the root.
        let is_known = if below.is_empty() {
            object.key() == self.root.key()
        } else {
            below[0] == b'/' || root.to_bytes().ends_with(b"/")
        };
        is_known.then(|| below.strip_prefix(b"/").unwrap_or(below).to_vec())
    }

    /// One line on what was found, for the log.
    pub fn summary(&self) -> String {
        let facts = self.mounts.own().facts();
        let stamps = facts.time_stamps;
        format!(
            "{}: {} file system, time stamps of files {} and of directories {}, clone block {} bytes, \
             extended attributes {}",
            self.options.path.display(),
            probe::kind_name(self.mounts.own().root()),
            if stamps.fine_for_files { "fine" } else { "coarse" },
            if stamps.fine_for_directories { "fine" } else { "coarse" },
            facts.clone_block_bytes,
            if facts.xattr { "yes" } else { "no" },
        )
    }

    /// One line on how files are read and written and why, for the log.
    pub fn io_summary(&self) -> String {
        let way = match self.options.io {
            Io::Auto => "through the page cache (io = \"auto\")",
            Io::Buffered => "through the page cache, as io says",
            Io::Direct => "past the page cache, as io says",
        };
        let could = match &self.mounts.own().facts().direct {
            Ok(Alignment { memory_bytes, write_bytes, read_bytes }) => format!(
                "direct I/O works, aligned to {memory_bytes} bytes in memory, {write_bytes} in writes and \
                 {read_bytes} in reads"
            ),
            Err(reason) => format!("direct I/O is not to be had: {reason}"),
        };
        format!("{}: files are read and written {way}; {could}", self.options.path.display())
    }

    /// How often an operation took a lock that other cores may come to: one of the caches of open objects, or, where time
    /// stamps are coarse, of the table of changes.
    pub fn locks_taken(&self) -> u64 {
        self.caches.locks_taken() + process::changes().locks_taken()
    }

    pub(crate) fn root(&self) -> &Arc<Object> {
        &self.root
    }

    pub(crate) fn mounts(&self) -> &Mounts {
        &self.mounts
    }

    pub(crate) fn caches(&self) -> &Caches {
        &self.caches
    }

    pub(crate) fn closes(&self) -> &Closes {
        &self.closes
    }

    pub(crate) fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    /// How names are resolved: within the directory, following nothing.
    pub(crate) fn resolution(&self) -> ResolveFlags {
        let flags = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::NO_SYMLINKS;
        if self.mounts.crossed() { flags } else { flags | ResolveFlags::NO_XDEV }
    }

    /// The object `fd` is open on. Sleeps only where `fd` is on a mount not met before.
    pub(crate) fn object(&self, fd: OwnedFd) -> Result<Object> {
        let seen = object::identifying(&fd)?;
        let mount = self.mounts.find_id(seen.stx_mnt_id)?;
        Object::new(fd, &seen, mount)
    }

    /// The same, if `fd` is on a mount that is known.
    pub(crate) fn known_object(&self, fd: OwnedFd) -> Result<std::result::Result<Object, OwnedFd>> {
        let seen = object::identifying(&fd)?;
        match self.mounts.known_id(seen.stx_mnt_id) {
            Some(mount) => Object::new(fd, &seen, mount).map(Ok),
            None => Ok(Err(fd)),
        }
    }

    /// The object of this name. May sleep. The thread must be the superuser.
    pub(crate) fn object_by_handle(&self, name: &NodeHandle) -> Result<Object> {
        let (number, kernel) = object::decode(name)?;
        let mount = self.mounts.find_number(number)?;
        let fd = handle::open(mount.root(), &kernel).map_err(|errno| match errno {
            // A handle that the file system cannot read was not made by it as it is now.
            Errno::INVAL | Errno::NOENT => vfs::Error::Stale,
            other => error(other),
        })?;
        let object = self.object(fd)?;
        // Without a name it is there only because somebody has it open. That is not one of our files, which are
        // found before; or it is just being closed.
        if object.named() { Ok(object) } else { Err(vfs::Error::Stale) }
    }

    /// Caches `object` for `core`.
    pub(crate) fn keep(&self, core: usize, object: Object, epoch: Epoch) -> Arc<Object> {
        self.caches.keep(core, Arc::new(object), epoch)
    }
}

fn check_handles(options: &Options, directory: &OwnedFd) -> std::result::Result<(), OpenError> {
    probe::handles_work(directory.as_fd()).map_err(|(not_root, errno)| {
        if not_root {
            return OpenError::NotRoot { source: errno.into() };
        }
        OpenError::NoHandles {
            path: options.path.clone(),
            kind: probe::kind_name(directory),
            source: errno.into(),
        }
    })
}

/// The directory on a mount of the server's own, without the file systems mounted below: what they hide shows,
/// as with the kernel's server, and '..' ends at the directory. Where that is not allowed (a container without
/// CAP_SYS_ADMIN) the mount points themselves cannot be looked up.
fn bare_mount(directory: &OwnedFd) -> Option<OwnedFd> {
    let flags =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = match open_tree(directory, "", flags) {
        Ok(tree) => tree,
        Err(errno) => {
            tracing::info!("file systems mounted below exports are closed to clients: {errno}");
            return None;
        }
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(&tree, ".", flags, Mode::empty()).ok()
}

fn own_root(mount: &Mount) -> std::result::Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(mount.root(), ".", flags, Mode::empty())
}

fn capabilities(mount: &Mount) -> Capabilities {
    let facts = mount.facts();
    let stamps = facts.time_stamps;
    let fine = stamps.fine_for_files && stamps.fine_for_directories;
    Capabilities {
        fsid: mount.fsid(),
        file_bytes_max: facts.file_bytes_max,
        name_bytes_max: facts.name_bytes_max,
        links_max: LINKS_MAX,
        xattr: facts.xattr,
        clone_block_bytes: facts.clone_block_bytes,
        holes: facts.holes,
        time_delta_ns: if fine { 1 } else { stamps.tick_ns as u64 },
    }
}
