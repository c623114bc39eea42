//! How procedures end (RFC 1813 §2.6).

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, xdr_enum};

xdr_enum! {
/// How a procedure ended. Names are the published ones without `NFS3ERR_`.
#[must_use]
pub enum Status = "nfsstat3" {
    Ok = 0 "NFS3_OK",
    Perm = 1 "NFS3ERR_PERM",
    Noent = 2 "NFS3ERR_NOENT",
    Io = 5 "NFS3ERR_IO",
    Nxio = 6 "NFS3ERR_NXIO",
    Acces = 13 "NFS3ERR_ACCES",
    Exist = 17 "NFS3ERR_EXIST",
    Xdev = 18 "NFS3ERR_XDEV",
    Nodev = 19 "NFS3ERR_NODEV",
    Notdir = 20 "NFS3ERR_NOTDIR",
    Isdir = 21 "NFS3ERR_ISDIR",
    Inval = 22 "NFS3ERR_INVAL",
    Fbig = 27 "NFS3ERR_FBIG",
    Nospc = 28 "NFS3ERR_NOSPC",
    Rofs = 30 "NFS3ERR_ROFS",
    Mlink = 31 "NFS3ERR_MLINK",
    Nametoolong = 63 "NFS3ERR_NAMETOOLONG",
    Notempty = 66 "NFS3ERR_NOTEMPTY",
    Dquot = 69 "NFS3ERR_DQUOT",
    Stale = 70 "NFS3ERR_STALE",
    Remote = 71 "NFS3ERR_REMOTE",
    Badhandle = 10001 "NFS3ERR_BADHANDLE",
    NotSync = 10002 "NFS3ERR_NOT_SYNC",
    BadCookie = 10003 "NFS3ERR_BAD_COOKIE",
    Notsupp = 10004 "NFS3ERR_NOTSUPP",
    Toosmall = 10005 "NFS3ERR_TOOSMALL",
    Serverfault = 10006 "NFS3ERR_SERVERFAULT",
    Badtype = 10007 "NFS3ERR_BADTYPE",
    Jukebox = 10008 "NFS3ERR_JUKEBOX",
}
}

impl Status {
    /// Whether the procedure succeeded.
    pub const fn is_ok(self) -> bool {
        matches!(self, Status::Ok)
    }
}

impl std::error::Error for Status {}

/// What a procedure that failed tells: why, and in `body` what is told even so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure<F> {
    /// Anything but [`Status::Ok`].
    pub status: Status,
    /// Mostly attributes, where the server has them.
    pub body: F,
}

impl<F: Encode> Encode for Failure<F> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put(&self.status)?;
        encoder.put(&self.body)
    }
}

/// The result of a procedure: its status, then the one body or the other.
pub type Outcome<T, F> = Result<T, Failure<F>>;

impl<T: Encode, F: Encode> Encode for Outcome<T, F> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        match self {
            Ok(result) => {
                encoder.put(&Status::Ok)?;
                encoder.put(result)
            }
            Err(failure) => encoder.put(failure),
        }
    }
}

impl<'a, T: Decode<'a>, F: Decode<'a>> Decode<'a> for Outcome<T, F> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(match decoder.get()? {
            Status::Ok => Ok(decoder.get()?),
            status => Err(Failure { status, body: decoder.get()? }),
        })
    }
}
