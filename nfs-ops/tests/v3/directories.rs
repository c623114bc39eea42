//! READDIR and READDIRPLUS (RFC 1813 §3.3.16, §3.3.17).

use std::collections::BTreeSet;

use wire::nfs3::*;

use super::world;
use crate::support::nfs3::{Answer, Entry3, Nfs3, with_mode};

const VERIFIER: Verifier = Verifier([0; 8]);

/// Bytes of a result without entries: attributes, verifier, the end of the list and the flag.
const EMPTY_BYTES: u32 = 88 + 8 + 4 + 4;

fn readdir(client: &Nfs3, directory: FileHandle, cookie: u64, count_max: u32) -> Answer<ReadDirArgs> {
    client.send(&ReadDirArgs { directory, cookie, verifier: VERIFIER, count_max })
}

fn readdirplus(
    client: &Nfs3,
    directory: FileHandle,
    cookie: u64,
    directory_count: u32,
    count_max: u32,
) -> Answer<ReadDirPlusArgs> {
    client.send(&ReadDirPlusArgs { directory, cookie, verifier: VERIFIER, directory_count, count_max })
}

/// All entries, page by page; `between` may change the directory.
fn all(page: impl Fn(u64) -> (Vec<Entry3>, bool), mut between: impl FnMut(usize)) -> Vec<Entry3> {
    let (mut entries, mut cookie) = (Vec::new(), 0);
    for number in 0.. {
        let (some, end) = page(cookie);
        assert!(end || !some.is_empty(), "a page without entries that is not the last");
        entries.extend(some);
        if end {
            return entries;
        }
        cookie = entries.last().expect("just seen").cookie;
        between(number);
    }
    unreachable!("the directory ends")
}

fn names(entries: &[Entry3]) -> Vec<&str> {
    entries.iter().map(|entry| &entry.name[..]).collect()
}

/// A directory with this many files, of names of different lengths.
fn filled(client: &Nfs3, root: FileHandle, count: usize) -> (FileHandle, Vec<String>) {
    let directory = client.make_directory(root, "directory");
    let name = |number: usize| format!("{number}-{}", "x".repeat(number * 7 % 60));
    let names: Vec<String> = (0..count).map(name).collect();
    for name in &names {
        client.make_file(directory, name, b"");
    }
    (directory, names)
}

#[test]
fn every_entry_is_listed_once_behind_the_dots() {
    let (_, client, root) = world();
    let (directory, made) = filled(&client, root, 700);
    let expected: Vec<&str> = [".", ".."].into_iter().chain(made.iter().map(|name| &name[..])).collect();
    for count_max in [300, 512, 1000, 4096, 65_536, u32::MAX] {
        let page = |cookie| {
            let answer = readdir(&client, directory, cookie, count_max);
            assert!(answer.result_bytes() <= count_max as usize);
            assert!(answer.result_bytes() <= 64 << 10, "one call keeps the core busy for so long only");
            assert_eq!(answer.ok().attributes, Some(client.attributes(directory)));
            answer.entries()
        };
        let entries = all(page, |_| ());
        assert_eq!(names(&entries), expected, "{count_max}");
        let cookies: BTreeSet<u64> = entries.iter().map(|entry| entry.cookie).collect();
        assert_eq!(cookies.len(), entries.len());
        assert!(!cookies.contains(&0));
    }
    for (directory_count, count_max) in [(4096, 500), (100, 4096), (1, 32_768), (u32::MAX, u32::MAX)] {
        let page = |cookie| {
            let answer = readdirplus(&client, directory, cookie, directory_count, count_max);
            assert!(answer.result_bytes() <= (count_max as usize).min(64 << 10));
            answer.entries()
        };
        let entries = all(page, |_| ());
        assert_eq!(names(&entries), expected, "{directory_count} {count_max}");
        for entry in entries.iter().step_by(50) {
            let found = client.lookup(directory, &entry.name).ok();
            assert_eq!((Some(found.object), found.attributes), (entry.handle, entry.attributes));
        }
    }
}

#[test]
fn pages_are_as_full_as_they_may_be() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    for number in 10..90 {
        client.make_file(directory, &format!("file{number}"), b"");
    }
    // The word before each, file id, name of up to 8 bytes behind its length, and cookie.
    let (dot, entry) = (4 + 8 + 8 + 8, 4 + 8 + 12 + 8);
    for files in [0, 1, 2, 40] {
        let count = EMPTY_BYTES + 2 * dot + files * entry;
        let found = |count| readdir(&client, directory, 0, count).entries().0.len() as u32;
        assert_eq!((found(count), found(count + entry - 1)), (2 + files, 2 + files));
    }
    // Attributes and handle do not count for the first bound (RFC 1813 §3.3.17).
    let found = |bytes| readdirplus(&client, directory, 0, bytes, 65_536).entries().0.len() as u32;
    let information = 2 * (8 + 8 + 8) + 10 * (8 + 12 + 8);
    assert_eq!((found(information), found(information + 27)), (12, 12));
    let plus = |count| readdirplus(&client, directory, 0, 65_536, count).entries().0.len() as u32;
    let count = EMPTY_BYTES + 2 * (dot + 88 + 72) + 10 * (entry + 88 + 72);
    assert_eq!((plus(count), plus(count - 1)), (12, 11));
}

#[test]
fn too_small_is_what_no_entry_fits() {
    let (_, client, root) = world();
    let (directory, made) = filled(&client, root, 3);
    let dot = 4 + 8 + 8 + 8;
    for count_max in [0, 10, EMPTY_BYTES - 1, EMPTY_BYTES, EMPTY_BYTES + dot - 1] {
        let told = readdir(&client, directory, 0, count_max).fails(Status::Toosmall);
        assert_eq!(told, Some(client.attributes(directory)));
        readdirplus(&client, directory, 0, 9, count_max).fails(Status::Toosmall);
    }
    let (entries, end) = readdir(&client, directory, 0, EMPTY_BYTES + dot).entries();
    assert_eq!((names(&entries), end), (vec!["."], false));
    // At the end no room is needed but for saying so.
    let (all, _) = readdir(&client, directory, 0, 4096).entries();
    assert_eq!(all.len(), 2 + made.len());
    let last = all.last().unwrap().cookie;
    assert_eq!(readdir(&client, directory, last, EMPTY_BYTES).entries(), (vec![], true));
    readdir(&client, directory, all[2].cookie, EMPTY_BYTES).fails(Status::Toosmall);
}

#[test]
fn the_dots_lead_where_lookups_do() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    for (at, above) in [(root, root), (directory, root)] {
        let (entries, _) = readdirplus(&client, at, 0, 4096, 4096).entries();
        for (entry, name, expected) in [(&entries[0], ".", at), (&entries[1], "..", above)] {
            let attributes = client.attributes(expected);
            assert_eq!((&entry.name[..], entry.handle), (name, Some(expected)));
            assert_eq!((entry.attributes, entry.file_id), (Some(attributes), attributes.file_id));
        }
    }
}

#[test]
fn cookies_stay_good_while_entries_come_and_go() {
    let (world, client, root) = world();
    let (directory, made) = filled(&client, root, 400);
    let page = |cookie| readdir(&client, directory, cookie, 1200).entries();
    let seen = all(page, |number| {
        client.make_file(directory, &format!("new{number}"), b"");
        // One that was listed and one that was not yet.
        client.remove(directory, &made[number]).ok();
        client.remove(directory, &made[399 - number]).ok();
    });
    let mut once = BTreeSet::new();
    for entry in &seen {
        assert!(once.insert(entry.name.clone()), "{} came twice", entry.name);
    }
    let stayed = client.names(directory);
    for name in made.iter().filter(|name| stayed.contains(name)) {
        assert!(once.contains(name), "{name} stayed and was not listed");
    }
    // They stay good over a restart, and where the entry itself is gone.
    let middle = seen.iter().find(|entry| entry.name == made[100]).unwrap();
    let behind = || readdir(&client, directory, middle.cookie, 65_536).entries().0;
    let before = behind();
    client.remove(directory, &middle.name).ok();
    world.storage().crash();
    world.restart();
    assert_eq!(behind(), before);
}

#[test]
fn a_cookie_with_another_verifier_is_bad() {
    let (_, client, root) = world();
    let directory = root;
    let verifier = Verifier([0, 0, 0, 0, 0, 0, 0, 1]);
    for cookie in [1, 2, 3, u64::MAX] {
        let plain = client.send(&ReadDirArgs { directory, cookie, verifier, count_max: 4096 });
        assert_eq!(plain.fails(Status::BadCookie), Some(client.attributes(root)));
        let plus = ReadDirPlusArgs { directory, cookie, verifier, directory_count: 4096, count_max: 4096 };
        assert_eq!(client.send(&plus).fails(Status::BadCookie), Some(client.attributes(root)));
    }
    // At the start it means nothing yet.
    client.send(&ReadDirArgs { directory, cookie: 0, verifier, count_max: 4096 }).ok();
}

#[test]
fn directories_are_listed_for_those_who_may_read_them() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    let file = client.make_file(directory, "file", b"data");
    let user = client.user(1000, 1000, &[]);
    for (mode, readable) in [(0o755, true), (0o744, true), (0o711, false), (0o700, false)] {
        client.setattr(directory, with_mode(mode)).ok();
        let plain = readdir(&user, directory, 0, 4096);
        let plus = readdirplus(&user, directory, 0, 4096, 4096);
        if readable {
            assert_eq!(names(&plain.entries().0), [".", "..", "file"], "{mode:o}");
            let entries = plus.entries().0;
            assert_eq!(names(&entries), [".", "..", "file"], "{mode:o}");
            // Without permission to search, it is not told what the names stand for.
            let searchable = mode & 1 != 0;
            assert_eq!(entries[2].handle, searchable.then_some(file), "{mode:o}");
            assert_eq!(entries[2].attributes.is_some(), searchable);
        } else {
            let told = Some(client.attributes(directory));
            assert_eq!(plain.fails(Status::Acces), told, "{mode:o}");
            assert_eq!(plus.fails(Status::Acces), told, "{mode:o}");
        }
    }
    let link = client.symlink(root, "link", "directory").ok().object.unwrap();
    for object in [file, link] {
        let told = Some(client.attributes(object));
        assert_eq!(readdir(&client, object, 0, 4096).fails(Status::Notdir), told);
        assert_eq!(readdirplus(&client, object, 0, 4096, 4096).fails(Status::Notdir), told);
    }
}

#[test]
fn both_protocols_list_the_same() {
    use wire::nfs4::attribute;

    use crate::support::readdir as newer_readdir;
    let (world, client, root) = world();
    let (directory, _) = filled(&client, root, 50);
    let ours = readdir(&client, directory, 0, 65_536).entries().0;
    let listing = newer_readdir(0, 65_536, &[attribute::FILEID]);
    let theirs = world.client("one").run(&[crate::support::putfh(*directory), listing]).ok().entries().0;
    let triple = |entry: &Entry3| (entry.name.clone(), entry.cookie, Some(entry.file_id));
    let ours: Vec<_> = ours[2..].iter().map(triple).collect();
    let theirs: Vec<_> = theirs.into_iter().map(|entry| (entry.name, entry.cookie, entry.fileid)).collect();
    assert_eq!(ours, theirs);
}
