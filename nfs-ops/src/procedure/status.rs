//! What NFSv4's statuses, which the common work speaks, are called in NFSv3.

use wire::nfs3::Status;
use wire::nfs4::Status as Status4;

/// The NFSv3 status for what went wrong. Where a client has to wait for others it is told to come again
/// (NFS3ERR_JUKEBOX): for deny modes of NFSv4 opens, and while NFSv4's clients reclaim after a restart.
pub fn of(status: Status4) -> Status {
    match status {
        Status4::Ok => Status::Ok,
        Status4::Perm => Status::Perm,
        Status4::Noent => Status::Noent,
        Status4::Nxio => Status::Nxio,
        // RFC 1813 knows no better for a name that a file system does not let go of (a mount point).
        Status4::Access | Status4::Wrongsec | Status4::FileOpen => Status::Acces,
        // RFC 1813 §3.2.
        Status4::Badchar => Status::Acces,
        Status4::Exist => Status::Exist,
        Status4::Xdev => Status::Xdev,
        Status4::Notdir | Status4::Symlink => Status::Notdir,
        Status4::Isdir => Status::Isdir,
        Status4::Fbig => Status::Fbig,
        Status4::Nospc => Status::Nospc,
        Status4::Rofs => Status::Rofs,
        Status4::Mlink => Status::Mlink,
        Status4::Nametoolong => Status::Nametoolong,
        Status4::Notempty => Status::Notempty,
        Status4::Dquot => Status::Dquot,
        Status4::Stale => Status::Stale,
        Status4::Badhandle => Status::Badhandle,
        Status4::BadCookie => Status::BadCookie,
        Status4::Notsupp | Status4::Attrnotsupp => Status::Notsupp,
        Status4::Toosmall | Status4::RepTooBig => Status::Toosmall,
        Status4::Serverfault => Status::Serverfault,
        Status4::Badtype => Status::Badtype,
        Status4::Delay | Status4::Grace | Status4::Locked | Status4::ShareDenied => Status::Jukebox,
        Status4::Inval | Status4::WrongType | Status4::Badname => Status::Inval,
        _ => Status::Io,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::status_of;

    #[test]
    fn what_storage_answers_has_a_name_of_its_own() {
        use vfs::Error;
        for (error, expected) in [
            (Error::AccessDenied, Status::Acces),
            (Error::NotPermitted, Status::Perm),
            (Error::TryLater, Status::Jukebox),
            (Error::Exhausted, Status::Jukebox),
            (Error::NotEmpty, Status::Notempty),
            (Error::Quota, Status::Dquot),
            (Error::TooLarge, Status::Fbig),
            (Error::BadName, Status::Inval),
            (Error::Busy, Status::Acces),
            (Error::Io, Status::Io),
        ] {
            assert_eq!(of(status_of(error)), expected, "{error:?}");
        }
    }
}
