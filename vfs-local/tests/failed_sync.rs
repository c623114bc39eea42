//! A sync that fails is told to everyone it concerns.

mod rig;

use rig::calls::{make, payload, root, write};
use rig::{Mounted, storage, with};
use vfs::{Error, Stability, Vfs};

#[test]
fn a_failed_sync_reaches_all_who_wait_and_changes_the_verifier() {
    let Some((disk, small)) = Mounted::broken_disk().filter(|_| rig::is_root()) else { return };
    with(storage(&disk.path), |local, shard| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        for number in 0..64 {
            write(&local, &shard, &opened.file, &root(), number << 20, 1 << 20)
                .await
                .expect("it is only memory");
        }
        let before = local.write_verifier();
        let commits: Vec<_> = (0..4)
            .map(|_| {
                let (local, file) = (local.clone(), opened.file.clone());
                shard.spawn(async move { local.commit(&file).await })
            })
            .collect();
        for commit in commits {
            let outcome = commit.await.expect("it ends");
            assert!(matches!(outcome, Err(Error::Io | Error::NoSpace)), "{outcome:?}");
        }
        assert_ne!(local.write_verifier(), before);
    });
    drop(disk);
    drop(small);
}

#[test]
fn a_write_whose_sync_fails_changes_the_verifier() {
    let Some((disk, small)) = Mounted::broken_disk().filter(|_| rig::is_root()) else { return };
    with(storage(&disk.path), |local, shard| async move {
        let others = make(&local, &local.root(), &root(), "file").await.expect("a file");
        for number in 0..64 {
            write(&local, &shard, &others.file, &root(), number << 20, 1 << 20).await.expect("only memory");
        }
        let before = local.write_verifier();
        let mut outcome = Ok(());
        for number in 64..96 {
            let chain = payload(&shard, 1, 1 << 20);
            let (_, written) = local.write(&others.file, &root(), number << 20, chain, Stability::File).await;
            outcome = written.map(drop);
            if outcome.is_err() {
                break;
            }
        }
        assert!(matches!(outcome, Err(Error::Io | Error::NoSpace)), "{outcome:?}");
        assert_ne!(local.write_verifier(), before);
    });
    drop(disk);
    drop(small);
}

#[test]
fn a_write_that_finds_no_room_concerns_nobody_else() {
    let Some(mounted) = Mounted::tmpfs_of("8m").filter(|_| rig::is_root()) else { return };
    with(storage(&mounted.path), |local, shard| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        let before = local.write_verifier();
        let mut outcome = Ok(());
        for number in 0..16 {
            let chain = payload(&shard, 1, 1 << 20);
            let (_, written) = local.write(&opened.file, &root(), number << 20, chain, Stability::File).await;
            outcome = written.map(drop);
            if outcome.is_err() {
                break;
            }
        }
        assert_eq!(outcome, Err(Error::NoSpace));
        assert_eq!(local.write_verifier(), before);
    });
}
