//! Tries the library on this machine's adapters: `pingpong LIBRARY ADDRESS`, the address being one of an RDMA device's. With
//! the name of a software device as a third argument it removes that device instead, in the middle of a connection.
//!
//! A client, who listens and who serves are each a core of their own, on threads of their own. Prints a line for each check, and
//! ends with 1 when one of them does not hold.
//!
//! UNSAFETY: memory is lent to adapters by its address. Each core of this program owns its memory for longer than the library's
//! instance lives, and looks at it only between completions.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::exit;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use verbs::{
    Access, Completion, CompletionKind, DeviceId, Event, EventKind, Library, MemoryId, Options, PairId,
    Place, Remote, RequestId, Status, Verbs, Work, WorkKind,
};

const SLOT: usize = 4096;
const SLOTS: usize = 64;
const DATA: usize = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);
const OPTIONS: Options = Options { receives_max: SLOTS as u32, works_max: 32, connections_max: 64 };
const MESSAGES: u32 = 1000;

/// One core, with slots that messages are received into and sent from, and memory that the peer may use.
struct Core {
    name: &'static str,
    verbs: Library,
    device: DeviceId,
    slots: &'static mut [u8],
    slots_id: MemoryId,
    data: &'static mut [u8],
    data_id: MemoryId,
    events: Vec<Event>,
    completions: Vec<Completion>,
}

fn check(what: &str, holds: bool) {
    println!("{} {what}", if holds { "ok    " } else { "FAILED" });
    if !holds {
        exit(1);
    }
}

impl Core {
    fn open(name: &'static str, library: &Path) -> Self {
        let verbs = match Library::open(library, &OPTIONS) {
            Ok(verbs) => verbs,
            Err(error) => {
                println!("FAILED {name} opens: {error}");
                exit(1);
            }
        };
        let device = verbs.devices()[0].id;
        let slots = vec![0; 2 * SLOTS * SLOT].leak();
        let data = vec![0; 2 * DATA].leak();
        // SAFETY: leaked memory stays.
        let slots_id = unsafe { verbs.register(slots.as_mut_ptr(), slots.len(), Access::Local) };
        // SAFETY: as above.
        let data_id = unsafe { verbs.register(data.as_mut_ptr(), data.len(), Access::Remote) };
        let (slots_id, data_id) = (slots_id.expect("registers"), data_id.expect("registers"));
        let (events, completions) = (Vec::new(), Vec::new());
        let core = Self { name, verbs, device, slots, slots_id, data, data_id, events, completions };
        for slot in 0..SLOTS {
            core.receive(slot);
        }
        core
    }

    fn place(&self, slot: usize, length: usize) -> Place {
        let address = self.slots[slot * SLOT..].as_ptr() as u64;
        Place { address, length: length as u32, memory: self.slots_id }
    }

    fn receive(&self, slot: usize) {
        // SAFETY: slots of the first half are left alone until a message has come.
        unsafe { self.verbs.receive(self.device, slot as u64, self.place(slot, SLOT)) }.expect("receives");
    }

    /// Takes what there is; waits for it when there is nothing.
    fn pump(&mut self) {
        let start = Instant::now();
        loop {
            self.verbs.completions(&mut self.completions);
            self.verbs.events(&mut self.events);
            if !self.events.is_empty() || !self.completions.is_empty() {
                return;
            }
            self.verbs.arm().expect("arms");
            self.verbs.completions(&mut self.completions);
            if !self.completions.is_empty() {
                return;
            }
            let descriptor = self.verbs.descriptor().as_raw_fd();
            let mut waits = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
            // SAFETY: one entry is there.
            unsafe { libc::poll(&raw mut waits, 1, 5000) };
            if start.elapsed() > PATIENCE {
                println!("FAILED {} waits for ever", self.name);
                exit(1);
            }
        }
    }

    fn event(&mut self) -> Event {
        while self.events.is_empty() {
            let before = self.completions.len();
            self.pump_more(before);
        }
        self.events.remove(0)
    }

    /// The next completion. None when something happened before.
    fn completion(&mut self) -> Option<Completion> {
        while self.completions.is_empty() {
            if !self.events.is_empty() {
                return None;
            }
            self.pump();
        }
        Some(self.completions.remove(0))
    }

    /// The next completion, whatever happens before.
    fn outcome(&mut self) -> Completion {
        while self.completions.is_empty() {
            let kept = std::mem::take(&mut self.events);
            self.pump();
            self.events.splice(..0, kept);
        }
        self.completions.remove(0)
    }

    /// Waits though completions are there that nobody takes.
    fn pump_more(&mut self, before: usize) {
        let kept = std::mem::take(&mut self.completions);
        self.pump();
        let new = std::mem::replace(&mut self.completions, kept);
        self.completions.extend(new);
        assert!(self.completions.len() >= before);
    }

    fn expect(&mut self, kind: EventKind, pair: PairId) -> Event {
        let event = self.event();
        if event.kind != kind || event.pair != pair {
            println!("FAILED {}: wanted {kind:?} of {pair:?}, came {event:?}", self.name);
            exit(1);
        }
        event
    }

    /// The next message: its slot and its bytes. None when something else happened.
    fn message(&mut self) -> Option<(usize, Vec<u8>)> {
        loop {
            let completion = self.completion()?;
            if completion.kind == CompletionKind::Receive && completion.status.is_success() {
                let slot = completion.id as usize;
                let bytes = self.slots[slot * SLOT..][..completion.bytes as usize].to_vec();
                self.receive(slot);
                return Some((slot, bytes));
            }
            if completion.kind == CompletionKind::Receive {
                self.receive(completion.id as usize);
            }
        }
    }

    fn post(&self, pair: PairId, works: &[Work]) -> std::io::Result<()> {
        // SAFETY: memory that is never freed; what is in it is not looked at before the completion.
        unsafe { self.verbs.post(pair, works) }
    }

    /// Sends from a slot, as soon as there is room. False when the connection has ended.
    fn send(&mut self, pair: PairId, slot: usize, bytes: &[u8]) -> bool {
        self.slots[(SLOTS + slot) * SLOT..][..bytes.len()].copy_from_slice(bytes);
        let work = Work::new(slot as u64, WorkKind::Send, &[self.place(SLOTS + slot, bytes.len())]);
        loop {
            match self.post(pair, &[work]).map_err(|error| error.raw_os_error()) {
                Ok(()) => return true,
                Err(Some(libc::ENOTCONN)) => return false,
                Err(Some(libc::ENOMEM)) => self.verbs.completions(&mut self.completions),
                Err(error) => panic!("{} sends: {error:?}", self.name),
            }
        }
    }

    fn data_place(&self, from: usize, length: usize) -> Place {
        Place { address: self.data[from..].as_ptr() as u64, length: length as u32, memory: self.data_id }
    }

    /// Disconnects, and waits until all has ended. Returns how long that took.
    fn end(&mut self, pair: PairId) -> Duration {
        let start = Instant::now();
        self.verbs.disconnect(pair);
        self.expect(EventKind::Ended, pair);
        self.verbs.destroy(pair);
        // Receives that failed with the connection are asked for again.
        for completion in std::mem::take(&mut self.completions) {
            if completion.kind == CompletionKind::Receive {
                self.receive(completion.id as usize);
            }
        }
        start.elapsed()
    }
}

/// Accepts a request, and serves as its first byte says. Returns what a check is about.
fn serve(core: &mut Core, request: RequestId, private: &[u8]) -> String {
    if private[0] == b'R' {
        core.verbs.reject(request);
        return "rejects".into();
    }
    let pair = core.verbs.accept(request, 4, b"welcome").expect("accepts");
    assert!(core.verbs.accept(request, 4, b"").is_err(), "a request is answered once");
    let established = core.expect(EventKind::Established, pair);
    match private[0] {
        b'E' => {
            let mut count = 0;
            while let Some((slot, bytes)) = core.message() {
                if core.send(pair, slot, &bytes) {
                    count += 1;
                }
            }
            core.expect(EventKind::Disconnected, pair);
            let took = core.end(pair);
            format!("echoed {count}, reads_max {}, ended in {took:?}", established.reads_max)
        }
        b'S' => {
            core.message().expect("a message");
            let took = core.end(pair);
            format!("disconnected first, ended in {took:?}")
        }
        b'M' => move_data(core, pair),
        b'B' => use_wrong_key(core, pair),
        other => panic!("no such way to serve: {other}"),
    }
}

/// The peer's memory as its message says it: address and key.
fn remote(bytes: &[u8]) -> Remote {
    let address = u64::from_le_bytes(bytes[..8].try_into().expect("eight"));
    Remote { address, key: u32::from_le_bytes(bytes[8..12].try_into().expect("four")) }
}

/// Reads the first MiB of the peer's, turns it around, writes it into the second, and says so.
fn move_data(core: &mut Core, pair: PairId) -> String {
    let (_, bytes) = core.message().expect("a message");
    let first = remote(&bytes);
    let mut read =
        Work::new(1, WorkKind::Read, &[core.data_place(0, DATA / 2), core.data_place(DATA / 2, DATA / 2)]);
    read.remote = first;
    core.post(pair, &[read]).expect("reads");
    let done = core.outcome();
    assert!(done.status.is_success() && done.id == 1, "{done:?}");
    let turned: Vec<u8> = core.data[..DATA].iter().rev().copied().collect();
    core.data[DATA..].copy_from_slice(&turned);
    let mut write = Work::new(2, WorkKind::Write, &[core.data_place(DATA, DATA)]);
    write.remote = Remote { address: first.address + DATA as u64, key: first.key };
    write.signaled = false;
    core.slots[SLOTS * SLOT..][..4].copy_from_slice(b"done");
    let send = Work::new(3, WorkKind::Send, &[core.place(SLOTS, 4)]);
    core.post(pair, &[write, send]).expect("writes and sends");
    let done = core.outcome();
    assert!(done.status.is_success() && done.id == 3, "{done:?}");
    core.expect(EventKind::Disconnected, pair);
    let took = core.end(pair);
    format!("read and wrote {DATA} bytes, ended in {took:?}")
}

/// Writes with a key that the peer has not told.
fn use_wrong_key(core: &mut Core, pair: PairId) -> String {
    let (_, bytes) = core.message().expect("a message");
    let mut write = Work::new(7, WorkKind::Write, &[core.data_place(0, 64)]);
    write.remote = remote(&bytes);
    write.remote.key ^= 0x5a5a;
    let mut after = write;
    after.id = 8;
    after.signaled = false;
    core.post(pair, &[write, after]).expect("can be asked for");
    let done = core.outcome();
    assert!(done.id == 7 && !done.status.is_success(), "{done:?}");
    core.expect(EventKind::Disconnected, pair);
    assert!(core.post(pair, &[write]).is_err(), "nothing more can be asked for");
    let took = core.end(pair);
    format!("wrong key: status {}, disconnected, ended in {took:?}", done.status.0)
}

type Asked = (RequestId, Vec<u8>);

/// Hands requests on to who serves, except those that tell `L` second, which it serves itself.
fn listen(
    library: &Path,
    address: SocketAddr,
    port: &Sender<u16>,
    requests: &Sender<Asked>,
    served: &Sender<String>,
) {
    let mut core = Core::open("who listens", library);
    let bound = core.verbs.listen(address).expect("listens");
    port.send(bound.port()).expect("who asked waits");
    loop {
        let event = core.event();
        assert_eq!(event.kind, EventKind::Request, "{event:?}");
        let private = event.private().to_vec();
        println!("       request of {:?}, bears {} reads", SocketAddr::from(event.peer), event.reads_max);
        match private.get(1) {
            Some(b'L') => served.send(serve(&mut core, event.request, &private)).expect("who asked waits"),
            Some(b'Q') => {
                core.verbs.reject(event.request);
                core.verbs.close_listeners();
                return;
            }
            _ => requests.send((event.request, private)).expect("who serves waits"),
        }
    }
}

fn serve_all(library: &Path, requests: &Receiver<Asked>, served: &Sender<String>) {
    let mut core = Core::open("who serves", library);
    while let Ok((request, private)) = requests.recv() {
        served.send(serve(&mut core, request, &private)).expect("who asked waits");
    }
}

/// The client's side of all checks.
struct Client {
    core: Core,
    server: SocketAddr,
    served: Receiver<String>,
}

impl Client {
    fn connect(&mut self, how: &[u8; 2]) -> PairId {
        let pair = self.core.verbs.connect(self.server, 8, how).expect("asks");
        let event = self.core.expect(EventKind::Established, pair);
        assert!(event.private().starts_with(b"welcome"), "{:?}", event.private());
        pair
    }

    fn told(&self) -> String {
        self.served.recv_timeout(PATIENCE).unwrap_or_else(|_| "nothing".into())
    }

    fn echo(&mut self, how: &[u8; 2], what: &str) {
        let pair = self.connect(how);
        let (mut sent, mut received) = (0_u32, 0_u32);
        while received < MESSAGES {
            while sent < MESSAGES && sent - received < 16 {
                let bytes = sent.to_le_bytes().repeat(1 + sent as usize % 1000);
                self.core.send(pair, sent as usize % SLOTS, &bytes);
                sent += 1;
            }
            let (_, bytes) = self.core.message().expect("an echo");
            let wanted = received.to_le_bytes().repeat(1 + received as usize % 1000);
            assert!(bytes == wanted, "message {received} came otherwise");
            received += 1;
        }
        self.core.completions.clear();
        let took = self.core.end(pair);
        check(
            &format!("{what}: {received} messages both ways, ended in {took:?}; server: {}", self.told()),
            true,
        );
    }

    fn tell_memory(&mut self, pair: PairId) {
        let key = self.core.verbs.remote_key(self.core.device, self.core.data_id).expect("it is registered");
        let address = self.core.data.as_ptr() as u64;
        let bytes = [&address.to_le_bytes()[..], &key.to_le_bytes()[..]].concat();
        self.core.send(pair, 0, &bytes);
    }

    fn data(&mut self) {
        for (place, byte) in self.core.data[..DATA].iter_mut().enumerate() {
            *byte = (place * 31 + place / 251) as u8;
        }
        let pair = self.connect(b"MS");
        self.tell_memory(pair);
        let (_, bytes) = self.core.message().expect("an answer");
        let (first, second) = self.core.data.split_at(DATA);
        let same = first.iter().rev().eq(second.iter());
        self.core.end(pair);
        check(
            &format!("1 MiB read and written as it should be; server: {}", self.told()),
            same && bytes == b"done",
        );
    }

    fn wrong_key(&mut self) {
        let pair = self.connect(b"BS");
        self.tell_memory(pair);
        self.core.expect(EventKind::Disconnected, pair);
        let took = self.core.end(pair);
        check(&format!("a wrong key ends the connection, here in {took:?}; server: {}", self.told()), true);
    }

    fn other_side_disconnects(&mut self) {
        let pair = self.connect(b"SS");
        self.core.send(pair, 0, b"go");
        self.core.expect(EventKind::Disconnected, pair);
        let took = self.core.end(pair);
        check(&format!("the server disconnects, ended here in {took:?}; server: {}", self.told()), true);
    }

    fn refused(&mut self) {
        let pair = self.core.verbs.connect(self.server, 8, b"RS").expect("asks");
        let event = self.core.expect(EventKind::Refused, pair);
        self.core.verbs.destroy(pair);
        check(&format!("rejected, with reason {}; server: {}", event.reason, self.told()), event.reason != 0);
        let mut nobody = self.server;
        nobody.set_port(1);
        let pair = self.core.verbs.connect(nobody, 8, b"").expect("asks");
        let event = self.core.expect(EventKind::Refused, pair);
        self.core.end(pair);
        check(&format!("nobody listens, with reason {}", event.reason), event.reason != 0);
    }

    fn bounds(&mut self) {
        let pair = self.connect(b"ES");
        let works = self.core.verbs.works_max();
        let send = |core: &Core, id| {
            let mut work = Work::new(id, WorkKind::Send, &[core.place(SLOTS, 8)]);
            work.signaled = false;
            work
        };
        let many: Vec<Work> = (0..=works as u64).map(|id| send(&self.core, id)).collect();
        check(&format!("{} works are too many", many.len()), self.core.post(pair, &many).is_err());
        check("nothing of them was sent", self.core.post(pair, &many[..works]).is_ok());
        self.core.verbs.disconnect(pair);
        self.core.expect(EventKind::Ended, pair);
        let sent = |completion: &&Completion| completion.kind == CompletionKind::Work;
        let (flushed, all) = {
            let works: Vec<&Completion> = self.core.completions.iter().filter(sent).collect();
            (works.iter().filter(|work| work.status == Status::FLUSHED).count(), works.len())
        };
        for completion in std::mem::take(&mut self.core.completions) {
            if completion.kind == CompletionKind::Receive {
                self.core.receive(completion.id as usize);
            }
        }
        self.core.verbs.destroy(pair);
        self.core.verbs.destroy(pair);
        self.core.verbs.disconnect(pair);
        let told = self.told();
        check(
            &format!(
                "disconnected with works outstanding: {flushed} of {all} completions flushed; server: {told}"
            ),
            all == flushed,
        );
        let error = self.core.post(pair, &[send(&self.core, 1)]).map_err(|error| error.raw_os_error());
        check("an unknown pair is not connected", error == Err(Some(libc::ENOTCONN)));
    }

    /// Nobody listens any more, and this core closes with a connection open: the server sees it end.
    fn closes(mut self, listener: thread::JoinHandle<()>) {
        let open = self.connect(b"ES");
        self.core.send(open, 0, b"last");
        self.core.message().expect("an echo");
        for how in [b"-Q", b"ES"] {
            let pair = self.core.verbs.connect(self.server, 8, how).expect("asks");
            self.core.expect(EventKind::Refused, pair);
            self.core.verbs.destroy(pair);
        }
        listener.join().expect("who listens ends");
        check("who has closed its listeners is not reached, what it has accepted stays", true);
        let Self { core, served, .. } = self;
        drop(core);
        let told = served.recv_timeout(PATIENCE).unwrap_or_else(|_| "nothing".into());
        check(&format!("closed with a connection; server: {told}"), told.starts_with("echoed 1,"));
    }
}

/// The device goes away under a connection, at the client and at the server.
fn remove(library: &'static Path, address: IpAddr, device: &str) {
    let mut server = Core::open("the server", library);
    let bound = server.verbs.listen(SocketAddr::new(address, 0)).expect("listens");
    let mut client = Core::open("the client", library);
    let here = client.verbs.connect(bound, 8, b"").expect("asks");
    while server.events.is_empty() {
        // Each core goes on only when it is asked for events.
        client.verbs.events(&mut client.events);
        server.verbs.events(&mut server.events);
        thread::sleep(Duration::from_millis(1));
    }
    let request = server.event().request;
    let there = server.verbs.accept(request, 8, b"").expect("accepts");
    client.expect(EventKind::Established, here);
    server.expect(EventKind::Established, there);
    let mut command = std::process::Command::new("rdma");
    let mut removal = command.args(["link", "delete", device]).spawn().expect("rdma of iproute2 is there");
    for (core, pair) in [(&mut client, here), (&mut server, there)] {
        let (mut removed, mut disconnected) = (false, false);
        while !removed || !disconnected {
            let event = core.event();
            println!("       {}: {:?} of {:?}, reason {}", core.name, event.kind, event.pair, event.reason);
            removed |= event.kind == EventKind::DeviceRemoved;
            disconnected |= event.kind == EventKind::Disconnected && event.pair == pair;
        }
        core.verbs.disconnect(pair);
        core.expect(EventKind::Ended, pair);
        core.verbs.destroy(pair);
        // SAFETY: slots are left alone.
        let outcome = unsafe { core.verbs.receive(core.device, 0, core.place(0, SLOT)) };
        check(&format!("{}: the device is gone, and so is the connection", core.name), outcome.is_err());
    }
    drop((client, server));
    // librdmacm has the adapter open until the process ends, and a software device does not go before.
    println!(
        "       closed, while the removal {}",
        if removal.try_wait().is_ok_and(|over| over.is_some()) { "is over" } else { "goes on" }
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (library, address, device) = match &arguments[..] {
        [_, library, address] => (library, address, None),
        [_, library, address, device] => (library, address, Some(device)),
        _ => {
            println!("usage: pingpong LIBRARY ADDRESS [DEVICE]");
            exit(2);
        }
    };
    let address: IpAddr = address.parse().expect("an address");
    let library: &'static Path = Path::new(library.clone().leak());
    if let Some(device) = device {
        return remove(library, address, device);
    }
    for any in [SocketAddr::new(address, 0), "[::]:0".parse().expect("an address")] {
        let (port, bound) = channel();
        let (requests, asked) = channel();
        let (served, answers) = channel();
        let also_served = served.clone();
        let listener = thread::spawn(move || listen(library, any, &port, &requests, &served));
        let server = thread::spawn(move || serve_all(library, &asked, &also_served));
        let port = bound.recv_timeout(PATIENCE).expect("listens");
        check(&format!("listens on {any}, port {port}"), port != 0);
        let core = Core::open("the client", library);
        for device in core.verbs.devices() {
            println!("       {device:?}");
        }
        let mut client = Client { core, server: SocketAddr::new(address, port), served: answers };
        client.echo(b"ES", "served by another core than listens");
        client.echo(b"EL", "served by the core that listens");
        client.data();
        client.other_side_disconnects();
        client.wrong_key();
        client.echo(b"ES", "afterwards");
        client.bounds();
        client.refused();
        client.closes(listener);
        server.join().expect("who serves ends");
    }
    println!("all checks hold");
}
