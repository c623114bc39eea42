//! OPEN in its claims and ways of creating, shares, stateids (RFC 8881 §8.2, §9, §18.2, §18.16, §18.18).

use wire::nfs4::share_access::{BOTH, READ, WRITE};
use wire::nfs4::*;

use crate::support::*;

const STABLE: StableHow = StableHow::FileSync;

#[test]
fn a_name_is_opened_read_written_and_closed() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let written = client.run(&[putfh(file), write(stateid, 3, STABLE, b"def")]).ok().written();
    assert_eq!((written.count, written.committed), (3, StableHow::FileSync));
    let reply = client.run(&[putfh(file), read(stateid, 0, 100)]).ok();
    assert_eq!(reply.data(), (b"\0\0\0def".to_vec(), true));
    client.run(&[putfh(file), close(stateid)]).ok();
    client.run(&[putfh(file), read(stateid, 0, 100)]).fails(Status::BadStateid);
    client.run(&[putfh(file), close(stateid)]).fails(Status::BadStateid);
}

#[test]
fn the_result_of_open_says_what_a_client_must_know() {
    let world = World::new();
    let client = world.client("one");
    let reply = client.at_export(&[Open::named("a").unchecked(&mode(0o600))]).ok();
    let opened = reply.opened();
    assert_eq!(opened.flags, open_result_flags::LOCKTYPE_POSIX | open_result_flags::MAY_NOTIFY_LOCK);
    assert_eq!(opened.attributes_set, Bitmap::of(&[attribute::MODE]));
    assert!(opened.change_info.before < opened.change_info.after);
    assert_eq!(opened.delegation, OpenDelegation::None);
    for (want, expected) in [
        (share_access::WANT_NO_DELEG, NoDelegation::NotWanted),
        (share_access::WANT_CANCEL, NoDelegation::Cancelled),
        (share_access::WANT_READ_DELEG, NoDelegation::Resource(false)),
    ] {
        let reply = client.at_export(&[Open::named("a").access(READ | want).op()]).ok();
        assert_eq!(reply.opened().delegation, OpenDelegation::NoneExt(expected));
    }
}

#[test]
fn unchecked_opens_what_is_there() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"contents");
    let wanted = Attributes { mode: Some(0o777), size: Some(5), ..Attributes::default() };
    let reply = client.at_export(&[Open::named("a").unchecked(&wanted), getattr(&[attribute::MODE])]).ok();
    assert_eq!((reply.opened().attributes_set, reply.attributes().mode), (Bitmap::EMPTY, Some(0o644)));
    assert_eq!(client.contents(file), b"contents");
    let wanted = Attributes { mode: Some(0o777), size: Some(0), ..Attributes::default() };
    let reply = client.at_export(&[Open::named("a").unchecked(&wanted)]).ok();
    assert_eq!(reply.opened().attributes_set, Bitmap::of(&[attribute::SIZE]));
    assert_eq!(client.contents(file), b"");
    let sized = client.at_export(&[Open::named("new").unchecked(&size(9)), getattr(&[attribute::SIZE])]).ok();
    assert_eq!(sized.attributes().size, Some(9));
}

#[test]
fn guarded_makes_only_what_is_not_there() {
    let world = World::new();
    let client = world.client("one");
    client.at_export(&[Open::named("a").guarded(&mode(0o600))]).ok();
    client.at_export(&[Open::named("a").guarded(&mode(0o600))]).fails(Status::Exist);
    client.at_export(&[mkdir("d")]).ok();
    client.at_export(&[Open::named("d").guarded(&mode(0o600))]).fails(Status::Exist);
    client.at_export(&[Open::named("d").unchecked(&mode(0o600))]).fails(Status::Isdir);
    client.at_export(&[Open::named("no").op()]).fails(Status::Noent);
}

#[test]
fn exclusive_is_repeated_by_its_verifier_alone() {
    let times = Bitmap::of(&[attribute::TIME_ACCESS, attribute::TIME_MODIFY]);
    for (attributes, set) in [(None, times), (Some(mode(0o640)), times.with(attribute::MODE))] {
        let world = World::new();
        let make = |client: &Client, verifier| {
            let open = Open::named("a").exclusive(verifier, attributes.as_ref());
            client.at_export(&[open, getattr(&[attribute::FILEID])])
        };
        let client = world.client("one");
        let first = make(&client, 1).ok();
        assert_eq!(first.opened().attributes_set, set);
        assert_eq!(make(&client, 1).ok().attributes().fileid, first.attributes().fileid);
        make(&client, 2).fails(Status::Exist);
        // The verifier is kept with the file, not in the server's memory.
        world.restart();
        world.advance_seconds(100);
        nfs_ops::sweep(&world.server());
        let client = world.client("one");
        assert_eq!(make(&client, 1).ok().attributes().fileid, first.attributes().fileid);
        make(&client, 2).fails(Status::Exist);
    }
}

#[test]
fn attributes_that_hold_the_verifier_cannot_come_with_it() {
    let world = World::new();
    let client = world.client("one");
    let told = client.at_export(&[getattr(&[attribute::SUPPATTR_EXCLCREAT])]).ok();
    let allowed = told.attributes().suppattr_exclcreat.unwrap();
    assert!(!allowed.get(attribute::TIME_MODIFY_SET) && !allowed.get(attribute::TIME_ACCESS_SET));
    assert!(allowed.get(attribute::MODE));
    let times = Attributes { time_modify_set: Some(SetTime::Server), ..Attributes::default() };
    client.at_export(&[Open::named("a").exclusive(1, Some(&times))]).fails(Status::Inval);
    client.at_export(&[lookup("a")]).fails(Status::Noent);
}

#[test]
fn a_share_that_denies_keeps_the_contents() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let file = one.make_file("a", b"contents");
    let stateid = one.open(file, Open::handle().access(READ).deny(share_deny::WRITE)).ok().opened().stateid;
    let before = two.at_export(&[lookup("a"), getattr(&[attribute::CHANGE])]).ok().attributes().change;
    two.at_export(&[Open::named("a").access(WRITE).unchecked(&size(0))]).fails(Status::ShareDenied);
    two.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &size(0))]).fails(Status::Locked);
    two.run(&[putfh(file), write(Stateid::ANONYMOUS, 0, STABLE, b"x")]).fails(Status::Locked);
    two.run(&[putfh(file), write(Stateid::BYPASS, 0, STABLE, b"x")]).fails(Status::Locked);
    assert_eq!(two.contents(file), b"contents");
    let after = two.at_export(&[lookup("a"), getattr(&[attribute::CHANGE])]).ok().attributes().change;
    assert_eq!(after, before);
    one.run(&[putfh(file), close(stateid)]).ok();
    two.at_export(&[Open::named("a").access(WRITE).unchecked(&size(0))]).ok();
    assert_eq!(two.contents(file), b"");
}

#[test]
fn shares_conflict_as_published() {
    // RFC 8881 §9.7: (access and deny held, access and deny asked for, whether they conflict).
    for (held, asked, conflict) in [
        ((READ, share_deny::NONE), (BOTH, share_deny::NONE), false),
        ((READ, share_deny::NONE), (READ, share_deny::READ), true),
        ((READ, share_deny::NONE), (READ, share_deny::WRITE), false),
        ((WRITE, share_deny::NONE), (READ, share_deny::WRITE), true),
        ((READ, share_deny::READ), (WRITE, share_deny::NONE), false),
        ((READ, share_deny::READ), (BOTH, share_deny::NONE), true),
        ((READ, share_deny::BOTH), (WRITE, share_deny::NONE), true),
    ] {
        let world = World::new();
        let (one, two) = (world.client("one"), world.client("two"));
        let file = one.make_file("a", b"x");
        let stateid = one.open(file, Open::handle().access(held.0).deny(held.1)).ok().opened().stateid;
        let expected = if conflict { Status::ShareDenied } else { Status::Ok };
        let open = || two.open(file, Open::handle().access(asked.0).deny(asked.1));
        assert_eq!(open().status, expected, "{held:?} {asked:?}");
        one.run(&[putfh(file), close(stateid)]).ok();
        open().ok();
    }
}

#[test]
fn special_stateids_mind_what_is_denied() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let file = one.make_file("a", b"contents");
    one.open(file, Open::handle().access(READ).deny(share_deny::READ)).ok();
    two.run(&[putfh(file), read(Stateid::ANONYMOUS, 0, 9)]).fails(Status::Locked);
    assert_eq!(two.run(&[putfh(file), read(Stateid::BYPASS, 0, 9)]).ok().data().0, b"contents");
    two.run(&[putfh(file), write(Stateid::ANONYMOUS, 0, STABLE, b"C")]).ok();
    two.run(&[putfh(file), read(Stateid::INVALID, 0, 9)]).fails(Status::BadStateid);
    two.run(&[putfh(file), read(Stateid { seqid: 7, other: [0; 12] }, 0, 9)]).fails(Status::BadStateid);
    // Without an open the caller's own permission counts.
    two.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o600))]).ok();
    two.user(5, 5, &[]).run(&[putfh(file), read(Stateid::BYPASS, 0, 9)]).fails(Status::Access);
}

#[test]
fn opens_are_upgraded_and_downgraded_to_what_was_opened() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"x");
    let first = client.open(file, Open::handle().access(READ)).ok().opened().stateid;
    client.run(&[putfh(file), write(first, 0, STABLE, b"y")]).fails(Status::Openmode);
    let second = client.open(file, Open::handle().access(BOTH)).ok().opened().stateid;
    assert_eq!((second.other, second.seqid), (first.other, first.seqid + 1));
    client.run(&[putfh(file), write(second, 0, STABLE, b"y")]).ok();
    client.run(&[putfh(file), read(first, 0, 1)]).fails(Status::OldStateid);
    let newest = Stateid { seqid: 0, ..first };
    client.run(&[putfh(file), read(newest, 0, 1)]).ok();
    client.run(&[putfh(file), read(Stateid { seqid: 9, ..first }, 0, 1)]).fails(Status::BadStateid);
    client.run(&[putfh(file), downgrade(second, WRITE, 0)]).fails(Status::Inval);
    client.run(&[putfh(file), downgrade(second, 0, 0)]).fails(Status::Inval);
    client.run(&[putfh(file), downgrade(second, READ, share_deny::READ)]).fails(Status::Inval);
    client.run(&[putfh(file), downgrade(second, READ | 1 << 20, 0)]).fails(Status::Inval);
    let wanted = READ | share_access::WANT_NO_DELEG;
    let reply = client.run(&[putfh(file), downgrade(second, wanted, 0)]).ok();
    let third = reply.body::<OpenDowngradeResult>(Operation::OpenDowngrade).stateid;
    assert_eq!(third.seqid, second.seqid + 1);
    client.run(&[putfh(file), write(third, 0, STABLE, b"z")]).fails(Status::Openmode);
    assert_eq!(client.run(&[putfh(file), read(third, 0, 1)]).ok().data().0, b"y");
}

#[test]
fn access_is_decided_when_a_file_is_opened() {
    let world = World::new();
    let client = world.client("one");
    client.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o777))]).ok();
    let user = client.user(1000, 1000, &[]);
    let reply = user.at_export(&[Open::named("a").unchecked(&mode(0o444)), getfh()]).ok();
    let (file, stateid) = (reply.handle(), reply.opened().stateid);
    user.run(&[putfh(file), write(stateid, 0, STABLE, b"x")]).ok();
    user.run(&[putfh(file), setattr(stateid, &size(7))]).ok();
    user.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &size(3))]).fails(Status::Access);
    user.at_export(&[Open::named("a").access(WRITE).owner("other").op()]).fails(Status::Access);
    user.at_export(&[Open::named("a").access(READ).owner("other").op()]).ok();
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o000))]).ok();
    user.run(&[putfh(file), write(stateid, 0, STABLE, b"y"), read(stateid, 0, 1)]).ok();
    user.run(&[putfh(file), commit(0, 0)]).ok();
}

#[test]
fn an_open_that_cannot_be_makes_no_file() {
    let world = World::new();
    let silent = world.client("silent");
    let open = Open::named("a").deny(share_deny::BOTH).unchecked(&mode(0o600));
    let file = silent.at_export(&[open, getfh()]).ok().handle();
    world.advance_seconds(91);
    let active = world.client("active");
    active.run(&[putfh(file), Open::handle().op()]).ok();
    silent.at_export(&[Open::named("new").guarded(&mode(0o600))]).fails(Status::Expired);
    active.at_export(&[lookup("new")]).fails(Status::Noent);
}

#[test]
fn the_current_stateid_follows_the_compound() {
    let world = World::new();
    let client = world.client("one");
    let current = Stateid::CURRENT;
    let reply = client
        .at_export(&[
            Open::named("a").unchecked(&mode(0o600)),
            write(current, 0, STABLE, b"abc"),
            read(current, 0, 9),
            savefh(),
            putrootfh(),
            restorefh(),
            read(current, 1, 9),
            lock(current, "locker", LockType::Write, 0, 9),
            read(current, 2, 9),
            locku(current, 0, 9),
        ])
        .ok();
    assert_eq!(reply.data().0, b"c");
    client.at_export(&[lookup("a"), read(current, 0, 1)]).fails(Status::BadStateid);
    client.at_export(&[Open::named("a").op(), lookupp()]).fails(Status::Notdir);
    client.at_export(&[Open::named("a").op(), close(current)]).ok();
    client.at_export(&[Open::named("a").op(), close(current), close(current)]).fails(Status::BadStateid);
}

#[test]
fn claims_that_need_a_delegation_are_refused() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let stateid = Stateid { seqid: 1, other: [5; 12] };
    let current = ClaimDelegateCurrent { stateid, name: "a".into() };
    for (claim, status) in [
        (OpenClaim::DelegateCurrent(current), Status::BadStateid),
        (OpenClaim::DelegateCurrentHandle(stateid), Status::BadStateid),
        (OpenClaim::DelegatePrevious("a".into()), Status::Notsupp),
        (OpenClaim::DelegatePreviousHandle, Status::Notsupp),
        (OpenClaim::Previous(DelegationType::None), Status::NoGrace),
    ] {
        client.at_export(&[putfh(file), Open::handle().claim(claim).op()]).fails(status);
    }
    for (open, status) in [
        (Open::named("a").access(0), Status::Inval),
        (Open::named("a").access(READ | 0x8000_0000), Status::Inval),
        (Open::named("a").deny(4), Status::Inval),
        (Open::named("").access(READ), Status::Inval),
        (Open::named("..").access(READ), Status::Badname),
    ] {
        client.at_export(&[open.op()]).fails(status);
    }
    client.run(&[putfh(file), Open::named("x").op()]).fails(Status::Notdir);
}

#[test]
fn stateids_belong_to_their_client_and_file() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, stateid) = one.open_new("a");
    let other = one.make_file("b", b"");
    two.run(&[putfh(file), read(stateid, 0, 1)]).fails(Status::BadStateid);
    one.run(&[putfh(other), read(stateid, 0, 1)]).fails(Status::BadStateid);
    one.run(&[putrootfh(), lookup(EXPORT), read(stateid, 0, 1)]).fails(Status::Isdir);
    let unknown = Stateid { seqid: 1, other: [8; 12] };
    let old = Stateid { seqid: stateid.seqid + 1, ..stateid };
    let reply = one.run(&[test_stateids(&[stateid, unknown, old, Stateid::ANONYMOUS])]).ok();
    let told: TestStateidResult = reply.body(Operation::TestStateid);
    assert_eq!(told.statuses.0, [Status::Ok, Status::BadStateid, Status::BadStateid, Status::BadStateid]);
    one.run(&[free_stateid(stateid)]).fails(Status::LocksHeld);
    one.run(&[free_stateid(unknown)]).fails(Status::BadStateid);
}

#[test]
fn an_open_file_outlives_its_name_until_closed() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    client.run(&[putfh(file), write(stateid, 0, STABLE, &[1; 65536])]).ok();
    let free =
        || client.at_export(&[getattr(&[attribute::SPACE_FREE])]).ok().attributes().space_free.unwrap();
    let before = free();
    client.at_export(&[remove("a")]).ok();
    assert_eq!(client.run(&[putfh(file), read(stateid, 0, 4)]).ok().data().0, [1; 4]);
    client.run(&[putfh(file), close(stateid)]).ok();
    assert!(free() >= before + 65536);
    client.run(&[putfh(file)]).fails(Status::Stale);
}

#[test]
fn who_may_execute_a_file_may_read_it_and_nobody_else_more() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("program", b"text");
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o711))]).ok();
    let other = client.user(7, 7, &[]);
    let reply = other.at_export(&[Open::named("program").access(READ).op()]).ok();
    let stateid = reply.opened().stateid;
    assert_eq!(other.run(&[putfh(file), read(stateid, 0, 9)]).ok().data(), (b"text".to_vec(), true));
    other.at_export(&[Open::named("program").access(BOTH).op()]).fails(Status::Access);
    client.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o700))]).ok();
    other.at_export(&[Open::named("program").access(READ).op()]).fails(Status::Access);
}
