//! The client's side: connections that carry calls, and clients with a session.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use rpc::{Bulk, Call, ConnectionId, Outcome, Payload, Payloads, Peer, Reading, Service, Transport};
use wire::nfs4::*;
use wire::rpc::{AuthSys, CallHeader, Credential, Gids, OpaqueAuth};
use wire::xdr::{Cut, Encoder};

use super::executor::Running;
use super::operations::*;
use super::reply::Reply;
use super::world::{EXPORT, World};

/// Who calls, by AUTH_SYS.
#[derive(Clone, Debug)]
struct User {
    uid: u32,
    gid: u32,
    gids: Vec<u32>,
}

/// A connection and who calls over it.
#[derive(Clone)]
pub struct Connection {
    world: World,
    id: ConnectionId,
    address: SocketAddr,
    user: Option<User>,
    reading: Reading,
}

impl Connection {
    pub(super) fn new(world: World, id: ConnectionId, address: SocketAddr) -> Self {
        let user = Some(User { uid: 0, gid: 0, gids: Vec::new() });
        Self { world, id, address, user, reading: Reading::new(|| ()) }
    }

    pub fn id(&self) -> ConnectionId {
        self.id
    }

    /// The same connection used by another user.
    pub fn user(&self, uid: u32, gid: u32, gids: &[u32]) -> Self {
        Self { user: Some(User { uid, gid, gids: gids.to_vec() }), ..self.clone() }
    }

    /// The same connection with AUTH_NONE.
    pub fn nobody(&self) -> Self {
        Self { user: None, ..self.clone() }
    }

    /// The connection breaks.
    pub fn lose(&self) {
        self.world.service().disconnected(self.id);
    }

    /// Runs a compound to its end.
    pub fn compound(&self, minor: u32, operations: &[Op]) -> Reply {
        self.start(minor, operations).finish()
    }

    /// Begins a compound.
    pub fn start(&self, minor: u32, operations: &[Op]) -> Running<Reply> {
        self.start_call(self.call(b"", minor, operations.len() as u32, operations))
    }

    pub fn start_call(&self, call: Call) -> Running<Reply> {
        let service = self.world.service();
        self.world.executor().start(async move { received(service.call(call).await).unwrap() })
    }

    /// Begins a call of any kind.
    pub fn start_outcome(&self, call: Call) -> Running<Outcome> {
        let service = self.world.service();
        self.world.executor().start(async move { service.call(call).await })
    }

    /// What the service makes of a call.
    pub fn outcome(&self, call: Call) -> Outcome {
        self.start_outcome(call).finish()
    }

    /// A call of these operations that claims to have `count` of them.
    pub fn call(&self, tag: &[u8], minor: u32, count: u32, operations: &[Op]) -> Call {
        let mut encoder = Encoder::new(BytesMut::new(), 8 << 20);
        encoder.put(&self.header(7, (PROGRAM, VERSION, PROCEDURE_COMPOUND))).unwrap();
        let frame = CompoundArgsFrame::begin(&mut encoder, tag, minor).unwrap();
        frame.finish(&mut encoder, count);
        let mut head = encoder.finish().head;
        let (mut payloads, mut cut_bytes) = (Payloads::new(), 0);
        for op in operations {
            if let Some((position, data)) = &op.cut {
                payloads.push(self.payload(head.len() + position + cut_bytes, data));
                cut_bytes += data.len();
            }
            head.extend_from_slice(&op.head);
        }
        self.call_of(head.freeze(), payloads)
    }

    /// A call that was read as soon as it came.
    pub(super) fn call_of(&self, head: Bytes, payloads: Payloads) -> Call {
        Call { head, payloads, peer: self.peer(), unread_ns: 0, reading: self.reading.clone() }
    }

    /// Whether the server wants more of this connection.
    pub fn is_read(&self) -> bool {
        !self.reading.is_held()
    }

    /// The header of a call of this program, version and procedure.
    pub(super) fn header(&self, xid: u32, target: (u32, u32, u32)) -> CallHeader<'_> {
        let credential = match &self.user {
            None => Credential::None,
            Some(User { uid, gid, gids }) => Credential::Sys(AuthSys {
                stamp: 0,
                machine_name: "client".into(),
                uid: *uid,
                gid: *gid,
                gids: Gids::new(gids).unwrap(),
            }),
        };
        let (program, version, procedure) = target;
        CallHeader { xid, program, version, procedure, credential, verifier: OpaqueAuth::NONE }
    }

    /// Bulk data that was cut out of a call at this position.
    pub fn payload(&self, position: usize, data: &[u8]) -> Payload {
        let mut chain = self.world.env().pool().take(data.len(), 0).unwrap();
        chain.copy_from(0, data);
        Payload { cut: Cut { position, length: data.len() }, data: chain.into() }
    }

    pub fn world(&self) -> &World {
        &self.world
    }

    fn peer(&self) -> Peer {
        Peer { connection: self.id, address: self.address, transport: Transport::Tcp }
    }

    /// EXCHANGE_ID as a client of this name.
    pub fn exchange_id(&self, name: &str, verifier: u8) -> (ClientId, SequenceId, u32) {
        let reply = self.compound(1, &[exchange_id(name, verifier, 0)]).ok();
        let result: ExchangeIdResult<'_> = reply.body(Operation::ExchangeId);
        (result.client_id, result.sequence_id, result.flags)
    }

    /// A client with a session that has nothing to reclaim.
    pub fn client(&self, name: &str, minor: u32) -> Client {
        let client = self.client_with(name, minor, CHANNEL);
        client.run(&[reclaim_complete()]).ok();
        client
    }

    /// A client with a session of these properties that may still reclaim.
    pub fn client_with(&self, name: &str, minor: u32, channel: ChannelAttributes) -> Client {
        let (client_id, sequence, _) = self.exchange_id(name, 1);
        let flags = create_session_flags::CONN_BACK_CHAN;
        let reply = self.compound(minor, &[create_session(client_id, sequence, channel, flags)]).ok();
        let created: CreateSessionResult = reply.body(Operation::CreateSession);
        Client {
            connection: self.clone(),
            minor,
            client_id,
            session: created.session_id,
            sequences: Rc::new(RefCell::new(vec![0; created.fore_channel.requests_max as usize])),
            cache_this: Rc::new(Cell::new(false)),
        }
    }
}

/// A client with a session. Clones share its slots.
#[derive(Clone)]
pub struct Client {
    connection: Connection,
    minor: u32,
    client_id: ClientId,
    session: SessionId,
    sequences: Rc<RefCell<Vec<u32>>>,
    cache_this: Rc<Cell<bool>>,
}

impl Client {
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn client_id(&self) -> ClientId {
        self.client_id
    }

    pub fn session(&self) -> SessionId {
        self.session
    }

    /// The same client used by another user.
    pub fn user(&self, uid: u32, gid: u32, gids: &[u32]) -> Self {
        Self { connection: self.connection.user(uid, gid, gids), ..self.clone() }
    }

    /// The same session over another connection.
    pub fn over(&self, connection: &Connection) -> Self {
        Self { connection: connection.clone(), ..self.clone() }
    }

    /// The same session with compounds of another minor version.
    pub fn minor(&self, minor: u32) -> Self {
        Self { minor, ..self.clone() }
    }

    /// Whether the server is to keep the replies.
    pub fn cache_this(&self, cache_this: bool) -> Self {
        Self { cache_this: Rc::new(Cell::new(cache_this)), ..self.clone() }
    }

    /// SEQUENCE of the next request on a slot.
    pub fn sequence_on(&self, slot: u32) -> Op {
        let next = &mut self.sequences.borrow_mut()[slot as usize];
        *next = next.wrapping_add(1);
        sequence(self.session, slot, *next, self.cache_this.get())
    }

    /// SEQUENCE of the last request on a slot again.
    pub fn sequence_again(&self, slot: u32) -> Op {
        sequence(self.session, slot, self.sequences.borrow()[slot as usize], self.cache_this.get())
    }

    /// Finds out by asking which sequence id a slot expects, after calls that may or may not have used it.
    pub fn resynchronise(&self, slot: u32) {
        let last = self.sequences.borrow()[slot as usize];
        for next in [last, last.wrapping_sub(1), last.wrapping_add(1)] {
            self.sequences.borrow_mut()[slot as usize] = next;
            if self.send(self.sequence_on(slot), &[]).status == Status::Ok {
                return;
            }
        }
        panic!("slot {slot} expects neither {last} nor its neighbours");
    }

    /// Runs SEQUENCE and these operations on slot 0.
    pub fn run(&self, operations: &[Op]) -> Reply {
        self.send(self.sequence_on(0), operations)
    }

    /// Runs these operations behind this SEQUENCE.
    pub fn send(&self, sequence: Op, operations: &[Op]) -> Reply {
        self.connection.compound(self.minor, &with(sequence, operations))
    }

    /// Begins these operations on a slot.
    pub fn start(&self, slot: u32, operations: &[Op]) -> Running<Reply> {
        self.connection.start(self.minor, &with(self.sequence_on(slot), operations))
    }

    /// Repeats the last request on slot 0 with these operations.
    pub fn retry(&self, operations: &[Op]) -> Reply {
        self.send(self.sequence_again(0), operations)
    }

    /// Runs these operations in the world's export.
    pub fn at_export(&self, operations: &[Op]) -> Reply {
        let lead = [putrootfh(), lookup(EXPORT)];
        self.run(&[&lead[..], operations].concat())
    }

    /// Makes a file with these contents, open to nobody afterwards; answers its handle.
    pub fn make_file(&self, name: &str, data: &[u8]) -> FileHandle {
        let (handle, stateid) = self.open_new(name);
        if !data.is_empty() {
            self.run(&[putfh(handle), write(stateid, 0, StableHow::FileSync, data)]).ok();
        }
        self.run(&[putfh(handle), close(stateid)]).ok();
        handle
    }

    /// Makes a file and keeps it open for both; answers handle and stateid.
    pub fn open_new(&self, name: &str) -> (FileHandle, Stateid) {
        let open = Open::named(name).unchecked(&mode(0o644));
        let reply = self.at_export(&[open, getfh()]).ok();
        (reply.handle(), reply.opened().stateid)
    }

    /// Opens an existing file by handle.
    pub fn open(&self, handle: FileHandle, open: Open<'_>) -> Reply {
        self.run(&[putfh(handle), open.claim(OpenClaim::Handle).op()])
    }

    /// All of a file, read without an open.
    pub fn contents(&self, handle: FileHandle) -> Vec<u8> {
        self.run(&[putfh(handle), read(Stateid::BYPASS, 0, 1 << 16)]).ok().data().0
    }
}

fn with(sequence: Op, operations: &[Op]) -> Vec<Op> {
    let mut all = vec![sequence];
    all.extend_from_slice(operations);
    all
}

/// The reply's whole message read back.
pub fn received(outcome: Outcome) -> Result<Reply, String> {
    Reply::read(&message(outcome)?)
}

/// The bytes of a reply with everything in its place.
pub fn message(outcome: Outcome) -> Result<Vec<u8>, String> {
    let Outcome::Reply(reply) = outcome else { return Err(format!("{outcome:?}")) };
    let mut message = Vec::with_capacity(reply.length());
    let mut from = 0;
    for insert in &reply.inserts {
        message.extend_from_slice(&reply.head[from..insert.position]);
        match &insert.data {
            Bulk::Chain(chain) => message.extend_from_slice(&chain.to_vec()),
            Bulk::Piped(_) | Bulk::Shared(_) => {
                return Err("the storage of these tests has no pages".to_owned());
            }
        }
        from = insert.position;
    }
    message.extend_from_slice(&reply.head[from..]);
    Ok(message)
}
