//! A server with a small service, and peers that say exactly what a test wants said.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::{
    cell::RefCell,
    fs::File,
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    rc::Rc,
    sync::mpsc,
    time::{Duration, Instant},
};

use buf::{Chain, PipePool};
use bytes::{BufMut, BytesMut};
use engine::{
    Engine, EngineConfig,
    sync::{Notify, cross},
};
use rpc::{Call, ConnectionId, Data, Insert, Outcome, Payload, Reply, Service};
use rustix::{
    fs::{MemfdFlags, memfd_create},
    net::{AddressFamily, SocketType},
};
use transport_tcp::{Endpoint, Intake, Limits, Listener, Message, StatsSnapshot};
use wire::{
    nfs4::{
        Arguments, Bitmap, CompoundArgsFrame, FileHandle, GetAttrArgs, Operation, PROCEDURE_COMPOUND,
        PROGRAM, PutFhArgs, StableHow, Stateid, VERSION, WriteHead,
    },
    rpc::{AuthSys, CallHeader, Credential, Gids, OpaqueAuth},
    xdr::Encoder,
};

/// Longest that anything here may take.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Program whose calls are answered with what they carry.
pub const ECHO: u32 = 1;
/// Program whose calls are answered only when told.
pub const HOLD: u32 = 2;
/// Program whose call lets all held calls go on.
pub const RELEASE: u32 = 3;
/// Program whose call is answered with what the caller answers to a call back.
pub const CALL_BACK: u32 = 4;

/// Set in the transaction id of a call of NFS that is answered with how it came and all of its bytes.
pub const REASSEMBLE: u32 = 1 << 31;
/// Set in the transaction id of a call of NFS that is answered, with how it came, only when told.
pub const HELD: u32 = 1 << 30;
/// Program whose calls are answered with bytes of a file in pipes: how many in how many pieces, and how many bytes of
/// text behind each piece.
pub const PIPED: u32 = 5;
/// The same from payload memory.
pub const FROM_MEMORY: u32 = 6;
/// Program whose calls are answered with the milliseconds that they lay unread.
pub const UNREAD: u32 = 7;
/// Program whose calls are answered only when told, and until then nothing further is to be read of their connection.
pub const ALONE: u32 = 8;
/// Bytes of that file, which hold [`pattern`].
pub const FILE_BYTES: usize = 1 << 20;

/// Answers calls by their program number.
pub struct EchoService {
    endpoint: Endpoint,
    pipes: PipePool,
    file: File,
    release: Notify,
    gone: RefCell<Vec<ConnectionId>>,
    /// What it was told of connections that are not read.
    unread: RefCell<Vec<bool>>,
}

impl EchoService {
    pub fn new(endpoint: &Endpoint) -> Rc<Self> {
        let memory = memfd_create("payload", MemfdFlags::CLOEXEC).expect("memory");
        let mut file = File::from(memory);
        file.write_all(&pattern(FILE_BYTES)).expect("memory");
        Rc::new(Self {
            endpoint: endpoint.clone(),
            pipes: PipePool::new(),
            file,
            release: Notify::new(),
            gone: RefCell::default(),
            unread: RefCell::default(),
        })
    }

    fn answer(call: &Call, body: &[u8]) -> BytesMut {
        let mut head = BytesMut::from(&call.head[..4]);
        head.put_u32(1);
        head.extend_from_slice(body);
        head
    }

    /// Where there is no pipe, memory holds a piece.
    fn piped(&self, call: &Call) -> Reply {
        let [bytes, count, behind] = [24, 28, 32].map(|at| word(&call.head, at) as usize);
        let mut head = Self::answer(call, &[]);
        let mut inserts = Vec::new();
        for _ in 0..count {
            let pipe = if word(&call.head, 12) == PIPED { self.pipes.take() } else { None };
            let data = match pipe {
                Some(mut pipe) => {
                    assert_eq!(pipe.fill(&self.file, 0, bytes).expect("in memory"), bytes);
                    pipe.into()
                }
                None => {
                    let mut chain = self.endpoint.shard().pool().take(bytes, 0).expect("memory");
                    chain.copy_from(0, &pattern(bytes));
                    chain.into()
                }
            };
            inserts.push(Insert { position: head.len(), data });
            head.put_bytes(0xb0, behind);
        }
        Reply { head, inserts: inserts.into() }
    }
}

impl Service for EchoService {
    async fn call(&self, mut call: Call) -> Outcome {
        if call.head.len() < 24 {
            return Outcome::Disconnect;
        }
        let body = match word(&call.head, 12) {
            HOLD => {
                self.release.notified().await;
                call.head[24..].to_vec()
            }
            ALONE => {
                let _hold = call.reading.hold();
                self.release.notified().await;
                call.head[24..].to_vec()
            }
            RELEASE => {
                self.release.notify_all();
                call.head[24..].to_vec()
            }
            UNREAD => ((call.unread_ns / 1_000_000) as u32).to_be_bytes().to_vec(),
            CALL_BACK => {
                let message = Message::new(BytesMut::from(&message(0, 77, b"who is there")[..]));
                let timeout = if call.head[24..] == *b"soon" { PATIENCE / 50 } else { PATIENCE };
                let reply = self.endpoint.call_back(call.peer.connection, message, timeout).await;
                reply.expect("the caller answers").head[8..].to_vec()
            }
            PROGRAM if word(&call.head, 0) & REASSEMBLE != 0 => return Outcome::Reply(reassemble(&call)),
            PROGRAM => {
                if word(&call.head, 0) & HELD != 0 {
                    self.release.notified().await;
                }
                return Outcome::Reply(describe(call));
            }
            PIPED | FROM_MEMORY => return Outcome::Reply(self.piped(&call)),
            _ => call.head.split_off(24).to_vec(),
        };
        Outcome::Reply(Reply::new(Self::answer(&call, &body)))
    }

    fn unread(&self, _connection: ConnectionId, is_unread: bool) {
        self.unread.borrow_mut().push(is_unread);
    }

    fn disconnected(&self, connection: ConnectionId) {
        self.gone.borrow_mut().push(connection);
    }
}

/// How the call came: payloads, bytes of the head, and of the first payload its position, length, place in the
/// page and bytes.
fn describe(mut call: Call) -> Reply {
    let mut head = EchoService::answer(&call, &[]);
    head.put_u32(call.payloads.len() as u32);
    head.put_u32(call.head.len() as u32);
    let Some(payload) = call.payloads.pop() else { return Reply::new(head) };
    let Data::Here(data) = payload.data else { panic!("it is here") };
    let address = data.as_slices().next().map_or(0, |slice| slice.as_ptr() as usize);
    head.put_u32(payload.cut.position as u32);
    head.put_u32(payload.cut.length as u32);
    head.put_u32((address % buf::PAGE_BYTES) as u32);
    let position = head.len();
    head.put_u32(0xe0e0_e0e0);
    Reply { head, inserts: vec![Insert { position, data: data.into() }].into() }
}

/// By TCP all payloads come here.
fn here(payload: &Payload) -> &Chain {
    payload.data.here().expect("it is here")
}

/// How the call came: the number of payloads, position, length and place in the page of each, and the whole message.
fn reassemble(call: &Call) -> Reply {
    let mut reply = EchoService::answer(call, &[]);
    reply.put_u32(call.payloads.len() as u32);
    for payload in &call.payloads {
        let address = here(payload).as_slices().next().map_or(0, |slice| slice.as_ptr() as usize);
        reply.put_u32(payload.cut.position as u32);
        reply.put_u32(payload.cut.length as u32);
        reply.put_u32((address % buf::PAGE_BYTES) as u32);
    }
    let (begin, mut head) = (reply.len(), &call.head[..]);
    for payload in &call.payloads {
        let (before, after) = head.split_at(payload.cut.position - (reply.len() - begin));
        reply.extend_from_slice(before);
        here(payload).as_slices().for_each(|slice| reply.extend_from_slice(slice));
        head = after;
    }
    reply.extend_from_slice(head);
    Reply::new(reply)
}

enum Command {
    Stats(mpsc::Sender<(StatsSnapshot, usize)>),
    Gone(mpsc::Sender<usize>),
    Unread(mpsc::Sender<Vec<bool>>),
    Drain(mpsc::Sender<bool>),
    Release,
    Stop,
}

/// A server on one shard of its own.
pub struct Server {
    engine: Option<Engine>,
    commands: cross::Sender<Command>,
    pub address: SocketAddr,
}

impl Server {
    pub fn start(limits: Limits, region_bytes: usize) -> Self {
        engine::raise_file_limit().expect("the limit may be raised as far as it goes");
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let address = listener.address();
        let (commands, receiver) = cross::channel(16);
        let once = std::sync::Mutex::new(Some((listener, receiver)));
        let config = EngineConfig { region_bytes, ..EngineConfig::small() };
        let engine = Engine::start(config, move |shard| {
            let (listener, receiver) = once.lock().expect("not poisoned").take().expect("one shard");
            serve(shard, limits.clone(), listener, receiver)
        });
        Self { engine: Some(engine.expect("io_uring")), commands, address }
    }

    /// The server's counters.
    pub fn stats(&self) -> StatsSnapshot {
        self.ask(Command::Stats).0
    }

    /// Bytes of payload memory that are out.
    pub fn payload_bytes(&self) -> usize {
        self.ask(Command::Stats).1
    }

    /// Begins to drain; the channel tells whether all ended by themselves.
    pub fn drain(&self) -> mpsc::Receiver<bool> {
        let (sender, receiver) = mpsc::channel();
        self.command(Command::Drain(sender));
        receiver
    }

    /// Lets held calls go on.
    pub fn release(&self) {
        self.command(Command::Release);
    }

    /// Waits until the counters say so.
    pub fn wait_until(&self, what: &str, condition: impl Fn(&StatsSnapshot) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !condition(&self.stats()) {
            assert!(Instant::now() < deadline, "{what} does not happen: {:?}", self.stats());
            std::thread::yield_now();
        }
    }

    /// Waits until the service has been told of lost connections so many times.
    pub fn wait_until_gone(&self, times: usize) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask(Command::Gone) != times {
            assert!(Instant::now() < deadline, "told {} times and not {times}", self.ask(Command::Gone));
            std::thread::yield_now();
        }
    }

    /// Waits until the service has been told this of connections that are not read.
    pub fn wait_until_unread(&self, told: &[bool]) {
        let deadline = Instant::now() + PATIENCE;
        while self.ask(Command::Unread) != told {
            assert!(Instant::now() < deadline, "told {:?} and not {told:?}", self.ask(Command::Unread));
            std::thread::yield_now();
        }
    }

    pub fn peer(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// A peer with another address than those of [`Server::peer`].
    pub fn peer_from(&self, source: Ipv4Addr) -> Peer {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
        rustix::net::bind(&socket, &SocketAddr::from((source, 0))).expect("an address of this machine");
        rustix::net::connect(&socket, &self.address).expect("the server listens");
        Peer::over(socket.into())
    }

    fn ask<T>(&self, command: impl FnOnce(mpsc::Sender<T>) -> Command) -> T {
        let (sender, receiver) = mpsc::channel();
        self.command(command(sender));
        receiver.recv_timeout(PATIENCE).expect("the server answers")
    }

    fn command(&self, command: Command) {
        assert!(self.commands.try_send(command).is_ok(), "the server takes commands");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.commands.try_send(Command::Stop);
        let engine = self.engine.take().expect("dropped once");
        engine.shut_down(Duration::ZERO);
        if !std::thread::panicking() {
            engine.join().expect("no shard failed");
        }
    }
}

async fn serve(
    shard: engine::Shard,
    limits: Limits,
    listener: Listener,
    mut commands: cross::Receiver<Command>,
) {
    let endpoint = Endpoint::new(&shard, limits);
    let intake = Intake::new(1);
    let service = EchoService::new(&endpoint);
    shard.spawn(listener.accept_all(shard.clone(), intake.clone()));
    let (serving, accepting) = (endpoint.clone(), Rc::clone(&service));
    shard.spawn(async move { intake.serve(serving, accepting).await });
    while let Some(command) = commands.recv().await {
        match command {
            Command::Stats(sender) => {
                let _ = sender.send((endpoint.stats().snapshot(), shard.pool().bytes_taken()));
            }
            Command::Gone(sender) => {
                let _ = sender.send(service.gone.borrow().len());
            }
            Command::Unread(sender) => {
                let _ = sender.send(service.unread.borrow().clone());
            }
            Command::Drain(sender) => {
                let endpoint = endpoint.clone();
                shard.spawn(async move {
                    let _ = sender.send(endpoint.drain(PATIENCE).await);
                });
            }
            Command::Release => service.release.notify_all(),
            Command::Stop => break,
        }
    }
}

/// A peer on a plain socket.
pub struct Peer {
    pub stream: TcpStream,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).expect("the server listens"))
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self { stream }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the server reads");
    }

    /// The next record, without its mark.
    pub fn receive(&mut self) -> Vec<u8> {
        let mut mark = [0; 4];
        self.stream.read_exact(&mut mark).expect("a reply");
        let mark = u32::from_be_bytes(mark);
        assert_eq!(mark >> 31, 1, "replies come in one fragment");
        let mut record = vec![0; (mark & 0x7fff_ffff) as usize];
        self.stream.read_exact(&mut record).expect("the whole reply");
        record
    }

    /// Sends an echo call and checks the answer.
    pub fn echo(&mut self, xid: u32) {
        self.send(&record(&message(xid, ECHO, b"hello")));
        assert_eq!(self.receive(), reply(xid, b"hello"));
    }

    /// Whether the server closes the connection without saying anything.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    }
}

pub fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// A call of `program` with any body.
pub fn message(xid: u32, program: u32, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for word in [xid, 0, 2, program, 1, 0] {
        message.extend_from_slice(&word.to_be_bytes());
    }
    message.extend_from_slice(body);
    message
}

pub fn reply(xid: u32, body: &[u8]) -> Vec<u8> {
    [&xid.to_be_bytes()[..], &1_u32.to_be_bytes(), body].concat()
}

pub fn fragment(last: bool, bytes: &[u8]) -> Vec<u8> {
    let mark = bytes.len() as u32 | u32::from(last) << 31;
    [&mark.to_be_bytes()[..], bytes].concat()
}

/// A record of one fragment.
pub fn record(bytes: &[u8]) -> Vec<u8> {
    fragment(true, bytes)
}

/// Bytes that differ from their neighbours and from those a page further.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// The compound { PUTFH, WRITE, GETATTR } up to and including the data's length word, and what follows the data.
pub fn write_call(xid: u32, offset: u64, length: usize) -> (Vec<u8>, Vec<u8>) {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 24);
    let header = call_header(xid);
    encoder.put(&header).expect("room");
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 1).expect("room");
    let object = FileHandle::new(&[7; 32]).expect("a handle");
    encoder.put(&Arguments::from(PutFhArgs { object })).expect("room");
    encoder.put(&Operation::Write).expect("room");
    let write = WriteHead { stateid: Stateid::ANONYMOUS, offset, stable: StableHow::Unstable };
    write.encode_head(&mut encoder, length).expect("room");
    let cut = encoder.inserts()[0].position;
    encoder.put(&Arguments::from(GetAttrArgs { requested: Bitmap::of(&[3, 4]) })).expect("room");
    frame.finish(&mut encoder, 3);
    let head = encoder.finish().head;
    (head[..cut].to_vec(), head[cut..].to_vec())
}

/// A message with WRITEs of these offsets and lengths, each behind a PUTFH, and where their data stands in it.
pub fn writes_message(xid: u32, writes: &[(u64, usize)]) -> (Vec<u8>, Vec<(usize, usize)>) {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 24);
    encoder.put(&call_header(xid)).expect("room");
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 1).expect("room");
    for (offset, length) in writes {
        let object = FileHandle::new(&[7; 32]).expect("a handle");
        encoder.put(&Arguments::from(PutFhArgs { object })).expect("room");
        encoder.put(&Operation::Write).expect("room");
        let write = WriteHead { stateid: Stateid::ANONYMOUS, offset: *offset, stable: StableHow::Unstable };
        write.encode_head(&mut encoder, *length).expect("room");
    }
    encoder.put(&Arguments::from(GetAttrArgs { requested: Bitmap::of(&[3, 4]) })).expect("room");
    frame.finish(&mut encoder, 2 * writes.len() as u32 + 1);
    let encoded = encoder.finish();
    let (mut message, mut places, mut from) = (Vec::new(), Vec::new(), 0);
    for insert in &encoded.inserts {
        message.extend_from_slice(&encoded.head[from..insert.position]);
        places.push((message.len(), insert.length));
        message.extend((0..insert.length).map(|index| (index + places.len()) as u8));
        from = insert.position;
    }
    message.extend_from_slice(&encoded.head[from..]);
    (message, places)
}

/// A message as a record whose fragments begin at these places.
pub fn fragmented(message: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut ends = cuts.to_vec();
    ends.push(message.len());
    let (mut stream, mut from) = (Vec::new(), 0);
    for (index, end) in ends.iter().enumerate() {
        stream.extend(fragment(index + 1 == ends.len(), &message[from..*end]));
        from = *end;
    }
    stream
}

/// A message as a record in which each payload is a fragment of its own.
pub fn marked(message: &[u8], places: &[(usize, usize)]) -> Vec<u8> {
    let cuts: Vec<usize> =
        places.iter().flat_map(|(position, length)| [*position, position + length]).collect();
    fragmented(message, &cuts)
}

fn call_header(xid: u32) -> CallHeader<'static> {
    let sys = AuthSys {
        stamp: 0,
        machine_name: "node-17".into(),
        uid: 1000,
        gid: 1000,
        gids: Gids::new(&[27]).expect("one group"),
    };
    CallHeader {
        xid,
        program: PROGRAM,
        version: VERSION,
        procedure: PROCEDURE_COMPOUND,
        credential: Credential::Sys(sys),
        verifier: OpaqueAuth::NONE,
    }
}

/// A whole WRITE as one record.
pub fn write_record(xid: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    let (head, tail) = write_call(xid, offset, data.len());
    record(&[&head[..], data, &tail].concat())
}
