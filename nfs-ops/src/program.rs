//! The RPC programs that are served, and their versions and procedures.

use wire::rpc::{Accepted, CallHeader};
use wire::{mount3, nfs3, nfs4};

/// What a well-formed call is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The procedure of any program that does nothing (RFC 5531 §12).
    Null,
    /// COMPOUND.
    Compound,
    /// A procedure of NFSv3.
    Nfs3(nfs3::Procedure),
    /// A procedure of MOUNT.
    Mount(mount3::Procedure),
}

/// What the call is for. The side protocols of NFSv3 that are not served (NLM, NSM, NFS_ACL) are no programs here.
///
/// # Errors
/// Why it is for none of our procedures.
pub fn target(header: &CallHeader<'_>) -> Result<Target, Accepted> {
    let target = match (header.program, header.version) {
        (nfs4::PROGRAM, nfs4::VERSION) => {
            (header.procedure == nfs4::PROCEDURE_COMPOUND).then_some(Target::Compound)
        }
        (nfs3::PROGRAM, nfs3::VERSION) => nfs3::Procedure::from_u32(header.procedure).map(Target::Nfs3),
        (mount3::PROGRAM, mount3::VERSION) => {
            mount3::Procedure::from_u32(header.procedure).map(Target::Mount)
        }
        (nfs4::PROGRAM, _) => return Err(Accepted::ProgMismatch((nfs3::VERSION, nfs4::VERSION))),
        (mount3::PROGRAM, _) => return Err(Accepted::ProgMismatch((mount3::VERSION, mount3::VERSION))),
        _ => return Err(Accepted::ProgUnavail),
    };
    // All programs number it alike.
    let null = header.procedure == nfs4::PROCEDURE_NULL;
    if null { Ok(Target::Null) } else { target.ok_or(Accepted::ProcUnavail) }
}
