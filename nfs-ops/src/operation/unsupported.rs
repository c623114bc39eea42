//! Operations this server does not have yet. Their arguments are read all the same, so that malformed calls are told
//! from merely unsupported ones. `docs/CONFORMANCE.md` lists them for users.

use wire::nfs4::{GetDirDelegationArgs, GetDirDelegationResult, Status};
use wire::xdr::{Decode, Decoder, Encoder};

use crate::failure::Failure;

/// An operation that the minor version leaves to the server: `NFS4ERR_NOTSUPP`.
pub fn optional<'a, T: Decode<'a>>(decoder: &mut Decoder<'a>) -> Result<(), Failure> {
    refuse::<T>(decoder, Status::Notsupp)
}

/// An operation on a stateid that this server cannot have given out, or on what it never offers.
pub fn refuse<'a, T: Decode<'a>>(decoder: &mut Decoder<'a>, status: Status) -> Result<(), Failure> {
    decoder.get::<T>()?;
    Err(status.into())
}

/// GET_DIR_DELEGATION: none to be had now, which is no failure (RFC 8881 §18.39.3). Linux asks within the GETATTR of
/// a directory, and any other answer would fail that.
pub fn directory_delegation(decoder: &mut Decoder<'_>, reply: &mut Encoder) -> Result<(), Failure> {
    decoder.get::<GetDirDelegationArgs>()?;
    reply.put(&GetDirDelegationResult::Unavailable(false))?;
    Ok(())
}
