//! ONC RPC version 2 (RFC 5531): call and reply headers with AUTH_NONE and AUTH_SYS.

mod call;
mod credential;
mod reply;

pub use call::{CallError, CallHeader, Direction};
pub use credential::{
    AUTH_BODY_MAX, AUTH_NONE, AUTH_SYS, AUTH_TLS, AuthSys, Credential, GIDS_MAX, Gids, MACHINE_NAME_MAX,
    OpaqueAuth, RPCSEC_GSS,
};
pub use reply::{Accepted, AuthStatus, Denied, ReplyBody, ReplyHeader};

/// The RPC version spoken here.
pub const RPC_VERSION: u32 = 2;
