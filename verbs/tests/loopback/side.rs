//! An adapter with memory, as tests use it.
//!
//! UNSAFETY: adapters are lent memory by its address. Each side of a test owns its memory for longer than its adapter lives, and
//! looks at it only between completions, when nothing that was posted there is outstanding.
#![allow(unsafe_code)]

use std::io;
use std::net::SocketAddr;

use rustix::io::Errno;
use verbs::loopback::{Adapter, Control, Fabric};
use verbs::{
    Access, Completion, DeviceId, Event, EventKind, MemoryId, Options, PairId, Place, Remote, Status, Verbs,
    Work, WorkKind,
};

/// Bytes of a side's memory.
pub const MEMORY_BYTES: u32 = 1 << 16;

/// What most tests ask of an adapter.
pub const OPTIONS: Options = Options { receives_max: 8, works_max: 8, connections_max: 4 };

/// Memory that goes after the adapter that knows it.
struct Memory(*mut [u8]);

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: it came from a box, and no adapter knows it any more.
        drop(unsafe { Box::from_raw(self.0) });
    }
}

/// An adapter, and memory that is registered for peers. The fields are dropped in their order.
pub struct Side {
    pub adapter: Adapter,
    pub memory: MemoryId,
    bytes: Memory,
}

impl Side {
    pub fn new(fabric: &Fabric) -> Self {
        Self::of(fabric.adapter(OPTIONS), Access::Remote)
    }

    pub fn of(adapter: Adapter, access: Access) -> Self {
        let bytes = Memory(Box::into_raw(vec![0; MEMORY_BYTES as usize].into_boxed_slice()));
        // SAFETY: the memory is dropped after the adapter.
        let memory = unsafe { adapter.register(bytes.0.cast(), MEMORY_BYTES as usize, access) };
        Self { adapter, memory: memory.expect("there is memory"), bytes }
    }

    pub fn control(&self) -> Control {
        self.adapter.control()
    }

    pub fn address(&self, offset: u32) -> u64 {
        self.bytes.0.cast::<u8>().expose_provenance() as u64 + u64::from(offset)
    }

    pub fn place(&self, offset: u32, length: u32) -> Place {
        Place { address: self.address(offset), length, memory: self.memory }
    }

    pub fn key(&self) -> u32 {
        self.adapter.remote_key(DeviceId(0), self.memory).expect("it is registered for peers")
    }

    /// As peers name it, by the key to all of it.
    pub fn remote(&self, offset: u32) -> Remote {
        Remote { address: self.address(offset), key: self.key() }
    }

    pub fn fill(&self, offset: u32, content: &[u8]) {
        assert!(offset as usize + content.len() <= MEMORY_BYTES as usize);
        // SAFETY: it lies in the memory, and nothing is outstanding there.
        unsafe {
            let to = self.bytes.0.cast::<u8>().add(offset as usize);
            std::ptr::copy_nonoverlapping(content.as_ptr(), to, content.len());
        }
    }

    pub fn content(&self, offset: u32, length: usize) -> Vec<u8> {
        assert!(offset as usize + length <= MEMORY_BYTES as usize);
        // SAFETY: as in `fill`.
        unsafe { std::slice::from_raw_parts(self.bytes.0.cast::<u8>().add(offset as usize), length) }.to_vec()
    }

    pub fn receive(&self, id: u64, offset: u32, length: u32) -> io::Result<()> {
        // SAFETY: tests look at the place when it has completed.
        unsafe { self.adapter.receive(DeviceId(0), id, self.place(offset, length)) }
    }

    pub fn post(&self, pair: PairId, works: &[Work]) -> io::Result<()> {
        // SAFETY: as above.
        unsafe { self.adapter.post(pair, works) }
    }

    pub fn send(&self, id: u64, offset: u32, length: u32) -> Work {
        Work::new(id, WorkKind::Send, &[self.place(offset, length)])
    }

    pub fn read(&self, id: u64, remote: Remote, offset: u32, length: u32) -> Work {
        Work { remote, ..Work::new(id, WorkKind::Read, &[self.place(offset, length)]) }
    }

    pub fn write(&self, id: u64, remote: Remote, offset: u32, length: u32) -> Work {
        Work { remote, ..Work::new(id, WorkKind::Write, &[self.place(offset, length)]) }
    }

    pub fn completions(&self) -> Vec<Completion> {
        let mut taken = Vec::new();
        self.adapter.completions(&mut taken);
        taken
    }

    /// The completions that are there, as what they are of and how it ended.
    pub fn outcomes(&self) -> Vec<(u64, Status)> {
        self.completions().iter().map(|completion| (completion.id, completion.status)).collect()
    }

    pub fn events(&self) -> Vec<Event> {
        let mut taken = Vec::new();
        self.adapter.events(&mut taken);
        taken
    }

    /// The events that are there, as what happened to which connection.
    pub fn happened(&self) -> Vec<(EventKind, PairId)> {
        self.events().iter().map(|event| (event.kind, event.pair)).collect()
    }

    /// The one event that is there.
    pub fn event(&self, kind: EventKind) -> Event {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        assert_eq!(events[0].kind, kind);
        events[0]
    }
}

/// A server and a client that are connected, and have taken the events of that.
pub struct Connection {
    pub server: Side,
    pub client: Side,
    /// The server's end.
    pub at_server: PairId,
    /// The client's.
    pub at_client: PairId,
}

/// Connects two sides.
pub fn connect(server: &Side, client: &Side) -> (PairId, PairId) {
    let address = server.adapter.listen(any()).expect("a port is to be had");
    let at_client = client.adapter.connect(address, 4, &[]).expect("asked");
    let request = server.event(EventKind::Request).request;
    let at_server = server.adapter.accept(request, 4, &[]).expect("accepted");
    assert_eq!(server.happened(), [(EventKind::Established, at_server)]);
    assert_eq!(client.happened(), [(EventKind::Established, at_client)]);
    server.adapter.close_listeners();
    (at_server, at_client)
}

pub fn connection() -> Connection {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let (at_server, at_client) = connect(&server, &client);
    Connection { server, client, at_server, at_client }
}

impl Connection {
    /// Both sides were told that it broke, once.
    pub fn assert_broken(&self) {
        assert_eq!(self.server.happened(), [(EventKind::Disconnected, self.at_server)]);
        assert_eq!(self.client.happened(), [(EventKind::Disconnected, self.at_client)]);
    }
}

/// Any port of the machine's own address.
pub fn any() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

/// It failed, and so.
pub fn assert_errno<T>(outcome: io::Result<T>, errno: Errno) {
    assert_eq!(outcome.err().and_then(|error| error.raw_os_error()), Some(errno.raw_os_error()));
}

/// Bytes that tell where they are from.
pub fn pattern(seed: usize, length: usize) -> Vec<u8> {
    (0..length).map(|index| ((index * 7 + seed * 131) % 251) as u8).collect()
}
