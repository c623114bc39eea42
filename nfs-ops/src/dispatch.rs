//! From an RPC call to the program that answers it (RFC 5531 §9).

use std::rc::Rc;

use rpc::{Bulks, Call, ConnectionId, Insert, Outcome, Reply, Service};
use smallvec::SmallVec;
use vfs::Vfs;
use wire::nfs4;
use wire::rpc::{
    AUTH_NONE, Accepted, AuthStatus, CallError, CallHeader, Denied, OpaqueAuth, PROBE_ANSWER, RPC_VERSION,
    ReplyBody, ReplyHeader,
};
use wire::xdr::{Cut, Decoder, Encoder};

use crate::env::{Backchannel, Env};
use crate::procedure::{self, Answer};
use crate::program::{self, Target};
use crate::server::Server;
use crate::{callback, compound, mount};

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
        let target = match program::target(&header) {
            Ok(target) => target,
            Err(refusal) => return answer(&ReplyHeader::accepted(header.xid, refusal)),
        };
        let mut reply = Encoder::new(rpc::take_head(REPLY_BYTES_FIRST), REPLY_BYTES_BEFORE_SESSION);
        reply
            .put(&ReplyHeader::accepted(header.xid, Accepted::Success))
            .expect("an empty reply has room for its header");
        let (server, decoder) = (&self.0, &mut decoder);
        let answered = match target {
            Target::Null => {
                // Or its head could not be kept below.
                drop(call);
                Ok(Answer::Written(Bulks::new()))
            }
            Target::Compound => {
                compound::run(server, caller, call, items, decoder, &mut reply).await.map(Answer::Written)
            }
            Target::Nfs3(procedure) => {
                let target = (header.xid, procedure);
                procedure::run(server, caller, call, target, items, decoder, &mut reply).await
            }
            Target::Mount(procedure) => mount::run(server, caller, call, procedure, decoder, &mut reply)
                .await
                .map(|()| Answer::Written(Bulks::new())),
        };
        callback::send_pending(server);
        let outcome = match answered {
            Ok(Answer::Written(data)) => {
                let encoded = reply.finish();
                let positions = encoded.inserts.iter().map(|insert| insert.position);
                let inserts = positions.zip(data).map(|(position, data)| Insert { position, data }).collect();
                Outcome::Reply(Reply { head: encoded.head, inserts })
            }
            Ok(Answer::Again(first)) => Outcome::Reply(Reply::new(first.as_slice().into())),
            Ok(Answer::Nothing) => Outcome::Discard,
            Err(_) => answer(&ReplyHeader::accepted(header.xid, Accepted::GarbageArgs)),
        };
        rpc::keep_frozen_head(head);
        outcome
    }

    fn unread(&self, connection: ConnectionId, is_unread: bool) {
        self.0.unread(connection, is_unread);
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.0.disconnected(connection);
    }
}

/// Says that annotations are understood (docs/ANNOTATIONS.md §3.2).
fn answer_probe(header: &CallHeader<'_>) -> Outcome {
    let verifier = OpaqueAuth { flavor: AUTH_NONE, body: PROBE_ANSWER.into() };
    let status = program::target(header).err().unwrap_or(Accepted::Success);
    answer(&ReplyHeader { xid: header.xid, body: ReplyBody::Accepted { verifier, status } })
}

fn denied(xid: u32, status: AuthStatus) -> Outcome {
    answer(&ReplyHeader::denied(xid, Denied::Auth(status)))
}

fn answer(header: &ReplyHeader<'_>) -> Outcome {
    let mut reply = Encoder::new(rpc::take_head(REPLY_BYTES_FIRST), REPLY_BYTES_BEFORE_SESSION);
    reply.put(header).expect("an empty reply has room for its header");
    Outcome::Reply(Reply::new(reply.finish().head))
}
