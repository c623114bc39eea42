//! The comparison after the cut: everything acknowledged is there, and nothing else but what was under way.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;

use bytes::Bytes;
use client::{Compound, OpenHow, Session};
use engine::{EngineConfig, block_on};
use transport_tcp::{Endpoint, Limits};
use wire::nfs4::{Attributes, FileHandle, FileType, GetFhResult, RawAttributes, Status, attribute};

use crate::journal::{self, Journal, Kind, hexadecimal};
use crate::load::kind;
use crate::model::{Model, Object};
use crate::pattern::{self, CELL_BYTES};
use crate::reclaim;
use crate::worker::{Ground, SIDES, patiently};

/// Problems shown of each kind.
const SHOWN_MAX: usize = 4;

/// Bytes of one READ.
const READ_BYTES: u32 = 256 * 1024;

/// Something acknowledged that is not there, or something there that nobody asked for.
#[derive(Clone, Debug)]
pub struct Problem {
    kind: String,
    text: String,
}

impl Problem {
    /// One of a kind of operation.
    pub fn new(kind: &str, text: String) -> Self {
        Self { kind: kind.to_owned(), text }
    }
}

/// All that was found.
#[derive(Default)]
pub struct Problems {
    found: Vec<Problem>,
    /// Acknowledged operations that were compared.
    pub checked: u64,
    /// Cells written without a COMMIT, and how many of them are gone.
    unstable: (u64, u64),
}

impl Problems {
    /// One more.
    pub fn add(&mut self, problem: Problem) {
        self.found.push(problem);
    }

    /// Prints it; the last lines are for scripts.
    fn report(&self) -> Result<(), String> {
        let kinds: BTreeSet<&str> = self.found.iter().map(|problem| problem.kind.as_str()).collect();
        for kind in &kinds {
            let of_kind: Vec<_> = self.found.iter().filter(|problem| problem.kind == *kind).collect();
            for problem in of_kind.iter().take(SHOWN_MAX) {
                println!("lost {kind}: {}", problem.text);
            }
            println!("lost {kind}: {} in all", of_kind.len());
        }
        let (written, gone) = self.unstable;
        println!("verify: {gone} of {written} cells that were never committed are gone");
        println!("verify: {} acknowledged operations, {} problems", self.checked, self.found.len());
        if self.found.is_empty() { Ok(()) } else { Err("what was acknowledged is not there".to_owned()) }
    }
}

/// Compares the server with the journal of a round.
pub fn run(address: SocketAddr, folder: &Path, round: &str) -> Result<(), String> {
    let lines = journal::read(&folder.join(format!("journal-{round}"))).map_err(|error| error.to_string())?;
    let models = Model::read(lines);
    // The verification's own clients are nobody's business.
    let aside = folder.join(format!("verify-{round}"));
    let journal = RefCell::new(Journal::create(&aside).map_err(|error| error.to_string())?);
    let round = round.to_owned();
    let ran = block_on(EngineConfig::small(), move |shard| async move {
        let endpoint = Endpoint::new(&shard, Limits::default());
        let ground = Rc::new(Ground { shard, endpoint, address, journal, round });
        let mut problems = Problems::default();
        verify(&ground, &models, &mut problems).await.map_err(|error| error.to_string())?;
        problems.report()
    });
    ran.map_err(|error| error.to_string())?
}

async fn verify(
    ground: &Rc<Ground>,
    models: &BTreeMap<String, Model>,
    problems: &mut Problems,
) -> client::Result<()> {
    reclaim::reclaim_all(ground, models, problems).await?;
    let client = ground.connect("verify", true).await?;
    let view = View { ground, session: client.session().clone() };
    let root = view.session.lookup("/").await?;
    for (name, model) in models {
        let export = if kind(name) == "record" { "write" } else { kind(name) };
        let Some(round) = view.find(root, &format!("{export}/round{}", ground.round)).await? else {
            problems.add(Problem::new(kind(name), format!("{name}: the file system is as before the load")));
            continue;
        };
        let seen = view.read(round.handle, name, model).await?;
        for problem in compare(name, model, &seen) {
            problems.add(problem);
        }
        if kind(name) == "unstable" {
            problems.unstable = count_unstable(name, model, &seen);
            check_verifier(&view, model, &seen, problems).await?;
        }
    }
    client.destroy().await
}

/// An object as the server shows it now.
struct Seen {
    handle: FileHandle,
    file_type: FileType,
    mode: u32,
    links: u32,
    file_id: u64,
    seconds: i64,
    size: u64,
    content: Bytes,
}

/// The server, looked at by a client that has no part in the load.
struct View<'a> {
    ground: &'a Ground,
    session: Session,
}

impl View<'_> {
    async fn find(&self, directory: FileHandle, path: &str) -> client::Result<Option<Seen>> {
        let names = path.split('/').filter(|name| !name.is_empty()).count();
        let numbers = [
            attribute::TYPE,
            attribute::SIZE,
            attribute::FILEID,
            attribute::MODE,
            attribute::NUMLINKS,
            attribute::TIME_MODIFY,
        ];
        let compound =
            || Compound::new().put_handle(directory).lookup_path(path).get_handle().get_attributes(&numbers);
        let asked = patiently(&self.ground.shard, || async {
            let reply = self.session.call(compound()).await?;
            reply.skip(1 + names)?;
            let handle = reply.next::<GetFhResult>()?.object;
            let given = reply.next::<RawAttributes<'_>>()?.decode_values();
            Ok(seen(handle, &given.expect("attributes that decode")))
        });
        match asked.await {
            Ok(seen) => Ok(Some(seen)),
            Err(error) if error.status() == Some(Status::Noent) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All names of a worker, and the contents of its files that have any.
    async fn read(
        &self,
        round: FileHandle,
        worker: &str,
        model: &Model,
    ) -> client::Result<BTreeMap<String, Seen>> {
        let mut found = BTreeMap::new();
        let mut paths: Vec<(String, String)> = Vec::new();
        for side in ["", SIDES[0], SIDES[1]] {
            let Some(directory) = self.find(round, &format!("{worker}/{side}")).await? else { continue };
            let listed = self.session.read_directory(directory.handle).await?;
            let prefix = if side.is_empty() { String::new() } else { format!("{side}/") };
            for entry in listed {
                let path = format!("{prefix}{}", String::from_utf8_lossy(&entry.name));
                paths.push((path.clone(), format!("{worker}/{path}")));
            }
        }
        let shared = model.names.keys().filter(|path| path.starts_with('/'));
        paths.extend(shared.map(|path| (path.clone(), path.clone())));
        for (path, place) in paths {
            let Some(mut seen) = self.find(round, &place).await? else { continue };
            if seen.file_type == FileType::Regular && seen.size > 0 {
                seen.content = self.content(round, &place, seen.size).await?;
            }
            found.insert(path, seen);
        }
        Ok(found)
    }

    async fn content(&self, round: FileHandle, place: &str, size: u64) -> client::Result<Bytes> {
        let (directory, name) = place.rsplit_once('/').unwrap_or(("", place));
        let Some(directory) = self.find(round, directory).await? else { return Ok(Bytes::new()) };
        let how = OpenHow::read();
        let open = patiently(&self.ground.shard, || self.session.open(directory.handle, name, &how)).await?;
        let mut content = Vec::new();
        while (content.len() as u64) < size {
            let (bytes, end) = self.session.read(&open, content.len() as u64, READ_BYTES).await?;
            content.extend_from_slice(&bytes);
            if end || bytes.is_empty() {
                break;
            }
        }
        self.session.close(&open).await?;
        Ok(content.into())
    }
}

fn seen(handle: FileHandle, given: &Attributes<'_>) -> Seen {
    let known = || {
        Some(Seen {
            handle,
            file_type: given.file_type?,
            mode: given.mode?,
            links: given.numlinks?,
            file_id: given.fileid?,
            seconds: given.time_modify?.seconds,
            size: given.size?,
            content: Bytes::new(),
        })
    };
    known().expect("the server has these attributes")
}

/// What differs, the operation under way being done or not, whichever fits better.
fn compare(worker: &str, model: &Model, seen: &BTreeMap<String, Seen>) -> Vec<Problem> {
    let without = differences(worker, model, seen);
    let with = model.with_in_flight().map(|after| differences(worker, &after, seen));
    let fewest = with.filter(|with| with.len() < without.len()).unwrap_or(without);
    let problem = |text: String| Problem::new(kind(worker), format!("{worker}: {text}"));
    fewest.into_iter().map(problem).collect()
}

fn differences(worker: &str, model: &Model, seen: &BTreeMap<String, Seen>) -> Vec<String> {
    let mut differences = Vec::new();
    for path in seen.keys().filter(|path| !model.names.contains_key(*path)) {
        differences.push(format!("{path} is there and must not be"));
    }
    let mut numbers: BTreeMap<usize, u64> = BTreeMap::new();
    for (path, number) in &model.names {
        let object = &model.objects[*number];
        let Some(seen) = seen.get(path) else {
            differences.push(format!("{path} is gone"));
            continue;
        };
        if *numbers.entry(*number).or_insert(seen.file_id) != seen.file_id {
            differences.push(format!("{path} is another object than its other names"));
        }
        if object.handle.as_ref().is_some_and(|handle| *handle != hexadecimal(seen.handle.as_bytes())) {
            differences.push(format!("{path} has another file handle"));
        }
        if path.starts_with('/') {
            differences.extend(content(worker, path, object, seen, true));
        } else {
            let links = model.names.values().filter(|other| *other == number).count();
            differences.extend(attributes(path, object, links, seen));
            differences.extend(content(worker, path, object, seen, false));
        }
    }
    differences
}

fn attributes(path: &str, object: &Object, links: usize, seen: &Seen) -> Vec<String> {
    let mut differences = Vec::new();
    let file_type = match object.kind {
        Kind::Regular => FileType::Regular,
        Kind::Directory => FileType::Directory,
        Kind::SymbolicLink => FileType::SymbolicLink,
        Kind::Fifo => FileType::Fifo,
    };
    if seen.file_type != file_type {
        return vec![format!("{path} is a {:?}, not a {file_type:?}", seen.file_type)];
    }
    if seen.mode & 0o7777 != object.mode && object.kind != Kind::SymbolicLink {
        differences.push(format!("{path} has mode {:o}, not {:o}", seen.mode, object.mode));
    }
    if object.kind != Kind::Directory && seen.links as usize != links {
        differences.push(format!("{path} has {} names, not {links}", seen.links));
    }
    if object.seconds.is_some_and(|seconds| seconds != seen.seconds) {
        differences.push(format!("{path} was changed at {}, not {:?}", seen.seconds, object.seconds));
    }
    differences
}

/// Compares cell by cell. Of a file that others write to as well, only the cells of this worker.
fn content(worker: &str, path: &str, object: &Object, seen: &Seen, shared: bool) -> Vec<String> {
    if object.kind != Kind::Regular {
        return Vec::new();
    }
    let (least, most) = object.size_range;
    let size = seen.size.div_ceil(CELL_BYTES);
    let mut differences = Vec::new();
    if size < least || (!shared && size > most) {
        differences.push(format!("{path} has {size} cells, not {least} to {most}"));
    }
    let cells: Vec<u64> = if shared { object.cells.keys().copied().collect() } else { (0..size).collect() };
    for cell in cells.into_iter().filter(|cell| *cell < size) {
        let allowed = object.generations(cell);
        if !allowed.iter().any(|generation| holds(worker, path, seen, cell, *generation)) {
            differences.push(format!("{path}: cell {cell} is of none of the generations {allowed:?}"));
        }
    }
    differences
}

fn holds(worker: &str, path: &str, seen: &Seen, cell: u64, generation: u32) -> bool {
    let start = (cell * CELL_BYTES) as usize;
    let there = seen.content.get(start..).unwrap_or_default();
    let there = &there[..there.len().min(CELL_BYTES as usize)];
    // What was in flight may have extended the file up to the middle of a cell.
    !there.is_empty() && pattern::cell(worker, path, cell, generation).starts_with(there)
}

/// Cells that were written without a COMMIT and never brought to stable storage, and those that are indeed gone: were there
/// none, the cut would have cut nothing.
fn count_unstable(worker: &str, model: &Model, seen: &BTreeMap<String, Seen>) -> (u64, u64) {
    let (mut written, mut gone) = (0, 0);
    for (path, number) in &model.names {
        let object = &model.objects[*number];
        for (cell, last) in object.cells.iter().filter_map(|(at, cell)| Some((*at, *cell.maybe.last()?))) {
            written += 1;
            gone += u64::from(!seen.get(path).is_some_and(|seen| holds(worker, path, seen, cell, last)));
        }
    }
    (written, gone)
}

/// A client learns of the loss by another write verifier (RFC 8881 §18.3.3).
async fn check_verifier(
    view: &View<'_>,
    model: &Model,
    seen: &BTreeMap<String, Seen>,
    problems: &mut Problems,
) -> client::Result<()> {
    let Some(file) = seen.values().find(|seen| seen.file_type == FileType::Regular) else { return Ok(()) };
    let now = patiently(&view.ground.shard, || view.session.commit(file.handle)).await?;
    if model.verifier == Some(now.0) {
        problems.add(Problem::new("unstable", "the write verifier is the same as before the cut".to_owned()));
    }
    Ok(())
}
