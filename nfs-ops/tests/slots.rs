//! SEQUENCE: exactly once, and room for the reply before any effect (RFC 8881 §2.10.6, §18.46).

use wire::nfs4::*;

use crate::support::*;

#[test]
fn a_retry_gets_the_kept_reply_and_changes_nothing() {
    let world = World::new();
    let client = world.client("one").cache_this(true);
    let operations = [putrootfh(), lookup(EXPORT), mkdir("a"), getattr(&[attribute::FILEID])];
    let first = client.run(&operations).ok();
    assert_eq!(client.retry(&operations), first);
    let other = world.connection();
    assert_eq!(client.over(&other).retry(&operations), first);
    assert_eq!(client.at_export(&[readdir(0, 4096, &[])]).ok().names(), ["a"]);
}

#[test]
fn a_kept_reply_with_data_is_repeated_to_the_byte() {
    let world = World::new();
    let client = world.client("one").cache_this(true);
    let file = client.make_file("a", b"seven b");
    let operations = [putfh(file), read(Stateid::ANONYMOUS, 0, 100), getattr(&[attribute::SIZE])];
    let first = client.run(&operations).ok();
    assert_eq!(first.data(), (b"seven b".to_vec(), true));
    client.send(client.sequence_on(1), &[putfh(file), setattr(Stateid::ANONYMOUS, &size(0))]).ok();
    assert_eq!(client.retry(&operations), first);
}

#[test]
fn what_is_no_retry_is_told_why() {
    let world = World::new();
    let client = world.client("one");
    client.run(&[putrootfh()]).ok();
    let retry = client.retry(&[putrootfh()]).fails(Status::RetryUncachedRep);
    assert_eq!(retry.results.len(), 2);
    client.retry(&[putrootfh(), getfh()]).fails(Status::SeqFalseRetry);
    let id = client.session();
    let send = |slot, number| client.send(sequence(id, slot, number, false), &[putrootfh()]);
    send(1, 0).fails(Status::SeqMisordered);
    send(1, 2).fails(Status::SeqMisordered);
    send(8, 1).fails(Status::Badslot);
    send(1, 1).ok();
    client.send(sequence(SessionId([1; 16]), 0, 1, false), &[]).fails(Status::Badsession);
}

#[test]
fn a_retry_of_a_running_compound_waits_for_it() {
    let world = World::new();
    let client = world.client("one").cache_this(true);
    let gate = world.server().admission.gate().clone();
    let epoch = gate.close(world.now_ns(), u64::MAX).unwrap();
    let operations = [putrootfh(), lookup(EXPORT), mkdir("a")];
    let running = client.start(0, &operations);
    assert!(!running.is_done());
    let elsewhere = client.over(&world.connection());
    elsewhere.retry(&operations).fails(Status::Delay);
    client.retry(&operations).fails(Status::Delay);
    // Its own session cannot go while it runs.
    client.connection().compound(1, &[destroy_session(client.session())]).fails(Status::Delay);
    gate.open(epoch, world.now_ns()).unwrap();
    let reply = running.finish().ok();
    assert_eq!(elsewhere.retry(&operations), reply);
}

#[test]
fn a_compound_outlives_its_connection() {
    let world = World::new();
    let client = world.client("one").cache_this(true);
    let gate = world.server().admission.gate().clone();
    let epoch = gate.close(world.now_ns(), u64::MAX).unwrap();
    let operations = [putrootfh(), lookup(EXPORT), mkdir("a")];
    let running = client.start(0, &operations);
    gate.open(epoch, world.now_ns()).unwrap();
    world.executor().settle();
    client.connection().lose();
    assert_eq!(client.over(&world.connection()).retry(&operations), running.finish().ok());
}

#[test]
fn calls_beyond_the_sessions_bounds_are_refused() {
    let world = World::new();
    let channel = ChannelAttributes { operations_max: 3, request_size_max: 600, ..CHANNEL };
    let client = world.connection().client_with("one", 2, channel);
    let send = |operations: &[Op]| client.send(sequence(client.session(), 0, 1, false), operations);
    send(&[putrootfh(), putrootfh(), putrootfh()]).fails(Status::TooManyOps);
    send(&[putrootfh(), lookup(&"x".repeat(600))]).fails(Status::ReqTooBig);
    // Neither has used up the sequence id.
    send(&[putrootfh(), putrootfh()]).ok();
}

/// What changes something and has a result that could find no room.
fn mutations(client: &Client) -> Vec<(&'static str, Vec<Op>)> {
    let file = client.make_file("file", b"contents");
    let (open, stateid) = client.open_new("open");
    client.run(&[putfh(open), setxattr(SetXattrOption::Create, "x", b"1")]).ok();
    let dir = [putrootfh(), lookup(EXPORT)];
    let at = |operations: &[Op]| [&dir[..], operations].concat();
    let on = |operations: &[Op]| [&[putfh(open)][..], operations].concat();
    let both = |operations: &[Op]| [&[putfh(file), savefh()][..], operations].concat();
    vec![
        ("CREATE", at(&[mkdir("new")])),
        ("OPEN", at(&[Open::named("new").owner("other").unchecked(&mode(0o600))])),
        ("OPEN exclusive", at(&[Open::named("new").owner("other").exclusive(3, None)])),
        ("REMOVE", at(&[remove("file")])),
        ("RENAME", at(&[savefh(), rename("file", "renamed")])),
        ("LINK", both(&at(&[link("linked")]))),
        ("SETATTR", on(&[setattr(stateid, &size(3))])),
        ("WRITE", on(&[write(stateid, 0, StableHow::FileSync, b"other")])),
        ("CLOSE", on(&[close(stateid)])),
        ("OPEN_DOWNGRADE", on(&[downgrade(stateid, share_access::READ, 0)])),
        ("LOCK", on(&[lock(stateid, "locker", LockType::Write, 0, 10)])),
        ("SETXATTR", on(&[setxattr(SetXattrOption::Either, "x", b"2")])),
        ("REMOVEXATTR", on(&[removexattr("x")])),
        ("COPY", both(&on(&[copy((Stateid::ANONYMOUS, 0), (stateid, 0), 0, true)]))),
    ]
}

/// What a client can see of the export.
fn picture(client: &Client) -> Vec<(String, Vec<u8>, Option<u64>)> {
    let names = client.at_export(&[readdir(0, 8192, &[])]).ok().names();
    let look = |name: String| {
        let reply = client.at_export(&[lookup(&name), getattr(&[attribute::CHANGE]), getfh()]).ok();
        let (change, handle) = (reply.attributes().change, reply.handle());
        let contents = client.contents(handle);
        (name, contents, change)
    };
    names.into_iter().map(look).collect()
}

/// Fills a reply, so that what follows does not fit.
fn filler(bytes: usize) -> Op {
    read(Stateid::ANONYMOUS, 0, bytes as u32)
}

#[test]
fn room_for_the_reply_is_made_sure_of_before_anything_changes() {
    for (cache_this, status) in [(false, Status::RepTooBig), (true, Status::RepTooBigToCache)] {
        let world = World::new();
        // What is kept is less than what is carried, so that the two bounds can be told apart.
        let channel = ChannelAttributes {
            response_size_max: if cache_this { 1 << 20 } else { 2048 },
            response_size_max_cached: if cache_this { 2048 } else { 1024 },
            ..CHANNEL
        };
        let client = world.connection().client_with("one", 2, channel);
        client.run(&[reclaim_complete()]).ok();
        let filling = client.make_file("filling", &[1; 4096]);
        for (name, operations) in mutations(&client) {
            let before = picture(&client);
            let sender = client.cache_this(cache_this);
            // The last operation finds room for its head alone.
            let room = filling_room(&sender, filling, &operations);
            let mut all = vec![putfh(filling), filler(room)];
            all.extend(operations);
            sender.run(&all).fails(status);
            assert_eq!(picture(&client), before, "{name}");
        }
        // What was refused can be done with room.
        client.at_export(&[remove("file")]).ok();
    }
}

/// Bytes to READ so that behind all but the last operation hardly any room is left.
fn filling_room(client: &Client, filling: FileHandle, operations: &[Op]) -> usize {
    let (_, leading) = operations.split_last().expect("an operation");
    let mut probe = vec![putfh(filling), filler(0)];
    probe.extend_from_slice(leading);
    let used = client.run(&probe).ok().bytes;
    (2048 - used - 12) / 4 * 4
}

#[test]
fn a_reply_that_outgrows_the_bound_ends_with_the_error() {
    let world = World::new();
    let channel = ChannelAttributes { response_size_max: 1024, response_size_max_cached: 700, ..CHANNEL };
    let client = world.connection().client_with("one", 2, channel);
    client.run(&[reclaim_complete()]).ok();
    let many = vec![getfh(); 14];
    let operations = [&[putrootfh()][..], &many].concat();
    for (cache_this, status, bound) in
        [(false, Status::RepTooBig, 1024), (true, Status::RepTooBigToCache, 700)]
    {
        let reply = client.cache_this(cache_this).run(&operations).fails(status);
        assert!(reply.bytes <= bound && reply.bytes + 100 > bound, "{} bytes", reply.bytes);
    }
    // For every size of what comes before, the reply stays within the bound and its status is its last result's.
    let file = client.make_file("a", &[7; 2048]);
    for bytes in (600..1000).step_by(4) {
        let reply = client.run(&[putfh(file), read(Stateid::ANONYMOUS, 0, bytes), putrootfh(), getfh()]);
        assert!(reply.bytes <= 1024, "{} bytes", reply.bytes);
        assert!(matches!(reply.status, Status::Ok | Status::RepTooBig), "{}", reply.status);
    }
    let tiny = ChannelAttributes { response_size_max_cached: 0, ..CHANNEL };
    let client = world.connection().client_with("two", 2, tiny);
    client.cache_this(true).run(&[]).fails(Status::RepTooBigToCache);
    client.run(&[]).fails(Status::SeqMisordered);
}

#[test]
fn the_lease_runs_out_without_sequences() {
    let world = World::new();
    let one = world.client("one");
    let (file, stateid) = one.open_new("a");
    world.advance_seconds(80);
    one.run(&[]).ok();
    world.advance_seconds(80);
    one.run(&[putfh(file), read(stateid, 0, 1)]).ok();
    world.advance_seconds(100);
    // Courtesy: nobody wanted the file, so it is still open.
    one.run(&[putfh(file), read(stateid, 0, 1)]).ok();
    world.advance_seconds(100);
    let two = world.client("two");
    let denying = two.open(file, Open::handle().deny(share_deny::BOTH));
    if denying.status == Status::Delay {
        two.open(file, Open::handle().deny(share_deny::BOTH)).ok();
    }
    let reply = one.run(&[putfh(file), read(stateid, 0, 1)]).fails(Status::Expired);
    let flag = sequence_status::EXPIRED_ALL_STATE_REVOKED;
    assert_eq!(reply.sequence().status_flags & flag, flag);
}
