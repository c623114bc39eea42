//! Types that only attributes have (RFC 8881 §3.3, §5.8 and §11, RFC 7862 §12.2, RFC 8275, RFC 9754).

use super::{Bitmap, NfsTime};
use crate::xdr::{List, Opaque, xdr_enum, xdr_struct, xdr_union};

/// Longest owner or group name decoded, in bytes: a user, `@` and a DNS name fit several times over.
pub const OWNER_MAX: usize = 1024;
/// Layout types accepted in fs_layout_types.
pub const LAYOUT_TYPES_MAX: usize = 32;
/// Longest path component, server name and the like in locations, in bytes.
const LOCATION_TEXT_MAX: usize = 4096;
/// Components of a path, servers of a location and locations accepted.
const LOCATIONS_MAX: usize = 256;

/// An owner or group: a numeric string or `name@domain`.
pub type Owner<'a> = Opaque<'a, OWNER_MAX>;

/// A path as its components (`pathname4`).
pub type PathName<'a> = List<Opaque<'a, LOCATION_TEXT_MAX>, LOCATIONS_MAX>;

/// A user or group number as the decimal string that AUTH_SYS clients use for owners (RFC 8881 §5.9),
/// without allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumericOwner {
    start: u8,
    digits: [u8; 10],
}

impl NumericOwner {
    /// The string of this number.
    pub fn new(id: u32) -> Self {
        let (mut rest, mut digits, mut start) = (id, [b'0'; 10], 10);
        while rest > 0 || start == 10 {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        NumericOwner { start: start as u8, digits }
    }

    /// The string, to be put into an attribute.
    pub fn as_owner(&self) -> Owner<'_> {
        Opaque(&self.digits[usize::from(self.start)..])
    }

    /// The number that a numeric string names: digits only, without leading zeros, in 32 bits.
    pub fn parse(owner: &[u8]) -> Option<u32> {
        let plain = owner == b"0" || (owner.first()? != &b'0' && owner.iter().all(u8::is_ascii_digit));
        if plain { std::str::from_utf8(owner).ok()?.parse().ok() } else { None }
    }
}

xdr_union! {
/// A time to set.
pub union SetTime = "settime4" {
    case 0 "SET_TO_SERVER_TIME4" => Server,
    case 1 "SET_TO_CLIENT_TIME4" => Client(NfsTime),
}
}

xdr_struct! {
/// Some bits of the mode to set.
#[derive(Copy)]
pub struct ModeMasked = "mode_masked4" {
    value: u32 = "mm_value_to_set",
    mask: u32 = "mm_mask_bits",
}
}

xdr_struct! {
/// A mode and the creator's umask, for the server to apply where no default ACL does (RFC 8275).
#[derive(Copy)]
pub struct ModeUmask = "mode_umask4" {
    mode: u32 = "mu_mode",
    umask: u32 = "mu_umask",
}
}

xdr_struct! {
/// Changes when the policies of a file system do.
#[derive(Copy)]
pub struct ChangePolicy = "change_policy4" {
    major: u64 = "cp_major",
    minor: u64 = "cp_minor",
}
}

xdr_struct! {
/// One place where a file system is.
pub struct FsLocation<'a> = "fs_location4" {
    servers: List<Opaque<'a, LOCATION_TEXT_MAX>, LOCATIONS_MAX> = "server",
    root_path: PathName<'a> = "rootpath",
}
}

xdr_struct! {
/// All places where a file system is.
pub struct FsLocations<'a> = "fs_locations4" {
    root: PathName<'a> = "fs_root",
    locations: List<FsLocation<'a>, LOCATIONS_MAX> = "locations",
}
}

xdr_enum! {
/// How the instances of a file system relate.
pub enum FsStatusType = "fs4_status_type" {
    Fixed = 1 "STATUS4_FIXED",
    Updated = 2 "STATUS4_UPDATED",
    Versioned = 3 "STATUS4_VERSIONED",
    Writable = 4 "STATUS4_WRITABLE",
    Referral = 5 "STATUS4_REFERRAL",
}
}

xdr_struct! {
/// Where a file system's contents come from.
pub struct FsStatus<'a> = "fs4_status" {
    absent: bool = "fss_absent",
    status_type: FsStatusType = "fss_type",
    source: Opaque<'a, LOCATION_TEXT_MAX> = "fss_source",
    current: Opaque<'a, LOCATION_TEXT_MAX> = "fss_current",
    /// Seconds.
    age: i32 = "fss_age",
    version: NfsTime = "fss_version",
}
}

xdr_enum! {
/// How a change attribute behaves (RFC 7862 §12.2.3).
pub enum ChangeAttributeType = "change_attr_type4" {
    MonotonicIncrement = 0 "NFS4_CHANGE_TYPE_IS_MONOTONIC_INCR",
    VersionCounter = 1 "NFS4_CHANGE_TYPE_IS_VERSION_COUNTER",
    VersionCounterNoPnfs = 2 "NFS4_CHANGE_TYPE_IS_VERSION_COUNTER_NOPNFS",
    TimeMetadata = 3 "NFS4_CHANGE_TYPE_IS_TIME_METADATA",
    Undefined = 4 "NFS4_CHANGE_TYPE_IS_UNDEFINED",
}
}

xdr_struct! {
/// What OPEN understands (RFC 9754).
#[derive(Copy)]
pub struct OpenArguments = "open_arguments4" {
    share_access: Bitmap = "oa_share_access",
    share_deny: Bitmap = "oa_share_deny",
    share_access_want: Bitmap = "oa_share_access_want",
    open_claim: Bitmap = "oa_open_claim",
    create_mode: Bitmap = "oa_create_mode",
}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_owners_go_both_ways() {
        for id in [0, 7, 10, 1000, 65_534, u32::MAX] {
            let text = id.to_string();
            assert_eq!(NumericOwner::new(id).as_owner().bytes(), text.as_bytes());
            assert_eq!(NumericOwner::parse(text.as_bytes()), Some(id));
        }
        for text in ["", "00", "01", "+1", "-1", "1 ", "4294967296", "root@example.org"] {
            assert_eq!(NumericOwner::parse(text.as_bytes()), None, "{text}");
        }
    }
}
