//! What must survive a restart of the server, and what must not survive a removal.

mod rig;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rig::calls::{alice, make, mode, page, root, write};
use rig::{Mounted, storage, with};
use vfs::{Authority, CreateHow, Error, OpenAccess, Removed, Vfs};
use vfs_local::{LocalStorage, Options};

/// How long something is waited for that happens soon.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn handles_and_fsids_survive_a_restart() {
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    let before = storage(&mounted.path);
    let handle = with(before.clone(), |local, _| async move {
        let opened = make(&local, &local.root(), &root(), "file").await.expect("a file");
        let handle = local.handle(&opened.node);
        drop(opened);
        // Closes happen before space is counted.
        local.space(&local.root(), &root()).await.expect("space");
        handle
    });
    let after = storage(&mounted.path);
    assert_eq!(before.capabilities().fsid, after.capabilities().fsid);
    drop(before);
    with(after, move |local, _| async move {
        let node = local.node(&handle).await.expect("the same file");
        assert_eq!(local.handle(&local.lookup(&local.root(), &root(), b"file").await.unwrap()), handle);
        local.remove(&local.root(), &root(), b"file", Removed::Anything).await.expect("removal");
        drop(node);
        assert_eq!(local.node(&handle).await.err(), Some(Error::Stale));
    });
}

#[test]
fn an_exclusive_create_finds_its_file_after_a_restart() {
    let Some(mounted) = Mounted::xfs().filter(|_| rig::is_root()) else { return };
    let exclusive = |verifier: [u8; 8]| {
        with(storage(&mounted.path), move |local, _| async move {
            let how = CreateHow::Exclusive(verifier);
            // The mode forbids what the maker wants: it must still get it, the second time too.
            let opened = local
                .open_create(&local.root(), &alice(), b"file", how, &mode(0o444), OpenAccess::Write)
                .await;
            opened.map(|opened| local.handle(&opened.node))
        })
    };
    let first = exclusive(*b"\xffverify\x01").expect("it is new");
    assert_eq!(exclusive(*b"\xffverify\x01"), Ok(first));
    assert_eq!(exclusive(*b"\xffverify\x02"), Err(Error::Exists));
}

#[test]
fn cookies_go_on_after_a_restart() {
    for mounted in [Mounted::tmpfs(), Mounted::ext4(), Mounted::xfs()] {
        let Some(mounted) = mounted.filter(|_| rig::is_root()) else { continue };
        for number in 0..500 {
            std::fs::write(mounted.path.join(format!("file-{number}")), b"").expect("a file");
        }
        let mut names = BTreeSet::new();
        let mut cookie = 0;
        loop {
            let page = with(storage(&mounted.path), move |local, _| async move {
                page(&local, &local.root(), cookie, 120).await
            });
            for entry in page.entries {
                let (attributes, _) = entry.object.expect("asked for").expect("it is there");
                assert_eq!(attributes.fileid, entry.mounted_on_fileid);
                assert!(entry.cookie > 2);
                cookie = entry.cookie;
                assert!(names.insert(entry.name), "an entry came twice");
            }
            if page.end {
                break;
            }
        }
        let found = names.iter().filter(|name| name.starts_with(b"file-")).count();
        assert_eq!(found, 500);
    }
}

#[test]
fn space_comes_back_with_the_last_name_unless_somebody_has_it_open() {
    const BYTES: u64 = 64 << 20;
    let Some(mounted) = Mounted::ext4().filter(|_| rig::is_root()) else { return };
    with(storage(&mounted.path), |local, shard| async move {
        let directory = local.root();
        for held in [false, true] {
            let opened = make(&local, &directory, &root(), "large").await.expect("a file");
            local.allocate(&opened.file, &root(), 0, BYTES).await.expect("room");
            write(&local, &shard, &opened.file, &root(), 0, 4096).await.expect("a write");
            // Cached by a lookup, as a client's GETATTR would.
            drop(local.lookup(&directory, &root(), b"large").await.expect("it is there"));
            let handle = local.handle(&opened.node);
            drop(opened.node);
            let file = held.then(|| opened.file.clone());
            drop(opened.file);
            let before = local.space(&directory, &root()).await.unwrap().free_bytes;
            local.remove(&directory, &root(), b"large", Removed::Anything).await.expect("removal");
            let after = local.space(&directory, &root()).await.unwrap().free_bytes;
            assert_eq!(after >= before + BYTES / 2, !held, "{before} {after}");
            // A look at it while it is open must not keep it beyond that.
            let seen = local.node(&handle).await;
            assert_eq!(seen.is_ok(), held);
            drop((seen, file));
            // The last descriptor is closed beside what goes on, on a busy machine after it.
            let freed =
                async || local.space(&directory, &root()).await.unwrap().free_bytes >= before + BYTES / 2;
            let until = Instant::now() + PATIENCE;
            while !freed().await && Instant::now() < until {
                shard.sleep(Duration::from_millis(10)).await;
            }
            assert!(freed().await);
        }
    });
}

#[test]
fn objects_are_kept_open_within_the_bound_and_found_beyond_it() {
    const BOUND: usize = 16;
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    let names: Vec<_> = (0..100).map(|number| format!("bounded-{number}")).collect();
    for name in &names {
        std::fs::write(mounted.path.join(name), b"").expect("a file");
    }
    let mut options = Options::new(&mounted.path, 1);
    options.cached_objects_max = BOUND;
    with(LocalStorage::open(options).expect("it can be exported"), move |local, _| async move {
        let open = || {
            let all = std::fs::read_dir("/proc/self/fd").expect("descriptors");
            let targets = all.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
            targets.filter(|target| target.to_string_lossy().contains("/bounded-")).count()
        };
        let mut handles = Vec::new();
        for name in &names {
            let node = local.lookup(&local.root(), &root(), name.as_bytes()).await.expect("it is there");
            handles.push(local.handle(&node));
        }
        assert_eq!(open(), BOUND);
        for handle in &handles {
            local.node(handle).await.expect("found again");
        }
        assert_eq!(open(), BOUND);
    });
}

#[test]
fn what_has_no_handles_is_refused_with_the_remedy() {
    let refused = LocalStorage::open(Options::new("/proc/self", 1)).expect_err("proc has no handles");
    assert!(refused.to_string().contains("persistent file handles"), "{refused}");
    let missing = LocalStorage::open(Options::new("/does/not/exist", 1)).expect_err("there is nothing");
    assert!(missing.to_string().contains("must exist"), "{missing}");
}

#[test]
fn a_reclaim_opens_what_the_mode_forbids() {
    let Some(mounted) = Mounted::tmpfs().filter(|_| rig::is_root()) else { return };
    with(storage(&mounted.path), |local, _| async move {
        let made = make(&local, &local.root(), &alice(), "file").await.expect("a file");
        local.set_attributes(&made.node, None, &alice(), &mode(0)).await.expect("a mode");
        let refused = local.open(&made.node, &alice(), OpenAccess::Both, Authority::Caller).await;
        assert_eq!(refused.err(), Some(Error::AccessDenied));
        assert!(local.open(&made.node, &alice(), OpenAccess::Both, Authority::Reclaim).await.is_ok());
    });
}
