//! ONC RPC version 2 (RFC 5531): call and reply headers with AUTH_NONE and AUTH_SYS.

mod credential;

pub use credential::{
    AUTH_BODY_MAX, AUTH_NONE, AUTH_SYS, AUTH_TLS, AuthSys, Credential, GIDS_MAX, Gids, MACHINE_NAME_MAX,
    OpaqueAuth, RPCSEC_GSS,
};
