//! One client of the load: what it can do, each journalled before it is sent and when it is acknowledged.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use client::{Client, ClientOptions, Compound, OpenFile, OpenHow, Session};
use engine::Shard;
use transport_tcp::Endpoint;
use wire::nfs4::{Attributes, CreateType, FileHandle, NfsTime, SetTime, StableHow, Status, Verifier};

use crate::journal::{Answer, Effect, Event, Journal, Kind, hexadecimal};
use crate::pattern::{self, CELL_BYTES, Random};

/// Pause before a request is sent again that the server cannot execute now.
const DELAY_PAUSE: Duration = Duration::from_millis(50);

/// The two directories that every worker has.
pub const SIDES: [&str; 2] = ["left", "right"];

/// Names that a rename over another leaves.
const SPARES_MIN: usize = 4;

/// Most cells of one write.
const WRITE_CELLS_MAX: u64 = 48;

/// Writes before a COMMIT.
const WRITES_PER_COMMIT: u64 = 6;

/// What all workers share.
pub struct Ground {
    pub shard: Shard,
    pub endpoint: Endpoint,
    pub address: std::net::SocketAddr,
    pub journal: RefCell<Journal>,
    pub round: String,
}

impl Ground {
    /// Connects a client with this name. Nothing is sent again when the connection breaks: that is the cut.
    pub async fn connect(&self, name: &str, reclaim_complete: bool) -> client::Result<Client> {
        let options = ClientOptions {
            retries: 0,
            reclaim_complete,
            ..ClientOptions::named(&format!("powercut-{}-{name}", self.round))
        };
        Client::connect(&self.endpoint, self.address, options).await
    }
}

/// Tries again for as long as the server cannot answer now.
pub async fn patiently<T, F>(shard: &Shard, mut attempt: impl FnMut() -> F) -> client::Result<T>
where
    F: Future<Output = client::Result<T>>,
{
    loop {
        match attempt().await {
            Err(error) if matches!(error.status(), Some(Status::Delay | Status::Grace)) => {
                shard.sleep(DELAY_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}

/// A file that is kept open and written. Only the cells of `region` are this worker's.
struct DataFile {
    path: String,
    open: OpenFile,
    region: std::ops::Range<u64>,
}

/// A client and its directory.
pub struct Worker {
    ground: Rc<Ground>,
    name: String,
    client: Client,
    /// The directory of the round, where shared files are; the worker's own; its two sides.
    directories: [FileHandle; 4],
    data: Vec<DataFile>,
    /// Names that may be renamed, linked and removed.
    spares: Vec<(String, Kind)>,
    random: Random,
    serial: u32,
    acknowledged: Rc<Cell<u64>>,
}

impl Worker {
    /// Connects the client and makes its directories on the file system `export`.
    pub async fn new(
        ground: Rc<Ground>,
        name: &str,
        export: &str,
        acknowledged: Rc<Cell<u64>>,
    ) -> client::Result<Self> {
        ground.journal.borrow_mut().put(name, Event::Begun(Effect::Client));
        let client = ground.connect(name, true).await?;
        ground.journal.borrow_mut().put(name, Event::Done(Answer::default()));
        let session = client.session().clone();
        let top = session.lookup(export).await?;
        let round = directory(&ground.shard, &session, top, &format!("round{}", ground.round)).await?;
        let own = patiently(&ground.shard, || session.create_directory(round, name, 0o755)).await?;
        let seed = name.bytes().fold(0x9e37_79b9_u64, |seed, byte| seed.wrapping_mul(131) + u64::from(byte));
        let mut worker = Self {
            ground,
            name: name.to_owned(),
            client,
            directories: [round, own, own, own],
            data: Vec::new(),
            spares: Vec::new(),
            random: Random(seed),
            serial: 0,
            acknowledged,
        };
        for (at, side) in SIDES.iter().enumerate() {
            worker.directories[2 + at] = worker.create(side, Kind::Directory, 0o755, false).await?;
        }
        Ok(worker)
    }

    /// Makes a file to write to.
    pub async fn add_data(&mut self) -> client::Result<()> {
        let path = format!("data{}", self.data.len());
        self.create(&path, Kind::Regular, 0o644, true).await?;
        Ok(())
    }

    /// Opens the file that the workers of the file system share, to write to a region of it.
    pub async fn share_data(&mut self, region: std::ops::Range<u64>) -> client::Result<()> {
        let path = "/shared".to_owned();
        self.begin(Effect::Open { path: path.clone() });
        let (directory, name) = self.place(&path);
        let (session, how) = (self.client.session(), OpenHow::create(0o644));
        let open = patiently(&self.ground.shard, || session.open(directory, name, &how)).await?;
        self.opened(&open, true);
        self.data.push(DataFile { path, open, region });
        Ok(())
    }

    /// Makes names to play with.
    pub async fn add_spares(&mut self, count: usize) -> client::Result<()> {
        for _ in 0..count {
            self.create_spare().await?;
        }
        Ok(())
    }

    /// CREATE or OPEN with creation, of any kind, under a new name.
    pub async fn create_spare(&mut self) -> client::Result<()> {
        let kinds = [Kind::Regular, Kind::Regular, Kind::Directory, Kind::SymbolicLink, Kind::Fifo];
        let kind = kinds[self.random.below(kinds.len() as u64) as usize];
        let mode = 0o400 | self.random.below(0o400) as u32;
        let path = self.new_name();
        self.create(&path, kind, mode, false).await?;
        self.spares.push((path, kind));
        Ok(())
    }

    /// FILE_SYNC and DATA_SYNC.
    pub async fn write_stable(&mut self) -> client::Result<()> {
        let stable = if self.random.below(4) == 0 { StableHow::DataSync } else { StableHow::FileSync };
        self.write(stable).await.map(drop)
    }

    /// UNSTABLE, and no COMMIT.
    pub async fn write_unstable(&mut self) -> client::Result<()> {
        self.write(StableHow::Unstable).await.map(drop)
    }

    /// Some UNSTABLE and COMMIT.
    pub async fn write_and_commit(&mut self) -> client::Result<()> {
        let at = self.random.below(self.data.len() as u64) as usize;
        let mut verifiers = Vec::new();
        for _ in 0..1 + self.random.below(WRITES_PER_COMMIT) {
            verifiers.push(self.write_to(at, StableHow::Unstable).await?);
        }
        let DataFile { path, open, .. } = &self.data[at];
        self.begin(Effect::Commit { path: path.clone() });
        let (session, handle) = (self.client.session(), open.handle);
        let verifier = patiently(&self.ground.shard, || session.commit(handle)).await?;
        // Or else the commit would promise nothing.
        assert!(
            verifiers.iter().all(|seen| *seen == verifier),
            "the write verifier changes while the server runs"
        );
        self.done(Answer { verifier: Some(verifier.0), ..Answer::default() });
        Ok(())
    }

    /// SETATTR of the mode, the size or the time of modification.
    pub async fn set_attributes(&mut self) -> client::Result<()> {
        let at = self.random.below(self.data.len() as u64) as usize;
        let (number, shared) = (self.random.next(), self.data[at].path.starts_with('/'));
        let DataFile { path, open, region } = &self.data[at];
        let path = path.clone();
        let (effect, attributes) = match number % 3 {
            _ if shared => return Ok(()),
            0 => {
                let mode = 0o600 | (number >> 20) as u32 & 0o77;
                (Effect::SetMode { path, mode }, Attributes { mode: Some(mode), ..Attributes::default() })
            }
            1 => {
                let cells = (number >> 20) % region.end;
                let size = Some(cells * CELL_BYTES);
                (Effect::SetSize { path, cells }, Attributes { size, ..Attributes::default() })
            }
            _ => {
                let seconds = 1_000_000_000 + (number >> 40) as i64;
                let time = SetTime::Client(NfsTime { seconds, nanoseconds: 0 });
                let attributes = Attributes { time_modify_set: Some(time), ..Attributes::default() };
                (Effect::SetTime { path, seconds }, attributes)
            }
        };
        self.begin(effect);
        let (session, open) = (self.client.session(), *open);
        patiently(&self.ground.shard, || session.set_attributes(open.handle, open.stateid, &attributes))
            .await?;
        self.done(Answer::default());
        Ok(())
    }

    /// RENAME to a new name on one of the sides, now and then over another one.
    pub async fn rename(&mut self) -> client::Result<()> {
        let at = self.random.below(self.spares.len() as u64) as usize;
        let (from, kind) = self.spares.swap_remove(at);
        let over = self.random.below(8) == 0 && self.spares.len() > SPARES_MIN && kind != Kind::Directory;
        let victim = self.spares.iter().position(|(_, other)| over && *other != Kind::Directory);
        let to = match victim {
            Some(victim) => self.spares.swap_remove(victim).0,
            None => self.new_name(),
        };
        self.begin(Effect::Rename { from: from.clone(), to: to.clone() });
        let ((source, old), (target, new)) = (self.place(&from), self.place(&to));
        let session = self.client.session();
        patiently(&self.ground.shard, || session.rename(source, old, target, new)).await?;
        self.done(Answer::default());
        self.spares.push((to, kind));
        Ok(())
    }

    /// LINK of a spare that is no directory.
    pub async fn link(&mut self) -> client::Result<()> {
        let Some((from, kind)) = self.spares.iter().find(|(_, kind)| *kind != Kind::Directory).cloned()
        else {
            return self.create_spare().await;
        };
        let to = self.new_name();
        self.begin(Effect::Link { from: from.clone(), to: to.clone() });
        let ((source, old), (target, new)) = (self.place(&from), self.place(&to));
        let compound =
            || Compound::new().put_handle(source).lookup(old).save_handle().put_handle(target).link(new);
        let session = self.client.session();
        patiently(&self.ground.shard, || async {
            session.call(compound().cached()).await?.skip(4)?;
            Ok(())
        })
        .await?;
        self.done(Answer::default());
        self.spares.push((to, kind));
        Ok(())
    }

    /// REMOVE of a spare, while there are any.
    pub async fn remove(&mut self) -> client::Result<()> {
        if self.spares.is_empty() {
            return self.idle().await;
        }
        let at = self.random.below(self.spares.len() as u64) as usize;
        let (path, _) = self.spares.swap_remove(at);
        self.begin(Effect::Remove { path: path.clone() });
        let (directory, name) = self.place(&path);
        let session = self.client.session();
        patiently(&self.ground.shard, || session.remove(directory, name)).await?;
        self.done(Answer::default());
        Ok(())
    }

    /// Asks for something that changes nothing, to notice the cut.
    pub async fn idle(&self) -> client::Result<()> {
        self.ground.shard.sleep(DELAY_PAUSE).await;
        self.client.session().call(Compound::new().put_root()).await?.skip(1)
    }

    /// Any of the above.
    pub async fn anything(&mut self) -> client::Result<()> {
        match self.random.below(8) {
            0 => self.write_stable().await,
            1 => self.write_and_commit().await,
            2 => self.write_unstable().await,
            3 => self.create_spare().await,
            4 if !self.spares.is_empty() => self.rename().await,
            5 => self.link().await,
            6 => self.remove().await,
            _ => self.set_attributes().await,
        }
    }

    /// A further client, which opens this worker's first file: something that it may reclaim.
    pub async fn add_client(&mut self) -> client::Result<Client> {
        self.serial += 1;
        let name = format!("{}-{}", self.name, self.serial);
        let put = |event| self.ground.journal.borrow_mut().put(&name, event);
        put(Event::Begun(Effect::Client));
        let client = self.ground.connect(&name, true).await?;
        put(Event::Done(Answer::default()));
        self.count();
        let DataFile { path, .. } = &self.data[0];
        let path = format!("/{}/{path}", self.name);
        put(Event::Begun(Effect::Open { path: path.clone() }));
        let session = client.session();
        let file_name = path.rsplit('/').next().expect("a path has a last name");
        let how = OpenHow::read();
        let directory = self.directories[1];
        let open = patiently(&self.ground.shard, || session.open(directory, file_name, &how)).await?;
        let handle = Some(hexadecimal(open.handle.as_bytes()));
        put(Event::Done(Answer { handle, open: true, verifier: None }));
        Ok(client)
    }

    async fn create(&mut self, path: &str, kind: Kind, mode: u32, keep: bool) -> client::Result<FileHandle> {
        self.begin(Effect::Create { path: path.to_owned(), kind, mode });
        let (directory, name) = self.place(path);
        let (session, shard) = (self.client.session(), &self.ground.shard);
        let object_type = match kind {
            Kind::Regular => {
                let how = OpenHow::create(mode).exclusive();
                let open = patiently(shard, || session.open(directory, name, &how)).await?;
                self.opened(&open, keep);
                if keep {
                    let file = DataFile { path: path.to_owned(), open, region: 0..512 };
                    self.data.push(file);
                } else {
                    patiently(shard, || session.close(&open)).await?;
                }
                return Ok(open.handle);
            }
            Kind::Directory => CreateType::Directory,
            Kind::SymbolicLink => CreateType::SymbolicLink(path.into()),
            Kind::Fifo => CreateType::Fifo,
        };
        let handle = patiently(shard, || session.create(directory, name, object_type.clone(), mode)).await?;
        self.done(Answer { handle: Some(hexadecimal(handle.as_bytes())), ..Answer::default() });
        Ok(handle)
    }

    async fn write(&mut self, stable: StableHow) -> client::Result<Verifier> {
        let at = self.random.below(self.data.len() as u64) as usize;
        self.write_to(at, stable).await
    }

    async fn write_to(&mut self, at: usize, stable: StableHow) -> client::Result<Verifier> {
        self.serial += 1;
        let DataFile { path, open, region } = &self.data[at];
        let count = 1 + self.random.below(WRITE_CELLS_MAX);
        let first = region.start + self.random.below(region.end - region.start - count);
        let generation = self.serial;
        let cells = first..first + count;
        let bytes: Vec<u8> =
            cells.flat_map(|cell| pattern::cell(&self.name, path, cell, generation)).collect();
        let (open, path) = (*open, path.clone());
        let stable_asked = stable != StableHow::Unstable;
        self.begin(Effect::Write { path, first, count, generation, stable: stable_asked });
        let session = self.client.session();
        let offset = first * CELL_BYTES;
        let written = patiently(&self.ground.shard, || session.write(&open, offset, &bytes, stable)).await?;
        assert_eq!(u64::from(written.count), count * CELL_BYTES, "a write is done as a whole");
        assert!(written.committed.number() >= stable.number(), "a write is as stable as was asked");
        let verifier = written.verifier;
        self.done(Answer { verifier: Some(verifier.0), ..Answer::default() });
        Ok(verifier)
    }

    fn new_name(&mut self) -> String {
        self.serial += 1;
        let side = SIDES[self.random.below(2) as usize];
        format!("{side}/n{}", self.serial)
    }

    /// The directory and the name that a path leads to.
    fn place<'a>(&self, path: &'a str) -> (FileHandle, &'a str) {
        let [round, own, left, right] = self.directories;
        match path.split_once('/') {
            Some(("", name)) => (round, name),
            Some((side, name)) => (if side == SIDES[0] { left } else { right }, name),
            None => (own, path),
        }
    }

    fn opened(&self, open: &OpenFile, keep: bool) {
        let handle = Some(hexadecimal(open.handle.as_bytes()));
        self.done(Answer { handle, open: keep, verifier: None });
    }

    fn begin(&self, effect: Effect) {
        self.ground.journal.borrow_mut().put(&self.name, Event::Begun(effect));
    }

    fn done(&self, answer: Answer) {
        self.ground.journal.borrow_mut().put(&self.name, Event::Done(answer));
        self.count();
    }

    fn count(&self) {
        self.acknowledged.set(self.acknowledged.get() + 1);
    }
}

/// A directory that may be there already.
async fn directory(
    shard: &Shard,
    session: &Session,
    parent: FileHandle,
    name: &str,
) -> client::Result<FileHandle> {
    match patiently(shard, || session.create_directory(parent, name, 0o755)).await {
        Err(error) if error.status() == Some(Status::Exist) => {
            let reply = session.call(Compound::new().put_handle(parent).lookup(name).get_handle()).await?;
            reply.skip(2)?;
            Ok(reply.next::<wire::nfs4::GetFhResult>()?.object)
        }
        outcome => outcome,
    }
}
