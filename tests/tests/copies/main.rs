//! Payload is not copied, seen from outside: a library that stands before memcpy and memmove counts what of the payload the server
//! process copies while data streams through it. What the server says of itself is held against that.
//!
//! Rust copies slices of unknown length by calling the C library's memcpy, and the program is linked to that dynamically. So that the
//! test cannot pass because nothing is seen at all, it first sends what is copied by design.
//!
//! ```text
//! cargo test -p testkit --test copies -- --nocapture
//! ```

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use client::{OpenFile, OpenHow, Session, Version, nfs3};
use testkit::asking::ask;
use testkit::server::{Scratch, Server, ServerPlan, can_serve, export};
use wire::nfs3::FileHandle;
use wire::nfs4::StableHow;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Every byte of payload. The library knows it too.
const MARK: u8 = 0xa7;

/// Bytes of the file.
const FILE_BYTES: usize = 16 * MIB;

/// Calls under way at a time.
const DEPTH: usize = 4;

/// Payload that may be copied when a connection begins to send bulk data: what comes before that is known, and one buffer.
const FIRST_MAX: u64 = transport_tcp::BURST_BYTES as u64 + 4096;

/// How often a byte that is copied is moved at most until it is in its place. The server counts it once.
const MOVES_MAX: u64 = 4;

/// What streams in one run.
#[derive(Clone, Copy, Debug)]
enum Stream {
    /// READs of so many bytes.
    Read(usize),
    /// WRITEs of so many bytes.
    Write(usize),
}

const STREAMS: [Stream; 7] = [
    Stream::Read(16 * KIB),
    Stream::Read(64 * KIB),
    Stream::Read(256 * KIB),
    Stream::Read(MIB),
    Stream::Write(64 * KIB),
    Stream::Write(256 * KIB),
    Stream::Write(MIB),
];

/// Bytes that one run moves.
const MOVED: usize = 8 * FILE_BYTES;

#[test]
fn payload_is_not_copied_through_the_page_cache() {
    look("buffered");
}

#[test]
fn payload_is_not_copied_past_the_page_cache() {
    look("direct");
}

/// Runs all streams on a server with this setting of `io`.
fn look(io: &str) {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new(&format!("copies-{io}"));
    let data = scratch.directory("data");
    std::fs::write(data.join("file"), vec![MARK; FILE_BYTES]).expect("a file");
    let copies = Copies::new(&scratch);
    let mut plan = ServerPlan::new(export(&data, &format!("io = {io:?}")));
    plan.environment = copies.environment();
    let mut server = Server::start(scratch, plan);

    // A record this short is received among others, and its data copied to its place.
    let short = copies.during(|| run(&server, Version::V4_2, Stream::Write(4 * KIB), FILE_BYTES));
    println!("{io}: {short} bytes copied of {FILE_BYTES} of short WRITEs");
    assert!(short >= FILE_BYTES as u64, "what is copied is seen: {short} bytes");

    let (mut findings, mut sum) = (Vec::new(), short);
    let versions = [Version::V4_2, Version::V3];
    for (version, stream) in versions.into_iter().flat_map(|version| STREAMS.map(|stream| (version, stream)))
    {
        let copied = copies.during(|| run(&server, version, stream, MOVED));
        println!("{io}: {copied} bytes copied of {MOVED} of {stream:?} by NFSv{version}");
        let allowed = match stream {
            Stream::Read(_) => 0,
            Stream::Write(_) => MOVED as u64 / 100 + FIRST_MAX,
        };
        if copied > allowed {
            findings.push(format!(
                "{io}, NFSv{version}, {stream:?}: {copied} bytes copied, and at most {allowed} may be"
            ));
        }
        sum += copied;
    }
    testkit::expect_none("copies of payload", &findings);
    assert!(server.stop().success());
    let told = told(&server);
    println!("{io}: the server says that {told} bytes were copied, {sum} were seen");
    assert!(
        told <= sum && sum <= MOVES_MAX * told,
        "the server's own count, {told}, does not fit what was seen, {sum}"
    );
}

/// Moves so many bytes by this version of NFS, several calls at a time.
fn run(server: &Server, version: Version, stream: Stream, bytes: usize) {
    ask(server.address(), move |asking| async move {
        let client = asking.client("streaming").await;
        let session = client.session();
        let root = session.lookup("/").await.expect("the root");
        let how = OpenHow::create(0o644);
        let file = session.open(root, "file", &how).await.expect("it is opened");
        let caller = match version {
            Version::V3 => {
                let client = asking.nfs3_client().await;
                let root = client.mount("/").await.expect("the root");
                let file = client.lookup(root, "file").await.expect("the file");
                Caller::Nfs3(client, file)
            }
            _ => Caller::Nfs4(session.clone(), file),
        };
        let payload = Arc::new(vec![MARK; MIB]);
        let part = |part| {
            let work = move_part(caller.clone(), stream, Arc::clone(&payload), part, bytes / DEPTH);
            asking.shard.spawn(work)
        };
        for task in (0..DEPTH).map(part).collect::<Vec<_>>() {
            task.await.expect("it does not panic");
        }
        session.commit(file.handle).await.expect("committed");
        session.close(&file).await.expect("an end");
        client.destroy().await.expect("the client goes");
    });
}

/// Who calls, and of which file.
#[derive(Clone)]
enum Caller {
    Nfs4(Session, OpenFile),
    Nfs3(nfs3::Client, FileHandle),
}

/// One of the calls that are under way, again and again in its own part of the file.
async fn move_part(caller: Caller, stream: Stream, payload: Arc<Vec<u8>>, part: usize, bytes: usize) {
    let part_bytes = FILE_BYTES / DEPTH;
    let mut moved = 0;
    while moved < bytes {
        let offset = (part * part_bytes + moved % part_bytes) as u64;
        match stream {
            Stream::Read(length) => {
                let read = match &caller {
                    Caller::Nfs4(session, file) => session.read(file, offset, length as u32).await,
                    Caller::Nfs3(client, file) => client.read(*file, offset, length as u32).await,
                };
                assert!(read.expect("read").0 == payload[..length], "what is in the file");
                moved += length;
            }
            Stream::Write(length) => {
                let (data, how) = (&payload[..length], StableHow::Unstable);
                let count = match &caller {
                    Caller::Nfs4(session, file) => {
                        session.write(file, offset, data, how).await.map(|written| written.count)
                    }
                    Caller::Nfs3(client, file) => {
                        client.write(*file, offset, data, how).await.map(|written| written.count)
                    }
                };
                assert_eq!(count.expect("written") as usize, length);
                moved += length;
            }
        }
    }
}

/// Bytes of payload that the server says it has copied, over all its shards.
fn told(server: &Server) -> u64 {
    let lines = server.log().lines();
    let words =
        lines.iter().filter(|line| line.contains("payload moved")).flat_map(|line| line.split_whitespace());
    let counted = words.filter_map(|word| word.split_once('=')).filter(|(name, _)| name.contains("copied"));
    counted.map(|(_, bytes)| bytes.parse::<u64>().expect("a number")).sum()
}

/// The counter of a process that has the library before its copies.
struct Copies {
    library: PathBuf,
    counter: PathBuf,
}

impl Copies {
    fn new(scratch: &Scratch) -> Self {
        let (library, counter) = (scratch.path().join("counting.so"), scratch.path().join("copied"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/copies/counting.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O2", "-fno-builtin", "-o"]).arg(&library).arg(source);
        assert!(compiler.status().expect("there is a C compiler").success(), "the library does not compile");
        std::fs::write(&counter, [0; 8]).expect("a file for the counter");
        Self { library, counter }
    }

    fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        vec![("LD_PRELOAD", self.library.clone()), ("COPIES_FILE", self.counter.clone())]
    }

    /// Bytes of payload that are copied while something is done.
    fn during(&self, work: impl FnOnce()) -> u64 {
        let before = self.now();
        work();
        self.now() - before
    }

    fn now(&self) -> u64 {
        let bytes = std::fs::read(&self.counter).expect("the counter");
        u64::from_ne_bytes(bytes.try_into().expect("a number"))
    }
}
