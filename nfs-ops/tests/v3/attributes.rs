//! GETATTR, SETATTR, ACCESS (RFC 1813 §3.3.1, §3.3.2, §3.3.4).

use wire::nfs3::*;
use wire::nfs4;

use super::world;
use crate::support::nfs3::{Nfs3, with_mode, with_size};
use crate::support::{getattr, putfh};

/// A superuser's world whose root everybody may change, and a user there.
fn users() -> (crate::support::World, Nfs3, FileHandle, Nfs3) {
    let (world, client, root) = world();
    client.setattr(root, with_mode(0o777)).ok();
    let user = client.user(1000, 1000, &[]);
    (world, client, root, user)
}

#[test]
fn attributes_are_those_that_nfsv4_tells() {
    let (world, client, root) = world();
    let newer = world.client("one");
    let file = client.make_file(root, "file", &[1; 5000]);
    client.setattr(file, SetAttributes { uid: Some(12), gid: Some(34), ..with_mode(0o4751) }).ok();
    client.link(file, root, "twin").ok();
    let device = Specdata { major: 7, minor: 9 };
    let device = MknodData::CharacterDevice(DeviceData { attributes: with_mode(0o600), device });
    let device = client.mknod(root, "device", device).ok().object.unwrap();
    let link = client.symlink(root, "link", "text").ok().object.unwrap();
    for object in [root, file, device, link] {
        use nfs4::attribute as wanted;
        let all = [
            wanted::TYPE,
            wanted::SIZE,
            wanted::FILEID,
            wanted::MODE,
            wanted::NUMLINKS,
            wanted::OWNER,
            wanted::OWNER_GROUP,
            wanted::RAWDEV,
            wanted::SPACE_USED,
            wanted::TIME_ACCESS,
            wanted::TIME_MODIFY,
            wanted::TIME_METADATA,
        ];
        let reply = newer.run(&[putfh(*object), getattr(&all)]).ok();
        let (theirs, ours) = (reply.attributes(), client.attributes(object));
        let time = |time: Option<nfs4::NfsTime>| {
            time.map(|time| NfsTime { seconds: time.seconds as u32, nanoseconds: time.nanoseconds })
        };
        assert_eq!(Some(ours.file_type.number()), theirs.file_type.map(|kind| kind.number()));
        assert_eq!(Some(ours.mode), theirs.mode);
        assert_eq!(Some(ours.links), theirs.numlinks);
        assert_eq!(ours.uid.to_string().as_bytes(), theirs.owner.unwrap().bytes());
        assert_eq!(ours.gid.to_string().as_bytes(), theirs.owner_group.unwrap().bytes());
        assert_eq!(Some(ours.size), theirs.size);
        assert_eq!(Some(ours.used), theirs.space_used);
        assert_eq!(Some(ours.device), theirs.rawdev);
        assert_eq!(Some(ours.file_id), theirs.fileid);
        assert_eq!(Some(ours.time_access), time(theirs.time_access));
        assert_eq!(Some(ours.time_modify), time(theirs.time_modify));
        assert_eq!(Some(ours.time_metadata), time(theirs.time_metadata));
    }
    let told = client.attributes(file);
    assert_eq!((told.file_type, told.mode, told.links), (FileType::Regular, 0o4751, 2));
    assert_eq!((told.uid, told.gid, told.size, told.used), (12, 34, 5000, 8192));
    assert_eq!(told.fsid, client.attributes(root).fsid);
}

#[test]
fn exports_have_file_system_ids_of_their_own() {
    let world = crate::support::World::with(vec![
        crate::support::export_settings(1, "one"),
        crate::support::export_settings(2, "two"),
    ]);
    let connection = world.connection();
    let fsid = |path| connection.nfs3().attributes(connection.mount(path).unwrap().handle).fsid;
    assert_ne!(fsid("/one"), fsid("/two"));
}

#[test]
fn what_is_set_is_set_and_nothing_else() {
    let (_, client, root) = world();
    let file = client.make_file(root, "file", b"0123456789");
    let before = client.attributes(file);
    let wcc = client.setattr(file, SetAttributes::default()).ok();
    assert_eq!(wcc.after, Some(before), "nothing was asked for");
    // Bits that are none of a mode are left out, as clients send the type with it.
    client.setattr(file, with_mode(0o100_604)).ok();
    client.setattr(file, SetAttributes { gid: Some(5), ..SetAttributes::default() }).ok();
    let wcc = client.setattr(file, with_size(4)).ok();
    client.sees_after(file, wcc);
    let after = client.attributes(file);
    assert_eq!((after.mode, after.uid, after.gid, after.size), (0o604, before.uid, 5, 4));
    assert!(after.time_modify > before.time_modify && after.time_metadata > before.time_metadata);
    assert_eq!(after.time_access, before.time_access);
    assert_eq!(client.contents(file), b"0123");
    client.setattr(file, with_size(6)).ok();
    assert_eq!(client.contents(file), b"0123\0\0");
}

#[test]
fn times_are_the_clients_or_the_servers() {
    let (world, client, root) = world();
    let file = client.make_file(root, "file", b"");
    let set =
        |time_access, time_modify| SetAttributes { time_access, time_modify, ..SetAttributes::default() };
    // Behind 2038 and before 2106: 32 bits without a sign.
    let late = NfsTime { seconds: 0x9000_0000, nanoseconds: 999_999_999 };
    client.setattr(file, set(SetTime::Client(late), SetTime::Keep)).ok();
    let told = client.attributes(file);
    assert_eq!(told.time_access, late);
    assert_ne!(told.time_modify, late);
    world.storage().set_time(vfs::Time { seconds: 2_000_000_000, nanoseconds: 5 });
    client.setattr(file, set(SetTime::Client(NfsTime::default()), SetTime::Server)).ok();
    let told = client.attributes(file);
    assert_eq!(told.time_access, NfsTime::default());
    assert_eq!((told.time_modify.seconds, told.time_metadata.seconds), (2_000_000_000, 2_000_000_000));
    let impossible = SetTime::Client(NfsTime { seconds: 0, nanoseconds: 1_000_000_000 });
    let wcc = client.setattr(file, set(SetTime::Keep, impossible)).fails(Status::Inval);
    client.sees_after(file, wcc);
    assert_eq!(client.attributes(file), told);
}

#[test]
fn a_guard_lets_only_those_set_who_know_the_object() {
    let (_, client, root) = world();
    let object = client.make_file(root, "file", b"");
    let guard = Some(client.attributes(object).time_metadata);
    let guarded = |mode| SetAttrArgs { object, attributes: with_mode(mode), guard };
    let wcc = client.send(&guarded(0o600)).ok();
    client.sees_after(object, wcc);
    let wcc = client.send(&guarded(0o666)).fails(Status::NotSync);
    client.sees_after(object, wcc);
    assert_eq!(client.attributes(object).mode, 0o600);
}

#[test]
fn what_cannot_be_set_is_refused_and_tells_how_the_object_is() {
    let (_, client, root, user) = users();
    let file = client.make_file(root, "file", b"data");
    let own = user.make_file(root, "own", b"data");
    let link = client.symlink(root, "link", "text").ok().object.unwrap();
    let owner = |uid| SetAttributes { uid: Some(uid), ..SetAttributes::default() };
    let group = |gid| SetAttributes { gid: Some(gid), ..SetAttributes::default() };
    let before = [file, own, link, root].map(|object| client.attributes(object));
    for (object, attributes, status) in [
        (file, with_mode(0o777), Status::Perm),
        (file, owner(1000), Status::Perm),
        (file, with_size(0), Status::Acces),
        (own, owner(1), Status::Perm),
        (own, group(1), Status::Perm),
        (own, with_size(1 << 63), Status::Fbig),
        (own, with_size(u64::MAX), Status::Fbig),
        (root, with_size(0), Status::Inval),
        (link, with_size(0), Status::Inval),
    ] {
        let wcc = user.setattr(object, attributes).fails(status);
        client.sees_after(object, wcc);
    }
    assert_eq!([file, own, link, root].map(|object| client.attributes(object)), before);
    user.setattr(own, with_size(i64::MAX as u64)).ok();
    assert_eq!(client.attributes(own).size, i64::MAX as u64);
}

#[test]
fn access_tells_what_the_caller_may_do() {
    let (_, client, root, user) = users();
    let all =
        access::READ | access::LOOKUP | access::MODIFY | access::EXTEND | access::DELETE | access::EXECUTE;
    let file = client.make_file(root, "file", b"data");
    let directory = client.make_directory(root, "directory");
    for (object, mode, expected) in [
        (file, 0o666, access::READ | access::MODIFY | access::EXTEND),
        (file, 0o444, access::READ),
        (file, 0o755, access::READ | access::EXECUTE),
        (file, 0o700, 0),
        (directory, 0o777, all & !access::EXECUTE),
        (directory, 0o755, access::READ | access::LOOKUP),
        (directory, 0o711, access::LOOKUP),
        (directory, 0o722, access::MODIFY | access::EXTEND),
    ] {
        client.setattr(object, with_mode(mode)).ok();
        let told = user.access(object, all).ok();
        assert_eq!(told.access, expected, "{mode:o}");
        assert_eq!(told.attributes, Some(client.attributes(object)));
        // What is not asked for is not told, and bits that the protocol does not have are not there.
        assert_eq!(user.access(object, access::READ).ok().access, expected & access::READ);
        assert_eq!(user.access(object, !all).ok().access, 0);
    }
}
