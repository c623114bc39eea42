//! Byte-range locks and those who wait for them (RFC 8881 §9, §18.10 to §18.12, §20.11).

use wire::nfs4::*;

use crate::support::*;

const EOF: u64 = u64::MAX;

#[test]
fn locks_exclude_other_owners_and_say_whom() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, mine) = one.open_new("a");
    let theirs = two.open(file, Open::handle()).ok().opened().stateid;
    let held = one.run(&[putfh(file), lock(mine, "me", LockType::Write, 10, 10)]).ok().locked();
    let reply = two.run(&[putfh(file), lock(theirs, "them", LockType::Read, 0, EOF)]).fails(Status::Denied);
    let denied: LockDenied<'_> = reply.last();
    assert_eq!((denied.offset, denied.length, denied.lock_type), (10, 10, LockType::Write));
    assert_eq!((denied.owner.client_id, denied.owner.owner.bytes()), (one.client_id(), &b"me"[..]));
    let tested = two.run(&[putfh(file), lockt("them", LockType::Write, 19, 1)]).fails(Status::Denied);
    assert_eq!(tested.last::<LockDenied<'_>>(), denied);
    two.run(&[putfh(file), lockt("them", LockType::Write, 20, EOF)]).ok();
    one.run(&[putfh(file), lockt("me", LockType::Write, 0, EOF)]).ok();
    one.run(&[putfh(file), free_stateid(held)]).fails(Status::LocksHeld);
    let reply = one.run(&[putfh(file), locku(held, 0, EOF)]).ok();
    let unlocked: Stateid = reply.body(Operation::Locku);
    assert_eq!((unlocked.other, unlocked.seqid), (held.other, held.seqid + 1));
    two.run(&[putfh(file), lock(theirs, "them", LockType::Read, 0, EOF)]).ok();
    one.run(&[putfh(file), free_stateid(unlocked)]).ok();
    one.run(&[putfh(file), free_stateid(unlocked)]).fails(Status::BadStateid);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    for (offset, length, status) in [
        (0, 0, Status::Inval),
        (EOF, 2, Status::Inval),
        (2, EOF - 1, Status::Inval),
        (EOF, 1, Status::Inval),
        (1, EOF - 1, Status::Ok),
        (EOF, EOF, Status::Ok),
        (0, EOF, Status::Ok),
    ] {
        let reply = client.run(&[putfh(file), lockt("x", LockType::Read, offset, length)]);
        assert_eq!(reply.status, status, "{offset} {length}");
    }
    client.at_export(&[lock(stateid, "x", LockType::Read, 0, 1)]).fails(Status::Isdir);
    client.at_export(&[lockt("x", LockType::Read, 0, 1)]).fails(Status::Isdir);
    client.run(&[putrootfh(), lockt("x", LockType::Read, 0, 1)]).fails(Status::Isdir);
    client.run(&[putfh(file), locku(stateid, 0, 1)]).fails(Status::BadStateid);
    client.run(&[putfh(file), lock_more(stateid, LockType::Read, 0, 1)]).fails(Status::BadStateid);
    let reading = client.open(file, Open::handle().owner("reader").access(share_access::READ)).ok();
    let lock_it = lock(reading.opened().stateid, "x", LockType::Write, 0, 1);
    client.run(&[putfh(file), lock_it]).fails(Status::Openmode);
}

#[test]
fn a_lock_stateid_reads_writes_and_goes_with_its_open() {
    let world = World::new();
    let client = world.client("one");
    let (file, open) = client.open_new("a");
    let held = client.run(&[putfh(file), lock(open, "me", LockType::Write, 0, 9)]).ok().locked();
    client.run(&[putfh(file), write(held, 0, StableHow::Unstable, b"x"), read(held, 0, 1)]).ok();
    let more = client.run(&[putfh(file), lock_more(held, LockType::Write, 20, 9)]).ok().locked();
    client.run(&[putfh(file), read(held, 0, 1)]).fails(Status::OldStateid);
    client.run(&[putfh(file), close(open)]).ok();
    client.run(&[putfh(file), read(more, 0, 1)]).fails(Status::BadStateid);
    let other = world.client("two");
    other.run(&[putfh(file), lockt("them", LockType::Write, 0, EOF)]).ok();
}

#[test]
fn a_waiter_is_called_when_the_lock_is_free() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, mine) = one.open_new("a");
    let theirs = two.open(file, Open::handle()).ok().opened().stateid;
    let held = one.run(&[putfh(file), lock(mine, "me", LockType::Write, 0, 10)]).ok().locked();
    let wait = lock(theirs, "them", LockType::WriteWait, 5, 10);
    two.run(&[putfh(file), wait.clone()]).fails(Status::Denied);
    assert!(world.callbacks().is_empty());
    one.run(&[putfh(file), locku(held, 0, 10)]).ok();
    let callbacks = world.callbacks();
    assert_eq!((callbacks.len(), callbacks[0].connection), (1, two.connection().id()));
    let CallbackArguments::NotifyLock(notice) = callbacks[0].operation() else { panic!("{callbacks:?}") };
    assert_eq!((notice.handle, notice.lock_owner.owner.bytes()), (file, &b"them"[..]));
    assert_eq!(notice.lock_owner.client_id, two.client_id());
    two.run(&[putfh(file), wait]).ok();
    assert!(world.callbacks().is_empty());
}

#[test]
fn closing_and_downgrading_locks_call_waiters_too() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, mine) = one.open_new("a");
    let theirs = two.open(file, Open::handle()).ok().opened().stateid;
    one.run(&[putfh(file), lock(mine, "me", LockType::Write, 0, 10)]).ok();
    two.run(&[putfh(file), lock(theirs, "them", LockType::ReadWait, 0, 10)]).fails(Status::Denied);
    one.run(&[putfh(file), lock(mine, "me", LockType::Read, 0, 10)]).ok();
    assert_eq!(world.callbacks().len(), 1);
    two.run(&[putfh(file), lock(theirs, "them", LockType::Read, 0, 10)]).ok();
    two.run(&[putfh(file), lock(theirs, "them", LockType::WriteWait, 0, 10)]).fails(Status::Denied);
    one.run(&[putfh(file), close(mine)]).ok();
    assert_eq!(world.callbacks().len(), 1);
}
