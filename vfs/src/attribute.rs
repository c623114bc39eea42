//! Attributes of objects and file systems.

/// A point in time as file systems keep it: seconds since 1970 (may be negative) and nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time {
    /// Seconds since 1970-01-01 00:00 UTC.
    pub seconds: i64,
    /// Nanoseconds, 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What kind of object it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A regular file.
    Regular,
    /// A directory.
    Directory,
    /// A block device.
    BlockDevice,
    /// A character device.
    CharacterDevice,
    /// A symbolic link.
    Symlink,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
}

/// Identifies a file system to clients; unique within the server and stable over restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fsid {
    /// First half.
    pub major: u64,
    /// Second half.
    pub minor: u64,
}

/// The attributes of one object, all read at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Kind of object.
    pub kind: FileKind,
    /// Permission bits with setuid, setgid and sticky (12 bits).
    pub mode: u32,
    /// Number of names.
    pub links: u32,
    /// Owner.
    pub uid: u32,
    /// Owning group.
    pub gid: u32,
    /// Device numbers (major, minor) of a device node, else zeros.
    pub device: (u32, u32),
    /// Size in bytes.
    pub size_bytes: u64,
    /// Bytes of storage in use.
    pub used_bytes: u64,
    /// The file system the object is on.
    pub fsid: Fsid,
    /// Number of the object within its file system.
    pub fileid: u64,
    /// Number of the directory a mounted file system hides, at the root of that file system; else `fileid`.
    pub mounted_on_fileid: u64,
    /// Last access.
    pub accessed: Time,
    /// Last change of the contents.
    pub modified: Time,
    /// Last change of contents or attributes.
    pub changed: Time,
    /// Creation, where the file system knows it.
    pub created: Option<Time>,
    /// A value that never repeats for differing contents and never goes back, over restarts too.
    pub change: u64,
}

/// Space and object counts of a file system, as seen by the caller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes not in use.
    pub free_bytes: u64,
    /// Bytes this caller may still use.
    pub available_bytes: u64,
    /// Objects in all.
    pub total_files: u64,
    /// Objects that can still be made.
    pub free_files: u64,
    /// Objects this caller can still make.
    pub available_files: u64,
}

/// How a time is to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// To the server's clock.
    Now,
    /// To the given time.
    To(Time),
}

/// Attributes to be changed; what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// Permission bits, 12 of them.
    pub mode: Option<u32>,
    /// With `mode` at creation: the client's umask, applied unless a default ACL stands (RFC 8275).
    pub umask: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Owning group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size_bytes: Option<u64>,
    /// Last access.
    pub accessed: Option<SetTime>,
    /// Last change of the contents.
    pub modified: Option<SetTime>,
}

impl SetAttributes {
    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A set of permissions, asked for or granted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Read data, list a directory.
    pub read: bool,
    /// Change data, add and remove directory entries.
    pub write: bool,
    /// Run a file, look up in a directory.
    pub execute: bool,
}
