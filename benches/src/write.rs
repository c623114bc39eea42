//! WRITE and COMMIT of the storage behind the server, beside the ring doing the same and nothing else, on a file of the
//! temporary directory's file system.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use buf::Chain;
use engine::{EngineConfig, IoOptions, Shard, block_on};
use rustix::fs::{Mode, OFlags};
use vfs::{CreateHow, Identity, OpenAccess, SetAttributes, Stability, Vfs};
use vfs_local::{File, Io, Local, LocalStorage, Options};

use crate::measure::{Comparison, TURNS, per_operation};

/// Bytes of a write, writes in flight at a time, and writes in a turn: some milliseconds, over a file that stays in the
/// page cache.
const SIZES: [(usize, usize, usize); 2] = [(4 << 10, 8, 2048), (1 << 20, 4, 64)];

/// Files committed at once.
const FILES: usize = 16;

pub(crate) fn run() -> io::Result<Vec<Comparison>> {
    let directory = std::env::temp_dir().join(format!("penstock-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let comparisons = in_directory(&directory);
    std::fs::remove_dir_all(&directory)?;
    comparisons
}

fn in_directory(directory: &Path) -> io::Result<Vec<Comparison>> {
    let mut comparisons = Vec::new();
    for io in [Io::Buffered, Io::Direct] {
        let storage = match LocalStorage::open(Options { io, ..Options::new(directory, 1) }) {
            Ok(storage) => storage,
            Err(reason) => {
                eprintln!("left out, {io:?}: {reason}");
                continue;
            }
        };
        for size in SIZES {
            let path = directory.join("file");
            let measure = move |bench: Bench| async move { bench.writes(io, path, size).await };
            comparisons.push(on_a_shard(&storage, measure)?);
        }
        if io == Io::Buffered {
            comparisons.push(on_a_shard(&storage, |bench| async move { bench.commits().await })?);
        }
    }
    Ok(comparisons)
}

fn on_a_shard<F: Future<Output = io::Result<Comparison>> + 'static>(
    storage: &Arc<LocalStorage>,
    measure: impl FnOnce(Bench) -> F + Send + 'static,
) -> io::Result<Comparison> {
    let config = EngineConfig { region_bytes: 32 << 20, ..EngineConfig::small() };
    let storage = Arc::clone(storage);
    let measured = block_on(config, |shard| async move {
        let local = Local::new(storage, shard.clone()).map_err(io::Error::other)?;
        measure(Bench { local, shard }).await
    });
    measured.map_err(io::Error::other)?
}

struct Bench {
    local: Local,
    shard: Shard,
}

impl Bench {
    async fn writes(self, io: Io, path: PathBuf, size: (usize, usize, usize)) -> io::Result<Comparison> {
        let file = self.make("file").await?;
        let access = if io == Io::Direct { OFlags::WRONLY | OFlags::DIRECT } else { OFlags::WRONLY };
        let floor = Arc::new(rustix::fs::open(&path, access | OFlags::CLOEXEC, Mode::empty())?);
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            let ours = self
                .turn(size, {
                    let file = file.clone();
                    move |bench, offset, chain| bench.ours(file.clone(), offset, chain)
                })
                .await?;
            let raw = self
                .turn(size, {
                    let file = Arc::clone(&floor);
                    move |bench, offset, chain| bench.raw(Arc::clone(&file), offset, chain)
                })
                .await?;
            turns.push((ours, raw));
        }
        Ok(Comparison::of(
            format!("WRITE of {} KiB, {io:?}", size.0 >> 10),
            "the same through the ring alone",
            &turns,
        ))
    }

    /// Nanoseconds of a write with the size's number of them in flight.
    async fn turn<F: Future<Output = io::Result<Chain>> + 'static>(
        &self,
        (bytes, depth, writes): (usize, usize, usize),
        write: impl Fn(Self, u64, Chain) -> F + Clone + 'static,
    ) -> io::Result<f64> {
        let begun = Instant::now();
        let lanes: Vec<_> = (0..depth)
            .map(|lane| {
                let (bench, write) = (self.clone(), write.clone());
                self.shard.spawn(async move {
                    let taken = bench.shard.pool().take(bytes, 0);
                    let mut chain = taken.ok_or(io::ErrorKind::OutOfMemory)?;
                    for number in (lane..writes).step_by(depth) {
                        chain = write(bench.clone(), (number * bytes) as u64, chain).await?;
                    }
                    io::Result::Ok(())
                })
            })
            .collect();
        for lane in lanes {
            lane.await.map_err(io::Error::other)??;
        }
        Ok(per_operation(begun.elapsed(), writes as u32))
    }

    async fn ours(self, file: File, offset: u64, chain: Chain) -> io::Result<Chain> {
        let (chain, written) = self
            .local
            .write(&file, &Identity::new(1000, 1000, &[]), offset, chain, Stability::Unstable)
            .await;
        written.map_err(io::Error::other)?;
        Ok(chain)
    }

    async fn raw(self, file: Arc<OwnedFd>, offset: u64, chain: Chain) -> io::Result<Chain> {
        let bytes = chain.len();
        let (written, chain) = self.shard.write_at(file, offset, chain, IoOptions::default()).await;
        if written? == bytes { Ok(chain) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Commits of many files at once beside the same one after the other; each has a page to sync.
    async fn commits(self) -> io::Result<Comparison> {
        let mut files = Vec::new();
        for number in 0..FILES {
            files.push(self.make(&format!("commit-{number}")).await?);
        }
        let mut turns = Vec::new();
        for _ in 0..TURNS {
            self.dirty(&files).await?;
            let begun = Instant::now();
            let commits: Vec<_> = files
                .iter()
                .map(|file| {
                    let (local, file) = (self.local.clone(), file.clone());
                    self.shard.spawn(async move { local.commit(&file).await })
                })
                .collect();
            for commit in commits {
                commit.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
            }
            let ours = per_operation(begun.elapsed(), FILES as u32);
            self.dirty(&files).await?;
            let begun = Instant::now();
            for file in &files {
                self.local.commit(file).await.map_err(io::Error::other)?;
            }
            turns.push((ours, per_operation(begun.elapsed(), FILES as u32)));
        }
        Ok(Comparison::of("COMMIT, 16 files at once", "one after the other", &turns))
    }

    async fn dirty(&self, files: &[File]) -> io::Result<()> {
        for file in files {
            let chain = self.shard.pool().take(4096, 0).ok_or(io::ErrorKind::OutOfMemory)?;
            let (_, written) = self.local.write(file, &Identity::root(), 0, chain, Stability::Unstable).await;
            written.map_err(io::Error::other)?;
        }
        Ok(())
    }

    async fn make(&self, name: &str) -> io::Result<File> {
        let (how, set) = (CreateHow::Unchecked, SetAttributes::default());
        let root = self.local.root();
        let opened = self
            .local
            .open_create(&root, &Identity::root(), name.as_bytes(), how, &set, OpenAccess::Both)
            .await;
        opened.map(|opened| opened.file).map_err(io::Error::other)
    }
}

impl Clone for Bench {
    fn clone(&self) -> Self {
        Self { local: self.local.clone(), shard: self.shard.clone() }
    }
}
