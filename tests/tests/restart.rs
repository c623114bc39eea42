//! The server killed and started again under clients that write, read and hold locks.

use std::cell::Cell;
use std::rc::Rc;

use client::{Client, ClientOptions, Compound, Error, LockOutcome, OpenFile, OpenHow, Result};
use testkit::asking::{Asking, ask};
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::{
    Attributes, CreateHow, CreateVerifierAttributes, DelegationType, FileHandle, GetFhResult, LockArgs,
    LockResult, LockType, Locker, OpenArgs, OpenClaim, OpenHow as WireHow, OpenResult, OpenToLockOwner,
    ReclaimCompleteArgs, StableHow, StateOwner, Stateid, Status, Verifier, share_access, share_deny,
};

/// Restarts.
const RESTARTS: u32 = 5;

/// The restart that is followed by another one before its grace period has ended.
const RESTART_IN_GRACE: u32 = 2;

/// Writes under way when the server is killed.
const WRITERS: u64 = 4;

/// Writes of each writer that are acknowledged before the kill.
const WRITES_MIN: u64 = 3;

/// Bytes of a write.
const WRITE_BYTES: u64 = 8192;

/// Bytes of each client's lock.
const LOCK_BYTES: u64 = 100;

/// Time a server gets for what it does on its own accord.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

/// Pause between two attempts.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

#[test]
fn clients_get_back_what_they_held_and_nobody_else_gets_it() {
    if !can_serve() {
        return;
    }
    let scratch = Scratch::new("restart");
    let data = scratch.directory("data");
    let mut server = Server::start(scratch, ServerPlan::exporting(&[&data]));
    ask(server.address(), move |asking| async move {
        let mut parties = [Party::new(&asking, "first", 0).await, Party::new(&asking, "second", 5000).await];
        let mut seen = Seen::of(&parties[0]).await;
        for round in 1..=RESTARTS {
            let made = make_exclusively(&parties[0], round, verifier(round)).await.expect("a new file");
            let written = kill_under_writes(&asking, &mut server, &parties[0]).await;
            server.start_again();
            if round == RESTART_IN_GRACE {
                // Of two clients, one is back: the other must stay recorded.
                parties[1].come_back(&asking).await;
                parties[1].reclaim().await.expect("it was recorded");
                parties[1].complete().await;
                server.kill();
                server.start_again();
            }
            recover(&asking, &mut parties).await;
            seen = seen.compare_with(Seen::of(&parties[0]).await);
            check_written(&parties[0], &written).await;
            check_exclusive(&parties[0], round, made).await;
        }
        for party in parties {
            party.leave().await;
        }
    });
}

/// A client with a file that it shares with the other, where it holds a lock from `offset` on.
struct Party {
    name: &'static str,
    client: Client,
    root: FileHandle,
    open: OpenFile,
    lock: Stateid,
    offset: u64,
}

fn options(name: &str) -> ClientOptions {
    ClientOptions { reclaim_complete: false, retries: 0, ..ClientOptions::named(name) }
}

impl Party {
    async fn new(asking: &Asking, name: &'static str, offset: u64) -> Self {
        let client = asking.client_with(options(name)).await;
        let root = client.session().lookup("/").await.expect("the root");
        let unopened = OpenFile { handle: root, stateid: Stateid::ANONYMOUS };
        let mut party = Self { name, client, root, open: unopened, lock: Stateid::ANONYMOUS, offset };
        party.complete().await;
        let opened = party.client.session().open(root, "shared", &OpenHow::create(0o600)).await;
        party.open = opened.expect("an open");
        party.lock = granted(party.lock_at(offset, false).await);
        party
    }

    /// Makes the client known again, with nothing reclaimed yet.
    async fn come_back(&mut self, asking: &Asking) {
        let old = self.client.session().call(Compound::new().put_root()).await;
        match old {
            // The first call finds the broken connection, the next one a server that never heard of the session.
            Err(Error::Call(_)) => {
                let again = self.client.session().call(Compound::new().put_root()).await;
                assert_eq!(again.expect_err("the session is gone").status(), Some(Status::Badsession));
            }
            other => {
                assert_eq!(other.expect_err("the session is gone").status(), Some(Status::Badsession));
            }
        }
        self.client = asking.client_with(options(self.name)).await;
    }

    async fn reclaim(&mut self) -> Result<()> {
        self.open.stateid = self.reclaim_open().await?;
        self.lock = granted(self.lock_at(self.offset, true).await);
        Ok(())
    }

    async fn reclaim_open(&self) -> Result<Stateid> {
        let open = OpenArgs {
            claim: OpenClaim::Previous(DelegationType::None),
            ..open_arguments(&self.client, WireHow::NoCreate)
        };
        let reply =
            self.client.session().call(Compound::new().put_handle(self.open.handle).open(open)).await?;
        reply.skip(1)?;
        Ok(reply.next::<OpenResult<'_>>()?.stateid)
    }

    async fn complete(&self) {
        let compound = Compound::new().operation(ReclaimCompleteArgs { one_fs: false });
        let reply = self.client.session().call(compound).await.expect("a reply");
        reply.next::<()>().expect("RECLAIM_COMPLETE");
    }

    /// A write lock of the party's owner; `None` when another one is in the way.
    async fn lock_at(&self, offset: u64, reclaim: bool) -> Result<Option<Stateid>> {
        let client_id = self.client.id();
        let locker = Locker::New(OpenToLockOwner {
            open_seqid: 0,
            open_stateid: self.open.stateid,
            lock_seqid: 0,
            lock_owner: StateOwner { client_id, owner: "locker".into() },
        });
        let lock = LockArgs { lock_type: LockType::Write, reclaim, offset, length: LOCK_BYTES, locker };
        let compound = Compound::new().put_handle(self.open.handle).operation(lock);
        let reply = self.client.session().call(compound).await?;
        reply.skip(1)?;
        let head = reply.next_head()?;
        match head.status {
            Status::Ok => Ok(Some(reply.body::<LockResult>()?.stateid)),
            Status::Denied => Ok(None),
            status => Err(Error::Status { operation: head.operation, status }),
        }
    }

    async fn leave(self) {
        let session = self.client.session();
        session.unlock(&self.open, self.lock, self.offset, LOCK_BYTES).await.expect("it is locked");
        session.close(&self.open).await.expect("it is open");
        self.client.destroy().await.expect("the client goes");
    }
}

fn granted(outcome: Result<Option<Stateid>>) -> Stateid {
    outcome.expect("a lock").expect("nothing is in the way")
}

fn open_arguments(client: &Client, how: WireHow<'static>) -> OpenArgs<'static> {
    OpenArgs {
        seqid: 0,
        share_access: share_access::BOTH | share_access::WANT_NO_DELEG,
        share_deny: share_deny::NONE,
        owner: StateOwner { client_id: client.id(), owner: "open owner".into() },
        how,
        claim: OpenClaim::Handle,
    }
}

/// Kills the server while several writes are under way, and says which were acknowledged: place and fill.
async fn kill_under_writes(asking: &Asking, server: &mut Server, party: &Party) -> Vec<(u64, u8)> {
    let counts: Vec<Rc<Cell<u64>>> = (0..WRITERS).map(|_| Rc::default()).collect();
    let mut tasks = Vec::new();
    for (number, count) in counts.iter().enumerate() {
        let (session, open, count) = (party.client.session().clone(), party.open, Rc::clone(count));
        let place = (1 + number as u64) * WRITE_BYTES;
        tasks.push(asking.shard.spawn(async move {
            let mut fill = 0_u8;
            loop {
                let bytes = vec![fill.wrapping_add(1); WRITE_BYTES as usize];
                match session.write(&open, place, &bytes, StableHow::FileSync).await {
                    Ok(_) => fill = fill.wrapping_add(1),
                    Err(Error::Call(_) | Error::Connect(_)) => return (place, fill),
                    Err(error) => panic!("a write fails: {error}"),
                }
                count.set(count.get() + 1);
            }
        }));
    }
    wait(asking, "writes", async || counts.iter().all(|count| count.get() >= WRITES_MIN)).await;
    server.kill();
    let mut written = Vec::new();
    for task in tasks {
        written.push(task.await.expect("no panic"));
    }
    written
}

/// Waits until something is so.
async fn wait(asking: &Asking, what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = asking.shard.now_precise() + PATIENCE;
    while !reached().await {
        assert!(asking.shard.now_precise() < deadline, "{what}: not in time");
        asking.shard.sleep(PAUSE).await;
    }
}

/// The grace period from beginning to end.
async fn recover(asking: &Asking, parties: &mut [Party; 2]) {
    for party in &mut *parties {
        party.come_back(asking).await;
    }
    let [first, second] = parties;
    let stranger = asking.client("stranger").await;
    let session = stranger.session();
    let status = |error: Error| error.status().expect("a status");
    let opened = session.open(first.root, "shared", &OpenHow::read()).await;
    assert_eq!(opened.map_err(status), Err(Status::Grace), "new state has to wait");
    let anonymous = OpenFile { handle: first.open.handle, stateid: Stateid::ANONYMOUS };
    let read = session.read(&anonymous, 0, 1).await.map(drop);
    assert_eq!(read.map_err(status), Err(Status::Grace), "a reservation may be reclaimed yet");
    assert!(session.attributes(first.open.handle).await.is_ok(), "what needs no state does not wait");

    second.reclaim().await.expect("it was recorded");
    let stolen = second.lock_at(first.offset, false).await.map(drop);
    assert_eq!(stolen.map_err(status), Err(Status::Grace), "the first one's lock may be reclaimed yet");
    first.reclaim().await.expect("it was recorded");
    let stolen = second.lock_at(first.offset, true).await.map(drop);
    assert_eq!(stolen.map_err(status), Err(Status::ReclaimConflict), "it has been reclaimed");
    first.complete().await;
    second.complete().await;

    wait(asking, "the end of grace", async || {
        let opened = session.open(first.root, "shared", &OpenHow::read_write()).await;
        match opened {
            Ok(open) => {
                let locked =
                    session.lock(&open, "thief", LockType::Write, first.offset, 1).await.expect("an answer");
                assert!(matches!(locked, LockOutcome::Denied { .. }), "the lock is held");
                session.close(&open).await.expect("it is open");
                true
            }
            Err(error) => {
                assert_eq!(status(error), Status::Grace);
                false
            }
        }
    })
    .await;
    let late = first.reclaim_open().await.map(drop);
    assert_eq!(late.map_err(status), Err(Status::NoGrace));
    stranger.destroy().await.expect("it holds nothing");
}

/// What a restart must not turn back, and what it must change.
struct Seen {
    change: u64,
    directory_change: u64,
    file_id: u64,
    verifier: Verifier,
}

impl Seen {
    async fn of(party: &Party) -> Self {
        let session = party.client.session();
        let file = session.attributes(party.open.handle).await.expect("the handle is good");
        let directory = session.attributes(party.root).await.expect("the handle is good");
        assert_eq!(session.lookup("shared").await.expect("a name"), party.open.handle, "a handle stays");
        let verifier = session.commit(party.open.handle).await.expect("a commit");
        Self { change: file.change, directory_change: directory.change, file_id: file.file_id, verifier }
    }

    /// Between the two, the file was written, a name was made, and the server was killed.
    fn compare_with(self, later: Self) -> Self {
        assert!(later.change > self.change, "{} after {}", later.change, self.change);
        assert!(later.directory_change > self.directory_change);
        assert_eq!(later.file_id, self.file_id);
        assert_ne!(later.verifier, self.verifier, "unstable writes may be lost");
        later
    }
}

/// What was acknowledged is there; a write under way when the server was killed may be.
async fn check_written(party: &Party, written: &[(u64, u8)]) {
    for (place, fill) in written {
        let (bytes, _) =
            party.client.session().read(&party.open, *place, WRITE_BYTES as u32).await.expect("a read");
        let first = bytes[0];
        assert!([*fill, fill.wrapping_add(1)].contains(&first), "{first} at {place} after {fill}");
    }
    // Under the reclaimed lock as before.
    let written =
        party.client.session().write(&party.open, party.offset, b"goes on", StableHow::Unstable).await;
    written.expect("a write");
}

fn verifier(round: u32) -> Verifier {
    Verifier([round as u8; 8])
}

async fn make_exclusively(party: &Party, round: u32, verifier: Verifier) -> Result<FileHandle> {
    let attributes = client::OwnedAttributes::new(&Attributes { mode: Some(0o444), ..Attributes::default() });
    let how = CreateVerifierAttributes { verifier, attributes: attributes.as_raw() };
    let name = format!("exclusive{round}");
    let open = OpenArgs {
        seqid: 0,
        share_access: share_access::BOTH | share_access::WANT_NO_DELEG,
        share_deny: share_deny::NONE,
        owner: StateOwner { client_id: party.client.id(), owner: "open owner".into() },
        how: WireHow::Create(CreateHow::ExclusiveWithAttributes(how)),
        claim: OpenClaim::Null(name.as_str().into()),
    };
    let session = party.client.session();
    let reply = session.call(Compound::new().put_handle(party.root).open(open).get_handle()).await?;
    reply.skip(1)?;
    let stateid = reply.next::<OpenResult<'_>>()?.stateid;
    let handle = reply.next::<GetFhResult>()?.object;
    session.close(&OpenFile { handle, stateid }).await?;
    Ok(handle)
}

/// A client that never got the answer asks again of the new server: the same call finds the same file, another is refused.
async fn check_exclusive(party: &Party, round: u32, made: FileHandle) {
    let again = make_exclusively(party, round, verifier(round)).await;
    assert_eq!(again.expect("the same call"), made);
    let other = make_exclusively(party, round, verifier(round + 1)).await;
    assert_eq!(other.map_err(|error| error.status()), Err(Some(Status::Exist)));
}
