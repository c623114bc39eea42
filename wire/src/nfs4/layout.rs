//! Layouts (RFC 8881 §18.40 to §18.44, RFC 7862 §15.6 and §15.7). None are given yet; the arguments are read
//! so that malformed ones are told from merely unsupported ones. Layout types are plain numbers, for new ones
//! are registered all the time.

use super::{Bitmap, NfsTime, Stateid, Status, Verifier};
use crate::xdr::{List, Opaque, xdr_enum, xdr_struct, xdr_union};

/// Longest layout-type-specific body decoded, in bytes; it is borrowed.
const BODY_MAX: usize = 1 << 20;
/// Device errors accepted in one LAYOUTERROR.
const DEVICE_ERRORS_MAX: usize = 1024;

/// Names a device within a layout type (`deviceid4`).
pub type DeviceId = [u8; 16];

xdr_enum! {
/// What I/O a layout is for.
pub enum LayoutIoMode = "layoutiomode4" {
    Read = 1 "LAYOUTIOMODE4_READ",
    ReadWrite = 2 "LAYOUTIOMODE4_RW",
    Any = 3 "LAYOUTIOMODE4_ANY",
}
}

xdr_struct! {
/// Arguments of GETDEVICEINFO.
pub struct GetDeviceInfoArgs = "GETDEVICEINFO4args" {
    device_id: DeviceId = "gdia_device_id",
    layout_type: u32 = "gdia_layout_type",
    count_max: u32 = "gdia_maxcount",
    notify_types: Bitmap = "gdia_notify_types",
}
}

xdr_struct! {
/// Arguments of GETDEVICELIST.
pub struct GetDeviceListArgs = "GETDEVICELIST4args" {
    layout_type: u32 = "gdla_layout_type",
    devices_max: u32 = "gdla_maxdevices",
    cookie: u64 = "gdla_cookie",
    cookie_verifier: Verifier = "gdla_cookieverf",
}
}

xdr_struct! {
/// Layout-type-specific part of a LAYOUTCOMMIT or LAYOUTSTATS.
pub struct LayoutUpdate<'a> = "layoutupdate4" {
    layout_type: u32 = "lou_type",
    body: Opaque<'a, BODY_MAX> = "lou_body",
}
}

xdr_struct! {
/// Arguments of LAYOUTCOMMIT.
pub struct LayoutCommitArgs<'a> = "LAYOUTCOMMIT4args" {
    offset: u64 = "loca_offset",
    length: u64 = "loca_length",
    reclaim: bool = "loca_reclaim",
    stateid: Stateid = "loca_stateid",
    last_write_offset: Option<u64> = "loca_last_write_offset",
    time_modify: Option<NfsTime> = "loca_time_modify",
    update: LayoutUpdate<'a> = "loca_layoutupdate",
}
}

xdr_struct! {
/// Arguments of LAYOUTGET.
pub struct LayoutGetArgs = "LAYOUTGET4args" {
    signal_available: bool = "loga_signal_layout_avail",
    layout_type: u32 = "loga_layout_type",
    io_mode: LayoutIoMode = "loga_iomode",
    offset: u64 = "loga_offset",
    length: u64 = "loga_length",
    length_min: u64 = "loga_minlength",
    stateid: Stateid = "loga_stateid",
    count_max: u32 = "loga_maxcount",
}
}

xdr_struct! {
/// Return of part of one file's layout.
pub struct LayoutReturnFile<'a> = "layoutreturn_file4" {
    offset: u64 = "lrf_offset",
    length: u64 = "lrf_length",
    stateid: Stateid = "lrf_stateid",
    body: Opaque<'a, BODY_MAX> = "lrf_body",
}
}

xdr_union! {
/// What is returned.
pub union LayoutReturn<'a> = "layoutreturn4" {
    case 1 "LAYOUTRETURN4_FILE" => File(LayoutReturnFile<'a>),
    case 2 "LAYOUTRETURN4_FSID" => Fsid,
    case 3 "LAYOUTRETURN4_ALL" => All,
}
}

xdr_struct! {
/// Arguments of LAYOUTRETURN.
pub struct LayoutReturnArgs<'a> = "LAYOUTRETURN4args" {
    reclaim: bool = "lora_reclaim",
    layout_type: u32 = "lora_layout_type",
    io_mode: LayoutIoMode = "lora_iomode",
    returned: LayoutReturn<'a> = "lora_layoutreturn",
}
}

xdr_struct! {
/// What went wrong with a device; the operation is a plain number.
pub struct DeviceError = "device_error4" {
    device_id: DeviceId = "de_deviceid",
    status: Status = "de_status",
    operation: u32 = "de_opnum",
}
}

xdr_struct! {
/// Arguments of LAYOUTERROR.
pub struct LayoutErrorArgs = "LAYOUTERROR4args" {
    offset: u64 = "lea_offset",
    length: u64 = "lea_length",
    stateid: Stateid = "lea_stateid",
    errors: List<DeviceError, DEVICE_ERRORS_MAX> = "lea_errors",
}
}

xdr_struct! {
/// Counts of I/O.
pub struct IoInfo = "io_info4" {
    count: u64 = "ii_count",
    bytes: u64 = "ii_bytes",
}
}

xdr_struct! {
/// Arguments of LAYOUTSTATS.
pub struct LayoutStatsArgs<'a> = "LAYOUTSTATS4args" {
    offset: u64 = "lsa_offset",
    length: u64 = "lsa_length",
    stateid: Stateid = "lsa_stateid",
    read: IoInfo = "lsa_read",
    write: IoInfo = "lsa_write",
    device_id: DeviceId = "lsa_deviceid",
    update: LayoutUpdate<'a> = "lsa_layoutupdate",
}
}
