//! The load that the cut ends: workers of one kind each, every kind alone on a file system of its own.
//!
//! A sync of one file brings a whole journalling file system up to date. Were the kinds mixed, the syncs of one would hide
//! that another has none: so each kind has a file system to itself, and a further one has them all.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use client::Client;
use engine::{EngineConfig, Shard, block_on};
use transport_tcp::{Endpoint, Limits};

use crate::journal::Journal;
use crate::worker::{Ground, Worker};

/// Workers and what they do. The part of the name before the dash is the export.
pub const WORKERS: &[&str] = &[
    "write-0",
    "commit-0",
    "unstable-0",
    "create-0",
    "rename-0",
    "remove-0",
    "setattr-0",
    "link-0",
    "record-0",
    "mixed-0",
    "mixed-1",
];

/// Acknowledged operations of each worker before the cut means something.
const ACKNOWLEDGED_MIN: u64 = 12;

/// Names that can be removed until the cut.
const REMOVABLE: usize = 150;

/// Names for the other kinds of worker.
const SPARES: usize = 16;

/// Further clients at most: what they cost is their opens.
const CLIENTS_MAX: usize = 60;

/// Cells of the shared file that are each worker's.
const SHARED_REGION: u64 = 300;

/// The longest that this waits for anything.
const WAIT_MAX: Duration = Duration::from_secs(240);

const LOOK_PAUSE: Duration = Duration::from_millis(50);

/// Runs until the server is gone. In `folder`: the journal; `settle.request`, made when everything that the load needs
/// is there and may be brought to stable storage, which is waited for as `settle.done`; `loaded`, made when the cut may come.
pub fn run(address: SocketAddr, folder: &Path, round: &str) -> Result<(), String> {
    let journal =
        Journal::create(&folder.join(format!("journal-{round}"))).map_err(|error| error.to_string())?;
    let (folder, round) = (folder.to_owned(), round.to_owned());
    let ran = block_on(EngineConfig::small(), move |shard| async move {
        let endpoint = Endpoint::new(&shard, Limits::default());
        let journal = RefCell::new(journal);
        let ground = Rc::new(Ground { shard, endpoint, address, journal, round });
        work(&ground, &folder).await
    });
    ran.map_err(|error| error.to_string())?
}

async fn work(ground: &Rc<Ground>, folder: &Path) -> Result<(), String> {
    let mut workers = Vec::new();
    for name in WORKERS {
        let acknowledged = Rc::new(Cell::new(0));
        let worker = set_up(ground, name, Rc::clone(&acknowledged)).await;
        workers.push((*name, worker.map_err(|error| format!("{name}: {error}"))?, acknowledged));
    }
    touch(&folder.join("settle.request"))?;
    wait(&ground.shard, "the guest does not sync", || folder.join("settle.done").exists()).await?;
    let mut tasks = Vec::new();
    let mut counts = Vec::new();
    for (name, worker, acknowledged) in workers {
        acknowledged.set(0);
        counts.push(acknowledged);
        tasks.push((name, ground.shard.spawn(drive(name, worker))));
    }
    let loaded = || counts.iter().all(|count| count.get() >= ACKNOWLEDGED_MIN);
    wait(&ground.shard, "the load is too slow", loaded).await?;
    touch(&folder.join("loaded"))?;
    for (name, task) in tasks {
        let error = task.await.map_err(|_| format!("{name}: a panic"))?;
        if !is_cut(&error) {
            return Err(format!("{name}: {error}"));
        }
    }
    let total: u64 = counts.iter().map(|count| count.get()).sum();
    println!("load: {total} operations acknowledged before the cut");
    Ok(())
}

async fn set_up(ground: &Rc<Ground>, name: &str, acknowledged: Rc<Cell<u64>>) -> client::Result<Worker> {
    let kind = kind(name);
    // The further clients open a file that nobody changes.
    let export = if kind == "record" { "write" } else { kind };
    let mut worker = Worker::new(Rc::clone(ground), name, export, acknowledged).await?;
    match kind {
        "create" => {}
        "rename" | "link" => worker.add_spares(SPARES).await?,
        "remove" => worker.add_spares(REMOVABLE).await?,
        "mixed" => {
            worker.add_data().await?;
            worker.add_spares(SPARES).await?;
            let place = if name.ends_with('0') { 0 } else { SHARED_REGION };
            worker.share_data(place..place + SHARED_REGION).await?;
        }
        _ => worker.add_data().await?,
    }
    Ok(worker)
}

/// The kind of a worker by its name.
pub fn kind(name: &str) -> &str {
    name.split('-').next().expect("a first part")
}

/// Works until something fails, and returns that.
async fn drive(name: &'static str, mut worker: Worker) -> client::Error {
    // They stay to the end: a client that goes is no longer recorded.
    let mut clients: Vec<Client> = Vec::new();
    loop {
        let outcome = match kind(name) {
            "write" => worker.write_stable().await,
            "commit" => worker.write_and_commit().await,
            "unstable" => worker.write_unstable().await,
            "create" => worker.create_spare().await,
            "rename" => worker.rename().await,
            "remove" => worker.remove().await,
            "setattr" => worker.set_attributes().await,
            "link" => worker.link().await,
            "record" if clients.len() < CLIENTS_MAX => {
                worker.add_client().await.map(|client| clients.push(client))
            }
            "record" => worker.idle().await,
            _ => worker.anything().await,
        };
        if let Err(error) = outcome {
            return error;
        }
    }
}

/// Whether an error is what the end of the server looks like.
fn is_cut(error: &client::Error) -> bool {
    matches!(error, client::Error::Call(_) | client::Error::Connect(_))
}

fn touch(path: &PathBuf) -> Result<(), String> {
    std::fs::write(path, "").map_err(|error| format!("{}: {error}", path.display()))
}

async fn wait(shard: &Shard, failure: &str, mut reached: impl FnMut() -> bool) -> Result<(), String> {
    let deadline = shard.now_precise() + WAIT_MAX;
    while !reached() {
        if shard.now_precise() > deadline {
            return Err(failure.to_owned());
        }
        shard.sleep(LOOK_PAUSE).await;
    }
    Ok(())
}
