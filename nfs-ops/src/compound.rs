//! COMPOUND: operation after operation, until one fails (RFC 8881 §2.10, §15.2, §16.2).

use std::rc::Rc;

use qos::{Kind, Pass};
use rpc::{Bulks, Call};
use tracing::Instrument;
use vfs::Vfs;
use wire::nfs4::{
    Arguments, Bitmap, CompoundArgs, CompoundResultFrame, Operation, ResultHead, Stateid, Status,
};
use wire::rpc::Items;
use wire::xdr::{self, Decoder, Encoder};

use crate::annotation;
use crate::env::{Backchannel, Env};
use crate::export::Protocol;
use crate::failure::Failure;
use crate::identity::Caller;
use crate::object::{Object, Place};
use crate::operation;
use crate::request::Request;
use crate::sequence::{self, InSession};
use crate::server::Server;
use crate::table::{self, Effect, Needs, Position, Row};
use crate::trace;

/// Room kept behind every operation but the last, so that the next one can always say how it failed: its head, and
/// the bitmap that comes with every SETATTR.
pub const ERROR_BYTES: usize = ResultHead::LEN + xdr::UNIT;

/// The state of one compound between its operations.
pub struct Compound<V: Vfs, E> {
    /// What it has in common with requests of other protocols.
    pub request: Request<V, E>,
    /// Minor version, 1 or 2.
    pub minor: u32,
    /// How many operations the compound has.
    pub operations: u32,
    /// Whether the operation that runs is the last.
    pub is_last: bool,
    /// How many operations follow the one that runs.
    pub following: u32,
    /// The most bytes the reply may have.
    pub reply_bytes_max: usize,
    /// What the current file handle stands for.
    pub current: Option<Object<V>>,
    /// What the saved file handle stands for.
    pub saved: Option<Object<V>>,
    /// The current stateid (RFC 8881 §16.2.3.1.2).
    pub current_stateid: Option<Stateid>,
    /// The saved stateid.
    pub saved_stateid: Option<Stateid>,
    /// Session and slot, once SEQUENCE has claimed them.
    pub session: Option<InSession>,
}

/// Runs the compound in `decoder` and writes its result behind the RPC header in `reply`. Answers the bulk data to be
/// inserted.
///
/// # Errors
/// When the compound's own header cannot be decoded.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    caller: Rc<Caller>,
    call: Call,
    items: Option<Items<'_>>,
    decoder: &mut Decoder<'_>,
    reply: &mut Encoder,
) -> Result<Bulks, xdr::Error> {
    let header: CompoundArgs<'_> = decoder.get()?;
    let body_at = reply.position();
    let frame =
        CompoundResultFrame::begin(reply, &header.tag).expect("an empty reply has room for its frame");
    let Some(protocol) = Protocol::of_minor(header.minor_version) else {
        frame.finish(reply, Status::MinorVersMismatch, 0);
        return Ok(Bulks::new());
    };
    let context = annotation::trace(server, items, Some(&header.tag));
    let span = trace::of_call(&server.env, &call.peer, "COMPOUND", context);
    let mut request = Request::new(server, caller, call, protocol);
    request.areas = items.and_then(|items| annotation::areas(server, &items, request.call_bytes));
    let mut compound = Compound {
        request,
        minor: header.minor_version,
        operations: header.operations,
        is_last: false,
        following: header.operations,
        reply_bytes_max: reply.limit(),
        current: None,
        saved: None,
        current_stateid: None,
        saved_stateid: None,
        session: None,
    };
    let (status, count) = compound.run_operations(decoder, reply).instrument(span).await;
    annotation::finish(&mut compound.request);
    frame.finish(reply, status, count);
    Ok(sequence::finish(&mut compound, body_at, reply))
}

impl<V: Vfs, E: Env + Backchannel> Compound<V, E> {
    /// Runs operations until one fails or all are done; answers the last status and how many were answered.
    async fn run_operations(&mut self, decoder: &mut Decoder<'_>, reply: &mut Encoder) -> (Status, u32) {
        for index in 0..self.operations {
            let Ok(operation) = Operation::decode_or_illegal(decoder) else {
                return self.end_without_operation(index, reply);
            };
            let status = self.run_operation(operation, index, decoder, reply).await;
            if status != Status::Ok || self.is_replay() {
                return (status, index + 1);
            }
        }
        (Status::Ok, self.operations)
    }

    /// The compound promises more operations than it has: the missing one cannot be named.
    fn end_without_operation(&self, index: u32, reply: &mut Encoder) -> (Status, u32) {
        reply.set_limit(self.reply_bytes_max);
        ResultHead::encode(reply, Operation::Illegal.number(), Status::Badxdr)
            .expect("the operation before has left room for an error");
        (Status::Badxdr, index + 1)
    }

    /// Runs one operation and writes its number, status and body.
    async fn run_operation(
        &mut self,
        operation: Operation,
        index: u32,
        decoder: &mut Decoder<'_>,
        reply: &mut Encoder,
    ) -> Status {
        self.following = self.operations - (index + 1);
        self.is_last = self.following == 0;
        reply.set_limit(self.reply_bytes_max);
        let start = ResultHead::encode(reply, operation.number(), Status::Ok)
            .expect("the operation before has left room for an error");
        let outcome = match self.check(operation, index, reply) {
            Ok(row) => self.run_admitted(row, decoder, reply).await,
            Err(status) => Err(Failure::Status(status)),
        };
        let status = match outcome {
            Ok(()) => Status::Ok,
            Err(Failure::WithBody(status)) => status,
            Err(Failure::Status(status)) => {
                reply.truncate(start + ResultHead::LEN);
                reply.set_limit(self.reply_bytes_max);
                if operation == Operation::Setattr {
                    // RFC 8881 §18.30.2: the bitmap is there whatever the status.
                    reply.put(&Bitmap::EMPTY).expect("the operation before has left room for an error");
                }
                if status == Status::RepTooBig { self.too_big() } else { status }
            }
        };
        self.request.data.truncate(reply.inserts().len());
        reply.patch_u32(start + xdr::UNIT, status.number());
        status
    }

    /// Runs an operation once it is admitted; until it ends it counts as in flight.
    async fn run_admitted(
        &mut self,
        row: Row,
        decoder: &mut Decoder<'_>,
        reply: &mut Encoder,
    ) -> Result<(), Failure> {
        let _pass = match row.admitted {
            None => None,
            Some(Kind::Look) => {
                self.request.look(self.node(), || self.has_nothing_urgent(row.operation, decoder)).await?
            }
            Some(kind) => Some(self.admit(kind, 0).await?),
        };
        if row.effect == Effect::Changes {
            self.request.has_waited.set(true);
        }
        let span = trace::of_operation(row.operation);
        let outcome = operation::run(self, row.operation, decoder, reply).instrument(span.clone()).await;
        outcome.inspect_err(|failure| trace::failed(&span, failure))
    }

    /// Whether the operation may run here and now, by its row. Sets what of the reply it may fill.
    fn check(&self, operation: Operation, index: u32, reply: &mut Encoder) -> Result<Row, Status> {
        let row = self.row(operation)?;
        if self.session.as_ref().is_some_and(InSession::is_uncached_retry) {
            return Err(Status::RetryUncachedRep);
        }
        match row.position {
            Position::Alone if self.operations > 1 => return Err(Status::NotOnlyOp),
            Position::First if index > 0 => return Err(Status::SequencePos),
            Position::InSession if self.session.is_none() => return Err(Status::OpNotInSession),
            Position::AloneOrInSession if self.session.is_none() && self.operations > 1 => {
                return Err(Status::NotOnlyOp);
            }
            _ => {}
        }
        let kept = if self.is_last { 0 } else { ERROR_BYTES };
        let room = reply.room().checked_sub(kept).ok_or_else(|| self.too_big())?;
        if row.effect == Effect::Changes && room < row.room_bytes {
            return Err(self.too_big());
        }
        reply.set_limit(self.reply_bytes_max - kept);
        match row.needs {
            Needs::Nothing => Ok(row),
            _ if self.current.is_none() => Err(Status::Nofilehandle),
            Needs::Both if self.saved.is_none() => Err(Status::Nofilehandle),
            _ => Ok(row),
        }
    }

    fn row(&self, operation: Operation) -> Result<Row, Status> {
        match table::row(operation) {
            Some(row) if row.since_minor <= self.minor => Ok(row),
            Some(_) => Err(Status::OpIllegal),
            None if operation == Operation::Illegal => Err(Status::OpIllegal),
            // RFC 8881 §17: operations of NFSv4.0 that this minor version must not implement.
            None => Err(Status::Notsupp),
        }
    }

    /// The status for a reply that does not fit: which of the session's two bounds it is.
    fn too_big(&self) -> Status {
        match &self.session {
            Some(session) if session.bound_by_cache() => Status::RepTooBigToCache,
            _ => Status::RepTooBig,
        }
    }

    fn is_replay(&self) -> bool {
        self.session.as_ref().is_some_and(InSession::is_replay)
    }

    /// What the current file handle stands for.
    ///
    /// # Errors
    /// `NFS4ERR_NOFILEHANDLE`.
    pub fn object(&self) -> Result<&Object<V>, Status> {
        self.current.as_ref().ok_or(Status::Nofilehandle)
    }

    /// The object of an export the current file handle stands for; operations that the pseudo file system cannot do
    /// say with `otherwise` what they answer there.
    ///
    /// # Errors
    /// `NFS4ERR_NOFILEHANDLE` or `otherwise`.
    pub fn place(&self, otherwise: Status) -> Result<&Place<V>, Status> {
        match self.object()? {
            Object::Node(place) => Ok(place),
            Object::Pseudo(_) => Err(otherwise),
        }
    }

    /// The same for the saved file handle.
    ///
    /// # Errors
    /// As [`Compound::place`].
    pub fn saved_place(&self, otherwise: Status) -> Result<&Place<V>, Status> {
        match self.saved.as_ref().ok_or(Status::Nofilehandle)? {
            Object::Node(place) => Ok(place),
            Object::Pseudo(_) => Err(otherwise),
        }
    }

    /// Sets the current file handle; there is no current stateid after that (RFC 8881 §16.2.3.1.2).
    pub fn set_current(&mut self, object: Object<V>) {
        self.current = Some(object);
        self.current_stateid = None;
    }

    /// The stateid an operation was given, with the current one put in for its placeholder.
    ///
    /// # Errors
    /// `NFS4ERR_BAD_STATEID` when there is no current stateid.
    pub fn stateid(&self, given: Stateid) -> Result<Stateid, Status> {
        if given.is_current() { self.current_stateid.ok_or(Status::BadStateid) } else { Ok(given) }
    }

    /// The session the compound runs in.
    ///
    /// # Errors
    /// `NFS4ERR_OP_NOT_IN_SESSION`.
    pub fn session(&self) -> Result<&InSession, Status> {
        self.session.as_ref().ok_or(Status::OpNotInSession)
    }

    /// Waits for admission to the export of the current file handle.
    ///
    /// # Errors
    /// As [`Request::admit`].
    pub async fn admit(&self, kind: Kind, bytes: u64) -> Result<Pass, Status> {
        self.request.admit(self.node(), kind, bytes).await
    }

    /// What of an export the current file handle stands for, if it does.
    fn node(&self) -> Option<&Place<V>> {
        match &self.current {
            Some(Object::Node(place)) => Some(place),
            _ => None,
        }
    }

    /// Whether nothing follows `operation`, whose arguments come next, that must not be held up.
    fn has_nothing_urgent(&self, mut operation: Operation, decoder: &Decoder<'_>) -> bool {
        let mut ahead = decoder.clone();
        for _ in 0..self.following {
            if Arguments::decode(operation, &mut ahead).is_err() {
                return true;
            }
            let Ok(next) = Operation::decode_or_illegal(&mut ahead) else { return true };
            if table::is_never_held(next) {
                return false;
            }
            operation = next;
        }
        true
    }
}
