//! Reads whose pages go into a pipe: the right bytes, count and end of file, or an honest refusal.

mod rig;

use std::fs::File as StdFile;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use buf::PipePool;
use engine::Shard;
use rig::calls::root;
use rig::{Mounted, storage, with};
use vfs::{Authority, CROSSOVER_BYTES, OpenAccess, ReadDone, Vfs};
use vfs_local::{File, Local};

const PAGE: usize = 4096;
const MIB: usize = 1 << 20;

/// Bytes that differ from their neighbours and from those a page further.
fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

async fn open(local: &Local, name: &str) -> File {
    let node = local.lookup(&local.root(), &root(), name.as_bytes()).await.expect("it is there");
    local.open(&node, &root(), OpenAccess::Read, Authority::Caller).await.expect("it may be read")
}

/// What a read into memory tells.
async fn read(local: &Local, shard: &Shard, file: &File, offset: u64, bytes: usize) -> (Vec<u8>, bool) {
    let buffer = shard.pool().take(bytes, (offset % PAGE as u64) as usize).expect("payload memory");
    let (mut buffer, done) = local.read(file, offset, buffer).await;
    let done = done.expect("a read");
    buffer.truncate(done.bytes);
    (buffer.to_vec(), done.end_of_file)
}

/// What a read into a pipe tells.
fn read_piped(
    local: &Local,
    pipes: &PipePool,
    file: &File,
    offset: u64,
    bytes: usize,
) -> Option<(Vec<u8>, bool)> {
    let mut pipe = pipes.take().expect("a pipe");
    let Some(ReadDone { bytes, end_of_file }) = local.read_piped(file, offset, bytes, &mut pipe) else {
        assert!(pipe.is_empty(), "a refusal leaves nothing behind");
        return None;
    };
    assert_eq!(pipe.len(), bytes);
    Some((pipe.take_bytes().expect("they are there"), end_of_file))
}

async fn tells_the_same_as_memory(local: &Local, shard: &Shard) {
    const SIZE: usize = MIB + 5 * PAGE + 17;
    let pipes = PipePool::new();
    let file = open(local, "large").await;
    assert!(read(local, shard, &file, 0, SIZE).await.1, "all of it is in memory now");
    let lengths = [1, PAGE, CROSSOVER_BYTES - 1, CROSSOVER_BYTES, CROSSOVER_BYTES + 1, 100_000, MIB];
    let offsets =
        [0, 1, PAGE, 5 * PAGE + 16, 5 * PAGE + 17, 5 * PAGE + 18, SIZE / 2, SIZE - 1, SIZE, 2 * SIZE];
    for bytes in lengths {
        let from_end =
            [SIZE.saturating_sub(bytes), SIZE.saturating_sub(bytes + 1), SIZE + 1 - bytes.min(SIZE)];
        for offset in offsets.into_iter().chain(from_end) {
            let expected = read(local, shard, &file, offset as u64, bytes).await;
            let piped = read_piped(local, &pipes, &file, offset as u64, bytes);
            let pages = (offset % PAGE + expected.0.len()).div_ceil(PAGE);
            if expected.0.len() < CROSSOVER_BYTES || pages > MIB / PAGE {
                assert!(piped.is_none(), "{bytes} at {offset}");
            } else {
                assert!(piped.as_ref() == Some(&expected), "{bytes} at {offset}");
            }
        }
    }
    assert_eq!(pipes.count(), 1, "it came back each time");
    assert!(read_piped(local, &pipes, &file, u64::MAX - 5, MIB).is_none());
    let counted = local.read_stats();
    assert!(counted.piped > 0 && counted.piped_bytes >= counted.piped * CROSSOVER_BYTES as u64);
}

fn on_a_disk_file_system(mounted: Option<Mounted>) {
    let Some(mounted) = mounted.filter(|_| rig::is_root()) else { return };
    std::fs::write(mounted.path.join("large"), pattern(MIB + 5 * PAGE + 17)).expect("a file");
    with(storage(&mounted.path), move |local, shard| async move {
        tells_the_same_as_memory(&local, &shard).await;
    });
}

#[test]
fn pipes_tell_the_same_as_memory_on_ext4() {
    on_a_disk_file_system(Mounted::ext4());
}

#[test]
fn pipes_tell_the_same_as_memory_on_xfs() {
    on_a_disk_file_system(Mounted::xfs());
}

#[test]
fn what_is_not_in_memory_is_not_waited_for() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let path = mounted.path.join("cold");
    std::fs::write(&path, pattern(MIB)).expect("a file");
    let cold = StdFile::open(&path).expect("it is there");
    let forget = move |offset: usize, bytes: usize| {
        cold.sync_all().expect("a sync");
        let length = std::num::NonZeroU64::new(bytes as u64);
        rustix::fs::fadvise(&cold, offset as u64, length, rustix::fs::Advice::DontNeed).expect("advice");
    };
    with(storage(&mounted.path), move |local, shard| async move {
        let (pipes, file) = (PipePool::new(), open(&local, "cold").await);
        let mut from_memory = 0;
        // All of it, its beginning, its middle, its end.
        for (offset, bytes) in [(0, MIB), (0, PAGE), (MIB / 2, 8 * PAGE), (MIB - PAGE, PAGE)] {
            forget(offset, bytes);
            // The kernel keeps a page that somebody holds just then.
            let mut tries = 1;
            while read_piped(&local, &pipes, &file, 0, MIB).is_some() {
                assert!(tries < 100, "{bytes} at {offset} are on disk");
                (tries, from_memory) = (tries + 1, from_memory + 1);
                std::thread::sleep(Duration::from_millis(10));
                forget(offset, bytes);
            }
            assert!(read(&local, &shard, &file, 0, MIB).await.0 == pattern(MIB));
            let piped = read_piped(&local, &pipes, &file, 0, MIB).expect("it is in memory");
            assert!(piped == (pattern(MIB), true));
            from_memory += 1;
        }
        assert_eq!(local.read_stats().piped, from_memory, "those from memory");
    });
}

#[test]
fn where_nothing_can_be_known_memory_is_used() {
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    std::fs::write(mounted.path.join("file"), pattern(100_000)).expect("a file");
    with(storage(&mounted.path), move |local, shard| async move {
        let (pipes, file) = (PipePool::new(), open(&local, "file").await);
        for _ in 0..2 {
            match read_piped(&local, &pipes, &file, 0, 100_000) {
                None => {}
                Some(piped) => assert!(piped == (pattern(100_000), true), "if it can, then rightly"),
            }
            assert!(read(&local, &shard, &file, 0, 100_000).await == (pattern(100_000), true));
        }
    });
}

/// Changes a file's size and content until told to stop.
fn disturb(file: &StdFile, sizes: [u64; 2], stop: &AtomicBool) {
    let mut round = 0_u8;
    while !stop.load(Ordering::Relaxed) {
        round = round.wrapping_add(1);
        // Every byte of a page is of one round.
        file.write_all_at(&[round; PAGE], u64::from(round % 64) * PAGE as u64).expect("a write");
        file.set_len(sizes[0]).expect("it gets shorter");
        file.write_all_at(&[round; PAGE], sizes[1] - PAGE as u64).expect("it gets longer");
    }
}

#[test]
fn counts_and_ends_are_true_while_others_change_the_file() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    const SIZES: [u64; 2] = [64 * PAGE as u64, 128 * PAGE as u64];
    let path = mounted.path.join("restless");
    std::fs::write(&path, vec![0; SIZES[1] as usize]).expect("a file");
    let stop = Arc::new(AtomicBool::new(false));
    let disturbing = {
        let (stop, file) = (Arc::clone(&stop), StdFile::options().write(true).open(&path).expect("a file"));
        std::thread::spawn(move || disturb(&file, SIZES, &stop))
    };
    with(storage(&mounted.path), |local, shard| async move {
        let (pipes, file) = (PipePool::new(), open(&local, "restless").await);
        let mut piped = 0;
        for round in 0..20_000_u64 {
            let offset = round % 100 * 512;
            let bytes = CROSSOVER_BYTES + (round % 7) as usize * 65_000;
            let Some((data, ends)) = read_piped(&local, &pipes, &file, offset, bytes) else {
                // Holes and what was cut off come into memory only when they are read.
                read(&local, &shard, &file, offset, bytes).await;
                continue;
            };
            piped += 1;
            let end = offset + data.len() as u64;
            assert!(data.len() <= bytes && end <= SIZES[1], "{} at {offset}", data.len());
            assert!(!ends || end >= SIZES[0], "the file never ended at {end}");
            assert!(ends || end < SIZES[1], "the file never went on at {end}");
        }
        assert!(piped > 100, "{piped} reads found the file in memory");
    });
    stop.store(true, Ordering::Relaxed);
    disturbing.join().expect("no panic");
}
