//! ONC RPC version 2 (RFC 5531): call and reply headers with AUTH_NONE and AUTH_SYS, and the annotations of calls.

mod annotation;
mod call;
mod credential;
mod reply;
mod trace;

pub use annotation::{
    AREAS_MAX, AUTH_ANNOT, Annotations, BulkArea, BulkAreas, ITEMS_MAX, Item, Items, PROBE_ANSWER, Wrapper,
    annot_kind,
};
pub use call::{CallError, CallHeader, Direction};
pub use credential::{
    AUTH_BODY_MAX, AUTH_NONE, AUTH_SYS, AUTH_TLS, AuthSys, Credential, GIDS_MAX, Gids, MACHINE_NAME_MAX,
    OpaqueAuth, RPCSEC_GSS,
};
pub use reply::{Accepted, AuthStatus, Denied, ReplyBody, ReplyHeader};
pub use trace::{COMMAND_MAX, TRACE_TAG_MAX, TraceContext};

/// The RPC version spoken here.
pub const RPC_VERSION: u32 = 2;
