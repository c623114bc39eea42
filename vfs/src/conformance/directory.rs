//! Listing directories.

use std::collections::BTreeSet;

use super::{Fixture, alice, mode};
use crate::{DirectoryPage, DirectoryRequest, Identity, NewObject, Removed, Vfs};

const ENTRIES: usize = 100;

pub(super) async fn pages_join_without_gap_or_repeat<V: Vfs>(fixture: &Fixture<V>) {
    fill(fixture).await;
    for entries_max in [1, 7, 1000] {
        let mut seen = BTreeSet::new();
        let mut cookie = 0;
        loop {
            let page = page(fixture, cookie, entries_max).await;
            assert!(page.entries.len() <= entries_max);
            for entry in &page.entries {
                assert!(entry.cookie > 2, "the protocol reserves the first cookies");
                assert!(entry.object.is_none(), "nobody asked");
                assert!(seen.insert(entry.name.clone()), "{:?} twice", entry.name);
            }
            if page.end {
                break;
            }
            cookie = page.entries.last().expect("a page that is not the end has entries").cookie;
        }
        assert_eq!(seen, (0..ENTRIES).map(name).collect());
    }
    let request = DirectoryRequest { name_bytes_max: 15, ..request(0, 1000) };
    let vfs = &fixture.vfs;
    let page = vfs.read_directory(&fixture.directory, &Identity::root(), request).await.unwrap();
    assert!(!page.end && !page.entries.is_empty());
    assert!(page.entries.iter().map(|entry| entry.name.len()).sum::<usize>() <= 15);
}

pub(super) async fn removals_between_pages_disturb_nobody<V: Vfs>(fixture: &Fixture<V>) {
    fill(fixture).await;
    let (vfs, directory, root) = (&fixture.vfs, &fixture.directory, Identity::root());
    let mut seen = BTreeSet::new();
    let mut removed_unseen = BTreeSet::new();
    let mut cookie = 0;
    for round in 0.. {
        let page = page(fixture, cookie, 9).await;
        for entry in &page.entries {
            assert!(seen.insert(entry.name.clone()), "{:?} twice", entry.name);
        }
        if page.end {
            break;
        }
        let last = page.entries.last().expect("a page that is not the end has entries");
        cookie = last.cookie;
        // The very entry the reader stands on, and one that may lie before or behind it.
        vfs.remove(directory, &root, &last.name, Removed::Anything).await.unwrap();
        let other = name(round * 11 % ENTRIES);
        if vfs.remove(directory, &root, &other, Removed::Anything).await.is_ok() && !seen.contains(&other) {
            removed_unseen.insert(other);
        }
    }
    for number in 0..ENTRIES {
        let name = name(number);
        assert!(seen.contains(&name) != removed_unseen.contains(&name), "{number}");
    }
}

pub(super) async fn entries_carry_attributes_and_handles<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, alice) = (&fixture.vfs, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    let below = fixture.subdirectory(&alice, b"directory", 0o700).await;
    let request = DirectoryRequest { with_attributes: true, ..request(0, 1000) };
    let page = vfs.read_directory(&fixture.directory, &alice, request).await.unwrap();
    assert_eq!(page.entries.len(), 2);
    for entry in page.entries {
        let node = if entry.name == b"file" { &opened.node } else { &below.node };
        let (attributes, handle) = entry.object.expect("asked for").expect("readable");
        assert_eq!(handle, vfs.handle(node));
        assert_eq!(attributes, fixture.attributes(node).await);
        assert_eq!(entry.mounted_on_fileid, attributes.mounted_on_fileid);
    }
}

fn name(number: usize) -> Vec<u8> {
    format!("entry-{number}").into_bytes()
}

async fn fill<V: Vfs>(fixture: &Fixture<V>) {
    for number in 0..ENTRIES {
        let (root, name, set) = (Identity::root(), name(number), mode(0o600));
        let made = fixture.vfs.create(&fixture.directory, &root, &name, NewObject::Fifo, &set);
        made.await.unwrap();
    }
}

fn request(cookie: u64, entries_max: usize) -> DirectoryRequest {
    DirectoryRequest { cookie, entries_max, name_bytes_max: 1 << 20, with_attributes: false }
}

async fn page<V: Vfs>(fixture: &Fixture<V>, cookie: u64, entries_max: usize) -> DirectoryPage {
    let request = request(cookie, entries_max);
    fixture.vfs.read_directory(&fixture.directory, &Identity::root(), request).await.unwrap()
}
