//! The client as callee: the back channel of its sessions.

use std::{
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use bytes::{Bytes, BytesMut};
use engine::sync::Notify;
use rpc::{Call, ConnectionId, Outcome, Reply, Service};
use wire::{
    nfs4::{
        CALLBACK_PROCEDURE_COMPOUND, CALLBACK_PROCEDURE_NULL, CALLBACK_VERSION, CallbackArguments,
        CallbackCompoundArgs, CallbackOperation, CallbackSequenceArgs, CallbackSequenceResult,
        CompoundResultFrame, CreateSessionResult, FileHandle, OffloadInfo, ResultHead, SequenceId, SessionId,
        SlotId, Stateid, Status,
    },
    rpc::{Accepted, CallError, CallHeader, Denied, ReplyHeader},
    xdr::{Decoder, Encoder, NoRoom},
};

use crate::{ClientOptions, slots::Slots};

/// Bytes of the longest reply to a callback: CB_SEQUENCE and a few operations without results.
const REPLY_MAX: usize = 4096;

/// Events kept for a user who does not ask; the oldest are forgotten.
const EVENTS_MAX: usize = 4096;

/// What a server told by callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackEvent {
    /// A lock that was denied may be free now (CB_NOTIFY_LOCK).
    LockAvailable {
        /// The file.
        handle: FileHandle,
        /// Who wanted the lock.
        owner: Bytes,
    },
    /// An asynchronous copy has ended (CB_OFFLOAD).
    OffloadDone {
        /// The destination file.
        handle: FileHandle,
        /// Names the copy.
        stateid: Stateid,
        /// How it ended.
        info: OffloadInfo,
    },
    /// Fewer slots are to be used (CB_RECALL_SLOT); the session has complied.
    SlotsRecalled {
        /// The session.
        session_id: SessionId,
        /// Highest slot wanted.
        target: SlotId,
    },
}

/// Answers the callbacks of all sessions of a client.
pub struct Callbacks {
    program: u32,
    sessions: RefCell<HashMap<SessionId, Rc<BackChannel>>>,
    events: RefCell<VecDeque<CallbackEvent>>,
    arrived: Notify,
    disconnects: Cell<u64>,
}

/// The back channel of one session.
struct BackChannel {
    fore_slots: Rc<Slots>,
    slots: RefCell<Vec<BackSlot>>,
}

#[derive(Clone, Default)]
struct BackSlot {
    last: SequenceId,
    /// The results of the last request, for its retry.
    reply: Bytes,
}

impl Callbacks {
    pub(crate) fn new(options: &ClientOptions) -> Self {
        Self {
            program: options.callback_program,
            sessions: RefCell::default(),
            events: RefCell::default(),
            arrived: Notify::new(),
            disconnects: Cell::new(0),
        }
    }

    /// Waits for the next event.
    pub async fn next_event(&self) -> CallbackEvent {
        loop {
            if let Some(event) = self.try_next_event() {
                return event;
            }
            self.arrived.notified().await;
        }
    }

    /// The next event, if there is one.
    pub fn try_next_event(&self) -> Option<CallbackEvent> {
        self.events.borrow_mut().pop_front()
    }

    /// How many of the client's connections have ended.
    pub fn disconnects(&self) -> u64 {
        self.disconnects.get()
    }

    pub(crate) fn add_session(&self, created: &CreateSessionResult, fore_slots: Rc<Slots>) {
        let count = created.back_channel.requests_max.max(1) as usize;
        let slots = RefCell::new(vec![BackSlot::default(); count]);
        let channel = Rc::new(BackChannel { fore_slots, slots });
        self.sessions.borrow_mut().insert(created.session_id, channel);
    }

    pub(crate) fn remove_session(&self, id: SessionId) {
        self.sessions.borrow_mut().remove(&id);
    }

    fn push(&self, event: CallbackEvent) {
        let mut events = self.events.borrow_mut();
        if events.len() == EVENTS_MAX {
            events.pop_front();
        }
        events.push_back(event);
        drop(events);
        self.arrived.notify_all();
    }

    /// The answer to one call, or `None` when it is no call.
    fn answer(&self, head: &[u8]) -> Result<Option<BytesMut>, NoRoom> {
        let mut decoder = Decoder::new(head);
        let mut encoder = Encoder::new(BytesMut::new(), REPLY_MAX);
        let call = match CallHeader::decode(&mut decoder) {
            Ok(call) => call,
            Err(CallError::Garbage(_)) => return Ok(None),
            Err(CallError::RpcMismatch { xid }) => {
                encoder.put(&ReplyHeader::denied(xid, Denied::RpcMismatch((2, 2))))?;
                return Ok(Some(encoder.finish().head));
            }
            Err(CallError::BadCredential { xid }) => {
                encoder.put(&ReplyHeader::denied(xid, Denied::Auth(wire::rpc::AuthStatus::BadCred)))?;
                return Ok(Some(encoder.finish().head));
            }
        };
        let status = match (call.program, call.version, call.procedure) {
            (program, ..) if program != self.program => Accepted::ProgUnavail,
            (_, version, _) if version != CALLBACK_VERSION => {
                Accepted::ProgMismatch((CALLBACK_VERSION, CALLBACK_VERSION))
            }
            (_, _, CALLBACK_PROCEDURE_NULL | CALLBACK_PROCEDURE_COMPOUND) => Accepted::Success,
            _ => Accepted::ProcUnavail,
        };
        let run = status == Accepted::Success && call.procedure == CALLBACK_PROCEDURE_COMPOUND;
        encoder.put(&ReplyHeader::accepted(call.xid, status))?;
        if run && self.compound(&mut decoder, &mut encoder).is_err() {
            encoder.truncate(0);
            encoder.put(&ReplyHeader::accepted(call.xid, Accepted::GarbageArgs))?;
        }
        Ok(Some(encoder.finish().head))
    }

    /// CB_COMPOUND: CB_SEQUENCE, then what it guards.
    fn compound(&self, decoder: &mut Decoder<'_>, encoder: &mut Encoder) -> Result<(), Unanswerable> {
        let arguments: CallbackCompoundArgs<'_> = decoder.get()?;
        let results_at = encoder.position();
        let frame = CompoundResultFrame::begin(encoder, arguments.tag.bytes())?;
        if arguments.operations == 0 {
            frame.finish(encoder, Status::Ok, 0);
            return Ok(());
        }
        let operation = CallbackOperation::decode_or_illegal(decoder)?;
        let CallbackArguments::Sequence(sequence) = CallbackArguments::decode(operation, decoder)? else {
            return Ok(refuse(encoder, frame, operation, Status::OpNotInSession)?);
        };
        let (session_id, slot_id) = (sequence.session_id, sequence.slot_id);
        let Some(channel) = self.sessions.borrow().get(&session_id).cloned() else {
            return Ok(refuse(encoder, frame, operation, Status::Badsession)?);
        };
        match channel.check(&sequence) {
            Turn::New => {}
            Turn::Retry(results) => {
                encoder.truncate(results_at);
                for word in results.chunks_exact(4) {
                    encoder.put_u32(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))?;
                }
                return Ok(());
            }
            Turn::Refused(status) => return Ok(refuse(encoder, frame, operation, status)?),
        }
        ResultHead::encode(encoder, operation.number(), Status::Ok)?;
        encoder.put(&channel.result(&sequence))?;
        let (status, results) = self.operations(arguments.operations - 1, session_id, decoder, encoder)?;
        frame.finish(encoder, status, results + 1);
        channel.keep(slot_id, sequence.sequence_id, encoder.head_from(results_at));
        Ok(())
    }

    /// The operations behind CB_SEQUENCE: the last status, and how many results there are.
    fn operations(
        &self,
        count: u32,
        session_id: SessionId,
        decoder: &mut Decoder<'_>,
        encoder: &mut Encoder,
    ) -> Result<(Status, u32), Unanswerable> {
        for done in 0..count {
            let operation = CallbackOperation::decode_or_illegal(decoder)?;
            let status = match CallbackArguments::decode(operation, decoder) {
                Ok(arguments) => self.operation(session_id, arguments),
                Err(_) => Status::Badxdr,
            };
            ResultHead::encode(encoder, operation.number(), status)?;
            if !status.is_ok() {
                return Ok((status, done + 1));
            }
        }
        Ok((Status::Ok, count))
    }

    /// One operation.
    fn operation(&self, session_id: SessionId, arguments: CallbackArguments<'_>) -> Status {
        match arguments {
            CallbackArguments::RecallSlot(recall) => {
                let target = recall.target_highest_slot_id;
                if let Some(channel) = self.sessions.borrow().get(&session_id) {
                    channel.fore_slots.set_target(target);
                }
                self.push(CallbackEvent::SlotsRecalled { session_id, target });
            }
            CallbackArguments::NotifyLock(notice) => {
                let owner = Bytes::copy_from_slice(notice.lock_owner.owner.bytes());
                self.push(CallbackEvent::LockAvailable { handle: notice.handle, owner });
            }
            CallbackArguments::Offload(done) => self.push(CallbackEvent::OffloadDone {
                handle: done.handle,
                stateid: done.stateid,
                info: done.info,
            }),
            CallbackArguments::Sequence(_) => return Status::SequencePos,
            CallbackArguments::Unserved(CallbackOperation::Illegal) => return Status::OpIllegal,
            _ => return Status::Notsupp,
        }
        Status::Ok
    }
}

impl Service for Callbacks {
    async fn call(&self, call: Call) -> Outcome {
        match self.answer(&call.head) {
            Ok(Some(head)) => Outcome::Reply(Reply::new(head)),
            // Nothing we answer is near the bound; a compound that asks for so much is not from a server.
            Ok(None) | Err(NoRoom) => Outcome::Discard,
        }
    }

    fn disconnected(&self, _connection: ConnectionId) {
        self.disconnects.set(self.disconnects.get() + 1);
    }
}

/// What a CB_SEQUENCE asks for.
enum Turn {
    New,
    Retry(Bytes),
    Refused(Status),
}

impl BackChannel {
    fn check(&self, sequence: &CallbackSequenceArgs) -> Turn {
        let slots = self.slots.borrow();
        let Some(slot) = slots.get(sequence.slot_id.0 as usize) else {
            return Turn::Refused(Status::Badslot);
        };
        if sequence.sequence_id == slot.last.next() {
            Turn::New
        } else if sequence.sequence_id == slot.last && !slot.reply.is_empty() {
            Turn::Retry(slot.reply.clone())
        } else {
            Turn::Refused(Status::SeqMisordered)
        }
    }

    fn result(&self, sequence: &CallbackSequenceArgs) -> CallbackSequenceResult {
        let highest = SlotId(self.slots.borrow().len() as u32 - 1);
        CallbackSequenceResult {
            session_id: sequence.session_id,
            sequence_id: sequence.sequence_id,
            slot_id: sequence.slot_id,
            highest_slot_id: highest,
            target_highest_slot_id: highest,
        }
    }

    fn keep(&self, slot_id: SlotId, last: SequenceId, reply: &[u8]) {
        self.slots.borrow_mut()[slot_id.0 as usize] = BackSlot { last, reply: Bytes::copy_from_slice(reply) };
    }
}

/// Ends a compound with its first operation.
fn refuse(
    encoder: &mut Encoder,
    frame: CompoundResultFrame,
    operation: CallbackOperation,
    status: Status,
) -> Result<(), NoRoom> {
    ResultHead::encode(encoder, operation.number(), status)?;
    frame.finish(encoder, status, 1);
    Ok(())
}

/// A compound cannot be decoded far enough, or its results are too long.
struct Unanswerable;

impl From<wire::xdr::Error> for Unanswerable {
    fn from(_: wire::xdr::Error) -> Self {
        Self
    }
}

impl From<NoRoom> for Unanswerable {
    fn from(_: NoRoom) -> Self {
        Self
    }
}
