//! Files that were closed with data that no commit covers.

mod rig;

use std::process::Command;

use rig::calls::{make, root, write};
use rig::{Mounted, storage, with};
use vfs::{Error, Vfs};

#[test]
fn a_failed_write_back_is_told_to_who_commits_after_the_close() {
    let Some((disk, small)) = Mounted::broken_disk().filter(|_| rig::is_root()) else { return };
    let path = disk.path.clone();
    with(storage(&disk.path), |local, shard| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        for number in 0..64 {
            write(&local, &shard, &opened.file, &root(), number << 20, 1 << 20)
                .await
                .expect("it is only memory");
        }
        let before = local.write_verifier();
        drop(opened.file);
        // All that could not be written is given up, and what can be forgotten is.
        let _ = Command::new("sync").arg("-f").arg(&path).output();
        std::fs::write("/proc/sys/vm/drop_caches", "3").expect("the superuser may");
        let outcome = local.commit_node(&opened.node).await;
        assert!(matches!(outcome, Err(Error::Io | Error::NoSpace)), "{outcome:?}");
        assert_ne!(local.write_verifier(), before);
    });
    drop(disk);
    drop(small);
}

/// Files written and closed without a commit: more than may keep their descriptors.
const UNSYNCED: usize = 1100;

#[test]
fn files_closed_unsynced_keep_a_bounded_number_of_descriptors() {
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    with(storage(&mounted.path), |local, shard| async move {
        for number in 0..UNSYNCED {
            let name = format!("unsynced-{number}");
            let opened = make(&local, &local.root(), &root(), &name).await.expect("a file");
            write(&local, &shard, &opened.file, &root(), 0, 4096).await.expect("a write");
        }
        // Closes happen before space is counted.
        local.space(&local.root(), &root()).await.expect("space");
        let kept = open_for_writing();
        assert!((900..=1024).contains(&kept), "{kept}");
        for number in 0..UNSYNCED {
            let name = format!("unsynced-{number}");
            let node = local.lookup(&local.root(), &root(), name.as_bytes()).await.expect("it is there");
            local.commit_node(&node).await.expect("a commit");
        }
        local.space(&local.root(), &root()).await.expect("space");
        assert_eq!(open_for_writing(), 0);
    });
}

/// Descriptors of this process open for writing on the files above, whose mount has no path.
fn open_for_writing() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").expect("the proc file system");
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let writable = |number: &String| {
        let target = std::fs::read_link(format!("/proc/self/fd/{number}"));
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap_or_default();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap_or_default();
        let (kind, path_only) = (flags & libc::O_ACCMODE, flags & libc::O_PATH != 0);
        target.is_ok_and(|target| target.to_string_lossy().contains("/unsynced-"))
            && kind != libc::O_RDONLY
            && !path_only
    };
    numbers.filter(writable).count()
}
