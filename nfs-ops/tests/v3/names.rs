//! LOOKUP, READLINK, REMOVE, RMDIR, RENAME, LINK (RFC 1813 §3.3.3, §3.3.5, §3.3.12 to §3.3.15).

use wire::nfs3::*;

use super::world;
use crate::support::nfs3::{Nfs3, with_mode};
use crate::support::{World, export_settings};

/// Names that nothing can have, and what they are answered with. RFC 1813 §3.2 for the empty name and for characters.
fn impossible(dots: Status) -> [(String, Status); 7] {
    let long = "x".repeat(256);
    [
        ("", Status::Acces),
        ("a/b", Status::Acces),
        ("a\0b", Status::Acces),
        ("/", Status::Acces),
        (&long[..], Status::Nametoolong),
        (".", dots),
        ("..", dots),
    ]
    .map(|(name, status)| (name.to_owned(), status))
}

#[test]
fn names_are_found_in_their_directory() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    let file = client.make_file(directory, "file", b"data");
    let found = client.lookup(directory, "file");
    let found = found.ok();
    assert_eq!(found.object, file);
    assert_eq!(found.attributes, Some(client.attributes(file)));
    assert_eq!(found.directory_attributes, Some(client.attributes(directory)));
    for (from, name, expected) in
        [(directory, ".", directory), (directory, "..", root), (root, ".", root), (root, "..", root)]
    {
        let found = client.lookup(from, name);
        let found = found.ok();
        assert_eq!(found.object, expected, "{name}");
        assert_eq!(found.attributes, Some(client.attributes(expected)));
        assert_eq!(found.directory_attributes, Some(client.attributes(from)));
    }
    let longest = "x".repeat(255);
    assert_eq!(client.make_file(root, &longest, b""), client.lookup(root, &longest).ok().object);
}

#[test]
fn what_is_not_found_tells_of_the_directory() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    let link = client.symlink(root, "link", ".").ok().object.unwrap();
    for (name, status) in impossible(Status::Ok) {
        if status != Status::Ok {
            let attributes = client.lookup(root, &name).fails(status);
            assert!(name.is_empty() || attributes == Some(client.attributes(root)), "{name}");
        }
    }
    assert_eq!(client.lookup(root, "x").fails(Status::Noent), Some(client.attributes(root)));
    for object in [file, link] {
        for name in ["x", ".", ".."] {
            let attributes = client.lookup(object, name).fails(Status::Notdir);
            assert_eq!(attributes, Some(client.attributes(object)), "{name}");
        }
    }
}

#[test]
fn names_are_for_those_who_may_search() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    client.make_file(directory, "file", b"data");
    client.setattr(directory, with_mode(0o744)).ok();
    let user = client.user(1000, 1000, &[]);
    for name in ["file", "x", ".."] {
        user.lookup(directory, name).fails(Status::Acces);
    }
    client.setattr(directory, with_mode(0o711)).ok();
    user.lookup(directory, "file").ok();
    user.lookup(directory, "..").ok();
}

#[test]
fn links_tell_their_text() {
    let (_, client, root) = world();
    let link = client.symlink(root, "link", "../any/where").ok().object.unwrap();
    let told = client.readlink(link);
    let told = told.ok();
    assert_eq!((told.link.bytes(), told.attributes), (&b"../any/where"[..], Some(client.attributes(link))));
    assert_eq!(client.readlink(root).fails(Status::Inval), Some(client.attributes(root)));
}

#[test]
fn remove_is_for_files_and_rmdir_for_directories() {
    let (_, client, root) = world();
    client.make_file(root, "file", b"data");
    client.symlink(root, "link", "x").ok();
    let directory = client.make_directory(root, "directory");
    client.make_file(directory, "inside", b"");
    for (wcc, name) in [
        (client.remove(root, "directory").fails(Status::Isdir), "directory"),
        (client.rmdir(root, "file").fails(Status::Notdir), "file"),
        (client.rmdir(root, "link").fails(Status::Notdir), "link"),
        (client.rmdir(root, "directory").fails(Status::Notempty), "directory"),
        (client.remove(root, "x").fails(Status::Noent), "x"),
        (client.rmdir(root, "x").fails(Status::Noent), "x"),
    ] {
        assert_eq!(wcc, WccData { before: None, after: Some(client.attributes(root)) }, "{name}");
    }
    for (name, status) in impossible(Status::Isdir) {
        client.remove(root, &name).fails(status);
    }
    for (name, status) in impossible(Status::Inval) {
        client.rmdir(root, &name).fails(if name == ".." { Status::Exist } else { status });
    }
    let file = client.lookup(root, "file").ok().object;
    client.remove(file, "x").fails(Status::Notdir);
    client.rmdir(file, "x").fails(Status::Notdir);
    assert_eq!(client.names(root), ["file", "link", "directory"]);

    let before = client.attributes(root);
    let wcc = client.remove(root, "file").ok();
    client.sees_all(root, before, wcc);
    client.remove(root, "link").ok();
    client.remove(directory, "inside").ok();
    let before = client.attributes(root);
    let wcc = client.rmdir(root, "directory").ok();
    client.sees_all(root, before, wcc);
    assert_eq!(client.names(root), [""; 0]);
}

#[test]
fn renamed_is_what_may_replace_the_target() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    let file = client.make_file(root, "file", b"data");
    let before = (client.attributes(root), client.attributes(directory));
    let told = client.rename((root, "file"), (directory, "moved")).ok();
    client.sees_all(root, before.0, told.from_directory_wcc);
    client.sees_all(directory, before.1, told.to_directory_wcc);
    assert_eq!(client.lookup(directory, "moved").ok().object, file, "the handle stays");
    client.rename((directory, "moved"), (root, "file")).ok();
    client.make_file(root, "other", b"");
    let before = client.attributes(root);
    let told = client.rename((root, "file"), (root, "other")).ok();
    client.sees_all(root, before, told.from_directory_wcc);
    assert_eq!(told.from_directory_wcc, told.to_directory_wcc);
    assert_eq!(client.lookup(root, "other").ok().object, file);
    // Two names of one object stay.
    client.link(file, root, "twin").ok();
    client.rename((root, "other"), (root, "twin")).ok();
    assert_eq!(client.names(root), ["directory", "other", "twin"]);
}

#[test]
fn what_cannot_be_renamed_tells_of_both_directories() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    let inner = client.make_directory(directory, "inner");
    let file = client.make_file(root, "file", b"data");
    let fails = |from, to, status| {
        let told = client.rename(from, to).fails(status);
        client.sees_after(from.0, told.from_directory_wcc);
        client.sees_after(to.0, told.to_directory_wcc);
    };
    fails((root, "x"), (directory, "y"), Status::Noent);
    fails((root, "file"), (root, "directory"), Status::Exist);
    fails((directory, "inner"), (root, "file"), Status::Exist);
    fails((root, "directory"), (inner, "below"), Status::Inval);
    fails((root, "file"), (file, "x"), Status::Notdir);
    fails((file, "x"), (root, "y"), Status::Notdir);
    client.make_directory(root, "empty");
    fails((root, "empty"), (root, "directory"), Status::Notempty);
    for (name, status) in impossible(Status::Inval) {
        client.rename((root, &name), (root, "new")).fails(status);
        client.rename((root, "file"), (directory, &name)).fails(status);
    }
    assert_eq!(client.names(root), ["directory", "file", "empty"]);
    assert_eq!(client.names(directory), ["inner"]);
}

#[test]
fn links_are_further_names() {
    let (_, client, root) = world();
    let directory = client.make_directory(root, "directory");
    let file = client.make_file(root, "file", b"data");
    let before = client.attributes(directory);
    let told = client.link(file, directory, "twin").ok();
    client.sees_all(directory, before, told.directory_wcc);
    assert_eq!(told.attributes, Some(client.attributes(file)));
    assert_eq!(client.attributes(file).links, 2);
    assert_eq!(client.lookup(directory, "twin").ok().object, file);
    let mut refused = vec![
        (file, directory, "twin".to_owned(), Status::Exist),
        (directory, root, "x".to_owned(), Status::Isdir),
        (file, file, "x".to_owned(), Status::Notdir),
    ];
    let impossible = impossible(Status::Inval).into_iter();
    refused.extend(impossible.map(|(name, status)| (file, root, name, status)));
    for (source, target, name, status) in refused {
        let told = client.link(source, target, &name).fails(status);
        if !name.is_empty() {
            assert_eq!(told.attributes, Some(client.attributes(source)), "{name}");
            client.sees_after(target, told.directory_wcc);
        }
    }
}

#[test]
fn names_stay_within_their_export() {
    let world = World::with(vec![export_settings(1, "one"), export_settings(2, "two")]);
    let connection = world.connection();
    let client = connection.nfs3();
    let [one, two] = ["/one", "/two"].map(|path| connection.mount(path).unwrap().handle);
    let file = client.make_file(one, "file", b"");
    client.rename((one, "file"), (two, "file")).fails(Status::Xdev);
    client.link(file, two, "file").fails(Status::Xdev);
}

#[test]
fn sticky_and_unwritable_directories_keep_their_names() {
    let (_, client, root) = world();
    let user = client.user(1000, 1000, &[]);
    let file = client.make_file(root, "file", b"");
    let names = |user: &Nfs3, status| {
        user.remove(root, "file").fails(status);
        user.rename((root, "file"), (root, "other")).fails(status);
    };
    names(&user, Status::Acces);
    user.link(file, root, "twin").fails(Status::Acces);
    client.setattr(root, with_mode(0o1777)).ok();
    names(&user, Status::Perm);
    assert_eq!(client.names(root), ["file"]);
}
