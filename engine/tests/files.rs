//! Files over the ring.

use std::fs::{self, File, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;

use engine::{EngineConfig, IoOptions, SyncMode, block_on};
use rustix::thread::set_thread_res_uid;

/// A directory that goes away with the test.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("engine-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str) -> File {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).open(self.0.join(name)).unwrap()
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn registered_and_other_memory_reads_back_the_same() {
    let directory = Directory::new("memory");
    let file = directory.file("data");
    block_on(EngineConfig::small(), |shard| async move {
        let file = Rc::new(file);
        let mut chain = shard.pool().take(100_000, 512).unwrap();
        let bytes: Vec<u8> = (0..100_000).map(|index: u32| (index % 239) as u8).collect();
        chain.copy_from(0, &bytes);
        let (written, chain) = shard.write_at(file.clone(), 512, chain, IoOptions::default()).await;
        assert_eq!((written.unwrap(), chain.len()), (100_000, 100_000));

        // Heap memory, several pieces, an end of file in the middle.
        let (read, buffer) = shard.read_at(file.clone(), 512, vec![0; 200_000], IoOptions::default()).await;
        assert_eq!((read.unwrap(), &buffer[..100_000] == bytes.as_slice()), (100_000, true));
        let parts = (b"one".to_vec(), vec![b"two".to_vec(), b"three".to_vec()]);
        let (written, _) = shard.write_at(file.clone(), 0, parts, IoOptions::default()).await;
        assert_eq!(written.unwrap(), 11);

        let pages = shard.pool().take(4096, 0).unwrap();
        let (read, pages) = shard.read_at(file.clone(), 0, pages, IoOptions::default()).await;
        assert_eq!((read.unwrap(), &pages.to_vec()[..11]), (4096, &b"onetwothree"[..]));
        shard.sync(file.clone(), SyncMode::Data, None).await.unwrap();
        shard.sync(file.clone(), SyncMode::All, None).await.unwrap();
        shard.fallocate(file.clone(), 0, 0, 1 << 20, None).await.unwrap();
        assert_eq!(file.metadata().unwrap().len(), 1 << 20);
    })
    .unwrap();
}

#[test]
fn chains_of_several_blocks_are_one_transfer() {
    let directory = Directory::new("blocks");
    let file = directory.file("data");
    block_on(EngineConfig::small(), |shard| async move {
        let file = Rc::new(file);
        let bytes: Vec<u8> = (0..5 << 20).map(|index: u32| (index % 241) as u8).collect();
        let mut chain = shard.pool().take(bytes.len(), 0).unwrap();
        assert!(chain.as_slices().count() > 1);
        chain.copy_from(0, &bytes);
        let (written, mut chain) = shard.write_at(file.clone(), 0, chain, IoOptions::default()).await;
        assert_eq!(written.unwrap(), bytes.len());
        chain.as_mut_slices().for_each(|slice| slice.fill(0));
        let (read, chain) = shard.read_at(file, 0, chain, IoOptions::default()).await;
        assert_eq!((read.unwrap(), chain.to_vec() == bytes), (bytes.len(), true));
    })
    .unwrap();
}

/// A write to a set-user-id program takes that bit away, unless it runs with CAP_FSETID: which of the two the kernel
/// saw tells as whom the write ran.
#[test]
fn operations_run_with_their_personality() {
    const SET_USER_ID: u32 = 0o4755;

    let directory = Directory::new("personality");
    let file = directory.file("data");
    block_on(EngineConfig::small(), |shard| async move {
        let nobody = rustix::process::Uid::from_raw(65534);
        set_thread_res_uid(None, nobody, None).expect("the tests of identities run as root");
        let personality = shard.register_personality();
        set_thread_res_uid(None, rustix::process::Uid::ROOT, None).unwrap();
        let personality = personality.unwrap();

        let file = Rc::new(file);
        file.set_permissions(Permissions::from_mode(SET_USER_ID)).unwrap();
        let mode = |file: &File| file.metadata().unwrap().permissions().mode() & 0o7777;
        let (written, _) = shard.write_at(file.clone(), 0, b"mine".to_vec(), IoOptions::default()).await;
        assert_eq!((written.unwrap(), mode(&file)), (4, SET_USER_ID));

        let chain = shard.pool().take(4, 0).unwrap();
        shard.sync(file.clone(), SyncMode::Data, Some(personality.clone())).await.unwrap();
        // The operation holds the last handle.
        let (written, _) = shard.write_at(file.clone(), 0, chain, IoOptions::with(personality)).await;
        assert_eq!((written.unwrap(), mode(&file)), (4, 0o755));
    })
    .unwrap();
}

#[test]
fn closing_gives_the_descriptor_back() {
    let directory = Directory::new("close");
    let file = directory.file("data");
    block_on(EngineConfig::small(), |shard| async move {
        shard.close(file.into()).await.unwrap();
        let file = directory.file("again");
        let pool = shard.pool().clone();
        let (written, slice) = {
            let slice = buf::Slice::new(pool.take(4096, 0).unwrap(), 0..10);
            shard.write_at(Rc::new(file), 0, slice, IoOptions::default()).await
        };
        assert_eq!((written.unwrap(), slice.into_inner().len()), (10, 4096));
        assert_eq!(pool.bytes_taken(), 0);
    })
    .unwrap();
}
