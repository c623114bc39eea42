//! Names: the pseudo file system, exports and their permissions, and the operations on directories.

use nfs_ops::{ExportSettings, Network, Protocol, Protocols, Squash};
use wire::nfs4::*;
use wire::xdr::List;

use crate::support::*;

fn two_exports() -> World {
    World::with(vec![export_settings(1, "a/b"), export_settings(2, "c")])
}

#[test]
fn lookups_lead_through_the_pseudo_file_system_and_back() {
    let world = two_exports();
    let client = world.client("one");
    let at =
        |operations: &[Op]| client.run(&[&[putrootfh()][..], operations, &[getfh()]].concat()).ok().handle();
    let root = at(&[]);
    assert_eq!(at(&[lookup("a"), lookupp()]), root);
    assert_eq!(at(&[lookup("a"), lookup("b"), lookupp()]), at(&[lookup("a")]));
    assert_eq!(at(&[lookup("c"), lookupp()]), root);
    client.run(&[putrootfh(), lookup("c"), mkdir("d")]).ok();
    assert_eq!(at(&[lookup("c"), lookup("d"), lookupp()]), at(&[lookup("c")]));
    for (operations, status) in [
        (vec![lookupp()], Status::Noent),
        (vec![lookup("x")], Status::Noent),
        (vec![lookup("")], Status::Inval),
        (vec![lookup("..")], Status::Badname),
        (vec![lookup("a/b")], Status::Badchar),
        (vec![lookup("c"), lookup("..")], Status::Badname),
        (vec![lookup("c"), lookup(&"x".repeat(256))], Status::Nametoolong),
        (vec![mkdir("x")], Status::Rofs),
        (vec![remove("a")], Status::Rofs),
        (vec![Open::named("x").op()], Status::Noent),
        (vec![Open::named("a").op()], Status::Isdir),
        (vec![Open::named("x").unchecked(&mode(0o600))], Status::Rofs),
        (vec![setattr(Stateid::ANONYMOUS, &mode(0o777))], Status::Rofs),
        (vec![lookup("c"), savefh(), putrootfh(), lookup("a"), lookup("b"), rename("d", "e")], Status::Xdev),
        (
            vec![lookup("c"), lookup("d"), savefh(), putrootfh(), lookup("a"), lookup("b"), link("l")],
            Status::Xdev,
        ),
    ] {
        let reply = client.run(&[&[putrootfh()][..], &operations].concat());
        assert_eq!(reply.status, status, "{:?}", operations.last());
    }
}

#[test]
fn pseudo_directories_are_listed_with_their_junctions() {
    let world = two_exports();
    let client = world.client("one");
    let numbers = [attribute::FILEID, attribute::MOUNTED_ON_FILEID];
    let (entries, end) = client.run(&[putrootfh(), readdir(0, 4096, &numbers)]).ok().entries();
    assert!(end);
    assert_eq!(entries.iter().map(|entry| &entry.name[..]).collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!(entries[0].fileid, entries[0].mounted_on_fileid);
    assert_ne!(entries[1].fileid, entries[1].mounted_on_fileid);
    let reply = client.run(&[putrootfh(), lookup("c"), getattr(&numbers)]).ok();
    assert_eq!(reply.attributes().fileid, entries[1].fileid);
    assert_eq!(reply.attributes().mounted_on_fileid, entries[1].mounted_on_fileid);
    let (rest, end) = client.run(&[putrootfh(), readdir(entries[0].cookie, 4096, &numbers)]).ok().entries();
    assert_eq!((&rest[..], end), (&entries[1..], true));
    let fsid = |operations: &[Op]| {
        let all = [&[putrootfh()][..], operations, &[getattr(&[attribute::FSID])]].concat();
        client.run(&all).ok().attributes().fsid
    };
    let all = [fsid(&[]), fsid(&[lookup("a"), lookup("b")]), fsid(&[lookup("c")])];
    assert!(all[0] != all[1] && all[1] != all[2] && all[0] != all[2], "{all:?}");
}

#[test]
fn an_export_may_be_the_root() {
    let mut settings = export_settings(1, "x");
    settings.pseudo_path.clear();
    let client = World::with(vec![settings]).client("one");
    client.run(&[putrootfh(), mkdir("d")]).ok();
    client.run(&[putrootfh(), lookup("d"), lookupp(), lookupp()]).fails(Status::Noent);
}

#[test]
fn exports_are_for_their_clients() {
    let network = |text: &str| Network { address: text.parse().unwrap(), prefix_bits: 24 };
    let mut settings = export_settings(1, "a");
    settings.clients = vec![network("10.0.0.0")];
    settings.read_only_clients = vec![network("10.0.1.0")];
    let mut ports = export_settings(2, "p");
    ports.privileged_port = true;
    let world = World::with(vec![settings, ports]);
    let inside = world.client("inside");
    inside.run(&[putrootfh(), lookup("a"), mkdir("d")]).ok();
    let handle = inside.run(&[putrootfh(), lookup("a"), getfh()]).ok().handle();
    let reader = world.connection_from("10.0.1.9:800").client("reader", 2);
    reader.run(&[putfh(handle), lookup("d")]).ok();
    reader.run(&[putfh(handle), mkdir("e")]).fails(Status::Rofs);
    let bits = access::READ | access::MODIFY | access::EXTEND | access::DELETE | access::LOOKUP;
    let told = reader.run(&[putfh(handle), access(bits)]).ok();
    assert_eq!(told.body::<AccessResult>(Operation::Access).access, access::READ | access::LOOKUP);
    let stranger = world.connection_from("10.0.2.9:4000").client("stranger", 2);
    stranger.run(&[putfh(handle)]).fails(Status::Access);
    stranger.run(&[putrootfh(), lookup("a")]).fails(Status::Access);
    stranger.run(&[putrootfh(), lookup("p")]).fails(Status::Access);
    assert_eq!(stranger.run(&[putrootfh(), readdir(0, 4096, &[])]).ok().names(), [""; 0]);
    inside.run(&[putrootfh(), lookup("p")]).ok();
}

#[test]
fn exports_are_for_their_protocols() {
    let newest = ExportSettings {
        protocols: Protocols::NONE.with(Protocol::V3).with(Protocol::V42),
        ..export_settings(2, "newest")
    };
    let client = World::with(vec![export_settings(1, "all"), newest]).client("one");
    let handle = client.run(&[putrootfh(), lookup("newest"), getfh()]).ok().handle();
    let older = client.minor(1);
    older.run(&[putfh(handle)]).fails(Status::Access);
    older.run(&[putrootfh(), lookup("newest")]).fails(Status::Access);
    assert_eq!(older.run(&[putrootfh(), readdir(0, 4096, &[])]).ok().names(), ["all"]);
    assert_eq!(client.run(&[putrootfh(), readdir(0, 4096, &[])]).ok().names(), ["all", "newest"]);
}

#[test]
fn identities_are_squashed() {
    for (squash, uid, expected) in [
        (Squash::Nobody, Some(0), "0"),
        (Squash::Nobody, None, "65534"),
        (Squash::Root, Some(0), "65534"),
        (Squash::Root, Some(5), "5"),
        (Squash::All, Some(0), "65534"),
        (Squash::All, Some(5), "65534"),
    ] {
        let open = export_settings(1, EXPORT);
        let squashing = ExportSettings { squash, ..export_settings(2, "squashing") };
        let world = World::over_one_storage(vec![open, squashing]);
        let root = world.client("root");
        root.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o777))]).ok();
        let client = match uid {
            Some(uid) => root.user(uid, uid, &[]),
            None => root.over(&root.connection().nobody()),
        };
        let numbers = [attribute::OWNER, attribute::OWNER_GROUP];
        let made = client.run(&[putrootfh(), lookup("squashing"), mkdir("d"), getattr(&numbers)]).ok();
        let told = made.attributes();
        assert_eq!(told.owner.unwrap().bytes(), expected.as_bytes(), "{squash:?} {uid:?}");
        assert_eq!(told.owner_group.unwrap().bytes(), expected.as_bytes(), "{squash:?} {uid:?}");
    }
}

#[test]
fn a_squashed_superuser_gets_no_further_by_any_operation() {
    let squashing = ExportSettings { squash: Squash::Root, ..export_settings(2, "squashing") };
    let world = World::over_one_storage(vec![export_settings(1, EXPORT), squashing]);
    let client = world.client("one");
    client.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o777))]).ok();
    let real = client.make_file("secret", b"secret");
    client.run(&[putfh(real), setxattr(SetXattrOption::Create, "x", b"1")]).ok();
    client.run(&[putfh(real), setattr(Stateid::ANONYMOUS, &mode(0o600))]).ok();
    let squashed = |operations: &[Op]| {
        client.run(&[&[putrootfh(), lookup("squashing")][..], operations, &[getfh()]].concat())
    };
    let secret = squashed(&[lookup("secret")]).ok().handle();
    let mine = squashed(&[Open::named("mine").unchecked(&mode(0o600))]).ok().handle();
    let any = Stateid::ANONYMOUS;
    let advise = IoAdviseArgs { stateid: any, offset: 0, count: 0, hints: Bitmap::EMPTY };
    for (operation, status) in [
        (read(any, 0, 1), Status::Access),
        (read(Stateid::BYPASS, 0, 1), Status::Access),
        (write(any, 0, StableHow::FileSync, b"x"), Status::Access),
        (setattr(any, &size(0)), Status::Access),
        (setattr(any, &mode(0o666)), Status::Perm),
        (getxattr("x"), Status::Access),
        (setxattr(SetXattrOption::Either, "x", b"2"), Status::Access),
        (listxattrs(0, 4096), Status::Access),
        (removexattr("x"), Status::Access),
        (seek(any, 0, DataContent::Data), Status::Access),
        (allocate(any, 0, 4096), Status::Access),
        (deallocate(any, 0, 4096), Status::Access),
        (op(advise), Status::Access),
        (Open::handle().access(share_access::READ).op(), Status::Access),
        (Open::handle().access(share_access::WRITE).op(), Status::Access),
    ] {
        client.run(&[putfh(secret), operation]).fails(status);
    }
    for operation in [copy((any, 0), (any, 0), 0, true), clone_range((any, 0), (any, 0), 0)] {
        client.run(&[putfh(secret), savefh(), putfh(mine), operation.clone()]).fails(Status::Access);
        client.run(&[putfh(mine), savefh(), putfh(secret), operation]).fails(Status::Access);
    }
    let told = client.run(&[putfh(secret), access(0x1ff)]).ok();
    assert_eq!(told.body::<AccessResult>(Operation::Access).access, 0);
    assert_eq!(client.contents(real), b"secret");
}

#[test]
fn handles_are_this_servers_own() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let mut forged = file.as_bytes().to_vec();
    forged[20] ^= 1;
    client.run(&[putfh(FileHandle::new(&forged).unwrap())]).fails(Status::Badhandle);
    client.run(&[putfh(FileHandle::new(b"short").unwrap())]).fails(Status::Badhandle);
    client.at_export(&[remove("a")]).ok();
    client.run(&[putfh(file)]).fails(Status::Stale);
    for operation in
        [getfh(), savefh(), getattr(&[]), lookup("a"), readdir(0, 99, &[]), close(Stateid::ANONYMOUS)]
    {
        client.run(&[operation]).fails(Status::Nofilehandle);
    }
    client.run(&[restorefh()]).fails(Status::Nofilehandle);
    client.run(&[putrootfh(), rename("a", "b")]).fails(Status::Nofilehandle);
    client.run(&[setattr(Stateid::ANONYMOUS, &mode(0o600))]).fails(Status::Nofilehandle);
}

#[test]
fn objects_of_every_type_are_made_and_told() {
    let world = World::new();
    let client = world.client("one");
    let device = Specdata { major: 4, minor: 5 };
    for (name, made, expected) in [
        ("dir", CreateType::Directory, FileType::Directory),
        ("link", CreateType::SymbolicLink("to/where".into()), FileType::SymbolicLink),
        ("block", CreateType::BlockDevice(device), FileType::BlockDevice),
        ("char", CreateType::CharacterDevice(device), FileType::CharacterDevice),
        ("sock", CreateType::Socket, FileType::Socket),
        ("fifo", CreateType::Fifo, FileType::Fifo),
    ] {
        let attributes = if name == "link" { Attributes::default() } else { mode(0o640) };
        let numbers = [attribute::TYPE, attribute::MODE, attribute::RAWDEV];
        let reply = client.at_export(&[create(made, name, &attributes), getattr(&numbers)]).ok();
        let told = reply.attributes();
        assert_eq!(told.file_type, Some(expected));
        let created: CreateResult = reply.body(Operation::Create);
        assert_eq!(created.attributes_set, attributes.present());
        assert!(created.change_info.before < created.change_info.after);
        if matches!(expected, FileType::BlockDevice | FileType::CharacterDevice) {
            assert_eq!(told.rawdev, Some(device));
        }
        client.at_export(&[lookup(name), Open::handle().claim(OpenClaim::Handle).op()]).fails(
            match expected {
                FileType::Directory => Status::Isdir,
                FileType::SymbolicLink => Status::Symlink,
                _ => Status::WrongType,
            },
        );
    }
    let text = client.at_export(&[lookup("link"), readlink()]).ok();
    assert_eq!(text.body::<wire::xdr::Opaque<'_, 100>>(Operation::Readlink).bytes(), b"to/where");
    client.at_export(&[lookup("dir"), readlink()]).fails(Status::WrongType);
    client.at_export(&[lookup("link"), lookup("x")]).fails(Status::Symlink);
    client.at_export(&[lookup("fifo"), lookup("x")]).fails(Status::Notdir);
    client.at_export(&[lookup("fifo"), lookupp()]).fails(Status::Notdir);
    client.at_export(&[create(CreateType::Other(1), "r", &mode(0o600))]).fails(Status::Badtype);
    client.at_export(&[create(CreateType::SymbolicLink("".into()), "r", &mode(0o600))]).fails(Status::Inval);
    client.at_export(&[mkdir("dir")]).fails(Status::Exist);
    client.at_export(&[mkdir("..")]).fails(Status::Badname);
}

#[test]
fn names_are_linked_renamed_and_removed() {
    let world = World::new();
    let client = world.client("one");
    client.at_export(&[mkdir("d")]).ok();
    let file = client.make_file("a", b"x");
    let dir = [putrootfh(), lookup(EXPORT)];
    let with_saved =
        |save: &[Op], then: &[Op]| client.run(&[&dir[..], save, &[savefh()], &dir[..], then].concat());
    with_saved(&[lookup("a")], &[link("b")]).ok();
    with_saved(&[lookup("a")], &[link("b")]).fails(Status::Exist);
    with_saved(&[lookup("d")], &[link("e")]).fails(Status::Isdir);
    let links = client.run(&[putfh(file), getattr(&[attribute::NUMLINKS])]).ok();
    assert_eq!(links.attributes().numlinks, Some(2));
    let renamed = with_saved(&[], &[lookup("d"), rename("b", "c")]).ok();
    let renamed: RenameResult = renamed.body(Operation::Rename);
    assert_ne!(renamed.source_change_info.before, renamed.source_change_info.after);
    assert_ne!(renamed.target_change_info.before, renamed.target_change_info.after);
    with_saved(&[], &[rename("a", "d")]).fails(Status::Exist);
    with_saved(&[], &[rename("no", "d")]).fails(Status::Noent);
    with_saved(&[], &[rename("a", "a/b")]).fails(Status::Badchar);
    with_saved(&[], &[rename("d", "d")]).ok();
    with_saved(&[], &[lookup("d"), rename("d", "x")]).fails(Status::Inval);
    client.at_export(&[remove("d")]).fails(Status::Notempty);
    client.at_export(&[lookup("d"), remove("c")]).ok();
    client.at_export(&[remove("d")]).ok();
    client.at_export(&[remove("d")]).fails(Status::Noent);
    client.at_export(&[lookup("a"), remove("d")]).fails(Status::Notdir);
}

#[test]
fn large_directories_are_read_page_by_page() {
    let world = World::new();
    let client = world.client("one");
    let names: Vec<_> = (0..60).map(|number| format!("entry{number:02}")).collect();
    for name in &names {
        client.at_export(&[mkdir(name)]).ok();
    }
    for (count, dircount, numbers) in [
        (64, 0, &[][..]),
        (300, 0, &[attribute::FILEID, attribute::MODE]),
        (8192, 100, &[attribute::FILEID]),
        (65536, 0, &[attribute::FILEHANDLE, attribute::RDATTR_ERROR]),
    ] {
        let (mut cookie, mut seen, mut pages) = (0, Vec::new(), 0);
        loop {
            let request = op(ReadDirArgs {
                cookie,
                verifier: Verifier([0; 8]),
                directory_count: dircount,
                count_max: count,
                attributes: Bitmap::of(numbers),
            });
            let (entries, end) = client.at_export(&[request]).ok().entries();
            assert!(end || !entries.is_empty(), "no progress");
            cookie = entries.last().map_or(cookie, |entry| entry.cookie);
            assert!(entries.iter().all(|entry| entry.cookie > 2));
            seen.extend(entries.into_iter().map(|entry| entry.name));
            pages += 1;
            if end {
                break;
            }
        }
        seen.sort();
        assert_eq!(seen, names);
        assert!(pages > 1 || count == 65536, "{pages} pages with {count} bytes");
    }
}

#[test]
fn readdir_refuses_what_it_cannot_do() {
    let world = World::new();
    let client = world.client("one");
    client.at_export(&[mkdir("directory")]).ok();
    client.make_file("file", b"");
    for (operation, status) in [
        (readdir(0, 15, &[]), Status::Toosmall),
        (readdir(0, 40, &[attribute::FILEHANDLE]), Status::Toosmall),
        (readdir(1, 4096, &[]), Status::BadCookie),
        (readdir(2, 4096, &[]), Status::BadCookie),
        (readdir(0, 4096, &[attribute::TIME_MODIFY_SET]), Status::Inval),
    ] {
        client.at_export(&[operation]).fails(status);
    }
    let wrong = ReadDirArgs {
        cookie: 5,
        verifier: Verifier([9; 8]),
        directory_count: 0,
        count_max: 4096,
        attributes: Bitmap::EMPTY,
    };
    client.at_export(&[op(wrong)]).fails(Status::NotSame);
    client.at_export(&[lookup("file"), readdir(0, 4096, &[])]).fails(Status::Notdir);
    client.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o711))]).ok();
    client.user(5, 5, &[]).at_export(&[readdir(0, 4096, &[])]).fails(Status::Access);
}

#[test]
fn a_name_longer_than_the_room_ends_the_reply() {
    let world = World::new();
    let client = world.client("one");
    client.make_file("a", b"");
    client.make_file(&"n".repeat(200), b"");
    let (entries, end) = client.at_export(&[readdir(0, 100, &[])]).ok().entries();
    assert!(entries.len() == 1 && entries[0].name == "a" && !end);
    let behind = entries[0].cookie;
    client.at_export(&[readdir(behind, 100, &[])]).fails(Status::Toosmall);
    let (entries, end) = client.at_export(&[readdir(behind, 300, &[])]).ok().entries();
    assert!(entries.len() == 1 && end);
}

#[test]
fn security_is_told_and_takes_the_handle_away() {
    let world = World::new();
    let client = world.client("one");
    client.make_file("file", b"");
    let secinfo = |name: &str| op(SecinfoArgs { name: name.into() });
    let reply = client.at_export(&[secinfo("file")]).ok();
    let flavors: SecinfoResult<'_> = reply.body(Operation::Secinfo);
    assert_eq!(flavors, List(vec![Secinfo::Flavor(1), Secinfo::Flavor(0)]));
    client.at_export(&[secinfo("file"), getfh()]).fails(Status::Nofilehandle);
    client.at_export(&[secinfo("no")]).fails(Status::Noent);
    client.at_export(&[lookup("file"), secinfo("no")]).fails(Status::Notdir);
    client.run(&[putrootfh(), secinfo(EXPORT)]).ok();
    client.run(&[putrootfh(), op(SecinfoStyle::CurrentFh), getfh()]).fails(Status::Nofilehandle);
    client.run(&[putrootfh(), op(SecinfoStyle::Parent)]).fails(Status::Noent);
    client.at_export(&[op(SecinfoStyle::Parent)]).ok();
}
