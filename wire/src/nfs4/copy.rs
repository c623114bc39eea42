//! Copies inside the server (RFC 7862 §15.2, §15.3, §15.8, §15.9, §15.13).

use super::{OPAQUE_MAX, StableHow, Stateid, Status, Verifier};
use crate::xdr::{List, Opaque, xdr_struct, xdr_union};

/// Source servers accepted in one COPY.
const SOURCE_SERVERS_MAX: usize = 16;

xdr_struct! {
/// A network address in universal form (RFC 5665).
pub struct NetAddress<'a> = "netaddr4" {
    network_id: Opaque<'a, OPAQUE_MAX> = "na_r_netid",
    address: Opaque<'a, OPAQUE_MAX> = "na_r_addr",
}
}

xdr_union! {
/// Where a server is.
pub union NetLocation<'a> = "netloc4" {
    case 1 "NL4_NAME" => Name(Opaque<'a, OPAQUE_MAX>),
    case 2 "NL4_URL" => Url(Opaque<'a, OPAQUE_MAX>),
    case 3 "NL4_NETADDR" => Address(NetAddress<'a>),
}
}

xdr_struct! {
/// Arguments of COPY (RFC 7862 §15.2).
pub struct CopyArgs<'a> = "COPY4args" {
    source_stateid: Stateid = "ca_src_stateid",
    destination_stateid: Stateid = "ca_dst_stateid",
    source_offset: u64 = "ca_src_offset",
    destination_offset: u64 = "ca_dst_offset",
    /// Bytes; 0 means "to the end of the source".
    count: u64 = "ca_count",
    consecutive: bool = "ca_consecutive",
    synchronous: bool = "ca_synchronous",
    /// Empty for a copy inside this server.
    source_servers: List<NetLocation<'a>, SOURCE_SERVERS_MAX> = "ca_source_server",
}
}

xdr_struct! {
/// What is known of a copy's writes, now or when it ends.
#[derive(Copy)]
pub struct WriteResponse = "write_response4" {
    /// Names the copy that goes on; none when it is done.
    callback_id: Option<Stateid> = "wr_callback_id",
    count: u64 = "wr_count",
    committed: StableHow = "wr_committed",
    verifier: Verifier = "wr_writeverf",
}
}

xdr_struct! {
/// How a copy is done; also follows the status NFS4ERR_OFFLOAD_NO_REQS.
#[derive(Copy)]
pub struct CopyRequirements = "copy_requirements4" {
    consecutive: bool = "cr_consecutive",
    synchronous: bool = "cr_synchronous",
}
}

xdr_struct! {
/// Result of COPY.
#[derive(Copy)]
pub struct CopyResult = "COPY4resok" {
    response: WriteResponse = "cr_response",
    requirements: CopyRequirements = "cr_requirements",
}
}

xdr_struct! {
/// Arguments of COPY_NOTIFY (RFC 7862 §15.3).
pub struct CopyNotifyArgs<'a> = "COPY_NOTIFY4args" {
    source_stateid: Stateid = "cna_src_stateid",
    destination_server: NetLocation<'a> = "cna_destination_server",
}
}

xdr_struct! {
/// Arguments of OFFLOAD_CANCEL (RFC 7862 §15.8).
pub struct OffloadCancelArgs = "OFFLOAD_CANCEL4args" {
    stateid: Stateid = "oca_stateid",
}
}

xdr_struct! {
/// Arguments of OFFLOAD_STATUS (RFC 7862 §15.9).
pub struct OffloadStatusArgs = "OFFLOAD_STATUS4args" {
    stateid: Stateid = "osa_stateid",
}
}

xdr_struct! {
/// Result of OFFLOAD_STATUS.
pub struct OffloadStatusResult = "OFFLOAD_STATUS4resok" {
    /// Bytes copied so far.
    count: u64 = "osr_count",
    /// How the copy ended, once it has.
    complete: Option<Status> = "osr_complete",
}
}

xdr_struct! {
/// Arguments of CLONE (RFC 7862 §15.13).
pub struct CloneArgs = "CLONE4args" {
    source_stateid: Stateid = "cl_src_stateid",
    destination_stateid: Stateid = "cl_dst_stateid",
    source_offset: u64 = "cl_src_offset",
    destination_offset: u64 = "cl_dst_offset",
    /// Bytes; 0 means "to the end of the source".
    count: u64 = "cl_count",
}
}
