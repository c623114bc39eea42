//! Delegations (RFC 8881 §18.5, §18.6, §18.39, §18.49). None are given yet; the arguments are read so that
//! malformed ones are told from merely unsupported ones.

use super::open::DelegationType;
use super::{Bitmap, ClientId, NfsTime, Stateid, Verifier};
use crate::xdr::{xdr_struct, xdr_union};

xdr_struct! {
/// Arguments of DELEGPURGE.
pub struct DelegPurgeArgs = "DELEGPURGE4args" {
    client_id: ClientId = "clientid",
}
}

xdr_struct! {
/// Arguments of DELEGRETURN.
pub struct DelegReturnArgs = "DELEGRETURN4args" {
    stateid: Stateid = "deleg_stateid",
}
}

xdr_struct! {
/// Arguments of GET_DIR_DELEGATION.
pub struct GetDirDelegationArgs = "GET_DIR_DELEGATION4args" {
    signal_available: bool = "gdda_signal_deleg_avail",
    notification_types: Bitmap = "gdda_notification_types",
    child_attribute_delay: NfsTime = "gdda_child_attr_delay",
    directory_attribute_delay: NfsTime = "gdda_dir_attr_delay",
    child_attributes: Bitmap = "gdda_child_attributes",
    directory_attributes: Bitmap = "gdda_dir_attributes",
}
}

xdr_struct! {
/// A directory delegation.
pub struct DirDelegation = "GET_DIR_DELEGATION4resok" {
    cookie_verifier: Verifier = "gddr_cookieverf",
    stateid: Stateid = "gddr_stateid",
    notification: Bitmap = "gddr_notification",
    child_attributes: Bitmap = "gddr_child_attributes",
    directory_attributes: Bitmap = "gddr_dir_attributes",
}
}

xdr_union! {
/// Result of GET_DIR_DELEGATION with status NFS4_OK.
pub union GetDirDelegationResult = "GET_DIR_DELEGATION4res_non_fatal" {
    case 0 "GDD4_OK" => Granted(DirDelegation),
    /// Whether the server will signal when it can give one.
    case 1 "GDD4_UNAVAIL" => Unavailable(bool),
}
}

xdr_union! {
/// By what right a delegation is wanted.
pub union DelegationClaim = "deleg_claim4" {
    case 1 "CLAIM_PREVIOUS" => Previous(DelegationType),
    case 4 "CLAIM_FH" => Handle,
    case 6 "CLAIM_DELEG_PREV_FH" => DelegatePreviousHandle,
}
}

xdr_struct! {
/// Arguments of WANT_DELEGATION.
pub struct WantDelegationArgs = "WANT_DELEGATION4args" {
    want: u32 = "wda_want",
    claim: DelegationClaim = "wda_claim",
}
}
