//! GETATTR, SETATTR, VERIFY, NVERIFY and ACCESS (RFC 8881 §5, §18.1, §18.7, §18.15, §18.30, §18.31).

use wire::nfs4::*;
use wire::xdr::Opaque;

use crate::support::*;

/// The bitmap that SETATTR answers, whatever its status.
fn was_set(reply: &Reply) -> Bitmap {
    reply.body(Operation::Setattr)
}

#[test]
fn every_supported_attribute_is_told() {
    let world = World::new();
    let client = world.client("one");
    for minor in [1, 2] {
        let client = client.minor(minor);
        for at in [vec![], vec![lookup(EXPORT)]] {
            let at = [&[putrootfh()][..], &at].concat();
            let ask = |numbers: &[u32]| client.run(&[&at[..], &[getattr(numbers)]].concat());
            let supported = ask(&[attribute::SUPPORTED_ATTRS]).ok().attributes().supported_attrs.unwrap();
            let readable: Vec<_> = supported.difference(&WRITE_ONLY).iter().collect();
            let told = ask(&readable).ok();
            let missing = supported.difference(&WRITE_ONLY).difference(&told.attributes().present());
            assert!(missing.is_subset(&Bitmap::of(&[attribute::TIME_CREATE])), "{missing:?}");
            assert_eq!(supported.get(attribute::XATTR_SUPPORT), minor == 2);
        }
    }
    let unknown: Vec<_> = (0..Bitmap::NUMBERS).filter(|number| !WRITE_ONLY.get(*number)).collect();
    client.at_export(&[getattr(&unknown)]).ok();
    for number in [attribute::TIME_MODIFY_SET, attribute::TIME_ACCESS_SET, attribute::MODE_UMASK] {
        client.at_export(&[getattr(&[number])]).fails(Status::Inval);
    }
}

#[test]
fn attributes_are_set_and_told_back() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"abc");
    let time = NfsTime { seconds: -5, nanoseconds: 999_999_999 };
    let wanted = Attributes {
        mode: Some(0o4711),
        owner: Some(Opaque(b"1234")),
        owner_group: Some(Opaque(b"bob@example.org")),
        time_modify_set: Some(SetTime::Client(time)),
        time_access_set: Some(SetTime::Server),
        size: Some(10),
        ..Attributes::default()
    };
    let reply = client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &wanted)]).ok();
    assert_eq!(was_set(&reply), wanted.present());
    let numbers =
        [attribute::MODE, attribute::OWNER, attribute::OWNER_GROUP, attribute::TIME_MODIFY, attribute::SIZE];
    let reply = client.run(&[putfh(file), getattr(&numbers)]).ok();
    let told = reply.attributes();
    assert_eq!((told.size, told.time_modify), (Some(10), Some(time)));
    assert_eq!(told.owner.unwrap().bytes(), b"1234");
    assert_eq!(told.owner_group.unwrap().bytes(), b"1001");
    // The mode is set last, so that a new owner does not take the setuid bit that was asked for.
    assert_eq!(told.mode, Some(0o4711));
}

#[test]
fn what_cannot_be_set_is_refused_with_an_empty_bitmap() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"abc");
    let owner =
        |text: &'static str| Attributes { owner: Some(Opaque(text.as_bytes())), ..Attributes::default() };
    let bad_time = SetTime::Client(NfsTime { seconds: 0, nanoseconds: 1_000_000_000 });
    let both = Attributes { mode_umask: Some(ModeUmask { mode: 0o666, umask: 0o22 }), ..mode(0o600) };
    for (attributes, status) in [
        (Attributes { change: Some(1), ..Attributes::default() }, Status::Inval),
        (Attributes { fs_charset_cap: Some(1), ..Attributes::default() }, Status::Attrnotsupp),
        (mode(0o10000), Status::Inval),
        (both, Status::Inval),
        (Attributes { time_modify_set: Some(bad_time), ..Attributes::default() }, Status::Inval),
        (owner("nobody-of-that-name@example.org"), Status::Badowner),
        (owner("alice@elsewhere.org"), Status::Badowner),
        (owner("alice"), Status::Badowner),
        (owner(""), Status::Badowner),
        (owner("007"), Status::Badowner),
        (size(u64::MAX), Status::Fbig),
    ] {
        let reply = client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &attributes)]).fails(status);
        assert_eq!(was_set(&reply), Bitmap::EMPTY);
    }
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &owner("alice@EXAMPLE.ORG"))]).ok();
    client.at_export(&[setattr(Stateid::ANONYMOUS, &size(0))]).fails(Status::Isdir);
    let stranger = client.user(5, 5, &[]);
    stranger.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o777))]).fails(Status::Perm);
    // A stateid is looked at only where the size changes.
    let unknown = Stateid { seqid: 1, other: [8; 12] };
    client.run(&[putfh(file), setattr(unknown, &mode(0o600))]).ok();
    client.run(&[putfh(file), setattr(unknown, &size(1))]).fails(Status::BadStateid);
}

#[test]
fn malformed_attributes_are_bad_xdr_with_a_bitmap() {
    let world = World::new();
    let client = world.client("one");
    let raw = |mask: &[u32], values: &[u8]| {
        let attributes = RawAttributes { mask: Bitmap::of(mask), values: Opaque(values) };
        op(SetAttrArgs { stateid: Stateid::ANONYMOUS, attributes })
    };
    for (mask, values) in [
        (&[attribute::MODE][..], &[0; 8][..]),
        (&[attribute::MODE], &[]),
        (&[], &[0; 4]),
        (&[attribute::OWNER], &[0, 0, 0, 9, 1, 2, 3, 4]),
        (&[attribute::TIME_MODIFY_SET], &[0, 0, 0, 7]),
    ] {
        client.at_export(&[raw(mask, values)]).fails(Status::Badxdr);
    }
    let cut_short = Op { head: raw(&[attribute::MODE], &[0; 4]).head[..30].to_vec(), ..putrootfh() };
    client.at_export(&[Op { operation: 34, ..cut_short }]).fails(Status::Badxdr);
}

#[test]
fn the_umask_applies_to_what_is_created() {
    let world = World::new();
    let client = world.client("one");
    let masked =
        Attributes { mode_umask: Some(ModeUmask { mode: 0o666, umask: 0o027 }), ..Attributes::default() };
    let reply = client.at_export(&[Open::named("a").unchecked(&masked), getattr(&[attribute::MODE])]).ok();
    assert_eq!(reply.attributes().mode, Some(0o640));
    assert!(reply.opened().attributes_set.get(attribute::MODE_UMASK));
    let made = create(CreateType::Directory, "d", &masked);
    assert_eq!(client.at_export(&[made, getattr(&[attribute::MODE])]).ok().attributes().mode, Some(0o640));
    client.minor(1).at_export(&[Open::named("b").unchecked(&masked)]).fails(Status::Attrnotsupp);
}

#[test]
fn the_size_needs_an_open_for_writing_or_permission() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"abcdef");
    let reading = client.open(file, Open::handle().access(share_access::READ)).ok().opened().stateid;
    client.run(&[putfh(file), setattr(reading, &size(1))]).fails(Status::Openmode);
    let writing = client.open(file, Open::handle()).ok().opened().stateid;
    client.run(&[putfh(file), setattr(writing, &size(2))]).ok();
    assert_eq!(client.contents(file), b"ab");
    client.user(5, 5, &[]).run(&[putfh(file), setattr(Stateid::ANONYMOUS, &size(1))]).fails(Status::Access);
}

#[test]
fn attributes_are_compared_by_value() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"abc");
    let same = Attributes { size: Some(3), file_type: Some(FileType::Regular), ..Attributes::default() };
    let other = Attributes { size: Some(4), file_type: Some(FileType::Regular), ..Attributes::default() };
    for (operation, status) in [
        (verify(&same), Status::Ok),
        (verify(&other), Status::NotSame),
        (nverify(&same), Status::Same),
        (nverify(&other), Status::Ok),
        (verify(&Attributes::default()), Status::Ok),
        (verify(&Attributes { rdattr_error: Some(Status::Ok), ..same.clone() }), Status::Inval),
        (verify(&Attributes { time_modify_set: Some(SetTime::Server), ..same.clone() }), Status::Inval),
        (nverify(&Attributes { fs_charset_cap: Some(1), ..same.clone() }), Status::Attrnotsupp),
    ] {
        client.run(&[putfh(file), operation]).fails(status);
    }
}

#[test]
fn access_follows_mode_groups_and_kind() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o654))]).ok();
    let owned = Attributes {
        owner: Some(Opaque(b"1000")),
        owner_group: Some(Opaque(b"100")),
        ..Attributes::default()
    };
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &owned)]).ok();
    let all =
        access::READ | access::LOOKUP | access::MODIFY | access::EXTEND | access::DELETE | access::EXECUTE;
    let modify = access::MODIFY | access::EXTEND;
    for (uid, gids, expected) in [
        (1000, &[][..], access::READ | modify),
        (5, &[100], access::READ | access::EXECUTE),
        (5, &[], access::READ),
        (0, &[], access::READ | modify | access::EXECUTE),
    ] {
        let reply = client.user(uid, 5, gids).run(&[putfh(file), access(all)]).ok();
        let told: AccessResult = reply.body(Operation::Access);
        assert_eq!(told.access, expected, "user {uid} {gids:?}");
        assert_eq!(told.supported, all & !(access::LOOKUP | access::DELETE));
    }
    let xattr = access::XATTR_READ | access::XATTR_WRITE | access::XATTR_LIST;
    let told = |client: &Client| {
        client.run(&[putfh(file), access(xattr)]).ok().body::<AccessResult>(Operation::Access)
    };
    assert_eq!(told(&client).access, xattr);
    assert_eq!(told(&client.minor(1)).supported, 0);
}

#[test]
fn groups_are_looked_up_where_the_export_says_so() {
    let mut settings = export_settings(1, EXPORT);
    settings.lookup_groups = true;
    let world = World::with(vec![settings]);
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let group = Attributes { owner_group: Some(Opaque(b"2039")), ..mode(0o040) };
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &group)]).ok();
    for (uid, gids, expected) in [(1000, &[][..], access::READ), (5, &[2039], access::READ), (5, &[1], 0)] {
        let reply = client.user(uid, 1, gids).run(&[putfh(file), access(access::READ)]).ok();
        assert_eq!(reply.body::<AccessResult>(Operation::Access).access, expected, "user {uid}");
    }
}
