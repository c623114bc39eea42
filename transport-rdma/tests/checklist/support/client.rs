//! A client that says exactly what a test wants said.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use verbs::loopback::{Permission, RemoteAccess};
use verbs::{EventKind, PairId, Verbs};
use wire::rdma::{Chunk, Content, Failure, Header, PrivateData, ReadList, Received, Segment, VERSION};

use super::PATIENCE;
use super::machine::{LENT_BYTES, Machine};
use super::message::{inline, reply};
use super::server::Server;
use super::service::ECHO;

/// What Linux's client tells.
pub const LINUX: PrivateData =
    PrivateData { remote_invalidation: true, send_bytes: 4096, receive_bytes: 4096 };

/// How often a client that waits looks whether it has waited too long.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes beside what is lent that are looked at too.
const GUARD_BYTES: usize = 64;

/// What lent memory is filled with that nothing is to be read from.
const FILLER: u8 = 0xa5;

/// Memory that is lent to the server.
#[derive(Clone, Copy, Debug)]
pub struct Lent {
    pub segment: Segment,
    at: usize,
    is_for_writes: bool,
}

/// A message of the server's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub header: Header,
    pub stream: Vec<u8>,
}

/// One connection to the server.
pub struct Client {
    pub machine: Machine,
    pub pair: PairId,
    /// What the server told.
    pub told: Vec<u8>,
    address: std::net::SocketAddr,
    inbox: RefCell<VecDeque<Vec<u8>>>,
    is_disconnected: Cell<bool>,
    next_at: Cell<usize>,
    lent: RefCell<Vec<Lent>>,
}

impl Client {
    /// As Linux's client connects.
    pub fn connect(server: &Server) -> Self {
        Self::telling(server, &LINUX.to_bytes(), 4096)
    }

    /// Telling this, and with receives of so many bytes.
    pub fn telling(server: &Server, private: &[u8], receive_bytes: usize) -> Self {
        Self::asking(server, private, receive_bytes, 16).expect("the server takes it")
    }

    /// Bearing so many reads; or why it was refused.
    pub fn asking(
        server: &Server,
        private: &[u8],
        receive_bytes: usize,
        reads_max: u32,
    ) -> Result<Self, i32> {
        let machine = Machine::new(&server.fabric, receive_bytes);
        let mut client = Self {
            machine,
            pair: PairId::default(),
            told: Vec::new(),
            address: server.address,
            inbox: RefCell::default(),
            is_disconnected: Cell::default(),
            next_at: Cell::default(),
            lent: RefCell::default(),
        };
        client.connect_again(private, reads_max)?;
        Ok(client)
    }

    /// Once more, when the last connection has ended.
    pub fn connect_again(&mut self, private: &[u8], reads_max: u32) -> Result<(), i32> {
        let adapter = &self.machine.adapter;
        self.pair = adapter.connect(self.address, reads_max, private).expect("a queue pair");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (_, events) = self.machine.take();
            for event in events.iter().filter(|event| event.pair == self.pair) {
                match event.kind {
                    EventKind::Established => {
                        self.told = event.private().to_vec();
                        self.is_disconnected.set(false);
                        self.inbox.take();
                        return Ok(());
                    }
                    EventKind::Refused => return Err(event.reason),
                    _ => {}
                }
            }
            assert!(Instant::now() < deadline, "the server says nothing");
            // Events are told of in any case.
            self.machine.wait(LOOK);
        }
    }

    /// Ends the connection, and forgets it.
    pub fn disconnect(&self) {
        self.machine.adapter.disconnect(self.pair);
        self.machine.adapter.destroy(self.pair);
    }

    /// Waits for what is not there yet.
    fn wait(&self) {
        self.machine.adapter.arm().expect("it can be waited for");
        if !self.take_in() {
            self.machine.wait(LOOK);
        }
    }

    /// Takes what has come; whether there was something.
    fn take_in(&self) -> bool {
        let (messages, events) = self.machine.take();
        let is_something = !messages.is_empty() || !events.is_empty();
        let own = messages.into_iter().filter(|(pair, _)| *pair == self.pair);
        self.inbox.borrow_mut().extend(own.map(|(_, message)| message));
        let is_end = events.iter().any(|event| {
            event.pair == self.pair && matches!(event.kind, EventKind::Disconnected | EventKind::Ended)
        });
        if is_end {
            self.is_disconnected.set(true);
        }
        is_something
    }

    /// Sends any bytes as one message.
    pub fn send(&self, message: &[u8]) {
        self.machine.send(self.pair, message).expect("the connection was not closed here");
    }

    /// The next message; `None` when the connection has ended.
    fn next(&self) -> Option<Vec<u8>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.take_in();
            let message = self.inbox.borrow_mut().pop_front();
            if message.is_some() || self.is_disconnected.get() {
                return message;
            }
            assert!(Instant::now() < deadline, "the server says nothing");
            self.wait();
        }
    }

    /// The next message, which holds what every reply does; `None` when the connection has ended.
    pub fn try_answer(&self) -> Option<Answer> {
        let message = self.next()?;
        let Received { header, stream } = Received::parse(&message).expect("the server sends messages");
        assert_ne!(header.credits, 0, "credits are granted in every reply");
        if let Content::Message(chunks) | Content::NoMessage(chunks) = header.content {
            assert_eq!(chunks.reads, ReadList::default(), "no reply has anything to read");
        }
        Some(Answer { header, stream: stream.to_vec() })
    }

    pub fn answer(&self) -> Answer {
        self.try_answer().expect("the connection goes on")
    }

    /// The next message has this stream, and no chunk was used.
    pub fn expect(&self, xid: u32, body: &[u8]) -> Answer {
        let answer = self.answer();
        assert_eq!(answer.header.xid, xid);
        assert_eq!(answer.stream, reply(xid, body));
        assert!(matches!(answer.header.content, Content::Message(_)));
        answer
    }

    /// The next message answers a call of [`ECHO`] with `once`, whatever its chunks are.
    pub fn expect_once(&self, xid: u32) {
        assert_eq!(self.answer().stream, reply(xid, b"once"));
    }

    /// The next message says that this one could not be used.
    pub fn expect_error(&self, xid: u32, failure: Failure) {
        self.expect_error_of(xid, VERSION, failure);
    }

    pub fn expect_error_of(&self, xid: u32, version: u32, failure: Failure) {
        let answer = self.next().expect("the connection goes on");
        let failed: &[u32] = match failure {
            Failure::Version { low, high } => &[1, low, high],
            Failure::Chunk => &[2],
        };
        let word = |at| super::message::word(&answer, at);
        assert_ne!(word(8), 0, "credits are granted in every reply");
        let expected = [&[xid, version, word(8), 4], failed].concat();
        assert_eq!(answer, super::message::words(&expected));
    }

    /// Calls, and checks the answer.
    pub fn echo(&self, xid: u32) {
        self.send(&inline(xid, ECHO, b"hello to you"));
        self.expect(xid, b"hello to you");
    }

    /// Whether the server ends the connection; what it says before is passed over.
    pub fn is_closed(&self) -> bool {
        while self.next().is_some() {}
        true
    }

    /// Whether the end of the connection has been told by now.
    pub fn has_ended(&self) -> bool {
        self.take_in();
        self.is_disconnected.get()
    }

    /// Lends memory to be written.
    pub fn lend(&self, length: usize) -> Lent {
        let at = self.room(length);
        self.machine.put(at - GUARD_BYTES, &vec![FILLER; length + 2 * GUARD_BYTES]);
        // More than the segment says, so that what is too much is seen and not refused.
        let key = self.machine.open(at - GUARD_BYTES, length + 2 * GUARD_BYTES, Permission::Write);
        self.lent(key, at, length, true)
    }

    /// Lends these bytes to be read, and nothing beside them.
    pub fn show(&self, bytes: &[u8]) -> Lent {
        let at = self.room(bytes.len());
        self.machine.put(at, bytes);
        self.show_at(at, bytes.len())
    }

    /// Lends bytes to be read that are there already.
    pub fn show_at(&self, at: usize, length: usize) -> Lent {
        let key = self.machine.open(at, length, Permission::Read);
        self.lent(key, at, length, false)
    }

    /// Bytes in so many pieces as there are ends.
    pub fn show_pieces(&self, bytes: &[u8], ends: &[usize]) -> Vec<Lent> {
        let mut from = 0;
        let pieces = ends.iter().map(|end| {
            let piece = self.show(&bytes[from..*end]);
            from = *end;
            piece
        });
        pieces.collect()
    }

    fn lent(&self, key: u32, at: usize, length: usize, is_for_writes: bool) -> Lent {
        let segment = Segment { handle: key, length: length as u32, offset: self.machine.address(at) };
        let lent = Lent { segment, at, is_for_writes };
        self.lent.borrow_mut().push(lent);
        lent
    }

    /// Where so many bytes are free, unless all memory was lent since.
    fn room(&self, length: usize) -> usize {
        let mut at = self.next_at.get() + GUARD_BYTES;
        if at + length + GUARD_BYTES > LENT_BYTES {
            at = GUARD_BYTES;
        }
        self.next_at.set(at + length + GUARD_BYTES);
        at
    }

    /// Takes it back: who uses it from now on loses its connection.
    pub fn take_back(&self, lent: &[Lent]) {
        for lent in lent {
            self.machine.adapter.close_window(lent.segment.handle);
        }
    }

    /// What was written to it, of which everything behind so many bytes, and beside it, is as it was.
    pub fn written(&self, lent: &Lent, length: usize) -> Vec<u8> {
        let whole = lent.segment.length as usize + 2 * GUARD_BYTES;
        let all = self.machine.get(lent.at - GUARD_BYTES, whole);
        let (before, rest) = all.split_at(GUARD_BYTES);
        let (written, behind) = rest.split_at(length);
        let is_filler = |bytes: &[u8]| bytes.iter().all(|byte| *byte == FILLER);
        assert!(is_filler(before) && is_filler(behind), "nothing is written beside what was asked for");
        written.to_vec()
    }

    /// What the server did to memory here; all of it lay within what was lent, for what it was lent.
    pub fn accesses(&self) -> Vec<RemoteAccess> {
        let accesses = self.machine.adapter.accesses();
        let lent = self.lent.borrow();
        for access in &accesses {
            let is_allowed = lent.iter().any(|lent| {
                let Segment { handle, length, offset } = lent.segment;
                handle == access.key
                    && access.is_write == lent.is_for_writes
                    && access.address >= offset
                    && access.address + access.length <= offset + u64::from(length)
            });
            assert!(is_allowed, "{access:?} is in no chunk");
        }
        accesses
    }
}

/// The chunk that these make.
pub fn chunk(lent: &[Lent]) -> Chunk {
    let segments: Vec<Segment> = lent.iter().map(|lent| lent.segment).collect();
    Chunk::of(&segments).expect("no more than a chunk has")
}
