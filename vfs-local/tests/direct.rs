//! Reading and writing past the page cache.

mod rig;

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};

use engine::Shard;
use rig::calls::{alice, make, mode, payload, root};
use rig::{Mounted, storage, with};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use vfs::{Authority, Error, Identity, OpenAccess, Result, Stability, Vfs};
use vfs_local::{File, Io, Local, LocalStorage, OpenError, Options};

const PAGE: usize = 4096;

fn direct(path: &Path) -> Arc<LocalStorage> {
    let storage = LocalStorage::open(Options { io: Io::Direct, ..Options::new(path, 1) });
    let storage = storage.expect("it can be read and written directly");
    println!("{}", storage.io_summary());
    storage
}

fn disks() -> impl Iterator<Item = Mounted> {
    [Mounted::ext4(), Mounted::xfs()].into_iter().flatten().filter(|_| rig::is_root())
}

/// A number for every byte of a file, different from its neighbours' and from one `round` to the next.
fn pattern(round: usize, position: u64) -> u8 {
    ((position / 3 + position) as usize + round * 89) as u8
}

async fn write(
    (local, shard): (&Local, &Shard),
    file: &File,
    who: &Identity,
    (offset, length): (u64, usize),
    round: usize,
) -> Result<()> {
    let mut chain = shard.pool().take(length, (offset % PAGE as u64) as usize).expect("payload memory");
    for (position, byte) in (offset..).zip(chain.as_mut_slices().flatten()) {
        *byte = pattern(round, position);
    }
    let (_, written) = local.write(file, who, offset, chain, Stability::Unstable).await;
    written.map(|written| assert_eq!(written.bytes, length))
}

async fn read(local: &Local, shard: &Shard, file: &File, offset: u64, length: usize) -> (Vec<u8>, bool) {
    let chain = shard.pool().take(length, (offset % PAGE as u64) as usize).expect("payload memory");
    let (mut chain, done) = local.read(file, offset, chain).await;
    let done = done.expect("a read");
    chain.truncate(done.bytes);
    (chain.to_vec(), done.end_of_file)
}

#[test]
fn direct_exports_conform() {
    for mounted in disks().chain(Mounted::image("btrfs", &["-q", "-f"], "")) {
        with(direct(&mounted.path), |local, shard| async move {
            vfs::conformance::run(&local, shard.pool()).await;
        });
    }
}

#[test]
fn what_is_read_is_what_was_written_wherever_it_begins_and_ends() {
    const FILE_BYTES: u64 = 40_000;
    for mounted in disks() {
        with(direct(&mounted.path), |local, shard| async move {
            let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
            let mut expected = vec![0; FILE_BYTES as usize];
            let mut random = 12_345u64;
            let mut below = |bound: u64| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (random >> 33) % bound
            };
            let whole = (0, FILE_BYTES as usize);
            write((&local, &shard), &opened.file, &root(), whole, 0).await.expect("a write");
            for (position, byte) in expected.iter_mut().enumerate() {
                *byte = pattern(0, position as u64);
            }
            for round in 1..300 {
                let offset = below(FILE_BYTES - 1);
                let length = 1 + below(FILE_BYTES - offset) as usize;
                let range = (offset, length);
                write((&local, &shard), &opened.file, &root(), range, round).await.expect("a write");
                for position in offset..offset + length as u64 {
                    expected[position as usize] = pattern(round, position);
                }
                let offset = below(FILE_BYTES + 5000);
                let length = 1 + below(20_000) as usize;
                let (bytes, end) = read(&local, &shard, &opened.file, offset, length).await;
                let from = (offset as usize).min(expected.len());
                let to = (from + length).min(expected.len());
                assert!(bytes == expected[from..to], "round {round}: {offset} {length}");
                assert_eq!(end, offset as usize + length >= expected.len(), "{offset} {length}");
            }
        });
        assert_eq!(std::fs::metadata(mounted.path.join("file")).expect("it is there").size(), FILE_BYTES);
    }
}

#[test]
fn whole_pages_stay_out_of_the_page_cache() {
    let Some(mounted) = disks().next() else { return };
    let path = mounted.path.join("file");
    for (storage, cached) in [(direct(&mounted.path), false), (storage(&mounted.path), true)] {
        let _ = std::fs::remove_file(&path);
        with(storage, |local, shard| async move {
            let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
            write((&local, &shard), &opened.file, &root(), (0, 1 << 20), 0).await.expect("a write");
            read(&local, &shard, &opened.file, 100, 1 << 19).await;
        });
        let file = std::fs::File::open(&path).expect("it is there");
        let mut bytes = [0; 100];
        let mut pieces = [std::io::IoSliceMut::new(&mut bytes)];
        let seen = preadv2(&file, &mut pieces, 500_000, ReadWriteFlags::NOWAIT);
        assert_eq!(seen, if cached { Ok(100) } else { Err(Errno::AGAIN) });
    }
}

/// Runs `work` on two shards at once, each on a thread of its own, until both are done.
fn on_two_cores<F: Future<Output = ()> + 'static>(
    storage: &Arc<LocalStorage>,
    work: impl Fn(usize, Local, Shard) -> F + Clone + Send + 'static,
) {
    let start = |number: usize| {
        let (storage, work) = (Arc::clone(storage), work.clone());
        std::thread::spawn(move || with(storage, move |local, shard| work(number, local, shard)))
    };
    for thread in [0, 1].map(start) {
        thread.join().expect("it does not panic");
    }
}

async fn open(local: &Local) -> File {
    let node = local.lookup(&local.root(), &root(), b"file").await.expect("it is there");
    let opened = local.open(&node, &root(), OpenAccess::Both, Authority::Caller).await;
    opened.expect("it can be opened")
}

/// Writes all ranges at once.
async fn write_all(local: &Local, shard: &Shard, file: &File, ranges: Vec<(u64, usize)>, round: usize) {
    let start = |range: (u64, usize)| {
        let (local, inner, file) = (local.clone(), shard.clone(), file.clone());
        shard.spawn(async move { write((&local, &inner), &file, &root(), range, round).await })
    };
    let tasks: Vec<_> = ranges.into_iter().map(start).collect();
    for task in tasks {
        task.await.expect("it is not aborted").expect("a write");
    }
}

/// Rounds of two cores writing at once.
const ROUNDS: usize = 200;

#[test]
fn two_cores_that_write_parts_of_one_page_lose_nothing() {
    /// A page and a half, so that every other page is shared.
    const RANGE: usize = PAGE * 3 / 2;
    const RANGES: u64 = 16;
    for mounted in disks() {
        std::fs::write(mounted.path.join("file"), b"").expect("a file");
        let storage = direct(&mounted.path);
        let barrier = Arc::new(Barrier::new(2));
        on_two_cores(&storage, move |number, local, shard| {
            let barrier = Arc::clone(&barrier);
            async move {
                let file = open(&local).await;
                for round in 0..ROUNDS {
                    let mine = (0..RANGES).filter(|range| (*range as usize + round) % 2 == number);
                    let ranges = mine.map(|range| (range * RANGE as u64, RANGE)).collect();
                    barrier.wait();
                    write_all(&local, &shard, &file, ranges, round).await;
                    barrier.wait();
                    let (bytes, _) = read(&local, &shard, &file, 0, RANGES as usize * RANGE).await;
                    let wrong = (0..bytes.len()).find(|at| bytes[*at] != pattern(round, *at as u64));
                    assert_eq!((wrong, bytes.len()), (None, RANGES as usize * RANGE), "round {round}");
                    if round % 10 == 0 {
                        local.commit(&file).await.expect("nothing was lost");
                    }
                }
            }
        });
        let bytes = std::fs::read(mounted.path.join("file")).expect("the file");
        assert!(bytes.iter().enumerate().all(|(at, byte)| *byte == pattern(ROUNDS - 1, at as u64)));
    }
}

#[test]
fn a_write_of_whole_pages_and_one_within_them_both_count() {
    const PAGES: usize = 16;
    for mounted in disks() {
        std::fs::write(mounted.path.join("file"), vec![0; PAGES * PAGE]).expect("a file");
        let storage = direct(&mounted.path);
        let barrier = Arc::new(Barrier::new(2));
        on_two_cores(&storage, move |number, local, shard| {
            let barrier = Arc::clone(&barrier);
            async move {
                let file = open(&local).await;
                for round in 0..ROUNDS {
                    let ranges = if number == 0 {
                        vec![(0, PAGES / 2 * PAGE), ((PAGES / 2 * PAGE) as u64, PAGES / 2 * PAGE)]
                    } else {
                        (0..PAGES).map(|page| ((page * PAGE + 100) as u64, 100)).collect()
                    };
                    barrier.wait();
                    write_all(&local, &shard, &file, ranges, 2 * round + number).await;
                    barrier.wait();
                    let (bytes, _) = read(&local, &shard, &file, 0, PAGES * PAGE).await;
                    for (at, byte) in bytes.iter().enumerate() {
                        let outer = *byte == pattern(2 * round, at as u64);
                        let inner = *byte == pattern(2 * round + 1, at as u64);
                        let is_shared = (100..200).contains(&(at % PAGE));
                        assert!(outer || (inner && is_shared), "round {round}: byte {at}");
                    }
                    barrier.wait();
                    if number == 0 {
                        local.commit(&file).await.expect("nothing was lost");
                    }
                }
            }
        });
    }
}

#[test]
fn a_direct_write_takes_the_set_id_bits_of_another_away() {
    let Some(mounted) = disks().next() else { return };
    with(direct(&mounted.path), |local, shard| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        write((&local, &shard), &opened.file, &root(), (0, PAGE), 0).await.expect("a write");
        for (who, left) in [(alice(), 0o777), (root(), 0o6777)] {
            let set = local.set_attributes(&opened.node, None, &root(), &mode(0o6777)).await;
            set.expect("a mode");
            write((&local, &shard), &opened.file, &who, (0, PAGE), 1).await.expect("a write");
            assert_eq!(local.attributes(&opened.node).await.expect("attributes").mode, left);
        }
    });
}

#[test]
fn access_is_what_the_open_gave() {
    let Some(mounted) = disks().next() else { return };
    with(direct(&mounted.path), |local, shard| async move {
        let made = make(&local, &local.root(), &alice(), "file").await.expect("a file");
        write((&local, &shard), &made.file, &alice(), (0, PAGE), 0).await.expect("a write");
        let reader = local.open(&made.node, &alice(), OpenAccess::Read, Authority::Caller).await;
        let writer = local.open(&made.node, &alice(), OpenAccess::Write, Authority::Caller).await;
        let (reader, writer) = (reader.expect("her file"), writer.expect("her file"));
        // What was opened stays open, whatever the mode says later.
        local.set_attributes(&made.node, None, &alice(), &mode(0)).await.expect("a mode");
        assert_eq!(read(&local, &shard, &reader, 0, PAGE).await.0.len(), PAGE);
        let written = write((&local, &shard), &reader, &alice(), (0, PAGE), 1).await;
        assert_eq!(written, Err(Error::AccessDenied));
        write((&local, &shard), &writer, &alice(), (0, PAGE), 1).await.expect("a write");
        let (_, seen) = local.read(&writer, 0, payload(&shard, 0, PAGE)).await;
        assert_eq!(seen.err(), Some(Error::AccessDenied));
    });
}

#[test]
fn quotas_hold_for_direct_writes() {
    let made = Mounted::image("xfs", &["-q", "-f"], ",uquota");
    let Some(mounted) = made.filter(|_| rig::is_root()) else { return };
    let limit = format!("limit bhard=10m {}", alice().uid());
    let set = Command::new("xfs_quota").args(["-x", "-c", &limit]).arg(&mounted.path).output();
    if !set.as_ref().is_ok_and(|set| set.status.success()) {
        println!("skipped: quotas cannot be set here ({set:?})");
        return;
    }
    vfs_local::drop_quota_override().expect("a right can be given up");
    assert_eq!(filled(&mounted, &alice(), 20), Err(Error::Quota));
}

#[test]
fn a_full_disk_is_told_to_direct_writers() {
    let Some(mounted) = disks().next() else { return };
    assert_eq!(filled(&mounted, &root(), 600), Err(Error::NoSpace));
}

/// The outcome of writing so many MiB to a new file, up to the first that fails.
fn filled(mounted: &Mounted, who: &Identity, mebibytes: u64) -> Result<()> {
    let who = who.clone();
    with(direct(&mounted.path), move |local, shard| async move {
        let opened = make(&local, &local.root(), &who, "file").await.expect("a file");
        for number in 0..mebibytes {
            write((&local, &shard), &opened.file, &who, (number << 20, 1 << 20), 0).await?;
        }
        Ok(())
    })
}

#[test]
fn what_cannot_go_direct_is_refused_with_the_remedy() {
    let made = Mounted::image("ext4", &["-q", "-F"], ",data=journal");
    let Some(mounted) = made.filter(|_| rig::is_root()) else { return };
    let refused = LocalStorage::open(Options { io: Io::Direct, ..Options::new(&mounted.path, 1) });
    let refused = refused.expect_err("all its data goes through the journal");
    assert!(matches!(refused, OpenError::NoDirect { .. }), "{refused:?}");
    assert!(refused.to_string().contains("set io = \"buffered\""), "{refused}");
    assert!(storage(&mounted.path).io_summary().contains("through the page cache"));
}
