//! How an operation fails, and what the storage's errors are called in NFSv4.

use wire::nfs4::Status;
use wire::xdr;

/// Why an operation did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Answer this status and no body; what the operation wrote of a body is taken back.
    Status(Status),
    /// Answer this status with the body that the operation wrote (SETATTR, a denied LOCK, ...).
    WithBody(Status),
}

impl Failure {
    /// The status to answer.
    pub fn status(self) -> Status {
        match self {
            Failure::Status(status) | Failure::WithBody(status) => status,
        }
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        Failure::Status(status)
    }
}

impl From<xdr::Error> for Failure {
    fn from(_: xdr::Error) -> Self {
        Failure::Status(Status::Badxdr)
    }
}

/// The compound turns this into `REP_TOO_BIG_TO_CACHE` where that is the bound that was hit.
impl From<xdr::NoRoom> for Failure {
    fn from(_: xdr::NoRoom) -> Self {
        Failure::Status(Status::RepTooBig)
    }
}

impl From<vfs::Error> for Failure {
    fn from(error: vfs::Error) -> Self {
        Failure::Status(status_of(error))
    }
}

/// The NFSv4 status for a storage error, where the operation has no reason to choose another.
pub fn status_of(error: vfs::Error) -> Status {
    use vfs::Error;
    match error {
        Error::NotPermitted => Status::Perm,
        Error::AccessDenied => Status::Access,
        Error::NotFound => Status::Noent,
        Error::Exists => Status::Exist,
        Error::Stale => Status::Stale,
        Error::BadHandle => Status::Badhandle,
        Error::NotDirectory => Status::Notdir,
        Error::IsDirectory => Status::Isdir,
        Error::IsSymlink => Status::Symlink,
        Error::WrongType => Status::WrongType,
        Error::NotEmpty => Status::Notempty,
        Error::NameTooLong => Status::Nametoolong,
        Error::BadName => Status::Badname,
        Error::CrossDevice => Status::Xdev,
        // RFC 8881 §18.25.4: a mount point that cannot be removed or renamed is NFS4ERR_FILE_OPEN's cousin
        // for names; Linux clients map it to EBUSY.
        Error::Busy => Status::FileOpen,
        Error::Invalid => Status::Inval,
        Error::TooLarge => Status::Fbig,
        Error::NoSpace => Status::Nospc,
        Error::Quota => Status::Dquot,
        Error::ReadOnly => Status::Rofs,
        Error::TooManyLinks => Status::Mlink,
        Error::NotSupported => Status::Notsupp,
        Error::NoSuchRange => Status::Nxio,
        Error::NoXattr => Status::Noxattr,
        Error::XattrTooLarge => Status::Xattr2big,
        Error::BadCookie => Status::BadCookie,
        Error::TryLater | Error::Exhausted => Status::Delay,
        Error::Io => Status::Io,
    }
}
