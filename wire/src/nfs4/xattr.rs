//! Extended attributes (RFC 8276 §8.4).

use super::{ChangeInfo, Component};
use crate::xdr::{List, Opaque, xdr_enum, xdr_struct};

/// Longest value decoded, in bytes. Linux keeps at most 64 KiB; more is answered XATTR2BIG and not BADXDR,
/// and values are borrowed, so the bound costs nothing.
pub const XATTR_VALUE_MAX: usize = 1 << 20;
/// Names accepted in one LISTXATTRS result: 64 KiB of names of one byte each, which is all Linux can list.
pub const XATTR_NAMES_MAX: usize = 32 * 1024;

/// An attribute's value.
pub type XattrValue<'a> = Opaque<'a, XATTR_VALUE_MAX>;

xdr_struct! {
/// Arguments of GETXATTR. Its result is an [`XattrValue`].
#[derive(Copy)]
pub struct GetXattrArgs<'a> = "GETXATTR4args" {
    name: Component<'a> = "gxa_name",
}
}

xdr_enum! {
/// Whether the attribute may or must exist already.
pub enum SetXattrOption = "setxattr_option4" {
    Either = 0 "SETXATTR4_EITHER",
    Create = 1 "SETXATTR4_CREATE",
    Replace = 2 "SETXATTR4_REPLACE",
}
}

xdr_struct! {
/// Arguments of SETXATTR. Its result is a [`ChangeInfo`] of the file.
#[derive(Copy)]
pub struct SetXattrArgs<'a> = "SETXATTR4args" {
    option: SetXattrOption = "sxa_option",
    name: Component<'a> = "sxa_key",
    value: XattrValue<'a> = "sxa_value",
}
}

xdr_struct! {
/// Arguments of LISTXATTRS.
#[derive(Copy)]
pub struct ListXattrsArgs = "LISTXATTRS4args" {
    cookie: u64 = "lxa_cookie",
    /// Bytes of the whole `LISTXATTRS4resok`.
    count_max: u32 = "lxa_maxcount",
}
}

xdr_struct! {
/// Result of LISTXATTRS.
pub struct ListXattrsResult<'a> = "LISTXATTRS4resok" {
    cookie: u64 = "lxr_cookie",
    names: List<Component<'a>, XATTR_NAMES_MAX> = "lxr_names",
    eof: bool = "lxr_eof",
}
}

xdr_struct! {
/// Arguments of REMOVEXATTR. Its result is a [`ChangeInfo`] of the file.
#[derive(Copy)]
pub struct RemoveXattrArgs<'a> = "REMOVEXATTR4args" {
    name: Component<'a> = "rxa_name",
}
}

/// Result of SETXATTR and REMOVEXATTR.
pub type XattrChange = ChangeInfo;
