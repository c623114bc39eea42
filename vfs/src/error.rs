//! What can go wrong in storage, in the storage's words. The protocol skins translate.

/// The result of a storage call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a storage call did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The caller may not do this whatever the permission bits say (EPERM).
    #[error("operation not permitted")]
    NotPermitted,
    /// The permission bits or ACL forbid it (EACCES).
    #[error("access denied")]
    AccessDenied,
    /// No object of this name (ENOENT).
    #[error("no such object")]
    NotFound,
    /// The name is taken (EEXIST).
    #[error("object exists")]
    Exists,
    /// The handle's object is gone (ESTALE).
    #[error("stale handle")]
    Stale,
    /// The handle was never given out by this storage.
    #[error("bad handle")]
    BadHandle,
    /// A directory was needed (ENOTDIR).
    #[error("not a directory")]
    NotDirectory,
    /// A directory is not allowed here (EISDIR).
    #[error("is a directory")]
    IsDirectory,
    /// A symbolic link stood where none may (ELOOP from a resolution that follows none).
    #[error("is a symbolic link")]
    IsSymlink,
    /// The object's type does not fit the call (a device, a socket).
    #[error("wrong type of object")]
    WrongType,
    /// The directory still has entries (ENOTEMPTY).
    #[error("directory not empty")]
    NotEmpty,
    /// The name is too long (ENAMETOOLONG).
    #[error("name too long")]
    NameTooLong,
    /// The name is refused ('.', '..', '/', NUL, or bytes the file system rejects).
    #[error("bad name")]
    BadName,
    /// Source and target are on different file systems (EXDEV).
    #[error("crosses file systems")]
    CrossDevice,
    /// The name is the root of a file system mounted below the export (EBUSY, or not to be entered).
    #[error("busy")]
    Busy,
    /// An argument the storage cannot honour (EINVAL).
    #[error("invalid argument")]
    Invalid,
    /// Larger than the file system's files may be (EFBIG).
    #[error("file too large")]
    TooLarge,
    /// No space left (ENOSPC).
    #[error("no space")]
    NoSpace,
    /// The caller's quota is used up (EDQUOT).
    #[error("quota exceeded")]
    Quota,
    /// The file system is read-only (EROFS).
    #[error("read-only file system")]
    ReadOnly,
    /// Too many links to the object (EMLINK).
    #[error("too many links")]
    TooManyLinks,
    /// The storage cannot do this at all (EOPNOTSUPP).
    #[error("not supported")]
    NotSupported,
    /// A seek found nothing of the kind asked for at or behind the offset (ENXIO).
    #[error("no such range")]
    NoSuchRange,
    /// No extended attribute of this name (ENODATA).
    #[error("no such extended attribute")]
    NoXattr,
    /// An extended attribute's value or all names together are too large (E2BIG, ERANGE).
    #[error("extended attribute too large")]
    XattrTooLarge,
    /// A directory cookie from another life of the directory.
    #[error("bad directory cookie")]
    BadCookie,
    /// The file is being executed or a lease stands against it (ETXTBSY, EAGAIN): try again later.
    #[error("try again later")]
    TryLater,
    /// The device failed (EIO) or the storage broke a promise.
    #[error("input/output error")]
    Io,
    /// Memory, descriptors or helper threads ran short (ENOMEM, EMFILE, a full queue): try again later.
    #[error("server resources exhausted")]
    Exhausted,
}
