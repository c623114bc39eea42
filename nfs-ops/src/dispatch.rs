//! From an RPC call to the program that answers it (RFC 5531 §9).

use std::rc::Rc;

use rpc::{Call, ConnectionId, Insert, Outcome, Reply, Service};
use smallvec::SmallVec;
use vfs::Vfs;
use wire::nfs4;
use wire::rpc::{
    AUTH_NONE, Accepted, AuthStatus, CallError, CallHeader, Denied, OpaqueAuth, PROBE_ANSWER, RPC_VERSION,
    ReplyBody, ReplyHeader,
};
use wire::xdr::{Cut, Decoder, Encoder};

use crate::compound;
use crate::env::{Backchannel, Env};
use crate::server::Server;

/// Room for a reply before SEQUENCE has told what the session allows: an error, EXCHANGE_ID, CREATE_SESSION.
const REPLY_BYTES_BEFORE_SESSION: usize = 64 * 1024;

/// Bytes that the head of a reply is likely to have.
const REPLY_BYTES_FIRST: usize = 512;

/// The NFS service of one core, as a transport sees it.
pub struct NfsService<V: Vfs, E>(pub Rc<Server<V, E>>);

impl<V: Vfs, E: Env + Backchannel> Service for NfsService<V, E> {
    async fn call(&self, call: Call) -> Outcome {
        let cuts: SmallVec<[Cut; 1]> = call.payloads.iter().map(|payload| payload.cut).collect();
        let head = call.head.clone();
        let mut decoder = Decoder::with_cuts(&head, &cuts);
        let (header, items) = match CallHeader::decode_annotated(&mut decoder) {
            Ok(decoded) => decoded,
            // There is nothing to answer, and no request is dropped without breaking its connection (RFC 8881 §2.9.2).
            Err(CallError::Garbage(_)) => return Outcome::Disconnect,
            Err(CallError::RpcMismatch { xid }) => {
                return answer(&ReplyHeader::denied(xid, Denied::RpcMismatch((RPC_VERSION, RPC_VERSION))));
            }
            Err(CallError::BadCredential { xid }) => return denied(xid, AuthStatus::BadCred),
        };
        if items.is_some() && !self.0.shared.settings.annotations {
            return denied(header.xid, AuthStatus::BadCred);
        }
        if header.is_annotation_probe()
            && header.procedure == nfs4::PROCEDURE_NULL
            && self.0.shared.settings.annotations
        {
            return answer_probe(&header);
        }
        let Some(caller) = self.0.callers.of(&header.credential) else {
            return denied(header.xid, AuthStatus::BadCred);
        };
        if let Some(refusal) = refuse_program(&header) {
            return answer(&ReplyHeader::accepted(header.xid, refusal));
        }
        let mut reply = Encoder::new(rpc::take_head(REPLY_BYTES_FIRST), REPLY_BYTES_BEFORE_SESSION);
        reply
            .put(&ReplyHeader::accepted(header.xid, Accepted::Success))
            .expect("an empty reply has room for its header");
        if header.procedure == nfs4::PROCEDURE_NULL {
            return Outcome::Reply(Reply::new(reply.finish().head));
        }
        let outcome = match compound::run(&self.0, caller, call, items, &mut decoder, &mut reply).await {
            Ok(data) => {
                let encoded = reply.finish();
                let positions = encoded.inserts.iter().map(|insert| insert.position);
                let inserts = positions.zip(data).map(|(position, data)| Insert { position, data }).collect();
                Outcome::Reply(Reply { head: encoded.head, inserts })
            }
            Err(_) => answer(&ReplyHeader::accepted(header.xid, Accepted::GarbageArgs)),
        };
        rpc::keep_frozen_head(head);
        outcome
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.0.disconnected(connection);
    }
}

/// Says that annotations are understood (docs/ANNOTATIONS.md §3.2).
fn answer_probe(header: &CallHeader<'_>) -> Outcome {
    let verifier = OpaqueAuth { flavor: AUTH_NONE, body: PROBE_ANSWER.into() };
    let status = refuse_program(header).unwrap_or(Accepted::Success);
    answer(&ReplyHeader { xid: header.xid, body: ReplyBody::Accepted { verifier, status } })
}

/// Why a well-formed call is for none of our procedures.
fn refuse_program(header: &CallHeader<'_>) -> Option<Accepted> {
    if header.program != nfs4::PROGRAM {
        Some(Accepted::ProgUnavail)
    } else if header.version != nfs4::VERSION {
        Some(Accepted::ProgMismatch((nfs4::VERSION, nfs4::VERSION)))
    } else if header.procedure > nfs4::PROCEDURE_COMPOUND {
        Some(Accepted::ProcUnavail)
    } else {
        None
    }
}

fn denied(xid: u32, status: AuthStatus) -> Outcome {
    answer(&ReplyHeader::denied(xid, Denied::Auth(status)))
}

fn answer(header: &ReplyHeader<'_>) -> Outcome {
    let mut reply = Encoder::new(rpc::take_head(REPLY_BYTES_FIRST), REPLY_BYTES_BEFORE_SESSION);
    reply.put(header).expect("an empty reply has room for its header");
    Outcome::Reply(Reply::new(reply.finish().head))
}
