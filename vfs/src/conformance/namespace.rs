//! Names.

use super::{Fixture, alice, mode};
use crate::{DirectoryChange, Error, FileKind, Identity, NewObject, Removed, SetAttributes, Vfs};

pub(super) async fn made_objects_are_found_and_removed<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, root) = (&fixture.vfs, &fixture.directory, Identity::root());
    let objects = [
        (NewObject::Directory, FileKind::Directory),
        (NewObject::Symlink(b"some/where"), FileKind::Symlink),
        (NewObject::CharacterDevice(1, 3), FileKind::CharacterDevice),
        (NewObject::BlockDevice(7, 300), FileKind::BlockDevice),
        (NewObject::Socket, FileKind::Socket),
        (NewObject::Fifo, FileKind::Fifo),
        (NewObject::Regular, FileKind::Regular),
    ];
    for (object, kind) in objects {
        let set = if kind == FileKind::Symlink { SetAttributes::default() } else { mode(0o640) };
        let made = vfs.create(directory, &root, b"it", object, &set).await.unwrap();
        assert_eq!(made.attributes.kind, kind);
        let found = vfs.lookup(directory, &root, b"it").await.unwrap();
        assert_eq!(vfs.handle(&found), vfs.handle(&made.node));
        let attributes = fixture.attributes(&found).await;
        assert_eq!(attributes, made.attributes);
        if kind != FileKind::Symlink {
            assert_eq!(attributes.mode, 0o640);
        }
        match object {
            NewObject::Symlink(text) => assert_eq!(vfs.read_link(&found, &root).await.unwrap(), text),
            NewObject::BlockDevice(major, minor) => assert_eq!(attributes.device, (major, minor)),
            _ => {
                let refused = vfs.read_link(&found, &root).await.unwrap_err();
                assert!(matches!(refused, Error::WrongType | Error::Invalid), "{refused:?}");
            }
        }
        let again = vfs.create(directory, &root, b"it", NewObject::Fifo, &mode(0o600)).await;
        assert_eq!(again.err(), Some(Error::Exists));
        vfs.remove(directory, &root, b"it", Removed::Anything).await.unwrap();
        assert_eq!(vfs.lookup(directory, &root, b"it").await.err(), Some(Error::NotFound));
        assert_eq!(vfs.remove(directory, &root, b"it", Removed::Anything).await, Err(Error::NotFound));
    }
}

pub(super) async fn only_what_is_asked_for_is_removed<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, root) = (&fixture.vfs, &fixture.directory, Identity::root());
    for (object, mistaken, error, right) in [
        (NewObject::Directory, Removed::NoDirectory, Error::IsDirectory, Removed::Directory),
        (NewObject::Regular, Removed::Directory, Error::NotDirectory, Removed::NoDirectory),
        (NewObject::Symlink(b"."), Removed::Directory, Error::NotDirectory, Removed::NoDirectory),
    ] {
        vfs.create(directory, &root, b"it", object, &mode(0o600)).await.unwrap();
        assert_eq!(vfs.remove(directory, &root, b"it", mistaken).await, Err(error), "{object:?}");
        check_moved(vfs.remove(directory, &root, b"it", right).await.unwrap());
    }
}

pub(super) async fn names_are_single_components<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, root) = (&fixture.vfs, &fixture.directory, Identity::root());
    for name in [&b"."[..], b"..", b"", b"a/b", b"/", b"a\0b"] {
        let looked_up = vfs.lookup(directory, &root, name).await;
        assert_eq!(looked_up.err(), Some(Error::BadName), "{name:?}");
        let made = vfs.create(directory, &root, name, NewObject::Directory, &mode(0o700)).await;
        assert_eq!(made.err(), Some(Error::BadName), "{name:?}");
        assert_eq!(
            vfs.remove(directory, &root, name, Removed::Anything).await,
            Err(Error::BadName),
            "{name:?}"
        );
    }
    let longest = vec![b'n'; vfs.capabilities().name_bytes_max as usize];
    vfs.create(directory, &root, &longest, NewObject::Fifo, &mode(0o600)).await.unwrap();
    let too_long = [&longest[..], b"n"].concat();
    let made = vfs.create(directory, &root, &too_long, NewObject::Fifo, &mode(0o600)).await;
    assert_eq!(made.err(), Some(Error::NameTooLong));
}

pub(super) async fn hard_links_are_one_object<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let opened = fixture.file(&alice, b"one", 0o600).await;
    let before = fixture.attributes(&opened.node).await;
    let change = vfs.link(&opened.node, directory, &alice, b"two").await.unwrap();
    check_moved(change);
    let after = fixture.attributes(&opened.node).await;
    assert_eq!((before.links, after.links), (1, 2));
    assert!(after.change > before.change, "the number of names is an attribute");
    let found = vfs.lookup(directory, &alice, b"two").await.unwrap();
    assert_eq!(vfs.handle(&found), vfs.handle(&opened.node));

    assert_eq!(vfs.link(&found, directory, &alice, b"one").await, Err(Error::Exists));
    vfs.remove(directory, &alice, b"one", Removed::Anything).await.unwrap();
    assert_eq!(fixture.attributes(&found).await.links, 1);

    let subdirectory = fixture.subdirectory(&alice, b"directory", 0o700).await;
    let refused = vfs.link(&subdirectory.node, directory, &alice, b"three").await.unwrap_err();
    assert!(matches!(refused, Error::IsDirectory | Error::NotPermitted), "{refused:?}");
}

pub(super) async fn rename_replaces_what_may_be_replaced<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let moved = fixture.file(&alice, b"moved", 0o600).await;
    let replaced = fixture.file(&alice, b"replaced", 0o600).await;
    let replaced_handle = vfs.handle(&replaced.node);
    drop(replaced);
    let (source, target) = vfs.rename(directory, b"moved", directory, b"replaced", &alice).await.unwrap();
    assert_eq!(source, target, "it is one directory");
    check_moved(source);
    let found = vfs.lookup(directory, &alice, b"replaced").await.unwrap();
    assert_eq!(vfs.handle(&found), vfs.handle(&moved.node));
    assert_eq!(vfs.lookup(directory, &alice, b"moved").await.err(), Some(Error::NotFound));
    assert_eq!(vfs.node(&replaced_handle).await.err(), Some(Error::Stale));

    let full = fixture.subdirectory(&alice, b"full", 0o700).await.node;
    let empty = fixture.subdirectory(&alice, b"empty", 0o700).await.node;
    vfs.create(&full, &alice, b"below", NewObject::Directory, &mode(0o700)).await.unwrap();
    let refused = vfs.rename(directory, b"empty", directory, b"full", &alice).await;
    assert_eq!(refused, Err(Error::NotEmpty));
    vfs.rename(directory, b"full", directory, b"empty", &alice).await.unwrap();
    assert_eq!(vfs.attributes(&empty).await.err(), Some(Error::Stale));
    assert!(vfs.lookup(&full, &alice, b"below").await.is_ok());
    assert_eq!(vfs.remove(directory, &alice, b"empty", Removed::Anything).await, Err(Error::NotEmpty));
    let (source, target) = vfs.rename(&full, b"below", directory, b"above", &alice).await.unwrap();
    check_moved(source);
    check_moved(target);
    vfs.remove(directory, &alice, b"empty", Removed::Anything).await.unwrap();
}

pub(super) async fn rename_refuses_cycles_and_unlike_objects<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let above = fixture.subdirectory(&alice, b"above", 0o700).await.node;
    let set = mode(0o700);
    let below = vfs.create(&above, &alice, b"below", NewObject::Directory, &set).await.unwrap().node;
    for target in [&above, &below] {
        let refused = vfs.rename(directory, b"above", target, b"inside", &alice).await;
        assert_eq!(refused, Err(Error::Invalid));
    }
    let refused = vfs.rename(&above, b"below", directory, b"above", &alice).await;
    assert_eq!(refused, Err(Error::NotEmpty));

    let _file = fixture.file(&alice, b"file", 0o600).await;
    let refused = vfs.rename(directory, b"above", directory, b"file", &alice).await;
    assert_eq!(refused, Err(Error::NotDirectory));
    let refused = vfs.rename(directory, b"file", directory, b"above", &alice).await;
    assert_eq!(refused, Err(Error::IsDirectory));
    let refused = vfs.rename(directory, b"missing", directory, b"file", &alice).await;
    assert_eq!(refused, Err(Error::NotFound));
}

pub(super) async fn renaming_between_two_names_of_one_object_does_nothing<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let opened = fixture.file(&alice, b"one", 0o600).await;
    vfs.link(&opened.node, directory, &alice, b"two").await.unwrap();
    vfs.rename(directory, b"one", directory, b"two", &alice).await.unwrap();
    for name in [b"one", b"two"] {
        assert!(vfs.lookup(directory, &alice, name).await.is_ok());
    }
    assert_eq!(fixture.attributes(&opened.node).await.links, 2);
}

pub(super) async fn parents_lead_to_the_root<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let below = fixture.subdirectory(&alice, b"below", 0o700).await.node;
    let other = fixture.subdirectory(&alice, b"other", 0o700).await.node;
    let parent = vfs.parent(&below, &alice).await.unwrap().unwrap();
    assert_eq!(vfs.handle(&parent), vfs.handle(directory));
    let above = vfs.parent(directory, &alice).await.unwrap().unwrap();
    assert_eq!(vfs.handle(&above), vfs.handle(&vfs.root()));
    assert!(vfs.parent(&vfs.root(), &alice).await.unwrap().is_none(), "the export ends here");

    vfs.rename(directory, b"below", &other, b"below", &alice).await.unwrap();
    let parent = vfs.parent(&below, &alice).await.unwrap().unwrap();
    assert_eq!(vfs.handle(&parent), vfs.handle(&other));
}

pub(super) async fn paths_lead_from_the_root<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    assert_eq!(vfs.path(&vfs.root()).as_deref(), Some(&b""[..]));
    let base = vfs.path(directory).expect("it has a name");
    let below = |rest: &[u8]| Some([&base[..], rest].concat());
    let holder = fixture.subdirectory(&alice, b"below", 0o700).await.node;
    let file = fixture.file(&alice, b"file \xff", 0o600).await.node;
    assert_eq!(vfs.path(&file), below(b"/file \xff"));
    vfs.rename(directory, b"file \xff", &holder, b"moved", &alice).await.unwrap();
    assert_eq!(vfs.path(&file), below(b"/below/moved"));
    vfs.rename(directory, b"below", directory, b"above", &alice).await.unwrap();
    assert_eq!(vfs.path(&file), below(b"/above/moved"));
    let again = vfs.lookup(&holder, &alice, b"moved").await.unwrap();
    assert_eq!(vfs.path(&again), below(b"/above/moved"));
}

pub(super) async fn every_change_moves_the_change_attribute<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let opened = fixture.file(&alice, b"file", 0o600).await;
    check_moved(opened.change);
    let mut last = fixture.attributes(&opened.node).await.change;
    let mut expect_more = |now: u64, what: &str| {
        assert!(now > last, "{what}: {now} after {last}");
        last = now;
    };
    // Far more often than a coarse clock ticks.
    for round in 0..50 {
        fixture.write(&opened.file, &alice, 0, &[round]).await;
        expect_more(fixture.attributes(&opened.node).await.change, "a write");
        vfs.set_attributes(&opened.node, None, &alice, &mode(0o600 + u32::from(round % 2))).await.unwrap();
        expect_more(fixture.attributes(&opened.node).await.change, "a mode");
    }
    let mut last = fixture.attributes(directory).await.change;
    for _ in 0..20 {
        let made = vfs.create(directory, &alice, b"it", NewObject::Fifo, &mode(0o600)).await.unwrap();
        let removed = vfs.remove(directory, &alice, b"it", Removed::Anything).await.unwrap();
        for change in [made.change, removed] {
            check_moved(change);
            assert!(change.before.change >= last, "{change:?} after {last}");
            last = change.after.change;
        }
        assert_eq!(fixture.attributes(directory).await.change, last);
    }
}

fn check_moved(change: DirectoryChange) {
    assert!(change.after.change > change.before.change, "{change:?}");
}
