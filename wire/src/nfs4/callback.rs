//! Callbacks: the server as caller (RFC 8881 §20, RFC 7862 §16). Both directions, for the server sends them
//! and the client answers them.

use super::arguments::arguments;
use super::compound::Tag;
use super::copy::WriteResponse;
use super::open::StateOwner;
use super::{Bitmap, FileHandle, SequenceId, SessionId, SlotId, Stateid, Status};
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, List, NoRoom, xdr_enum, xdr_struct};

/// RPC version of the callback program; its number is the client's choice.
pub const CALLBACK_VERSION: u32 = 1;
/// Procedure that does nothing.
pub const CALLBACK_PROCEDURE_NULL: u32 = 0;
/// Procedure that carries operations.
pub const CALLBACK_PROCEDURE_COMPOUND: u32 = 1;
/// Lists of referring calls, and calls in a list, accepted in one CB_SEQUENCE.
const REFERRING_MAX: usize = 1024;

xdr_enum! {
/// An operation of CB_COMPOUND.
pub enum CallbackOperation = "nfs_cb_opnum4" {
    GetAttr = 3 "OP_CB_GETATTR",
    Recall = 4 "OP_CB_RECALL",
    LayoutRecall = 5 "OP_CB_LAYOUTRECALL",
    Notify = 6 "OP_CB_NOTIFY",
    PushDeleg = 7 "OP_CB_PUSH_DELEG",
    RecallAny = 8 "OP_CB_RECALL_ANY",
    RecallableObjAvail = 9 "OP_CB_RECALLABLE_OBJ_AVAIL",
    RecallSlot = 10 "OP_CB_RECALL_SLOT",
    Sequence = 11 "OP_CB_SEQUENCE",
    WantsCancelled = 12 "OP_CB_WANTS_CANCELLED",
    NotifyLock = 13 "OP_CB_NOTIFY_LOCK",
    NotifyDeviceId = 14 "OP_CB_NOTIFY_DEVICEID",
    Offload = 15 "OP_CB_OFFLOAD",
    Illegal = 10044 "OP_CB_ILLEGAL",
}
}

impl CallbackOperation {
    /// Reads an operation's number; one that is not defined is [`CallbackOperation::Illegal`].
    ///
    /// # Errors
    /// [`Error::Short`].
    pub fn decode_or_illegal(decoder: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(Self::from_u32(decoder.u32()?).unwrap_or(Self::Illegal))
    }
}

/// What precedes the operations of a CB_COMPOUND. Its results have the frame of COMPOUND's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackCompoundArgs<'a> {
    /// For humans who read captures.
    pub tag: Tag<'a>,
    /// Minor version.
    pub minor_version: u32,
    /// Of no meaning since NFSv4.1.
    pub callback_ident: u32,
    /// How many operations follow, as the peer claims.
    pub operations: u32,
}

impl Encode for CallbackCompoundArgs<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put(&self.tag)?;
        encoder.put_u32(self.minor_version)?;
        encoder.put_u32(self.callback_ident)?;
        encoder.put_u32(self.operations)
    }
}

impl<'a> Decode<'a> for CallbackCompoundArgs<'a> {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(CallbackCompoundArgs {
            tag: decoder.get()?,
            minor_version: decoder.u32()?,
            callback_ident: decoder.u32()?,
            operations: decoder.u32()?,
        })
    }
}

xdr_struct! {
/// A call on the fore channel whose effect this callback may overtake.
#[derive(Copy)]
pub struct ReferringCall = "referring_call4" {
    sequence_id: SequenceId = "rc_sequenceid",
    slot_id: SlotId = "rc_slotid",
}
}

xdr_struct! {
/// Such calls of one session.
pub struct ReferringCallList = "referring_call_list4" {
    session_id: SessionId = "rcl_sessionid",
    calls: List<ReferringCall, REFERRING_MAX> = "rcl_referring_calls",
}
}

xdr_struct! {
/// Arguments of CB_SEQUENCE (RFC 8881 §20.9).
pub struct CallbackSequenceArgs = "CB_SEQUENCE4args" {
    session_id: SessionId = "csa_sessionid",
    sequence_id: SequenceId = "csa_sequenceid",
    slot_id: SlotId = "csa_slotid",
    highest_slot_id: SlotId = "csa_highest_slotid",
    cache_this: bool = "csa_cachethis",
    referring_calls: List<ReferringCallList, REFERRING_MAX> = "csa_referring_call_lists",
}
}

xdr_struct! {
/// Result of CB_SEQUENCE.
#[derive(Copy)]
pub struct CallbackSequenceResult = "CB_SEQUENCE4resok" {
    session_id: SessionId = "csr_sessionid",
    sequence_id: SequenceId = "csr_sequenceid",
    slot_id: SlotId = "csr_slotid",
    highest_slot_id: SlotId = "csr_highest_slotid",
    target_highest_slot_id: SlotId = "csr_target_highest_slotid",
}
}

xdr_struct! {
/// Arguments of CB_GETATTR (RFC 8881 §20.1). Its result is a fattr4.
pub struct CallbackGetAttrArgs = "CB_GETATTR4args" {
    handle: FileHandle = "fh",
    requested: Bitmap = "attr_request",
}
}

xdr_struct! {
/// Arguments of CB_RECALL (RFC 8881 §20.2).
pub struct CallbackRecallArgs = "CB_RECALL4args" {
    stateid: Stateid = "stateid",
    truncate: bool = "truncate",
    handle: FileHandle = "fh",
}
}

xdr_struct! {
/// Arguments of CB_RECALL_ANY (RFC 8881 §20.6).
pub struct CallbackRecallAnyArgs = "CB_RECALL_ANY4args" {
    objects_to_keep: u32 = "craa_objects_to_keep",
    type_mask: Bitmap = "craa_type_mask",
}
}

xdr_struct! {
/// Arguments of CB_RECALL_SLOT (RFC 8881 §20.8).
#[derive(Copy)]
pub struct CallbackRecallSlotArgs = "CB_RECALL_SLOT4args" {
    target_highest_slot_id: SlotId = "rsa_target_highest_slotid",
}
}

xdr_struct! {
/// Arguments of CB_NOTIFY_LOCK (RFC 8881 §20.11).
pub struct CallbackNotifyLockArgs<'a> = "CB_NOTIFY_LOCK4args" {
    handle: FileHandle = "cnla_fh",
    lock_owner: StateOwner<'a> = "cnla_lock_owner",
}
}

/// How a copy ended (`offload_info4`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffloadInfo {
    /// All was copied.
    Done(WriteResponse),
    /// The copy failed.
    Failed {
        /// Why; not [`Status::Ok`].
        status: Status,
        /// Bytes copied before.
        bytes_copied: u64,
    },
}

impl Encode for OffloadInfo {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        match self {
            OffloadInfo::Done(response) => {
                encoder.put(&Status::Ok)?;
                encoder.put(response)
            }
            OffloadInfo::Failed { status, bytes_copied } => {
                debug_assert!(!status.is_ok(), "a copy that failed has a status that says so");
                encoder.put(status)?;
                encoder.put_u64(*bytes_copied)
            }
        }
    }
}

impl<'a> Decode<'a> for OffloadInfo {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        match decoder.get()? {
            Status::Ok => decoder.get().map(OffloadInfo::Done),
            status => Ok(OffloadInfo::Failed { status, bytes_copied: decoder.u64()? }),
        }
    }
}

xdr_struct! {
/// Arguments of CB_OFFLOAD (RFC 7862 §16.1).
pub struct CallbackOffloadArgs = "CB_OFFLOAD4args" {
    handle: FileHandle = "coa_fh",
    stateid: Stateid = "coa_stateid",
    info: OffloadInfo = "coa_offload_info",
}
}

arguments! {
    /// Arguments of one callback operation. The others are answered NOTSUPP by our client and never sent by
    /// our server, so they are not decoded.
    enum CallbackArguments of CallbackOperation {
        GetAttr(CallbackGetAttrArgs),
        Recall(CallbackRecallArgs),
        RecallAny(CallbackRecallAnyArgs),
        RecallSlot(CallbackRecallSlotArgs),
        Sequence(CallbackSequenceArgs),
        NotifyLock(CallbackNotifyLockArgs<'a>),
        Offload(CallbackOffloadArgs),
    } undecoded {
        LayoutRecall,
        Notify,
        PushDeleg,
        RecallableObjAvail,
        WantsCancelled,
        NotifyDeviceId,
        Illegal,
    }
}
