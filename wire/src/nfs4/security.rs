//! SECINFO and SECINFO_NO_NAME (RFC 8881 §18.29 and §18.45).

use super::Component;
use super::session::GssService;
use crate::xdr::{List, Opaque, xdr_enum, xdr_struct, xdr_union};

/// Security flavors accepted in one result.
const FLAVORS_MAX: usize = 32;
/// Longest GSS mechanism identifier accepted, in bytes.
const OID_MAX: usize = 256;

xdr_struct! {
/// Arguments of SECINFO.
#[derive(Copy)]
pub struct SecinfoArgs<'a> = "SECINFO4args" {
    name: Component<'a> = "name",
}
}

xdr_enum! {
/// Argument of SECINFO_NO_NAME: of what to tell the security.
pub enum SecinfoStyle = "secinfo_style4" {
    CurrentFh = 0 "SECINFO_STYLE4_CURRENT_FH",
    Parent = 1 "SECINFO_STYLE4_PARENT",
}
}

xdr_struct! {
/// A GSS mechanism, quality and service.
pub struct GssInfo<'a> = "rpcsec_gss_info" {
    mechanism: Opaque<'a, OID_MAX> = "oid",
    quality_of_protection: u32 = "qop",
    service: GssService = "service",
}
}

xdr_union! {
/// A security flavor that may be used; all but RPCSEC_GSS are just their number.
pub union Secinfo<'a> = "secinfo4" {
    case 6 "RPCSEC_GSS" => Gss(GssInfo<'a>),
    default => Flavor,
}
}

/// Result of both operations, in the server's order of preference.
pub type SecinfoResult<'a> = List<Secinfo<'a>, FLAVORS_MAX>;
