//! CREATE, MKDIR, SYMLINK, MKNOD (RFC 1813 §3.3.8 to §3.3.11).

use wire::nfs3::*;

use super::world;
use crate::support::nfs3::{with_mode, with_size};

const ONE: CreateHow = CreateHow::Exclusive(Verifier([1; 8]));
const OTHER: CreateHow = CreateHow::Exclusive(Verifier([2; 8]));

#[test]
fn what_is_made_is_told_with_its_directory() {
    let (_, client, root) = world();
    let device =
        |number| DeviceData { attributes: with_mode(0o640), device: Specdata { major: number, minor: 77 } };
    let checks = |name: &str, file_type, mode, told: CreateResult, before| {
        client.sees_all(root, before, told.directory_wcc);
        let object = told.object.unwrap();
        let attributes = client.attributes(object);
        assert_eq!(told.attributes, Some(attributes), "{name}");
        assert_eq!((attributes.file_type, attributes.mode), (file_type, mode), "{name}");
        assert_eq!(client.lookup(root, name).ok().object, object);
        attributes
    };
    let before = client.attributes(root);
    let told = client.create(root, "file", CreateHow::Unchecked(with_mode(0o640))).ok();
    checks("file", FileType::Regular, 0o640, told, before);
    let before = client.attributes(root);
    let told = client.mkdir(root, "directory").ok();
    checks("directory", FileType::Directory, 0o755, told, before);
    let before = client.attributes(root);
    let told = client.symlink(root, "link", "text").ok();
    let link = checks("link", FileType::SymbolicLink, 0o777, told, before);
    assert_eq!(link.size, 4);
    for (name, file_type, what) in [
        ("block", FileType::BlockDevice, MknodData::BlockDevice(device(8))),
        ("character", FileType::CharacterDevice, MknodData::CharacterDevice(device(9))),
        ("socket", FileType::Socket, MknodData::Socket(with_mode(0o640))),
        ("pipe", FileType::Fifo, MknodData::Fifo(with_mode(0o640))),
    ] {
        let before = client.attributes(root);
        let told = client.mknod(root, name, what).ok();
        let attributes = checks(name, file_type, 0o640, told, before);
        let expected = match what {
            MknodData::BlockDevice(data) | MknodData::CharacterDevice(data) => data.device,
            _ => Specdata::default(),
        };
        assert_eq!(attributes.device, expected);
    }
}

#[test]
fn initial_attributes_are_set_at_once() {
    let (_, client, root) = world();
    let time = NfsTime { seconds: 77, nanoseconds: 5 };
    let attributes = SetAttributes {
        uid: Some(12),
        gid: Some(13),
        size: Some(4096),
        time_access: SetTime::Client(time),
        time_modify: SetTime::Client(time),
        ..with_mode(0o4755)
    };
    let told = client.create(root, "file", CreateHow::Guarded(attributes)).ok().attributes.unwrap();
    assert_eq!((told.mode, told.uid, told.gid, told.size), (0o4755, 12, 13, 4096));
    assert_eq!((told.time_access, told.time_modify), (time, time));
    let wcc = client.create(root, "x", CreateHow::Guarded(with_size(1 << 63))).fails(Status::Fbig);
    client.sees_after(root, wcc);
    let attributes = SetAttributes { size: None, ..attributes };
    let made = MkdirArgs { place: crate::support::nfs3::at(root, "directory"), attributes };
    let told = client.send(&made).ok().attributes.unwrap();
    assert_eq!((told.mode, told.uid, told.gid, told.time_modify), (0o4755, 12, 13, time));
}

#[test]
fn an_unchecked_create_takes_what_is_there() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    let before = client.attributes(root);
    let told = client.create(root, "file", CreateHow::Unchecked(with_mode(0o777))).ok();
    assert_eq!((told.object, told.attributes), (Some(file), Some(client.attributes(file))));
    assert_eq!(told.directory_wcc.after, Some(before));
    assert_eq!((client.contents(file), client.attributes(file).mode), (b"data".to_vec(), 0o644));
    // That is how clients open to truncate.
    let told = client.create(root, "file", CreateHow::Unchecked(with_size(0))).ok();
    assert_eq!((told.object, told.attributes.unwrap().size), (Some(file), 0));
    // Who may not write it may have it, and not truncate it.
    let user = client.user(1000, 1000, &[]);
    client.write(file, 0, StableHow::FileSync, b"data").ok();
    user.create(root, "file", CreateHow::Unchecked(with_mode(0o777))).ok();
    let wcc = user.create(root, "file", CreateHow::Unchecked(with_size(0))).fails(Status::Acces);
    client.sees_after(root, wcc);
    assert_eq!(client.contents(file), b"data");
    client.make_directory(root, "directory");
    client.symlink(root, "link", "file").ok();
    for name in ["directory", "link"] {
        client.create(root, name, CreateHow::Unchecked(with_mode(0o777))).fails(Status::Exist);
    }
}

#[test]
fn a_guarded_create_makes_only_what_is_not_there() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    let wcc = client.create(root, "file", CreateHow::Guarded(with_size(0))).fails(Status::Exist);
    client.sees_after(root, wcc);
    assert_eq!(client.contents(file), b"data");
    client.mkdir(root, "file").fails(Status::Exist);
    client.symlink(root, "file", "x").fails(Status::Exist);
    client.mknod(root, "file", MknodData::Fifo(with_mode(0o644))).fails(Status::Exist);
}

#[test]
fn an_exclusive_create_makes_one_file_for_one_verifier() {
    let (world, client, root) = world();
    let before = client.attributes(root);
    let told = client.create(root, "file", ONE).ok();
    client.sees_all(root, before, told.directory_wcc);
    let file = told.object.unwrap();
    // With another transaction id, so that the file alone remembers; after a restart too.
    assert_eq!(client.create(root, "file", ONE).ok().object, Some(file));
    let wcc = client.create(root, "file", OTHER).fails(Status::Exist);
    client.sees_after(root, wcc);
    world.storage().crash();
    world.restart();
    assert_eq!(client.create(root, "file", ONE).ok().object, Some(file));
    client.create(root, "file", OTHER).fails(Status::Exist);
    client.create(root, "file", CreateHow::Guarded(with_mode(0o600))).fails(Status::Exist);
    client.setattr(file, with_mode(0o600)).ok();
    let older = client.make_file(root, "older", b"");
    client.create(root, "older", ONE).fails(Status::Exist);
    client.getattr(older).ok();
}

#[test]
fn both_protocols_create_exclusively_alike() {
    use crate::support::{Open, getfh};
    let (world, client, root) = world();
    let newer = world.client("one");
    let file = client.create(root, "file", ONE).ok().object.unwrap();
    let again = newer.at_export(&[Open::named("file").exclusive(1, None), getfh()]);
    // The verifier is the same 8 bytes.
    assert_eq!(again.ok().handle(), *file);
    newer.at_export(&[Open::named("file").exclusive(2, None)]).fails(wire::nfs4::Status::Exist);
}

#[test]
fn names_that_nothing_can_have() {
    let (_, client, root) = world();
    let long = "x".repeat(256);
    // '.' and '..' are there already (RFC 1813 §3.3.9).
    for (name, status) in [
        ("", Status::Acces),
        ("a/b", Status::Acces),
        ("a\0", Status::Acces),
        (&long, Status::Nametoolong),
        (".", Status::Exist),
        ("..", Status::Exist),
    ] {
        for wcc in [
            client.create(root, name, CreateHow::Unchecked(with_mode(0o644))).fails(status),
            client.create(root, name, CreateHow::Guarded(with_mode(0o644))).fails(status),
            client.create(root, name, ONE).fails(status),
            client.mkdir(root, name).fails(status),
            client.symlink(root, name, "x").fails(status),
            client.mknod(root, name, MknodData::Fifo(with_mode(0o644))).fails(status),
        ] {
            assert!(name.is_empty() || wcc.after == Some(client.attributes(root)), "{name}");
        }
    }
    assert_eq!(client.names(root), [""; 0]);
}

#[test]
fn nothing_is_made_where_no_directory_is() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let link = client.symlink(root, "link", ".").ok().object.unwrap();
    for object in [file, link] {
        for wcc in [
            client.create(object, "x", CreateHow::Unchecked(with_mode(0o644))).fails(Status::Notdir),
            client.create(object, "x", ONE).fails(Status::Notdir),
            client.mkdir(object, "x").fails(Status::Notdir),
            client.symlink(object, "x", "x").fails(Status::Notdir),
            client.mknod(object, "x", MknodData::Fifo(with_mode(0o644))).fails(Status::Notdir),
        ] {
            client.sees_after(object, wcc);
        }
    }
}

#[test]
fn objects_that_are_not_made() {
    let (world, client, root) = world();
    client.symlink(root, "x", "").fails(Status::Inval);
    client.symlink(root, "x", "a\0b").fails(Status::Inval);
    client.symlink(root, "x", &"x".repeat(4096)).fails(Status::Nametoolong);
    client.symlink(root, "longest", &"x".repeat(4095)).ok();
    for file_type in [1, 2, 5, 0, 8, u32::MAX] {
        client.mknod(root, "x", MknodData::Other(file_type)).fails(Status::Badtype);
    }
    let user = client.user(1000, 1000, &[]);
    user.mkdir(root, "x").fails(Status::Acces);
    client.setattr(root, with_mode(0o777)).ok();
    let device = DeviceData { attributes: with_mode(0o666), device: Specdata::default() };
    user.mknod(root, "x", MknodData::BlockDevice(device)).fails(Status::Perm);
    let foreign = SetAttributes { uid: Some(1), ..with_mode(0o644) };
    user.create(root, "x", CreateHow::Guarded(foreign)).fails(Status::Perm);
    world.storage().set_quota(1000, Some(4096));
    let file = user.make_file(root, "file", &[1; 4096]);
    user.write(file, 4096, StableHow::Unstable, b"x").fails(Status::Dquot);
    assert_eq!(client.names(root), ["longest", "file"]);
}

#[test]
fn who_made_a_file_writes_it_whatever_its_mode_says() {
    let (_, client, root) = world();
    client.setattr(root, with_mode(0o777)).ok();
    let (owner, other) = (client.user(1000, 1000, &[]), client.user(1001, 1000, &[]));
    for (name, how) in
        [("file", CreateHow::Guarded(with_mode(0o444))), ("unchecked", CreateHow::Unchecked(with_mode(0)))]
    {
        let file = owner.create(root, name, how).ok().object.unwrap();
        owner.write(file, 0, StableHow::Unstable, b"data").ok();
        owner.commit(file, 0, 0).ok();
        assert_eq!(owner.contents(file), b"data");
        owner.setattr(file, with_size(2)).ok();
        let wcc = other.write(file, 0, StableHow::Unstable, b"x").fails(Status::Acces);
        client.sees_after(file, wcc);
        other.setattr(file, with_size(0)).fails(Status::Acces);
        assert_eq!(owner.contents(file), b"da");
        // ACCESS is not asked for that (RFC 1813 §4.4).
        assert_eq!(owner.access(file, access::MODIFY).ok().access, 0);
    }
    let file = owner.lookup(root, "file").ok().object;
    assert_eq!(other.read(file, 0, 9).data().0, b"da");
    let file = owner.lookup(root, "unchecked").ok().object;
    let attributes = other.read(file, 0, 9).fails(Status::Acces);
    assert_eq!(attributes, Some(client.attributes(file)));
}
