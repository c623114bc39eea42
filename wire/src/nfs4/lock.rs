//! Byte-range locks (RFC 8881 §18.10 to §18.12).

use super::Stateid;
use super::open::StateOwner;
use crate::xdr::{xdr_enum, xdr_struct, xdr_union};

xdr_enum! {
/// Kind of lock; the waiting kinds tell the server that the client will ask again.
pub enum LockType = "nfs_lock_type4" {
    Read = 1 "READ_LT",
    Write = 2 "WRITE_LT",
    ReadWait = 3 "READW_LT",
    WriteWait = 4 "WRITEW_LT",
}
}

impl LockType {
    /// Whether it excludes other locks.
    pub const fn is_write(self) -> bool {
        matches!(self, LockType::Write | LockType::WriteWait)
    }

    /// Whether the client will wait.
    pub const fn is_waiting(self) -> bool {
        matches!(self, LockType::ReadWait | LockType::WriteWait)
    }
}

xdr_struct! {
/// A lock owner's first lock on a file.
pub struct OpenToLockOwner<'a> = "open_to_lock_owner4" {
    open_seqid: u32 = "open_seqid",
    open_stateid: Stateid = "open_stateid",
    lock_seqid: u32 = "lock_seqid",
    lock_owner: StateOwner<'a> = "lock_owner",
}
}

xdr_struct! {
/// A lock owner's further lock on a file.
pub struct ExistingLockOwner = "exist_lock_owner4" {
    lock_stateid: Stateid = "lock_stateid",
    lock_seqid: u32 = "lock_seqid",
}
}

xdr_union! {
/// Who locks.
pub union Locker<'a> = "locker4" {
    case 0 "FALSE" => Existing(ExistingLockOwner),
    case 1 "TRUE" => New(OpenToLockOwner<'a>),
}
}

xdr_struct! {
/// Arguments of LOCK (RFC 8881 §18.10).
pub struct LockArgs<'a> = "LOCK4args" {
    lock_type: LockType = "locktype",
    reclaim: bool = "reclaim",
    offset: u64 = "offset",
    /// Bytes; all ones means "to the end of the file, however it grows".
    length: u64 = "length",
    locker: Locker<'a> = "locker",
}
}

xdr_struct! {
/// Result of LOCK.
pub struct LockResult = "LOCK4resok" {
    stateid: Stateid = "lock_stateid",
}
}

xdr_struct! {
/// The conflicting lock; follows the status NFS4ERR_DENIED of LOCK and LOCKT.
pub struct LockDenied<'a> = "LOCK4denied" {
    offset: u64 = "offset",
    length: u64 = "length",
    lock_type: LockType = "locktype",
    owner: StateOwner<'a> = "owner",
}
}

xdr_struct! {
/// Arguments of LOCKT (RFC 8881 §18.11).
pub struct LockTestArgs<'a> = "LOCKT4args" {
    lock_type: LockType = "locktype",
    offset: u64 = "offset",
    length: u64 = "length",
    owner: StateOwner<'a> = "owner",
}
}

xdr_struct! {
/// Arguments of LOCKU (RFC 8881 §18.12). Its result is a [`Stateid`].
pub struct UnlockArgs = "LOCKU4args" {
    lock_type: LockType = "locktype",
    seqid: u32 = "seqid",
    stateid: Stateid = "lock_stateid",
    offset: u64 = "offset",
    length: u64 = "length",
}
}
