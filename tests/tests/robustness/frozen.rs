//! An export whose file system stands still stops only itself.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use client::{Client, ClientOptions, Compound, LockOutcome, OpenFile, OpenHow, Session};
use testkit::asking::{Asking, ask};
use testkit::behaved::BehavedClient;
use testkit::mounted::{Frozen, Mounted};
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::{
    Attributes, ChannelDirectionArgs, CreateType, FileHandle, LockType, StableHow, Status, Verifier,
};

/// Clients of the frozen export, and what each sends at once.
const CLIENTS: usize = 16;
const WRITES: u64 = 8;
const OTHERS: usize = 4;

/// Bytes of each write: together many times the memory that a shard has for them.
const WRITE_BYTES: usize = 1 << 20;

/// Bytes of a write where it is not memory that is to run short.
const SMALL_BYTES: usize = 4096;

/// When a client comes again that was sent away, as Linux does at first.
const COME_AGAIN: Duration = Duration::from_millis(100);

/// After this an export on which nothing ends stands still.
const STILL: Duration = Duration::from_millis(1500);

/// How long the server is given to take in what it will.
const SETTLE: Duration = Duration::from_millis(500);

/// Both exports, one of which can be frozen.
struct Rig {
    stuck: Mounted,
    server: Server,
}

fn rig(name: &str) -> Option<Rig> {
    if !can_serve() {
        return None;
    }
    let scratch = Scratch::new(name);
    let stuck = Mounted::ext4(&scratch, "stuck")?;
    let free = scratch.directory("free");
    let plan = ServerPlan::exporting(&[stuck.path(), &free]).limits("payload_memory_mib = 32");
    Some(Rig { stuck, server: Server::start(scratch, plan) })
}

type Request = Pin<Box<dyn Future<Output = client::Result<()>>>>;

/// Everything that may wait for storage.
fn everything(
    asking: &Asking,
    session: &Session,
    stuck: FileHandle,
    file: OpenFile,
    number: usize,
) -> Vec<Request> {
    let mut requests: Vec<Request> = Vec::new();
    for write in 0..WRITES {
        let (session, shard) = (session.clone(), asking.shard.clone());
        requests.push(Box::pin(async move {
            let bytes = vec![number as u8; WRITE_BYTES];
            let offset = write * WRITE_BYTES as u64;
            loop {
                let written = session.write(&file, offset, &bytes, StableHow::Unstable).await;
                // Those for whom there is no place are sent away, so that they hold no memory, and come again.
                match written {
                    Err(error) if error.status() == Some(Status::Delay) => shard.sleep(COME_AGAIN).await,
                    written => return written.map(drop),
                }
            }
        }));
    }
    for other in 0..OTHERS {
        let (session, name) = (session.clone(), format!("{number}-{other}"));
        requests.push(Box::pin(async move {
            session.create_directory(stuck, &format!("made-{name}"), 0o755).await?;
            let how = OpenHow::create(0o644);
            let opened = session.open(stuck, &format!("opened-{name}"), &how).await?;
            session.close(&opened).await
        }));
    }
    for _ in 0..OTHERS {
        let session = session.clone();
        requests.push(Box::pin(async move {
            session.commit(file.handle).await?;
            session.read_directory(stuck).await?;
            session.attributes(file.handle).await?;
            session.open(stuck, "shared", &OpenHow::create(0o666)).await.map(drop)
        }));
    }
    requests
}

#[test]
fn a_frozen_export_with_hundreds_of_requests_stops_only_itself() {
    let Some(Rig { stuck, server }) = rig("frozen") else { return };
    let mut behaved = BehavedClient::start(server.address(), "/free");
    ask(server.address(), move |asking| async move {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let client = asking.client(&format!("client-{number}")).await;
            let stuck = client.session().lookup("/stuck").await.expect("an export");
            let name = format!("file-{number}");
            let file = client.session().open(stuck, &name, &OpenHow::create(0o644)).await.expect("a file");
            // Something to be synced, so that COMMIT has to wait.
            // As much as makes a client known for working well, so that it is not held back for being new.
            let bytes = vec![7; WRITE_BYTES];
            client.session().write(&file, 0, &bytes, StableHow::Unstable).await.expect("a write");
            clients.push((client, stuck, file));
        }
        let frozen = Frozen::new(&stuck);
        let ended = Rc::new(Cell::new(0));
        let mut tasks = Vec::new();
        for (number, (client, stuck, file)) in clients.iter().enumerate() {
            for request in everything(&asking, client.session(), *stuck, *file, number) {
                let ended = Rc::clone(&ended);
                tasks.push(asking.shard.spawn(async move {
                    let result = request.await;
                    ended.set(ended.get() + 1);
                    result
                }));
            }
        }
        asking.shard.sleep(SETTLE).await;
        behaved.work_on(10);
        // Long enough for the server to find out that nothing moves there.
        asking.shard.sleep(STILL).await;
        behaved.work_on(10);
        // Newcomers find the free export too.
        let newcomer = asking.client("newcomer").await;
        let free = newcomer.session().lookup("/free").await.expect("an export");
        let name = "newcomer's file";
        newcomer.session().open(free, name, &OpenHow::create(0o644)).await.expect("a file");
        assert!(!frozen.is_thawed(), "the free export waited for the frozen one");
        let waiting = tasks.len() - ended.get();
        assert!(waiting >= CLIENTS * WRITES as usize, "only {waiting} requests wait for the frozen export");
        drop(frozen);
        for task in tasks {
            task.await.expect("it is not aborted").expect("it ends after all");
        }
        for (number, (client, _, file)) in clients.iter().enumerate() {
            let attributes = client.session().attributes(file.handle).await.expect("attributes");
            assert_eq!(attributes.size, WRITES * WRITE_BYTES as u64, "of client {number}");
        }
        behaved.finish();
    });
    drop(server);
}

/// A directory made in a slot of the test's own choice.
fn make(stuck: FileHandle) -> Compound {
    let attributes = Attributes { mode: Some(0o755), ..Attributes::default() };
    Compound::new().put_handle(stuck).create(CreateType::Directory, "once", &attributes).cached()
}

#[test]
fn a_retry_on_another_connection_waits_for_the_first_and_gets_its_reply() {
    let Some(Rig { stuck, server }) = rig("retry") else { return };
    ask(server.address(), move |asking| async move {
        let client: Client = asking.client("retry").await;
        let session = client.session().clone();
        session.add_channel(ChannelDirectionArgs::Fore).await.expect("a second connection");
        session.add_channel(ChannelDirectionArgs::Fore).await.expect("a third connection");
        let directory = session.lookup("/stuck").await.expect("an export");
        let slot = session.slot(9).expect("a slot that nobody has used");
        let sequence = slot.sequence(true);
        let frozen = Frozen::new(&stuck);
        let inside = session.clone();
        let ended = Rc::new(Cell::new(false));
        let noting = Rc::clone(&ended);
        let first = asking.shard.spawn(async move {
            let reply = inside.call_raw(0, Some(sequence), make(directory)).await;
            noting.set(true);
            reply
        });
        asking.shard.sleep(SETTLE).await;
        for channel in [1, 2, 0, 1] {
            let retry = session.call_raw(channel, Some(sequence), make(directory)).await.expect("an answer");
            assert_eq!((retry.status(), retry.results()), (Status::Delay, 1), "on connection {channel}");
        }
        assert!(!ended.get() && !frozen.is_thawed(), "the first one still waits");
        drop(frozen);
        let first = first.await.expect("it is not aborted").expect("a reply");
        assert_eq!((first.status(), first.results()), (Status::Ok, 3));
        for channel in [1, 2] {
            let retry = session.call_raw(channel, Some(sequence), make(directory)).await.expect("an answer");
            // All but the transaction id is the first one's reply.
            assert_eq!(retry.bytes()[4..], first.bytes()[4..], "on connection {channel}");
        }
        let entries = session.read_directory(directory).await.expect("a listing");
        assert_eq!(entries.iter().filter(|entry| entry.name == "once").count(), 1);
    });
    drop(server);
}

/// More than one export may have under way on a core, so that some wait in the server and not in the kernel.
const LOST_WRITES: u64 = 24;

#[test]
fn a_lock_waits_for_the_frozen_writes_of_who_lost_it() {
    let Some(Rig { stuck, server }) = rig("lost") else { return };
    ask(server.address(), move |asking| async move {
        let (loser, winner) = (asking.client("loser").await, asking.client("winner").await);
        let (session, winning) = (loser.session().clone(), winner.session());
        let directory = session.lookup("/stuck").await.expect("an export");
        let file = session.open(directory, "shared", &OpenHow::create(0o666)).await.expect("a file");
        let lock = session.lock(&file, "loser", LockType::Write, 0, u64::MAX).await;
        assert!(matches!(lock, Ok(LockOutcome::Granted(_))), "{lock:?}");
        let won = winning.open(directory, "shared", &OpenHow::read_write()).await.expect("the same file");
        let frozen = Frozen::new(&stuck);
        let ended = Rc::new(Cell::new(0));
        let mut tasks = Vec::new();
        for write in 0..LOST_WRITES {
            let (session, ended) = (session.clone(), Rc::clone(&ended));
            tasks.push(asking.shard.spawn(async move {
                let offset = write * SMALL_BYTES as u64;
                let written = session.write(&file, offset, &[7; SMALL_BYTES], StableHow::Unstable).await;
                ended.set(ended.get() + 1);
                written
            }));
        }
        asking.shard.sleep(SETTLE).await;
        // The loser's machine starts anew, and does not know of its locks any more.
        let anew = ClientOptions { verifier: Verifier([2; 8]), ..ClientOptions::named("loser") };
        let _anew = asking.client_with(anew).await;
        let ask = || winning.lock(&won, "winner", LockType::Write, 0, u64::MAX);
        let early = ask().await;
        assert!(!frozen.is_thawed() && ended.get() < LOST_WRITES, "the writes have not ended");
        assert_eq!(early.expect_err("it is not free yet").status(), Some(Status::Delay));
        drop(frozen);
        loop {
            match ask().await {
                Ok(LockOutcome::Granted(_)) => break,
                Err(error) if error.status() == Some(Status::Delay) => {
                    asking.shard.sleep(COME_AGAIN).await;
                }
                other => panic!("neither granted nor put off: {other:?}"),
            }
        }
        let bytes = vec![8; SMALL_BYTES * LOST_WRITES as usize];
        winning.write(&won, 0, &bytes, StableHow::Unstable).await.expect("a write");
        for task in tasks {
            _ = task.await.expect("it is not aborted");
        }
        let (found, _) = winning.read(&won, 0, bytes.len() as u32).await.expect("data");
        assert!(found == bytes, "a write landed that its client had no right to any more");
    });
    drop(server);
}
