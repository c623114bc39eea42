//! File handles: what they are good for, for whom, and that both protocols have the same.

use nfs_ops::{Network, Protocol, Protocols, Squash};
use wire::nfs3::{FileHandle, Procedure, Status, access};

use super::world;
use crate::support::nfs3::{every_call, status_of};
use crate::support::*;

fn v3(handle: wire::nfs4::FileHandle) -> FileHandle {
    FileHandle::new(handle.as_bytes()).unwrap()
}

/// What becomes of every call at these two.
fn statuses(connection: &Connection, directory: FileHandle, file: FileHandle) -> Vec<(Procedure, Status)> {
    let calls = every_call(directory, file);
    calls.iter().map(|call| (call.0, status_of(connection, call))).collect()
}

#[track_caller]
fn all_fail(connection: &Connection, directory: FileHandle, file: FileHandle, status: Status) {
    for (procedure, found) in statuses(connection, directory, file) {
        assert_eq!(found, status, "{procedure:?}");
    }
}

#[test]
fn every_call_does_what_it_says() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    for (procedure, status) in statuses(client.connection(), root, file) {
        let expected = if procedure == Procedure::Readlink { Status::Inval } else { Status::Ok };
        assert_eq!(status, expected, "{procedure:?}");
    }
    assert_eq!(client.names(root), ["file", "link", "pipe", "twin"]);
    assert_eq!(client.contents(file), b"other");
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
}

#[test]
fn a_handle_the_server_has_not_made_is_bad() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"data");
    for index in [0, 1, 7, 20, 63] {
        let mut bytes: [u8; 64] = file.as_bytes().try_into().unwrap();
        bytes[index] ^= 1;
        let changed = FileHandle::new(&bytes).unwrap();
        all_fail(client.connection(), changed, changed, Status::Badhandle);
    }
    for length in [0, 4, 32, 60] {
        let short = FileHandle::new(&file.as_bytes()[..length]).unwrap();
        all_fail(client.connection(), short, short, Status::Badhandle);
    }
}

#[test]
fn the_handle_of_what_is_gone_is_stale() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let directory = client.make_directory(root, "directory");
    client.remove(root, "file").ok();
    client.rmdir(root, "directory").ok();
    all_fail(client.connection(), directory, file, Status::Stale);
    // Not even where the number is used again.
    let heir = client.make_file(root, "heir", b"");
    assert_ne!(heir, file);
    all_fail(client.connection(), directory, file, Status::Stale);
}

#[test]
fn the_pseudo_file_system_is_not_for_this_protocol() {
    let (world, client, _) = world();
    let pseudo = v3(world.client("one").run(&[putrootfh(), getfh()]).ok().handle());
    all_fail(client.connection(), pseudo, pseudo, Status::Stale);
}

#[test]
fn handles_are_the_same_in_both_protocols() {
    let (world, client, root) = world();
    let newer = world.client("one");
    let file = client.make_file(root, "file", b"data");
    let directory = client.make_directory(root, "directory");
    let handle_of = |path: &[Op]| v3(newer.at_export(&[path, &[getfh()]].concat()).ok().handle());
    assert_eq!(handle_of(&[]), root);
    assert_eq!(handle_of(&[lookup("file")]), file);
    assert_eq!(handle_of(&[lookup("directory")]), directory);
    let plus = newer.make_file("plus", b"of NFSv4");
    assert_eq!(client.lookup(root, "plus").ok().object, v3(plus));
    assert_eq!(client.contents(v3(plus)), b"of NFSv4");
    assert_eq!(newer.contents(*file), b"data");
}

#[test]
fn exports_are_for_who_may_use_them_by_which_protocol() {
    let network = |address: &str| Network { address: address.parse().unwrap(), prefix_bits: 32 };
    let mut settings = export_settings(1, EXPORT);
    settings.clients = vec![network("10.0.0.1")];
    settings.read_only_clients = vec![network("10.0.0.2")];
    settings.privileged_port = true;
    let world = World::with(vec![settings]);
    let client = world.connection().nfs3();
    let root = client.root();
    let file = client.make_file(root, "file", b"data");
    for address in ["10.0.0.3:800", "10.0.0.1:1024", "[fd00::1]:800"] {
        all_fail(&world.connection_from(address), root, file, Status::Acces);
    }
    client.getattr(file).ok();
    world.connection_from("[::ffff:10.0.0.1]:800").nfs3().getattr(file).ok();
    only_reading_works(&world.connection_from("10.0.0.2:800"), root, file);

    let mut settings = export_settings(1, EXPORT);
    settings.protocols = Protocols::NONE.with(Protocol::V41).with(Protocol::V42);
    let world = World::with(vec![settings]);
    let newer = world.client("one");
    let file = v3(newer.make_file("file", b"data"));
    let root = v3(newer.at_export(&[getfh()]).ok().handle());
    all_fail(&world.connection(), root, file, Status::Acces);

    let mut settings = export_settings(1, EXPORT);
    settings.protocols = Protocols::NONE.with(Protocol::V3);
    let world = World::with(vec![settings]);
    let client = world.connection().nfs3();
    client.make_file(client.root(), "file", b"data");
    world.client("one").at_export(&[]).fails(wire::nfs4::Status::Access);
}

#[test]
fn nothing_is_changed_where_an_export_is_read_only() {
    let mut read_only = export_settings(1, EXPORT);
    read_only.read_only = true;
    let world = World::over_one_storage(vec![read_only, export_settings(2, "other")]);
    let client = world.connection().nfs3();
    let other = client.connection().mount("/other").unwrap().handle;
    client.make_file(other, "file", b"data");
    let root = client.root();
    let file = client.lookup(root, "file").ok().object;
    only_reading_works(client.connection(), root, file);
    assert_eq!(client.names(root), ["file"]);
}

#[track_caller]
fn only_reading_works(connection: &Connection, root: FileHandle, file: FileHandle) {
    for (procedure, status) in statuses(connection, root, file) {
        use Procedure::*;
        let changes = matches!(
            procedure,
            Setattr | Write | Create | Mkdir | Symlink | Mknod | Link | Rename | Remove | Rmdir | Commit
        );
        let expected = match procedure {
            Readlink => Status::Inval,
            _ if changes => Status::Rofs,
            _ => Status::Ok,
        };
        assert_eq!(status, expected, "{procedure:?}");
    }
    let changing = access::MODIFY | access::EXTEND | access::DELETE;
    let client = connection.nfs3();
    assert_eq!(client.access(root, u32::MAX).ok().access & changing, 0);
}

#[test]
fn callers_are_squashed_as_the_export_says() {
    for (squash, caller, expected) in [
        (Squash::Nobody, 0, 0),
        (Squash::Nobody, 1000, 1000),
        (Squash::Root, 0, 65534),
        (Squash::Root, 1000, 1000),
        (Squash::All, 1000, 65534),
    ] {
        let mut settings = export_settings(1, EXPORT);
        settings.squash = squash;
        let world = World::over_one_storage(vec![export_settings(2, "other"), settings]);
        let superuser = world.connection().nfs3();
        let other = superuser.connection().mount("/other").unwrap().handle;
        superuser.setattr(other, nfs3::with_mode(0o777)).ok();
        let client = superuser.user(caller, caller, &[]);
        let file = client.make_file(client.root(), "file", b"data");
        let attributes = client.getattr(file).ok();
        assert_eq!((attributes.uid, attributes.gid), (expected, expected), "{squash:?} of {caller}");
    }
    // Who says nothing of himself is the anonymous user wherever he is.
    let (_, client, root) = world();
    client.setattr(root, nfs3::with_mode(0o777)).ok();
    let nobody = client.connection().nobody().nfs3();
    let file = nobody.make_file(root, "file", b"data");
    assert_eq!(nobody.getattr(file).ok().uid, 65534);
}
