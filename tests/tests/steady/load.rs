//! The operations that are measured, from a client on a thread of its own.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use client::{OpenFile, OpenHow, Session, Version, nfs3};
use engine::Shard;
use testkit::asking::{Asking, ask};
use wire::nfs3::FileHandle;
use wire::nfs4::{ChannelDirectionArgs, StableHow};

use crate::counting::{self, Counted};

/// Bytes of the file that is read and written.
const FILE_BYTES: u64 = 4 << 20;

/// Bytes of a WRITE with which the file is made.
const STEP_BYTES: usize = 1 << 20;

/// One kind of operation.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// GETATTR.
    Attributes,
    /// READ of so many bytes.
    Read(u32),
    /// WRITE of so many bytes, unstable.
    Write(usize),
}

/// How often, over how many connections, and what is looked for.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections, in NFSv4 of one session.
    pub connections: usize,
    /// Operations under way at a time on each connection.
    pub depth: usize,
    /// Operations before counting.
    pub warm_up: usize,
    /// Operations that count.
    pub operations: usize,
    /// Whether call sites are noted.
    pub sites: bool,
}

impl Plan {
    /// Operations under way at a time.
    fn lanes(&self) -> usize {
        self.depth * self.connections
    }
}

/// What it cost.
pub struct Cost {
    /// Allocations of the server's shards.
    pub counted: Counted,
    /// Locks that cores share.
    pub locks: u64,
    /// How long what was counted took.
    pub time: Duration,
}

/// Does the work with the server at `address` by this version of NFS; `locks` is asked before and after what counts.
///
/// # Panics
/// When an operation fails.
pub fn run(
    address: SocketAddr,
    version: Version,
    work: Work,
    plan: Plan,
    locks: impl Fn() -> u64 + Send + 'static,
) -> Cost {
    ask(address, move |asking| async move {
        let client = asking.client(&format!("steady {version} {work:?} {}", plan.connections)).await;
        let session = client.session();
        let file = make_file(session).await;
        let callers = match version {
            Version::V3 => nfs3_callers(&asking, plan.connections).await,
            _ => {
                for _ in 1..plan.connections {
                    session.add_channel(ChannelDirectionArgs::Fore).await.expect("a further connection");
                }
                vec![Caller::Nfs4(session.clone(), file)]
            }
        };
        repeat(&asking, &callers, work, plan.lanes(), plan.warm_up).await;
        let (locks_before, begun) = (locks(), Instant::now());
        counting::begin(plan.sites);
        repeat(&asking, &callers, work, plan.lanes(), plan.operations).await;
        let counted = counting::end();
        let (locks, time) = (locks() - locks_before, begun.elapsed());
        session.close(&file).await.expect("a close");
        // What allocates is seen to: an OPEN keeps something.
        counting::begin(false);
        let file = make_file(session).await;
        let seen: u64 = counting::end().by_size.iter().sum();
        assert!(seen > 0, "an OPEN allocates");
        session.close(&file).await.expect("a close");
        client.destroy().await.expect("an end of the session");
        Cost { counted, locks, time }
    })
}

/// Who calls, and of which file.
#[derive(Clone)]
enum Caller {
    /// One for all connections of a session.
    Nfs4(Session, OpenFile),
    /// One for each connection.
    Nfs3(nfs3::Client, FileHandle),
}

async fn nfs3_callers(asking: &Asking, connections: usize) -> Vec<Caller> {
    let mut callers = Vec::new();
    for _ in 0..connections {
        let client = asking.nfs3_client().await;
        let root = client.mount("/").await.expect("a root");
        let file = client.lookup(root, "file").await.expect("the file");
        callers.push(Caller::Nfs3(client, file));
    }
    callers
}

async fn make_file(session: &Session) -> OpenFile {
    let root = session.lookup("").await.expect("a root");
    let file = session.open(root, "file", &OpenHow::create(0o644)).await.expect("an open file");
    let data = vec![0x5a; STEP_BYTES];
    for offset in (0..FILE_BYTES).step_by(STEP_BYTES) {
        session.write(&file, offset, &data, StableHow::Unstable).await.expect("a write");
    }
    session.commit(file.handle).await.expect("a commit");
    file
}

/// Does `count` operations in so many lanes, one after another in each.
async fn repeat(asking: &Asking, callers: &[Caller], work: Work, lanes: usize, count: usize) {
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let (shard, caller) = (asking.shard.clone(), callers[lane % callers.len()].clone());
            asking.shard.spawn(async move {
                for index in (lane..count).step_by(lanes) {
                    one(&shard, &caller, work, index as u64).await;
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("the lane ends by itself");
    }
}

async fn one(shard: &Shard, caller: &Caller, work: Work, index: u64) {
    match work {
        Work::Attributes => {
            let size = match caller {
                Caller::Nfs4(session, file) => session.attributes(file.handle).await.map(|found| found.size),
                Caller::Nfs3(client, file) => client.attributes(*file).await.map(|found| found.size),
            };
            assert_eq!(size.expect("attributes"), FILE_BYTES);
        }
        Work::Read(bytes) => {
            let offset = place(index, bytes.into());
            let read = match caller {
                Caller::Nfs4(session, file) => session.read(file, offset, bytes).await,
                Caller::Nfs3(client, file) => client.read(*file, offset, bytes).await,
            };
            let (data, _) = read.expect("data");
            assert!(data.len() == bytes as usize && data.iter().all(|byte| *byte == 0x5a));
        }
        Work::Write(bytes) => {
            let mut data = shard.pool().take_wait(bytes, 0).await.expect("memory");
            data.as_mut_slices().for_each(|slice| slice.fill(0x5a));
            let offset = place(index, bytes as u64);
            let how = StableHow::Unstable;
            let count = match caller {
                Caller::Nfs4(session, file) => {
                    session.write_bulk(file, offset, data, how).await.map(|written| written.count)
                }
                Caller::Nfs3(client, file) => {
                    client.write_bulk(*file, offset, data, how).await.map(|written| written.count)
                }
            };
            assert_eq!(count.expect("a write") as usize, bytes);
        }
    }
}

/// Where the operation of this index goes: all over the file.
fn place(index: u64, bytes: u64) -> u64 {
    index.wrapping_mul(7) % (FILE_BYTES / bytes) * bytes
}
