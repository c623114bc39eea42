//! File systems (RFC 1813 §3.3.18 to §3.3.20).

use super::{FileHandle, NfsTime, PostOpAttributes};
use crate::xdr::{xdr_constants, xdr_struct};

xdr_struct! {
/// Arguments of FSSTAT (RFC 1813 §3.3.18).
#[derive(Copy)]
pub struct FsstatArgs = "FSSTAT3args" {
    root: FileHandle = "fsroot",
}
}

xdr_struct! {
/// Result of FSSTAT. What is available is what the caller may still use, which is not always all that is free.
#[derive(Copy)]
pub struct FsstatResult = "FSSTAT3resok" {
    attributes: PostOpAttributes = "obj_attributes",
    bytes_total: u64 = "tbytes",
    bytes_free: u64 = "fbytes",
    bytes_available: u64 = "abytes",
    files_total: u64 = "tfiles",
    files_free: u64 = "ffiles",
    files_available: u64 = "afiles",
    /// Seconds for which these are not expected to change.
    unchanged_seconds: u32 = "invarsec",
}
}

xdr_constants! {
/// Properties of a file system, as FSINFO tells them.
pub mod file_system_property: u32 {
    LINK = 0x01 "FSF3_LINK",
    SYMLINK = 0x02 "FSF3_SYMLINK",
    /// PATHCONF is the same for all its objects.
    HOMOGENEOUS = 0x08 "FSF3_HOMOGENEOUS",
    CAN_SET_TIME = 0x10 "FSF3_CANSETTIME",
}
}

xdr_struct! {
/// Arguments of FSINFO (RFC 1813 §3.3.19).
#[derive(Copy)]
pub struct FsinfoArgs = "FSINFOargs" {
    root: FileHandle = "fsroot",
}
}

xdr_struct! {
/// Result of FSINFO. Sizes are in bytes.
#[derive(Copy)]
pub struct FsinfoResult = "FSINFO3resok" {
    attributes: PostOpAttributes = "obj_attributes",
    read_max: u32 = "rtmax",
    read_preferred: u32 = "rtpref",
    read_multiple: u32 = "rtmult",
    write_max: u32 = "wtmax",
    write_preferred: u32 = "wtpref",
    write_multiple: u32 = "wtmult",
    directory_preferred: u32 = "dtpref",
    file_size_max: u64 = "maxfilesize",
    /// Granularity of times.
    time_delta: NfsTime = "time_delta",
    /// Bits of [`file_system_property`].
    properties: u32 = "properties",
}
}

xdr_struct! {
/// Arguments of PATHCONF (RFC 1813 §3.3.20).
#[derive(Copy)]
pub struct PathconfArgs = "PATHCONF3args" {
    object: FileHandle = "object",
}
}

xdr_struct! {
/// Result of PATHCONF.
#[derive(Copy)]
pub struct PathconfResult = "PATHCONF3resok" {
    attributes: PostOpAttributes = "obj_attributes",
    links_max: u32 = "linkmax",
    /// Bytes.
    name_max: u32 = "name_max",
    /// A name that is too long is refused, not cut.
    no_truncation: bool = "no_trunc",
    chown_restricted: bool = "chown_restricted",
    case_insensitive: bool = "case_insensitive",
    case_preserving: bool = "case_preserving",
}
}
