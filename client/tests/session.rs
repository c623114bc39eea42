//! A session against a server of a few operations that can be told to misbehave.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    net::SocketAddr,
    rc::Rc,
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use client::{CallbackEvent, Client, ClientOptions, Compound};
use engine::{EngineConfig, Shard, block_on};
use rpc::{Call, ConnectionId, Outcome, Reply, Service};
use transport_tcp::{Endpoint, Intake, Limits, Listener, Message};
use wire::{
    nfs4::{
        Arguments, BindConnToSessionResult, CALLBACK_PROCEDURE_COMPOUND, CALLBACK_VERSION, CallbackArguments,
        CallbackCompoundArgs, CallbackNotifyLockArgs, CallbackOperation, CallbackRecallSlotArgs,
        CallbackSequenceArgs, ChannelDirectionResult, ClientId, CompoundArgs, CompoundResultFrame,
        CreateSessionResult, ExchangeIdResult, FileHandle, GetFhResult, Operation, ResultHead, SequenceArgs,
        SequenceId, SequenceResult, ServerOwner, SessionId, SlotId, StateOwner, StateProtectResult, Status,
    },
    rpc::{Accepted, CallHeader, Credential, OpaqueAuth, ReplyHeader},
    xdr::{Decoder, Encoder, List},
};

const SESSION: SessionId = SessionId([9; 16]);
const ROOT: [u8; 4] = *b"root";
const LIMIT: usize = 65_536;

/// Counts what it executes, remembers its replies by slot, and breaks connections when told.
struct FewOperations {
    executed: Cell<u32>,
    replies: RefCell<HashMap<SlotId, (SequenceId, Bytes)>>,
    /// How many further replies are lost with their connection.
    losses: Cell<u32>,
    delays: Cell<u32>,
    binds: Cell<u32>,
    fore_connection: Cell<Option<ConnectionId>>,
}

impl Service for FewOperations {
    async fn call(&self, call: Call) -> Outcome {
        let mut decoder = Decoder::new(&call.head);
        let header = CallHeader::decode(&mut decoder).expect("our client sends calls");
        let mut encoder = Encoder::new(BytesMut::new(), LIMIT);
        encoder.put(&ReplyHeader::accepted(header.xid, Accepted::Success)).expect("room");
        if header.procedure == 1 {
            self.compound(&mut decoder, &mut encoder);
        }
        self.fore_connection.set(Some(call.peer.connection));
        if self.losses.get() > 0 && self.executed.get() > 0 {
            self.losses.set(self.losses.get() - 1);
            return Outcome::Disconnect;
        }
        Outcome::Reply(Reply::new(encoder.finish().head))
    }

    fn disconnected(&self, _connection: ConnectionId) {}
}

impl FewOperations {
    fn compound(&self, decoder: &mut Decoder<'_>, encoder: &mut Encoder) {
        let arguments: CompoundArgs<'_> = decoder.get().expect("a compound");
        let start = encoder.position();
        let frame = CompoundResultFrame::begin(encoder, b"").expect("room");
        let mut status = Status::Ok;
        let mut kept = None;
        let mut done = 0;
        while done < arguments.operations && status.is_ok() {
            let operation = Operation::decode_or_illegal(decoder).expect("an operation");
            let arguments = Arguments::decode(operation, decoder).expect("arguments");
            if let Arguments::Sequence(sequence) = &arguments {
                if let Some((last, reply)) = self.replies.borrow().get(&sequence.slot_id)
                    && *last == sequence.sequence_id
                {
                    encoder.truncate(start);
                    reply.chunks(4).for_each(|word| encoder.put_fixed(word).expect("room"));
                    return;
                }
                kept = Some(*sequence);
            }
            status = self.operation(arguments, encoder);
            done += 1;
        }
        frame.finish(encoder, status, done);
        if let Some(sequence) = kept.filter(|_| status != Status::Delay) {
            let reply = Bytes::copy_from_slice(encoder.head_from(start));
            self.replies.borrow_mut().insert(sequence.slot_id, (sequence.sequence_id, reply));
        }
    }

    fn operation(&self, arguments: Arguments<'_>, encoder: &mut Encoder) -> Status {
        let operation = arguments.operation();
        let delayed = operation == Operation::Sequence && self.delays.get() > 0;
        let status = match operation {
            _ if delayed => {
                self.delays.set(self.delays.get() - 1);
                Status::Delay
            }
            Operation::Lookup => Status::Noent,
            _ => Status::Ok,
        };
        ResultHead::encode(encoder, operation.number(), status).expect("room");
        if !status.is_ok() {
            return status;
        }
        match arguments {
            Arguments::ExchangeId(_) => encoder.put(&exchanged()),
            Arguments::CreateSession(asked) => encoder.put(&CreateSessionResult {
                session_id: SESSION,
                sequence: asked.sequence,
                flags: asked.flags,
                fore_channel: asked.fore_channel,
                back_channel: asked.back_channel,
            }),
            Arguments::BindConnToSession(asked) => {
                self.binds.set(self.binds.get() + 1);
                let (session_id, direction) = (asked.session_id, ChannelDirectionResult::Both);
                encoder.put(&BindConnToSessionResult { session_id, direction, use_rdma: false })
            }
            Arguments::Sequence(asked) => encoder.put(&sequenced(&asked)),
            Arguments::Getfh => encoder.put(&GetFhResult { object: FileHandle::new(&ROOT).expect("short") }),
            Arguments::Putrootfh => {
                self.executed.set(self.executed.get() + 1);
                Ok(())
            }
            _ => Ok(()),
        }
        .expect("room");
        status
    }
}

fn exchanged() -> ExchangeIdResult<'static> {
    ExchangeIdResult {
        client_id: ClientId(5),
        sequence_id: SequenceId(1),
        flags: 0x10000,
        state_protect: StateProtectResult::None,
        server_owner: ServerOwner { minor_id: 0, major_id: "server".into() },
        server_scope: "scope".into(),
        implementation: None,
    }
}

fn sequenced(asked: &SequenceArgs) -> SequenceResult {
    SequenceResult {
        session_id: asked.session_id,
        sequence_id: asked.sequence_id,
        slot_id: asked.slot_id,
        highest_slot_id: SlotId(7),
        target_highest_slot_id: SlotId(7),
        status_flags: 0,
    }
}

/// Runs a test with a server and a connected client on one shard.
fn with_client<F>(test: impl FnOnce(Endpoint, Rc<FewOperations>, Client) -> F + Send + 'static)
where
    F: Future<Output = ()> + 'static,
{
    let run = block_on(EngineConfig::small(), move |shard| async move {
        let (endpoint, server, address) = start(&shard);
        let options = ClientOptions::named("test").slots(8);
        let client = Client::connect(&endpoint, address, options).await.expect("connected");
        test(endpoint, server, client).await;
    });
    run.expect("io_uring");
}

fn start(shard: &Shard) -> (Endpoint, Rc<FewOperations>, SocketAddr) {
    let endpoint = Endpoint::new(shard, Limits::default());
    let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
    let (address, intake) = (listener.address(), Intake::new(1));
    let server = Rc::new(FewOperations {
        executed: Cell::new(0),
        replies: RefCell::default(),
        losses: Cell::new(0),
        delays: Cell::new(0),
        binds: Cell::new(0),
        fore_connection: Cell::new(None),
    });
    shard.spawn(listener.accept_all(shard.clone(), intake.clone()));
    let (serving, service) = (endpoint.clone(), Rc::clone(&server));
    shard.spawn(async move { intake.serve(serving, service).await });
    (endpoint, server, address)
}

fn get_root() -> Compound {
    Compound::new().put_root().get_handle()
}

#[test]
fn results_are_read_in_order() {
    with_client(|_, server, client| async move {
        let reply = client.session().call(get_root()).await.expect("answered");
        reply.skip(1).expect("PUTROOTFH");
        assert_eq!(reply.next::<GetFhResult>().expect("GETFH").object.as_bytes(), ROOT);
        let error = client.session().lookup("/missing").await.expect_err("there is nothing");
        assert_eq!(error.status(), Some(Status::Noent));
        assert_eq!((server.executed.get(), server.binds.get()), (2, 0));
    });
}

#[test]
fn a_request_is_executed_once_though_its_connection_breaks() {
    with_client(|_, server, client| async move {
        client.session().call(get_root()).await.expect("answered");
        server.losses.set(2);
        client.session().call(get_root()).await.expect("answered in the end");
        assert_eq!(server.executed.get(), 2, "the retries were answered from the slot");
        assert!(server.binds.get() > 0, "the back channel was bound again");
        client.session().call(get_root()).await.expect("the slot goes on");
        assert_eq!(server.executed.get(), 3);
    });
}

#[test]
fn a_delayed_request_comes_again() {
    with_client(|_, server, client| async move {
        server.delays.set(3);
        client.session().call(get_root()).await.expect("answered in the end");
        assert_eq!((server.executed.get(), server.delays.get()), (1, 0));
    });
}

#[test]
fn slots_are_shared_by_many_requests() {
    with_client(|endpoint, server, client| async move {
        let session = client.session();
        let tasks: Vec<_> = (0..100)
            .map(|_| {
                let session = session.clone();
                endpoint.shard().spawn(async move { session.call(get_root()).await.map(drop) })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic").expect("answered");
        }
        assert_eq!(server.executed.get(), 100);
        assert_eq!(server.replies.borrow().len(), 8, "all slots were used");
    });
}

/// CB_COMPOUND { CB_SEQUENCE, ... }.
fn callback(sequence: u32, operations: &[CallbackArguments<'_>]) -> Message {
    let mut encoder = Encoder::new(BytesMut::new(), LIMIT);
    let header = CallHeader {
        xid: 0,
        program: 0x4000_0000,
        version: CALLBACK_VERSION,
        procedure: CALLBACK_PROCEDURE_COMPOUND,
        credential: Credential::None,
        verifier: OpaqueAuth::NONE,
    };
    encoder.put(&header).expect("room");
    let operations_count = operations.len() as u32 + 1;
    let frame = CallbackCompoundArgs {
        tag: "".into(),
        minor_version: 2,
        callback_ident: 0,
        operations: operations_count,
    };
    encoder.put(&frame).expect("room");
    let sequence = CallbackSequenceArgs {
        session_id: SESSION,
        sequence_id: SequenceId(sequence),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: true,
        referring_calls: List::default(),
    };
    encoder.put(&CallbackArguments::from(sequence)).expect("room");
    operations.iter().for_each(|operation| encoder.put(operation).expect("room"));
    Message::new(encoder.finish().head)
}

#[test]
fn callbacks_are_answered_and_delivered_once() {
    with_client(|endpoint, server, client| async move {
        let connection = server.fore_connection.get().expect("a call came");
        let handle = FileHandle::new(&ROOT).expect("short");
        let owner = StateOwner { client_id: ClientId(5), owner: "owner".into() };
        let notify = CallbackNotifyLockArgs { handle, lock_owner: owner };
        let recall = CallbackRecallSlotArgs { target_highest_slot_id: SlotId(2) };
        let illegal = CallbackArguments::Unserved(CallbackOperation::Illegal);
        let operations = [notify.into(), recall.into(), illegal];
        let patience = Duration::from_secs(10);
        // The second is a retry: it is answered alike, but nothing happens again.
        let mut answers = Vec::new();
        for _ in 0..2 {
            let answer = endpoint.call_back(connection, callback(1, &operations), patience).await;
            answers.push(answer.expect("answered").head.slice(4..));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].slice(20..24)[..], Status::OpIllegal.number().to_be_bytes());
        let notified = CallbackEvent::LockAvailable { handle, owner: Bytes::from_static(b"owner") };
        assert_eq!(client.next_event().await, notified);
        let recalled = CallbackEvent::SlotsRecalled { session_id: SESSION, target: SlotId(2) };
        assert_eq!(client.next_event().await, recalled);
        assert_eq!(client.callbacks().try_next_event(), None);
        assert_eq!(client.session().target_slot(), 2);
        let misordered = endpoint.call_back(connection, callback(7, &[]), patience).await.expect("answered");
        assert_eq!(misordered.head[24..28], Status::SeqMisordered.number().to_be_bytes());
    });
}
