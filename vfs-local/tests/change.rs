//! The change attribute where the clock behind time stamps is coarse.

mod rig;

use std::cell::Cell;
use std::rc::Rc;

use rig::calls::{make, mode, root, write};
use rig::{Mounted, with};
use vfs::{NewObject, Removed, Vfs};
use vfs_local::{LocalStorage, Options};

#[test]
fn every_change_within_a_tick_is_told() {
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    let mut options = Options::new(&mounted.path, 1);
    options.coarse_time_stamps = true;
    let storage = LocalStorage::open(options).expect("it can be exported");
    with(storage, |local, shard| async move {
        let top = local.root();
        let change = async |node| local.attributes(node).await.expect("attributes").change;
        let mut last = change(&top).await;
        let mut alone = 0;
        for round in 0..2_000 {
            let name = format!("entry-{}", round / 2);
            let told = if round % 2 == 0 {
                let set = mode(0o700);
                let made = local.create(&top, &root(), name.as_bytes(), NewObject::Fifo, &set).await;
                made.expect("an object").change
            } else {
                local.remove(&top, &root(), name.as_bytes(), Removed::Anything).await.expect("removal")
            };
            assert!(
                told.before.change >= last && told.after.change > told.before.change,
                "round {round}: {last} {told:?}"
            );
            last = change(&top).await;
            assert!(last >= told.after.change);
            // Nobody else changes it; another directory of this process may share its word.
            alone += u32::from(told.atomic);
        }
        assert!(alone > 1_900, "{alone} of 2,000 changes were alone");
        let opened = make(&local, &top, &root(), "file").await.expect("a file");
        let mut last = change(&opened.node).await;
        for round in 0..2_000u32 {
            if round % 3 == 0 {
                local.set_attributes(&opened.node, None, &root(), &mode(0o600 + round % 8)).await.unwrap();
            } else {
                write(&local, &shard, &opened.file, &root(), 0, 100).await.expect("a write");
            }
            let now = change(&opened.node).await;
            assert!(now > last, "round {round}: {now} after {last}");
            last = now;
        }
    });
}

#[test]
fn a_change_of_a_directory_is_not_alone_with_a_move_of_it() {
    const ROUNDS: usize = 20_000;
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    with(rig::storage(&mounted.path), |local, shard| async move {
        let (top, set) = (local.root(), mode(0o700));
        let moved = local.create(&top, &root(), b"one", NewObject::Directory, &set).await.expect("it").node;
        let met = Rc::new(Cell::new(false));
        let (mover, end) = (local.clone(), met.clone());
        let moving = shard.spawn(async move {
            for (from, to) in [(b"one", b"two"), (b"two", b"one")].into_iter().cycle() {
                mover.rename(&top, from, &top, to, &root()).await.expect("a move");
                if end.get() {
                    return;
                }
            }
        });
        for _ in 0..ROUNDS {
            let made = local.create(&moved, &root(), b"it", NewObject::Fifo, &set).await.expect("an object");
            let gone = local.remove(&moved, &root(), b"it", Removed::Anything).await.expect("removal");
            if !made.change.atomic || !gone.atomic {
                met.set(true);
                break;
            }
        }
        assert!(met.get(), "none of {ROUNDS} changes met one of as many moves");
        moving.await.expect("the mover ends");
    });
}

#[test]
fn nothing_changes_where_nothing_is_changed() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    with(rig::storage(&mounted.path), |local, _| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        let first = local.attributes(&opened.node).await.unwrap();
        assert_eq!(local.attributes(&opened.node).await.unwrap(), first);
        assert_eq!(opened.attributes, first);
    });
}
