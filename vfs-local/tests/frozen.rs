//! A file system that stands still stops only itself.

mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use engine::{EngineConfig, Shard};
use rig::calls::{make, mode, page, root, write};
use rig::{Mounted, storage};
use vfs::{Error, NewObject, Vfs};
use vfs_local::{File, Local};

/// Calls of each kind on the frozen export: more than it may have on helper threads and in the ring.
const CALLS: usize = 30;

/// A frozen file system, thawed with the value, or after a while should the server have stopped.
struct Frozen {
    path: PathBuf,
    thawed: Arc<AtomicBool>,
}

impl Frozen {
    fn freeze(path: &Path) -> Self {
        assert!(Command::new("fsfreeze").arg("-f").arg(path).status().expect("fsfreeze runs").success());
        let (path, thawed) = (path.to_owned(), Arc::new(AtomicBool::new(false)));
        let rescue = Self { path: path.clone(), thawed: Arc::clone(&thawed) };
        std::thread::spawn(move || {
            std::thread::park_timeout(Duration::from_secs(20));
            drop(rescue);
        });
        Self { path, thawed }
    }

    fn is_thawed(&self) -> bool {
        self.thawed.load(Ordering::SeqCst)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        if !self.thawed.swap(true, Ordering::SeqCst) {
            let _ = Command::new("fsfreeze").arg("-u").arg(&self.path).status();
        }
    }
}

#[test]
fn a_frozen_export_stops_only_itself() {
    let (Some(stuck), Some(free)) = (Mounted::ext4(), Mounted::xfs().or_else(Mounted::tmpfs)) else { return };
    if !rig::is_root() {
        return;
    }
    let (stuck_storage, free_storage) = (storage(&stuck.path), storage(&free.path));
    let path = stuck.path.clone();
    let test = |shard: Shard| async move {
        let stuck = Local::new(stuck_storage, shard.clone()).expect("helper threads");
        let free = Local::new(free_storage, shard.clone()).expect("helper threads");
        let opened = make(&stuck, &stuck.root(), &root(), "file").await.expect("a file");
        let frozen = Frozen::freeze(&path);
        let done = Rc::new(std::cell::Cell::new(0));
        let mut tasks = Vec::new();
        for number in 0..CALLS {
            let (stuck, file, inner, done) =
                (stuck.clone(), opened.file.clone(), shard.clone(), done.clone());
            tasks.push(shard.spawn(async move {
                all_kinds(&stuck, &inner, &file, number).await;
                done.set(done.get() + 1);
            }));
        }
        shard.sleep(Duration::from_millis(100)).await;
        // Looking at the frozen one goes on too.
        assert!(stuck.attributes(&opened.node).await.is_ok());
        assert!(stuck.lookup(&stuck.root(), &root(), b"file").await.is_ok());
        let other = make(&free, &free.root(), &root(), "file").await.expect("a file");
        for number in 0..50 {
            write(&free, &shard, &other.file, &root(), number * 100_000, 100_000).await.expect("a write");
            free.commit(&other.file).await.expect("a commit");
            page(&free, &free.root(), 0, 10).await;
        }
        assert!(!frozen.is_thawed(), "the other export waited for the frozen one");
        assert_eq!(done.get(), 0, "the frozen one waits");
        drop(frozen);
        for task in tasks {
            task.await.expect("it ends after all");
        }
    };
    let config = EngineConfig { region_bytes: 64 << 20, ..EngineConfig::small() };
    engine::block_on(config, test).expect("the engine starts");
}

async fn all_kinds(local: &Local, shard: &Shard, file: &File, number: usize) {
    let name = format!("new-{number}");
    // What would wait with its memory for others is sent away, and comes again.
    let mut written = write(local, shard, file, &root(), number as u64 * 4096, 4096).await;
    while written == Err(Error::TryLater) {
        shard.sleep(Duration::from_millis(50)).await;
        written = write(local, shard, file, &root(), number as u64 * 4096, 4096).await;
    }
    written.expect("a write");
    local.commit(file).await.expect("a commit");
    let node = local.file_node(file).await.expect("a node");
    local.set_attributes(&node, None, &root(), &mode(0o600)).await.expect("a mode");
    let made =
        local.create(&local.root(), &root(), name.as_bytes(), NewObject::Directory, &mode(0o700)).await;
    made.expect("a directory");
}

/// Files written at once on the free file system: more than the kernel has turns for writes of different files (64), so
/// that some are sure to come behind the frozen ones.
const FILES: usize = 200;

#[test]
fn writes_do_not_wait_behind_those_of_a_frozen_export() {
    let (Some(stuck), Some(free)) = (Mounted::ext4(), Mounted::ext4()) else { return };
    if !rig::is_root() {
        return;
    }
    let (stuck_storage, free_storage) = (storage(&stuck.path), storage(&free.path));
    let path = stuck.path.clone();
    let test = |shard: Shard| async move {
        let stuck = Local::new(stuck_storage, shard.clone()).expect("helper threads");
        let free = Local::new(free_storage, shard.clone()).expect("helper threads");
        let mut files = Vec::new();
        for number in 0..FILES {
            let opened = make(&free, &free.root(), &root(), &format!("file-{number}")).await;
            files.push(opened.expect("a file").file);
        }
        let mut stuck_files = Vec::new();
        for number in 0..8 {
            let opened = make(&stuck, &stuck.root(), &root(), &format!("file-{number}")).await;
            stuck_files.push(opened.expect("a file").file);
        }
        let frozen = Frozen::freeze(&path);
        let mut waiting = Vec::new();
        for file in stuck_files {
            let (stuck, inner) = (stuck.clone(), shard.clone());
            waiting.push(shard.spawn(async move { write(&stuck, &inner, &file, &root(), 0, 4096).await }));
        }
        shard.sleep(Duration::from_millis(100)).await;
        let mut writing = Vec::new();
        for file in files {
            let (free, inner) = (free.clone(), shard.clone());
            writing.push(shard.spawn(async move { write(&free, &inner, &file, &root(), 0, 4096).await }));
        }
        for task in writing {
            task.await.expect("it is not aborted").expect("a write");
        }
        assert!(!frozen.is_thawed(), "the other export waited for the frozen one");
        drop(frozen);
        for task in waiting {
            task.await.expect("it is not aborted").expect("a write");
        }
    };
    let config = EngineConfig { region_bytes: 64 << 20, ..EngineConfig::small() };
    engine::block_on(config, test).expect("the engine starts");
}
