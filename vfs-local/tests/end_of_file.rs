//! Whether a READ tells the end of the file, wherever it ends and whatever was asked of the same open file before.

mod rig;

use std::fs::File as StdFile;
use std::os::unix::fs::FileExt;

use engine::Shard;
use rig::calls::root;
use rig::{Mounted, storage, with};
use vfs::{Authority, OpenAccess, SeekTarget, Vfs};
use vfs_local::{File, Local};

const PAGE: u64 = 4096;

/// Reads a page that is in memory, and answers whether it was the last.
async fn ends(local: &Local, shard: &Shard, file: &File, offset: u64) -> bool {
    let buffer = shard.pool().take(PAGE as usize, 0).expect("payload memory");
    let (_, done) = local.read(file, offset, buffer).await;
    let done = done.expect("a read");
    assert_eq!(done.bytes, PAGE as usize);
    done.end_of_file
}

#[test]
fn the_end_is_told_where_it_is() {
    let Some(mounted) = Mounted::ext4() else { return };
    let path = mounted.path.join("long");
    with(storage(&mounted.path), move |local, shard| async move {
        // Beyond 2 and 4 GiB too, and some that are alike in 32 bits.
        for size in [PAGE, 2 * PAGE, 1 << 31, (1 << 31) + 2 * PAGE, (1 << 32) + PAGE, (1 << 33) + 3 * PAGE] {
            let written = StdFile::create(&path).expect("a file");
            written.set_len(size).expect("a hole");
            for offset in [0, size - PAGE] {
                written.write_at(&[7; PAGE as usize], offset).expect("a page");
            }
            let node = local.lookup(&local.root(), &root(), b"long").await.expect("it is there");
            let file = local.open(&node, &root(), OpenAccess::Read, Authority::Caller).await.expect("open");
            assert_eq!(ends(&local, &shard, &file, 0).await, size == PAGE, "of {size}");
            assert!(ends(&local, &shard, &file, size - PAGE).await, "of {size}");
            let found = local.seek(&file, size - PAGE, SeekTarget::Data).await.expect("data");
            assert_eq!(found, size - PAGE);
            assert_eq!(ends(&local, &shard, &file, 0).await, size == PAGE, "of {size}, after a search");
            assert!(ends(&local, &shard, &file, size - PAGE).await, "of {size}, after a search");
        }
    });
}
