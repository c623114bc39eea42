//! OPEN, its relatives, and what they say about delegations (RFC 8881 §18.2, §18.16 to §18.18; RFC 9754).

use super::{Bitmap, ChangeInfo, ClientId, Component, OpaqueOwner, RawAttributes, Stateid, Verifier};
use crate::xdr::{Opaque, xdr_constants, xdr_enum, xdr_struct, xdr_union};

/// Longest name of the subject of an access control entry, in bytes.
const WHO_MAX: usize = 1024;

xdr_constants! {
/// Share access of OPEN and what is wished about delegations, in one word.
pub mod share_access: u32 {
    READ = 0x1 "OPEN4_SHARE_ACCESS_READ",
    WRITE = 0x2 "OPEN4_SHARE_ACCESS_WRITE",
    BOTH = 0x3 "OPEN4_SHARE_ACCESS_BOTH",
    WANT_DELEG_MASK = 0xff00 "OPEN4_SHARE_ACCESS_WANT_DELEG_MASK",
    WANT_NO_PREFERENCE = 0x0000 "OPEN4_SHARE_ACCESS_WANT_NO_PREFERENCE",
    WANT_READ_DELEG = 0x0100 "OPEN4_SHARE_ACCESS_WANT_READ_DELEG",
    WANT_WRITE_DELEG = 0x0200 "OPEN4_SHARE_ACCESS_WANT_WRITE_DELEG",
    WANT_ANY_DELEG = 0x0300 "OPEN4_SHARE_ACCESS_WANT_ANY_DELEG",
    WANT_NO_DELEG = 0x0400 "OPEN4_SHARE_ACCESS_WANT_NO_DELEG",
    WANT_CANCEL = 0x0500 "OPEN4_SHARE_ACCESS_WANT_CANCEL",
    WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL = 0x1_0000 "OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL",
    WANT_PUSH_DELEG_WHEN_UNCONTENDED = 0x2_0000 "OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED",
    /// RFC 9754.
    WANT_DELEG_TIMESTAMPS = 0x10_0000 "OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS",
    /// RFC 9754.
    WANT_OPEN_XOR_DELEGATION = 0x20_0000 "OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION",
}
}

xdr_constants! {
/// Share deny of OPEN.
pub mod share_deny: u32 {
    NONE = 0 "OPEN4_SHARE_DENY_NONE",
    READ = 1 "OPEN4_SHARE_DENY_READ",
    WRITE = 2 "OPEN4_SHARE_DENY_WRITE",
    BOTH = 3 "OPEN4_SHARE_DENY_BOTH",
}
}

xdr_constants! {
/// Flags in the result of OPEN.
pub mod open_result_flags: u32 {
    CONFIRM = 0x02 "OPEN4_RESULT_CONFIRM",
    LOCKTYPE_POSIX = 0x04 "OPEN4_RESULT_LOCKTYPE_POSIX",
    PRESERVE_UNLINKED = 0x08 "OPEN4_RESULT_PRESERVE_UNLINKED",
    /// RFC 9754.
    NO_OPEN_STATEID = 0x10 "OPEN4_RESULT_NO_OPEN_STATEID",
    MAY_NOTIFY_LOCK = 0x20 "OPEN4_RESULT_MAY_NOTIFY_LOCK",
}
}

xdr_struct! {
/// An owner of opens or locks.
#[derive(Copy, Hash)]
pub struct StateOwner<'a> = "state_owner4" {
    /// Ignored on the fore channel: the session says which client (RFC 8881 §18.16.3).
    client_id: ClientId = "clientid",
    owner: OpaqueOwner<'a> = "owner",
}
}

xdr_struct! {
/// What EXCLUSIVE4_1 carries.
pub struct CreateVerifierAttributes<'a> = "creatverfattr" {
    verifier: Verifier = "cva_verf",
    attributes: RawAttributes<'a> = "cva_attrs",
}
}

xdr_union! {
/// How to create.
pub union CreateHow<'a> = "createhow4" {
    case 0 "UNCHECKED4" => Unchecked(RawAttributes<'a>),
    case 1 "GUARDED4" => Guarded(RawAttributes<'a>),
    case 2 "EXCLUSIVE4" => Exclusive(Verifier),
    case 3 "EXCLUSIVE4_1" => ExclusiveWithAttributes(CreateVerifierAttributes<'a>),
}
}

xdr_union! {
/// Whether to create.
pub union OpenHow<'a> = "openflag4" {
    case 0 "OPEN4_NOCREATE" => NoCreate,
    case 1 "OPEN4_CREATE" => Create(CreateHow<'a>),
}
}

xdr_enum! {
/// Kinds of delegation; the last two are of RFC 9754.
pub enum DelegationType = "open_delegation_type4" {
    None = 0 "OPEN_DELEGATE_NONE",
    Read = 1 "OPEN_DELEGATE_READ",
    Write = 2 "OPEN_DELEGATE_WRITE",
    NoneExt = 3 "OPEN_DELEGATE_NONE_EXT",
    ReadAttributes = 4 "OPEN_DELEGATE_READ_ATTRS_DELEG",
    WriteAttributes = 5 "OPEN_DELEGATE_WRITE_ATTRS_DELEG",
}
}

xdr_struct! {
/// A claim by a delegation and a name.
pub struct ClaimDelegateCurrent<'a> = "open_claim_delegate_cur4" {
    stateid: Stateid = "delegate_stateid",
    name: Component<'a> = "file",
}
}

xdr_union! {
/// By what right, and which file.
pub union OpenClaim<'a> = "open_claim4" {
    /// A name in the current directory.
    case 0 "CLAIM_NULL" => Null(Component<'a>),
    /// Reclaim of an open from before a restart, by file handle.
    case 1 "CLAIM_PREVIOUS" => Previous(DelegationType),
    case 2 "CLAIM_DELEGATE_CUR" => DelegateCurrent(ClaimDelegateCurrent<'a>),
    case 3 "CLAIM_DELEGATE_PREV" => DelegatePrevious(Component<'a>),
    /// The current file handle.
    case 4 "CLAIM_FH" => Handle,
    case 5 "CLAIM_DELEG_CUR_FH" => DelegateCurrentHandle(Stateid),
    case 6 "CLAIM_DELEG_PREV_FH" => DelegatePreviousHandle,
}
}

xdr_struct! {
/// Arguments of OPEN (RFC 8881 §18.16).
pub struct OpenArgs<'a> = "OPEN4args" {
    /// Ignored since NFSv4.1.
    seqid: u32 = "seqid",
    /// Bits of [`share_access`].
    share_access: u32 = "share_access",
    /// Bits of [`share_deny`].
    share_deny: u32 = "share_deny",
    owner: StateOwner<'a> = "owner",
    how: OpenHow<'a> = "openhow",
    claim: OpenClaim<'a> = "claim",
}
}

xdr_struct! {
/// An access control entry.
pub struct AccessControlEntry<'a> = "nfsace4" {
    entry_type: u32 = "type",
    flag: u32 = "flag",
    access_mask: u32 = "access_mask",
    who: Opaque<'a, WHO_MAX> = "who",
}
}

xdr_struct! {
/// A read delegation.
pub struct ReadDelegation<'a> = "open_read_delegation4" {
    stateid: Stateid = "stateid",
    recall: bool = "recall",
    permissions: AccessControlEntry<'a> = "permissions",
}
}

xdr_struct! {
/// A space limit as a number of blocks.
pub struct ModifiedLimit = "nfs_modified_limit4" {
    blocks: u32 = "num_blocks",
    bytes_per_block: u32 = "bytes_per_block",
}
}

xdr_union! {
/// How much a client may write before it must flush at CLOSE.
pub union SpaceLimit = "nfs_space_limit4" {
    case 1 "NFS_LIMIT_SIZE" => Size(u64),
    case 2 "NFS_LIMIT_BLOCKS" => Blocks(ModifiedLimit),
}
}

xdr_struct! {
/// A write delegation.
pub struct WriteDelegation<'a> = "open_write_delegation4" {
    stateid: Stateid = "stateid",
    recall: bool = "recall",
    space_limit: SpaceLimit = "space_limit",
    permissions: AccessControlEntry<'a> = "permissions",
}
}

xdr_union! {
/// Why there is no delegation.
pub union NoDelegation = "open_none_delegation4" {
    case 0 "WND4_NOT_WANTED" => NotWanted,
    /// Whether the server will push one when the contention ends.
    case 1 "WND4_CONTENTION" => Contention(bool),
    /// Whether the server will signal when it can give one.
    case 2 "WND4_RESOURCE" => Resource(bool),
    case 3 "WND4_NOT_SUPP_FTYPE" => FileTypeNotSupported,
    case 4 "WND4_WRITE_DELEG_NOT_SUPP_FTYPE" => WriteNotSupportedForFileType,
    case 5 "WND4_NOT_SUPP_UPGRADE" => UpgradeNotSupported,
    case 6 "WND4_NOT_SUPP_DOWNGRADE" => DowngradeNotSupported,
    case 7 "WND4_CANCELLED" => Cancelled,
    case 8 "WND4_IS_DIR" => IsDirectory,
}
}

xdr_union! {
/// A delegation, or why there is none.
pub union OpenDelegation<'a> = "open_delegation4" {
    case 0 "OPEN_DELEGATE_NONE" => None,
    case 1 "OPEN_DELEGATE_READ" => Read(ReadDelegation<'a>),
    case 2 "OPEN_DELEGATE_WRITE" => Write(WriteDelegation<'a>),
    case 3 "OPEN_DELEGATE_NONE_EXT" => NoneExt(NoDelegation),
    case 4 "OPEN_DELEGATE_READ_ATTRS_DELEG" => ReadAttributes(ReadDelegation<'a>),
    case 5 "OPEN_DELEGATE_WRITE_ATTRS_DELEG" => WriteAttributes(WriteDelegation<'a>),
}
}

xdr_struct! {
/// Result of OPEN.
pub struct OpenResult<'a> = "OPEN4resok" {
    stateid: Stateid = "stateid",
    /// The directory's change; zeros when no directory took part.
    change_info: ChangeInfo = "cinfo",
    /// Bits of [`open_result_flags`].
    flags: u32 = "rflags",
    /// Attributes set at creation; for EXCLUSIVE4, those that hold the verifier.
    attributes_set: Bitmap = "attrset",
    delegation: OpenDelegation<'a> = "delegation",
}
}

xdr_struct! {
/// Arguments of OPENATTR (RFC 8881 §18.17).
pub struct OpenAttrArgs = "OPENATTR4args" {
    create_directory: bool = "createdir",
}
}

xdr_struct! {
/// Arguments of OPEN_DOWNGRADE (RFC 8881 §18.18).
pub struct OpenDowngradeArgs = "OPEN_DOWNGRADE4args" {
    stateid: Stateid = "open_stateid",
    seqid: u32 = "seqid",
    share_access: u32 = "share_access",
    share_deny: u32 = "share_deny",
}
}

xdr_struct! {
/// Result of OPEN_DOWNGRADE.
pub struct OpenDowngradeResult = "OPEN_DOWNGRADE4resok" {
    stateid: Stateid = "open_stateid",
}
}

xdr_struct! {
/// Arguments of CLOSE (RFC 8881 §18.2). Its result is a [`Stateid`], which is of no use.
pub struct CloseArgs = "CLOSE4args" {
    seqid: u32 = "seqid",
    stateid: Stateid = "open_stateid",
}
}
