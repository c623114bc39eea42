//! Making objects.

use super::{Fixture, alice, bob, mode, size};
use crate::{Authority, CreateHow, Error, Identity, NewObject, OpenAccess, Removed, SetAttributes, Vfs};

pub(super) async fn unchecked_finds_and_truncates<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let open = async |set: SetAttributes| {
        let how = CreateHow::Unchecked;
        vfs.open_create(directory, &alice, b"file", how, &set, OpenAccess::Both).await.unwrap()
    };
    let first = open(mode(0o640)).await;
    assert!(first.created && first.change.after.change > first.change.before.change);
    assert_eq!((first.attributes.mode, first.attributes.uid), (0o640, 70_001));
    fixture.write(&first.file, &alice, 0, b"hello").await;

    let second = open(mode(0o777)).await;
    assert!(!second.created);
    assert_eq!(second.change.after, second.change.before);
    assert_eq!((second.attributes.mode, second.attributes.size_bytes), (0o640, 5), "nothing is applied");
    let third = open(size(3)).await;
    assert_eq!(third.attributes.size_bytes, 5, "only a size of 0 is applied");
    let fourth = open(size(0)).await;
    assert_eq!(fourth.attributes.size_bytes, 0);
    assert!(fourth.attributes.change > third.attributes.change);
    assert_eq!(vfs.handle(&fourth.node), vfs.handle(&first.node));
}

pub(super) async fn guarded_refuses_what_is_there<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let _file = fixture.file(&alice, b"file", 0o600).await;
    let _directory = fixture.subdirectory(&alice, b"directory", 0o700).await;
    for name in [&b"file"[..], b"directory"] {
        let set = mode(0o600);
        let opened =
            vfs.open_create(directory, &alice, name, CreateHow::Guarded, &set, OpenAccess::Both).await;
        assert_eq!(opened.err(), Some(Error::Exists));
    }
}

pub(super) async fn exclusive_finds_its_own_file_again<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let open = async |verifier: [u8; 8]| {
        let (how, set) = (CreateHow::Exclusive(verifier), mode(0o444));
        vfs.open_create(directory, &alice, b"file", how, &set, OpenAccess::Both).await
    };
    let first = open(*b"verifier").await.unwrap();
    assert!(first.created);
    assert_eq!(first.attributes.mode, 0o444);
    let replay = open(*b"verifier").await.expect("the mode does not refuse the one who made it");
    assert_eq!(vfs.handle(&replay.node), vfs.handle(&first.node));
    fixture.write(&replay.file, &alice, 0, b"x").await;
    assert_eq!(open(*b"another1").await.err(), Some(Error::Exists));

    let _plain = fixture.file(&alice, b"plain", 0o600).await;
    let (how, set) = (CreateHow::Exclusive([0; 8]), mode(0o600));
    let opened = vfs.open_create(directory, &alice, b"plain", how, &set, OpenAccess::Both).await;
    assert_eq!(opened.err(), Some(Error::Exists), "no verifier is not a verifier of zeros");
}

pub(super) async fn failures_leave_nothing_behind<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let before = fixture.attributes(directory).await.change;
    let given = SetAttributes { uid: Some(70_002), ..mode(0o600) };
    for object in [NewObject::Directory, NewObject::Fifo] {
        let made = vfs.create(directory, &alice, b"it", object, &given).await;
        assert_eq!(made.err(), Some(Error::NotPermitted));
        assert_eq!(vfs.lookup(directory, &alice, b"it").await.err(), Some(Error::NotFound));
    }
    let how = CreateHow::Guarded;
    let opened = vfs.open_create(directory, &alice, b"it", how, &given, OpenAccess::Both).await;
    assert_eq!(opened.err(), Some(Error::NotPermitted));
    assert_eq!(vfs.lookup(directory, &alice, b"it").await.err(), Some(Error::NotFound));
    let device = NewObject::CharacterDevice(1, 3);
    let made = vfs.create(directory, &alice, b"it", device, &mode(0o600)).await;
    assert_eq!(made.err(), Some(Error::NotPermitted));
    assert!(fixture.attributes(directory).await.change >= before);
}

pub(super) async fn new_objects_inherit_the_group_of_a_setgid_directory<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, root, bob) = (&fixture.vfs, Identity::root(), bob());
    let set = SetAttributes { gid: Some(70_001), ..mode(0o2777) };
    let made = vfs.create(&fixture.directory, &root, b"shared", NewObject::Directory, &set).await;
    let shared = made.unwrap().node;
    assert_eq!(fixture.attributes(&shared).await.mode, 0o2777);
    let below = vfs.create(&shared, &bob, b"below", NewObject::Directory, &mode(0o755)).await.unwrap();
    assert_eq!((below.attributes.gid, below.attributes.mode), (70_001, 0o2755));
    let (how, set) = (CreateHow::Guarded, mode(0o2755));
    let opened = vfs.open_create(&shared, &bob, b"file", how, &set, OpenAccess::Both).await.unwrap();
    assert_eq!((opened.attributes.uid, opened.attributes.gid), (70_002, 70_001));
    assert_eq!(opened.attributes.mode, 0o755, "setgid is for members of the group");
}

pub(super) async fn the_umask_applies_to_new_objects<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let set = SetAttributes { umask: Some(0o027), ..mode(0o777) };
    let made = vfs.create(directory, &alice, b"directory", NewObject::Directory, &set).await.unwrap();
    assert_eq!(made.attributes.mode, 0o750);
    let how = CreateHow::Unchecked;
    let opened = vfs.open_create(directory, &alice, b"file", how, &set, OpenAccess::Both).await.unwrap();
    assert_eq!(opened.attributes.mode, 0o750);
}

pub(super) async fn only_regular_files_are_opened<V: Vfs>(fixture: &Fixture<V>) {
    let (vfs, directory, alice) = (&fixture.vfs, &fixture.directory, alice());
    let link = NewObject::Symlink(b"elsewhere");
    let cases = [
        (NewObject::Directory, Error::IsDirectory),
        (link, Error::IsSymlink),
        (NewObject::Fifo, Error::WrongType),
        (NewObject::Socket, Error::WrongType),
    ];
    for (object, error) in cases {
        let set = if object == link { SetAttributes::default() } else { mode(0o777) };
        let made = vfs.create(directory, &alice, b"it", object, &set).await.unwrap();
        let opened = vfs.open(&made.node, &alice, OpenAccess::Read, Authority::Caller).await;
        assert_eq!(opened.err(), Some(error), "{object:?}");
        let (how, set) = (CreateHow::Unchecked, SetAttributes::default());
        let opened = vfs.open_create(directory, &alice, b"it", how, &set, OpenAccess::Read).await;
        assert_eq!(opened.err(), Some(error), "{object:?} by name");
        let inside = vfs.lookup(&made.node, &alice, b"below").await.err();
        let expected: &[Error] = match error {
            Error::IsDirectory => &[Error::NotFound],
            // Never followed, whatever it is called.
            Error::IsSymlink => &[Error::IsSymlink, Error::NotDirectory],
            _ => &[Error::NotDirectory],
        };
        assert!(inside.is_some_and(|error| expected.contains(&error)), "{object:?}: {inside:?}");
        vfs.remove(directory, &alice, b"it", Removed::Anything).await.unwrap();
    }
}
