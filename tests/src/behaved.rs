//! A client that behaves well, and notices when it is disturbed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use client::{Client, ClientOptions, LockOutcome, OpenFile, OpenHow, Session};
use engine::{EngineConfig, block_on};
use transport_tcp::{Endpoint, Limits};
use wire::nfs4::{FileHandle, LockType, StableHow};

/// Longest time that one operation may take while others misbehave, on a machine that is busy.
pub const OPERATION_MAX: Duration = Duration::from_secs(5);

/// Bytes of each file: a payload of its own on the way to the server.
const FILE_BYTES: usize = 256 * 1024;

/// How long further rounds may take to be done.
const ROUNDS_MAX: Duration = Duration::from_secs(30);

/// Between two looks at the count of rounds.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// Works on a directory until told to stop: makes, opens, writes, commits, locks, reads, lists, renames and removes.
pub struct BehavedClient {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    rounds: AtomicU64,
    slowest: Mutex<(Duration, &'static str)>,
}

impl BehavedClient {
    /// Begins to work on the directory `path` of a server, and waits until it has gone round once.
    ///
    /// # Panics
    /// When an operation fails or takes too long.
    pub fn start(address: SocketAddr, path: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let (inside, path) = (Arc::clone(&shared), path.to_owned());
        let thread = std::thread::spawn(move || {
            let worked = block_on(EngineConfig::small(), move |shard| async move {
                let endpoint = Endpoint::new(&shard, Limits::default());
                let mut options = ClientOptions::named("well-behaved");
                options.timeout = OPERATION_MAX;
                let client = Client::connect(&endpoint, address, options).await.expect("a session");
                let directory = client.session().lookup(&path).await.expect("a directory");
                while !inside.stop.load(Ordering::Relaxed) {
                    let round = inside.rounds.load(Ordering::Relaxed);
                    go_round(&inside, client.session(), directory, round).await;
                    inside.rounds.fetch_add(1, Ordering::Relaxed);
                }
                client.destroy().await.expect("the client goes");
            });
            worked.expect("a ring for the client");
        });
        let mut this = Self { shared, thread: Some(thread) };
        this.work_on(1);
        this
    }

    /// Waits until it has gone round `count` times more.
    ///
    /// # Panics
    /// When an operation fails or takes too long.
    pub fn work_on(&mut self, count: u64) {
        let (begun, wanted) = (Instant::now(), self.rounds() + count);
        while self.rounds() < wanted {
            if self.thread.as_ref().is_none_or(JoinHandle::is_finished) {
                self.join();
                panic!("the well-behaved client has ended");
            }
            assert!(begun.elapsed() < ROUNDS_MAX, "the well-behaved client is held up: {:?}", self.slowest());
            std::thread::sleep(LOOK_PAUSE);
        }
    }

    /// How often it has gone round.
    pub fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Relaxed)
    }

    /// The longest time that an operation took, and which.
    pub fn slowest(&self) -> (Duration, &'static str) {
        *self.shared.slowest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it, and says how it went.
    ///
    /// # Panics
    /// When an operation failed or took too long.
    pub fn finish(mut self) {
        self.work_on(1);
        self.shared.stop.store(true, Ordering::Relaxed);
        self.join();
        println!("well-behaved: {} rounds, slowest {:?}", self.rounds(), self.slowest());
    }

    fn join(&mut self) {
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for BehavedClient {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    async fn timed<T>(&self, what: &'static str, operation: impl Future<Output = client::Result<T>>) -> T {
        let begun = Instant::now();
        let result = operation.await;
        let took = begun.elapsed();
        let result = result.unwrap_or_else(|error| panic!("{what} after {took:?}: {error}"));
        assert!(took <= OPERATION_MAX, "{what} took {took:?}");
        let mut slowest = self.slowest.lock().unwrap_or_else(PoisonError::into_inner);
        *slowest = (*slowest).max((took, what));
        result
    }
}

/// One file's life.
async fn go_round(shared: &Shared, session: &Session, directory: FileHandle, round: u64) {
    let (name, renamed) = (format!("file-{}", round % 4), format!("renamed-{}", round % 4));
    let content: Vec<u8> = (0..FILE_BYTES as u64).map(|byte| (byte.wrapping_mul(31) ^ round) as u8).collect();
    let how = OpenHow::create(0o644).exclusive();
    let file: OpenFile = shared.timed("OPEN", session.open(directory, &name, &how)).await;
    let written = shared.timed("WRITE", session.write(&file, 0, &content, StableHow::Unstable)).await;
    assert_eq!(written.count as usize, FILE_BYTES);
    let verifier = shared.timed("COMMIT", session.commit(file.handle)).await;
    assert_eq!(verifier, written.verifier, "the server has not lost anything");
    let locked = shared.timed("LOCK", session.lock(&file, "owner", LockType::Write, 0, 100)).await;
    let LockOutcome::Granted(lock) = locked else { panic!("nobody else is there, yet {locked:?}") };
    let (read, end) = shared.timed("READ", session.read(&file, 0, FILE_BYTES as u32)).await;
    assert!(end && read[..] == content[..], "what was written is read");
    let attributes = shared.timed("GETATTR", session.attributes(file.handle)).await;
    assert_eq!(attributes.size as usize, FILE_BYTES);
    shared.timed("LOCKU", session.unlock(&file, lock, 0, 100)).await;
    shared.timed("RENAME", session.rename(directory, &name, directory, &renamed)).await;
    let entries = shared.timed("READDIR", session.read_directory(directory)).await;
    assert!(entries.iter().any(|entry| entry.name == renamed), "it stands in the directory");
    shared.timed("CLOSE", session.close(&file)).await;
    shared.timed("REMOVE", session.remove(directory, &renamed)).await;
}
