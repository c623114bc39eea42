//! Space, holes and advice (RFC 7862 §15.1, §15.4, §15.5, §15.10 to §15.12).

use super::{Bitmap, StableHow, Stateid};
use crate::xdr::{List, Opaque, Payload, xdr_enum, xdr_struct, xdr_union};

/// Segments accepted in a READ_PLUS result; a reply of 1 MiB with 4 KiB segments has half as many.
pub const READ_PLUS_SEGMENTS_MAX: usize = 512;
/// Longest pattern of WRITE_SAME decoded, in bytes; it is borrowed.
const PATTERN_MAX: usize = 1 << 20;

xdr_struct! {
/// Arguments of ALLOCATE (RFC 7862 §15.1).
pub struct AllocateArgs = "ALLOCATE4args" {
    stateid: Stateid = "aa_stateid",
    offset: u64 = "aa_offset",
    length: u64 = "aa_length",
}
}

xdr_struct! {
/// Arguments of DEALLOCATE (RFC 7862 §15.4).
pub struct DeallocateArgs = "DEALLOCATE4args" {
    stateid: Stateid = "da_stateid",
    offset: u64 = "da_offset",
    length: u64 = "da_length",
}
}

xdr_enum! {
/// What a part of a file is.
pub enum DataContent = "data_content4" {
    Data = 0 "NFS4_CONTENT_DATA",
    Hole = 1 "NFS4_CONTENT_HOLE",
}
}

xdr_struct! {
/// Arguments of SEEK (RFC 7862 §15.11).
pub struct SeekArgs = "SEEK4args" {
    stateid: Stateid = "sa_stateid",
    offset: u64 = "sa_offset",
    /// A raw number, since a content that is not known is answered UNION_NOTSUPP and not BADXDR.
    what: u32 = "sa_what",
}
}

xdr_struct! {
/// Result of SEEK.
pub struct SeekResult = "seek_res4" {
    eof: bool = "sr_eof",
    offset: u64 = "sr_offset",
}
}

xdr_struct! {
/// Arguments of READ_PLUS (RFC 7862 §15.10).
pub struct ReadPlusArgs = "READ_PLUS4args" {
    stateid: Stateid = "rpa_stateid",
    offset: u64 = "rpa_offset",
    count: u32 = "rpa_count",
}
}

xdr_struct! {
/// A segment of data.
pub struct DataSegment = "data4" {
    offset: u64 = "d_offset",
    data: Payload = "d_data",
}
}

xdr_struct! {
/// A segment that is a hole.
#[derive(Copy)]
pub struct HoleSegment = "data_info4" {
    offset: u64 = "di_offset",
    length: u64 = "di_length",
}
}

xdr_union! {
/// A segment of a READ_PLUS result.
pub union ReadPlusContent = "read_plus_content" {
    case 0 "NFS4_CONTENT_DATA" => Data(DataSegment),
    case 1 "NFS4_CONTENT_HOLE" => Hole(HoleSegment),
}
}

xdr_struct! {
/// Result of READ_PLUS. Encoding it notes where the transport inserts each data segment's bytes.
pub struct ReadPlusResult = "read_plus_res4" {
    eof: bool = "rpr_eof",
    contents: List<ReadPlusContent, READ_PLUS_SEGMENTS_MAX> = "rpr_contents",
}
}

xdr_enum! {
/// Bits of the hints of IO_ADVISE, by number.
pub enum IoAdvice = "IO_ADVISE_type4" {
    Normal = 0 "IO_ADVISE4_NORMAL",
    Sequential = 1 "IO_ADVISE4_SEQUENTIAL",
    SequentialBackwards = 2 "IO_ADVISE4_SEQUENTIAL_BACKWARDS",
    Random = 3 "IO_ADVISE4_RANDOM",
    WillNeed = 4 "IO_ADVISE4_WILLNEED",
    WillNeedOpportunistic = 5 "IO_ADVISE4_WILLNEED_OPPORTUNISTIC",
    DontNeed = 6 "IO_ADVISE4_DONTNEED",
    NoReuse = 7 "IO_ADVISE4_NOREUSE",
    Read = 8 "IO_ADVISE4_READ",
    Write = 9 "IO_ADVISE4_WRITE",
    InitProximity = 10 "IO_ADVISE4_INIT_PROXIMITY",
}
}

xdr_struct! {
/// Arguments of IO_ADVISE (RFC 7862 §15.5).
pub struct IoAdviseArgs = "IO_ADVISE4args" {
    stateid: Stateid = "iaa_stateid",
    offset: u64 = "iaa_offset",
    count: u64 = "iaa_count",
    hints: Bitmap = "iaa_hints",
}
}

xdr_struct! {
/// Result of IO_ADVISE: the hints that are followed.
pub struct IoAdviseResult = "IO_ADVISE4resok" {
    hints: Bitmap = "ior_hints",
}
}

xdr_struct! {
/// A repeated pattern.
pub struct ApplicationDataBlock<'a> = "app_data_block4" {
    offset: u64 = "adb_offset",
    block_size: u64 = "adb_block_size",
    block_count: u64 = "adb_block_count",
    block_number_offset: u64 = "adb_reloff_blocknum",
    block_number: u32 = "adb_block_num",
    pattern_offset: u64 = "adb_reloff_pattern",
    pattern: Opaque<'a, PATTERN_MAX> = "adb_pattern",
}
}

xdr_struct! {
/// Arguments of WRITE_SAME (RFC 7862 §15.12).
pub struct WriteSameArgs<'a> = "WRITE_SAME4args" {
    stateid: Stateid = "wsa_stateid",
    stable: StableHow = "wsa_stable",
    block: ApplicationDataBlock<'a> = "wsa_adb",
}
}
