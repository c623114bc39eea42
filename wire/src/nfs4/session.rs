//! Client ids, sessions and their connections (RFC 8881 §18.33 to §18.37, §18.46 to §18.51).

use super::{
    Bitmap, ClientId, NfsTime, OPAQUE_MAX, OpaqueOwner, SequenceId, SessionId, SlotId, Stateid, Status,
    Verifier,
};
use crate::rpc::AuthSys;
use crate::xdr::{List, Opaque, xdr_constants, xdr_enum, xdr_struct, xdr_union};

/// Callback security triples accepted in one list; there are three flavors and no reason to repeat one.
pub const CALLBACK_SECURITY_MAX: usize = 8;
/// Algorithm identifiers accepted in SSV parameters.
const ALGORITHMS_MAX: usize = 16;
/// Longest object identifier, GSS handle or SSV accepted, in bytes.
const TOKEN_MAX: usize = 4096;
/// GSS handles accepted in SSV results.
const GSS_HANDLES_MAX: usize = 64;
/// Stateids accepted in one TEST_STATEID; Linux sends one.
pub const TEST_STATEIDS_MAX: usize = 4096;

xdr_constants! {
/// Flags of EXCHANGE_ID.
pub mod exchange_flags: u32 {
    SUPP_MOVED_REFER = 0x0000_0001 "EXCHGID4_FLAG_SUPP_MOVED_REFER",
    SUPP_MOVED_MIGR = 0x0000_0002 "EXCHGID4_FLAG_SUPP_MOVED_MIGR",
    SUPP_FENCE_OPS = 0x0000_0004 "EXCHGID4_FLAG_SUPP_FENCE_OPS",
    BIND_PRINC_STATEID = 0x0000_0100 "EXCHGID4_FLAG_BIND_PRINC_STATEID",
    USE_NON_PNFS = 0x0001_0000 "EXCHGID4_FLAG_USE_NON_PNFS",
    USE_PNFS_MDS = 0x0002_0000 "EXCHGID4_FLAG_USE_PNFS_MDS",
    USE_PNFS_DS = 0x0004_0000 "EXCHGID4_FLAG_USE_PNFS_DS",
    MASK_PNFS = 0x0007_0000 "EXCHGID4_FLAG_MASK_PNFS",
    UPD_CONFIRMED_REC_A = 0x4000_0000 "EXCHGID4_FLAG_UPD_CONFIRMED_REC_A",
    CONFIRMED_R = 0x8000_0000 "EXCHGID4_FLAG_CONFIRMED_R",
}
}

xdr_constants! {
/// Flags of CREATE_SESSION.
pub mod create_session_flags: u32 {
    PERSIST = 0x1 "CREATE_SESSION4_FLAG_PERSIST",
    CONN_BACK_CHAN = 0x2 "CREATE_SESSION4_FLAG_CONN_BACK_CHAN",
    CONN_RDMA = 0x4 "CREATE_SESSION4_FLAG_CONN_RDMA",
}
}

xdr_constants! {
/// Bits of the status that SEQUENCE returns.
pub mod sequence_status: u32 {
    CB_PATH_DOWN = 0x0000_0001 "SEQ4_STATUS_CB_PATH_DOWN",
    CB_GSS_CONTEXTS_EXPIRING = 0x0000_0002 "SEQ4_STATUS_CB_GSS_CONTEXTS_EXPIRING",
    CB_GSS_CONTEXTS_EXPIRED = 0x0000_0004 "SEQ4_STATUS_CB_GSS_CONTEXTS_EXPIRED",
    EXPIRED_ALL_STATE_REVOKED = 0x0000_0008 "SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED",
    EXPIRED_SOME_STATE_REVOKED = 0x0000_0010 "SEQ4_STATUS_EXPIRED_SOME_STATE_REVOKED",
    ADMIN_STATE_REVOKED = 0x0000_0020 "SEQ4_STATUS_ADMIN_STATE_REVOKED",
    RECALLABLE_STATE_REVOKED = 0x0000_0040 "SEQ4_STATUS_RECALLABLE_STATE_REVOKED",
    LEASE_MOVED = 0x0000_0080 "SEQ4_STATUS_LEASE_MOVED",
    RESTART_RECLAIM_NEEDED = 0x0000_0100 "SEQ4_STATUS_RESTART_RECLAIM_NEEDED",
    CB_PATH_DOWN_SESSION = 0x0000_0200 "SEQ4_STATUS_CB_PATH_DOWN_SESSION",
    BACKCHANNEL_FAULT = 0x0000_0400 "SEQ4_STATUS_BACKCHANNEL_FAULT",
    DEVID_CHANGED = 0x0000_0800 "SEQ4_STATUS_DEVID_CHANGED",
    DEVID_DELETED = 0x0000_1000 "SEQ4_STATUS_DEVID_DELETED",
}
}

xdr_struct! {
/// How a client names itself.
pub struct ClientOwner<'a> = "client_owner4" {
    /// Changes with every start of the client.
    verifier: Verifier = "co_verifier",
    /// Stays over starts.
    owner_id: OpaqueOwner<'a> = "co_ownerid",
}
}

xdr_struct! {
/// How a server names itself; equal major ids on two addresses make them one server.
pub struct ServerOwner<'a> = "server_owner4" {
    minor_id: u64 = "so_minor_id",
    major_id: Opaque<'a, OPAQUE_MAX> = "so_major_id",
}
}

xdr_struct! {
/// Who wrote an implementation, and when.
pub struct ImplementationId<'a> = "nfs_impl_id4" {
    domain: Opaque<'a, OPAQUE_MAX> = "nii_domain",
    name: Opaque<'a, OPAQUE_MAX> = "nii_name",
    date: NfsTime = "nii_date",
}
}

xdr_struct! {
/// Operations to be guarded by state protection.
pub struct StateProtectOperations = "state_protect_ops4" {
    must_enforce: Bitmap = "spo_must_enforce",
    must_allow: Bitmap = "spo_must_allow",
}
}

xdr_struct! {
/// What a client asks of SSV state protection.
pub struct SsvParameters<'a> = "ssv_sp_parms4" {
    operations: StateProtectOperations = "ssp_ops",
    hash_algorithms: List<Opaque<'a, TOKEN_MAX>, ALGORITHMS_MAX> = "ssp_hash_algs",
    encryption_algorithms: List<Opaque<'a, TOKEN_MAX>, ALGORITHMS_MAX> = "ssp_encr_algs",
    window: u32 = "ssp_window",
    gss_handles: u32 = "ssp_num_gss_handles",
}
}

xdr_union! {
/// State protection as a client asks for it.
pub union StateProtectArgs<'a> = "state_protect4_a" {
    case 0 "SP4_NONE" => None,
    case 1 "SP4_MACH_CRED" => MachineCredential(StateProtectOperations),
    case 2 "SP4_SSV" => Ssv(SsvParameters<'a>),
}
}

xdr_struct! {
/// Arguments of EXCHANGE_ID (RFC 8881 §18.35).
pub struct ExchangeIdArgs<'a> = "EXCHANGE_ID4args" {
    client_owner: ClientOwner<'a> = "eia_clientowner",
    flags: u32 = "eia_flags",
    state_protect: StateProtectArgs<'a> = "eia_state_protect",
    implementation: Option<ImplementationId<'a>> = "eia_client_impl_id",
}
}

xdr_struct! {
/// What a server grants of SSV state protection.
pub struct SsvProtection<'a> = "ssv_prot_info4" {
    operations: StateProtectOperations = "spi_ops",
    hash_algorithm: u32 = "spi_hash_alg",
    encryption_algorithm: u32 = "spi_encr_alg",
    ssv_len: u32 = "spi_ssv_len",
    window: u32 = "spi_window",
    handles: List<Opaque<'a, TOKEN_MAX>, GSS_HANDLES_MAX> = "spi_handles",
}
}

xdr_union! {
/// State protection as a server grants it.
pub union StateProtectResult<'a> = "state_protect4_r" {
    case 0 "SP4_NONE" => None,
    case 1 "SP4_MACH_CRED" => MachineCredential(StateProtectOperations),
    case 2 "SP4_SSV" => Ssv(SsvProtection<'a>),
}
}

xdr_struct! {
/// Result of EXCHANGE_ID.
pub struct ExchangeIdResult<'a> = "EXCHANGE_ID4resok" {
    client_id: ClientId = "eir_clientid",
    /// For the client's first CREATE_SESSION.
    sequence_id: SequenceId = "eir_sequenceid",
    flags: u32 = "eir_flags",
    state_protect: StateProtectResult<'a> = "eir_state_protect",
    server_owner: ServerOwner<'a> = "eir_server_owner",
    server_scope: Opaque<'a, OPAQUE_MAX> = "eir_server_scope",
    implementation: Option<ImplementationId<'a>> = "eir_server_impl_id",
}
}

xdr_struct! {
/// Sizes of a session's channel, in bytes and counts.
#[derive(Copy)]
pub struct ChannelAttributes = "channel_attrs4" {
    header_pad_size: u32 = "ca_headerpadsize",
    request_size_max: u32 = "ca_maxrequestsize",
    response_size_max: u32 = "ca_maxresponsesize",
    response_size_max_cached: u32 = "ca_maxresponsesize_cached",
    operations_max: u32 = "ca_maxoperations",
    /// Slots.
    requests_max: u32 = "ca_maxrequests",
    rdma_ird: Option<u32> = "ca_rdma_ird",
}
}

xdr_enum! {
/// Services of RPCSEC_GSS.
pub enum GssService = "rpc_gss_svc_t" {
    None = 1 "RPC_GSS_SVC_NONE",
    Integrity = 2 "RPC_GSS_SVC_INTEGRITY",
    Privacy = 3 "RPC_GSS_SVC_PRIVACY",
}
}

xdr_struct! {
/// GSS contexts for callbacks.
pub struct GssCallbackHandles<'a> = "gss_cb_handles4" {
    service: GssService = "gcbp_service",
    handle_from_server: Opaque<'a, TOKEN_MAX> = "gcbp_handle_from_server",
    handle_from_client: Opaque<'a, TOKEN_MAX> = "gcbp_handle_from_client",
}
}

xdr_union! {
/// A credential that a server may use for callbacks.
pub union CallbackSecurity<'a> = "callback_sec_parms4" {
    case 0 "AUTH_NONE" => None,
    case 1 "AUTH_SYS" => Sys(AuthSys<'a>),
    case 6 "RPCSEC_GSS" => Gss(GssCallbackHandles<'a>),
}
}

xdr_struct! {
/// Arguments of CREATE_SESSION (RFC 8881 §18.36).
pub struct CreateSessionArgs<'a> = "CREATE_SESSION4args" {
    client_id: ClientId = "csa_clientid",
    sequence: SequenceId = "csa_sequence",
    flags: u32 = "csa_flags",
    fore_channel: ChannelAttributes = "csa_fore_chan_attrs",
    back_channel: ChannelAttributes = "csa_back_chan_attrs",
    /// RPC program number for callbacks.
    callback_program: u32 = "csa_cb_program",
    callback_security: List<CallbackSecurity<'a>, CALLBACK_SECURITY_MAX> = "csa_sec_parms",
}
}

xdr_struct! {
/// Result of CREATE_SESSION.
pub struct CreateSessionResult = "CREATE_SESSION4resok" {
    session_id: SessionId = "csr_sessionid",
    sequence: SequenceId = "csr_sequence",
    flags: u32 = "csr_flags",
    fore_channel: ChannelAttributes = "csr_fore_chan_attrs",
    back_channel: ChannelAttributes = "csr_back_chan_attrs",
}
}

xdr_struct! {
/// Arguments of DESTROY_SESSION (RFC 8881 §18.37).
pub struct DestroySessionArgs = "DESTROY_SESSION4args" {
    session_id: SessionId = "dsa_sessionid",
}
}

xdr_struct! {
/// Arguments of DESTROY_CLIENTID (RFC 8881 §18.50).
pub struct DestroyClientIdArgs = "DESTROY_CLIENTID4args" {
    client_id: ClientId = "dca_clientid",
}
}

xdr_struct! {
/// Arguments of SEQUENCE (RFC 8881 §18.46).
#[derive(Copy)]
pub struct SequenceArgs = "SEQUENCE4args" {
    session_id: SessionId = "sa_sessionid",
    sequence_id: SequenceId = "sa_sequenceid",
    slot_id: SlotId = "sa_slotid",
    highest_slot_id: SlotId = "sa_highest_slotid",
    /// The reply must be kept for a retry.
    cache_this: bool = "sa_cachethis",
}
}

xdr_struct! {
/// Result of SEQUENCE.
#[derive(Copy)]
pub struct SequenceResult = "SEQUENCE4resok" {
    session_id: SessionId = "sr_sessionid",
    sequence_id: SequenceId = "sr_sequenceid",
    slot_id: SlotId = "sr_slotid",
    highest_slot_id: SlotId = "sr_highest_slotid",
    target_highest_slot_id: SlotId = "sr_target_highest_slotid",
    /// Bits of [`sequence_status`].
    status_flags: u32 = "sr_status_flags",
}
}

xdr_enum! {
/// Channels that a client wants a connection for.
pub enum ChannelDirectionArgs = "channel_dir_from_client4" {
    Fore = 1 "CDFC4_FORE",
    Back = 2 "CDFC4_BACK",
    ForeOrBoth = 3 "CDFC4_FORE_OR_BOTH",
    BackOrBoth = 7 "CDFC4_BACK_OR_BOTH",
}
}

xdr_enum! {
/// Channels that a connection now serves.
pub enum ChannelDirectionResult = "channel_dir_from_server4" {
    Fore = 1 "CDFS4_FORE",
    Back = 2 "CDFS4_BACK",
    Both = 3 "CDFS4_BOTH",
}
}

xdr_struct! {
/// Arguments of BIND_CONN_TO_SESSION (RFC 8881 §18.34).
pub struct BindConnToSessionArgs = "BIND_CONN_TO_SESSION4args" {
    session_id: SessionId = "bctsa_sessid",
    direction: ChannelDirectionArgs = "bctsa_dir",
    use_rdma: bool = "bctsa_use_conn_in_rdma_mode",
}
}

xdr_struct! {
/// Result of BIND_CONN_TO_SESSION.
pub struct BindConnToSessionResult = "BIND_CONN_TO_SESSION4resok" {
    session_id: SessionId = "bctsr_sessid",
    direction: ChannelDirectionResult = "bctsr_dir",
    use_rdma: bool = "bctsr_use_conn_in_rdma_mode",
}
}

xdr_struct! {
/// Arguments of BACKCHANNEL_CTL (RFC 8881 §18.33).
pub struct BackchannelCtlArgs<'a> = "BACKCHANNEL_CTL4args" {
    callback_program: u32 = "bca_cb_program",
    callback_security: List<CallbackSecurity<'a>, CALLBACK_SECURITY_MAX> = "bca_sec_parms",
}
}

xdr_struct! {
/// Arguments of RECLAIM_COMPLETE (RFC 8881 §18.51).
pub struct ReclaimCompleteArgs = "RECLAIM_COMPLETE4args" {
    /// Only for the current file handle's file system.
    one_fs: bool = "rca_one_fs",
}
}

xdr_struct! {
/// Arguments of SET_SSV (RFC 8881 §18.47).
pub struct SetSsvArgs<'a> = "SET_SSV4args" {
    ssv: Opaque<'a, TOKEN_MAX> = "ssa_ssv",
    digest: Opaque<'a, TOKEN_MAX> = "ssa_digest",
}
}

xdr_struct! {
/// Arguments of FREE_STATEID (RFC 8881 §18.38).
pub struct FreeStateidArgs = "FREE_STATEID4args" {
    stateid: Stateid = "fsa_stateid",
}
}

xdr_struct! {
/// Arguments of TEST_STATEID (RFC 8881 §18.48).
pub struct TestStateidArgs = "TEST_STATEID4args" {
    stateids: List<Stateid, TEST_STATEIDS_MAX> = "ts_stateids",
}
}

xdr_struct! {
/// Result of TEST_STATEID: a status for each stateid, in order.
pub struct TestStateidResult = "TEST_STATEID4resok" {
    statuses: List<Status, TEST_STATEIDS_MAX> = "tsr_status_codes",
}
}
