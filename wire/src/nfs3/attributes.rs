//! Attributes, and the procedures that only get or set them (RFC 1813 §2.6, §3.3.1, §3.3.2, §3.3.4).

use super::{FileHandle, FileType, NfsTime, Specdata};
use crate::xdr::{xdr_struct, xdr_union};

xdr_struct! {
/// All attributes of an object.
#[derive(Copy)]
pub struct FileAttributes = "fattr3" {
    file_type: FileType = "type",
    /// Permission bits alone.
    mode: u32 = "mode",
    links: u32 = "nlink",
    uid: u32 = "uid",
    gid: u32 = "gid",
    /// Bytes.
    size: u64 = "size",
    /// Bytes that the object takes of its file system.
    used: u64 = "used",
    device: Specdata = "rdev",
    fsid: u64 = "fsid",
    file_id: u64 = "fileid",
    time_access: NfsTime = "atime",
    time_modify: NfsTime = "mtime",
    time_metadata: NfsTime = "ctime",
}
}

/// An object's attributes behind a procedure, where the server has them.
pub type PostOpAttributes = Option<FileAttributes>;

xdr_struct! {
/// By which attributes a client sees whether somebody else changed an object.
#[derive(Copy)]
pub struct WccAttributes = "wcc_attr" {
    size: u64 = "size",
    time_modify: NfsTime = "mtime",
    time_metadata: NfsTime = "ctime",
}
}

/// They are a part of all attributes.
impl From<&FileAttributes> for WccAttributes {
    fn from(all: &FileAttributes) -> Self {
        WccAttributes { size: all.size, time_modify: all.time_modify, time_metadata: all.time_metadata }
    }
}

/// An object's attributes before a procedure, where the server has them (`pre_op_attr`).
pub type PreOpAttributes = Option<WccAttributes>;

xdr_struct! {
/// Weak cache consistency: an object around a procedure. `before` is given only when nothing else changed it between
/// the two.
#[derive(Copy, Default)]
pub struct WccData = "wcc_data" {
    before: PreOpAttributes = "before",
    after: PostOpAttributes = "after",
}
}

xdr_union! {
/// A time to set.
#[derive(Copy, Default)]
pub union SetTime = "time_how" {
    #[default]
    case 0 "DONT_CHANGE" => Keep,
    case 1 "SET_TO_SERVER_TIME" => Server,
    case 2 "SET_TO_CLIENT_TIME" => Client(NfsTime),
}
}

xdr_struct! {
/// Attributes to set; what is `None` stays.
#[derive(Copy, Default)]
pub struct SetAttributes = "sattr3" {
    mode: Option<u32> = "mode",
    uid: Option<u32> = "uid",
    gid: Option<u32> = "gid",
    /// Bytes.
    size: Option<u64> = "size",
    time_access: SetTime = "atime",
    time_modify: SetTime = "mtime",
}
}

xdr_struct! {
/// Arguments of GETATTR (RFC 1813 §3.3.1).
#[derive(Copy)]
pub struct GetAttrArgs = "GETATTR3args" {
    object: FileHandle = "object",
}
}

xdr_struct! {
/// Arguments of SETATTR (RFC 1813 §3.3.2).
#[derive(Copy)]
pub struct SetAttrArgs = "SETATTR3args" {
    object: FileHandle = "object",
    attributes: SetAttributes = "new_attributes",
    /// With another `time_metadata` than this, nothing is set: NFS3ERR_NOT_SYNC.
    guard: Option<NfsTime> = "guard",
}
}

xdr_struct! {
/// Arguments of ACCESS (RFC 1813 §3.3.4).
#[derive(Copy)]
pub struct AccessArgs = "ACCESS3args" {
    object: FileHandle = "object",
    /// Bits of [`access`](super::access), of which NFSv3 has those up to `EXECUTE`.
    access: u32 = "access",
}
}

xdr_struct! {
/// Result of ACCESS.
#[derive(Copy)]
pub struct AccessResult = "ACCESS3resok" {
    attributes: PostOpAttributes = "obj_attributes",
    /// Bits that are granted.
    access: u32 = "access",
}
}
