//! Calls that must not be executed twice, and what becomes of one that comes again (RFC 1813 §4.5).

use std::rc::Rc;

use rpc::Peer;
use state::{CallBegin, CallClaim, CallKey};
use vfs::Vfs;
use wire::nfs3::Procedure;
use wire::xdr::{Decoder, Encoder};

use crate::env::{Backchannel, Env};
use crate::identity::Caller;
use crate::server::Server;

/// What is to be done with a call.
pub enum Begun {
    /// To be executed, and remembered if it is one of those.
    Execute(Option<CallClaim>),
    /// It came before; this was the reply.
    Replay(Vec<u8>),
    /// It came before, and others already wait for its reply.
    Discard,
}

/// Whether a procedure that is executed twice may have another effect or result than once.
fn must_not_be_repeated(procedure: Procedure) -> bool {
    matches!(
        procedure,
        Procedure::Setattr
            | Procedure::Create
            | Procedure::Mkdir
            | Procedure::Symlink
            | Procedure::Mknod
            | Procedure::Remove
            | Procedure::Rmdir
            | Procedure::Rename
            | Procedure::Link
    )
}

/// Looks whether the call with these arguments came before, over whatever connection; waits for the reply of one that is being
/// executed. Who calls is a part of the call, how the credential is written is not.
pub async fn begin<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    peer: &Peer,
    caller: &Caller,
    xid: u32,
    procedure: Procedure,
    arguments: &Decoder<'_>,
) -> Begun {
    if !must_not_be_repeated(procedure) {
        return Begun::Execute(None);
    }
    let duplicates = server.shared.state.duplicates();
    let (from, length) = (arguments.head_index(), arguments.remaining());
    let key = CallKey {
        address: peer.address.ip(),
        xid,
        procedure: procedure.number(),
        fingerprint: duplicates.fingerprint(&(caller, arguments.head_bytes(from..from + length))),
        length_bytes: u32::try_from(length).unwrap_or(u32::MAX),
    };
    loop {
        match duplicates.begin(key, server.env.now_ns()) {
            CallBegin::Execute(claim) => return Begun::Execute(Some(claim)),
            CallBegin::Replay(reply) => return Begun::Replay(reply),
            CallBegin::Discard => return Begun::Discard,
            CallBegin::InProgress(first) => {
                if let Some(reply) = first.await {
                    return Begun::Replay(reply);
                }
            }
        }
    }
}

/// Remembers the reply.
pub fn complete<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    claim: Option<CallClaim>,
    reply: &Encoder,
) {
    if let Some(claim) = claim {
        claim.complete(reply.head_from(0), server.env.now_ns());
    }
}
