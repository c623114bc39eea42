//! Error numbers of the kernel in the storage's words.

use rustix::io::Errno;
use vfs::Error;

/// What `errno` means to the storage's caller. Numbers without a meaning of their own are an input/output
/// error and logged, because nobody can act on them but the administrator.
pub fn error(errno: Errno) -> Error {
    match errno {
        Errno::PERM => Error::NotPermitted,
        Errno::ACCESS => Error::AccessDenied,
        Errno::NOENT => Error::NotFound,
        Errno::EXIST => Error::Exists,
        Errno::STALE => Error::Stale,
        Errno::NOTDIR => Error::NotDirectory,
        Errno::ISDIR => Error::IsDirectory,
        Errno::LOOP => Error::IsSymlink,
        Errno::NOTEMPTY => Error::NotEmpty,
        Errno::NAMETOOLONG => Error::NameTooLong,
        Errno::ILSEQ => Error::BadName,
        Errno::XDEV => Error::CrossDevice,
        Errno::BUSY => Error::Busy,
        Errno::INVAL => Error::Invalid,
        Errno::FBIG | Errno::OVERFLOW => Error::TooLarge,
        Errno::NOSPC => Error::NoSpace,
        Errno::DQUOT => Error::Quota,
        Errno::ROFS => Error::ReadOnly,
        Errno::MLINK => Error::TooManyLinks,
        Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOTTY => Error::NotSupported,
        Errno::NXIO => Error::NoSuchRange,
        Errno::NODATA => Error::NoXattr,
        Errno::TOOBIG | Errno::RANGE => Error::XattrTooLarge,
        Errno::TXTBSY | Errno::AGAIN | Errno::DEADLK => Error::TryLater,
        Errno::NOMEM | Errno::MFILE | Errno::NFILE | Errno::NOBUFS => Error::Exhausted,
        other => {
            tracing::warn!(errno = other.raw_os_error(), "the file system answered {other}");
            Error::Io
        }
    }
}

/// The same for errors as the standard library and the engine carry them.
pub fn from_io(failure: &std::io::Error) -> Error {
    failure.raw_os_error().map_or(Error::Io, |number| error(Errno::from_raw_os_error(number)))
}

/// The same for reads and writes through the ring: a descriptor that was not opened for this is the caller's
/// mistake, not the device's.
pub fn from_ring(failure: &std::io::Error) -> Error {
    match failure.raw_os_error() {
        Some(libc::EBADF) => Error::AccessDenied,
        Some(libc::ENOBUFS | libc::ECANCELED) => Error::TryLater,
        _ => from_io(failure),
    }
}
