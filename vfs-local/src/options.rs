//! How an export is to be opened.

use std::path::PathBuf;

/// What is to be exported and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The directory.
    pub path: PathBuf,
    /// The export's number, stable over restarts: it goes into the fsid.
    pub export_id: u32,
    /// Whether file systems mounted below are entered. Otherwise the directories they hide are shown.
    pub cross_mounts: bool,
    /// Number of shards that will serve it.
    pub shards: usize,
    /// Objects each shard keeps open at most; each costs one descriptor.
    pub cached_objects_max: usize,
    /// Jobs of this export that may be on each shard's helper threads at once, so that a hung file system
    /// stops only itself.
    pub helper_jobs_max: usize,
    /// Operations of this export that may occupy kernel workers of each shard's ring at once: writes, and reads where the
    /// file system cannot do them without. Syncs, which hold no memory, have 16 more. Together they must be well below the
    /// number of those workers (128), or a hung file system takes them all.
    pub ring_workers_max: usize,
    /// How the bytes of files are read and written.
    pub io: Io,
    /// Takes time stamps to be coarse without probing. For tests of what older kernels do.
    pub coarse_time_stamps: bool,
}

impl Options {
    /// The directory at `path` with everything else at its default.
    pub fn new(path: impl Into<PathBuf>, export_id: u32) -> Self {
        Self {
            path: path.into(),
            export_id,
            cross_mounts: false,
            shards: 1,
            cached_objects_max: 16 * 1024,
            helper_jobs_max: 8,
            ring_workers_max: 8,
            io: Io::Auto,
            coarse_time_stamps: false,
        }
    }
}

/// How the bytes of files are read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Io {
    /// As it is best on the whole: through the page cache. What is read again costs a fraction of reading it from any
    /// disk, and of copying it out of memory; bursts of writes are taken in at the speed of memory. Direct I/O spares
    /// half of the processor time of large writes, but only who knows the work and the disk can tell whether the rest
    /// is worth that, and no probe of a file system shows it.
    #[default]
    Auto,
    /// Through the page cache.
    Buffered,
    /// Past the page cache.
    Direct,
}

/// Why a directory cannot be exported. Each message names the remedy.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened.
    #[error("cannot open {path}: {source}; the path must exist and be a directory")]
    Path {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Its file system names no objects persistently.
    #[error(
        "{path} is on a file system of type {kind} that gives no persistent file handles ({source}); \
         for overlayfs mount it with nfs_export=on,index=on, or export a directory of another volume"
    )]
    NoHandles {
        /// The directory.
        path: PathBuf,
        /// The type of the file system.
        kind: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Handles cannot be opened.
    #[error("file handles cannot be opened ({source}); the server needs root with CAP_DAC_READ_SEARCH")]
    NotRoot {
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// The proc file system is not there.
    #[error("cannot open /proc/self/fd: {source}; mount the proc file system at /proc")]
    NoProc {
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// Its file system cannot be read and written past the page cache.
    #[error("{path} cannot go direct: {reason}; set io = \"buffered\" for it, or \"auto\"")]
    NoDirect {
        /// The directory.
        path: PathBuf,
        /// What the probe found.
        reason: String,
    },
    /// Something else failed.
    #[error("cannot probe {path}: {source}")]
    Probe {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: std::io::Error,
    },
}
