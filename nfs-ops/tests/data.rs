//! READ, WRITE and COMMIT (RFC 8881 §18.3, §18.22, §18.32).

use wire::nfs4::*;

use crate::support::*;

#[test]
fn data_comes_back_however_it_was_sent() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let data: Vec<u8> = (0..10_001u32).map(|number| (number * 7) as u8).collect();
    for (offset, cut) in [(0, false), (0, true), (4097, true), (13, false)] {
        let put = if cut { write_cut } else { write };
        let reply =
            client.run(&[putfh(file), put(stateid, offset, StableHow::Unstable, &data), getfh()]).ok();
        assert_eq!(reply.written().count, data.len() as u32);
        let reply = client.run(&[putfh(file), read(stateid, offset, data.len() as u32)]).ok();
        assert_eq!(reply.data().0, data, "at {offset}");
    }
    assert_eq!(world.env().pool().bytes_taken(), 0, "payload memory went back");
}

#[test]
fn payload_is_copied_only_for_slots_and_out_of_heads() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let data = [7; 20_000];
    client.run(&[putfh(file), write_cut(stateid, 0, StableHow::Unstable, &data)]).ok();
    client.run(&[putfh(file), read(stateid, 0, 20_000)]).ok();
    let server = world.server();
    let copies = || (server.copies.read_bytes.get(), server.copies.written_bytes.get());
    assert_eq!(copies(), (0, 0));
    client.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, &data[..300])]).ok();
    assert_eq!(copies(), (0, 300));
    client.cache_this(true).run(&[putfh(file), read(stateid, 0, 200)]).ok();
    assert_eq!(copies(), (200, 300));
}

#[test]
fn one_compound_writes_and_reads_more_than_once() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let reply = client
        .run(&[
            putfh(file),
            write_cut(stateid, 0, StableHow::Unstable, b"abcde"),
            write_cut(stateid, 5, StableHow::Unstable, b"fghijkl"),
            read(stateid, 2, 3),
            read(stateid, 0, 100),
            getattr(&[attribute::SIZE]),
        ])
        .ok();
    assert_eq!(reply.data(), (b"abcdefghijkl".to_vec(), true));
    assert_eq!(reply.attributes().size, Some(12));
    assert_eq!(world.env().pool().bytes_taken(), 0);
}

#[test]
fn reads_end_at_the_end() {
    let world = World::new();
    let client = world.client("one");
    let file = client.make_file("a", b"0123456789");
    for (offset, count, expected, eof) in [
        (0, 10, &b"0123456789"[..], true),
        (0, 9, b"012345678", false),
        (8, 10, b"89", true),
        (10, 1, b"", true),
        (11, 1, b"", true),
        (0, 0, b"", false),
        (10, 0, b"", true),
        (u64::MAX, 4, b"", true),
        (i64::MAX as u64, 4, b"", true),
    ] {
        let reply = client.run(&[putfh(file), read(Stateid::ANONYMOUS, offset, count)]).ok();
        assert_eq!(reply.data(), (expected.to_vec(), eof), "{count} at {offset}");
    }
    // As much as there is room for.
    let large = client.run(&[putfh(file), read(Stateid::ANONYMOUS, 0, u32::MAX)]).ok();
    assert_eq!(large.data().0.len(), 10);
}

#[test]
fn a_read_is_cut_to_the_room_of_the_reply() {
    let world = World::new();
    let channel = ChannelAttributes { response_size_max: 4096, ..CHANNEL };
    let client = world.connection().client_with("one", 2, channel);
    client.run(&[reclaim_complete()]).ok();
    let file = client.make_file("a", &[5; 8192]);
    let reply = client.run(&[putfh(file), read(Stateid::ANONYMOUS, 0, 8192)]).ok();
    let (data, eof) = reply.data();
    assert!(!eof && data.len() > 3900 && reply.bytes <= 4096, "{} of {} bytes", data.len(), reply.bytes);
}

#[test]
fn writes_beyond_what_a_file_can_be_are_too_big() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    for (offset, data, status) in [
        (u64::MAX, &b"x"[..], Status::Fbig),
        (u64::MAX, b"", Status::Fbig),
        (i64::MAX as u64, b"x", Status::Fbig),
        (i64::MAX as u64 - 1, b"xy", Status::Fbig),
        (77, b"", Status::Ok),
    ] {
        client.run(&[putfh(file), write(stateid, offset, StableHow::Unstable, data)]).fails(status);
    }
    assert_eq!(client.contents(file), b"", "an empty WRITE does not lengthen the file");
    client.at_export(&[write(stateid, 0, StableHow::Unstable, b"x")]).fails(Status::Isdir);
    client.at_export(&[commit(0, 0)]).fails(Status::Isdir);
    client.run(&[putrootfh(), read(Stateid::ANONYMOUS, 0, 1)]).fails(Status::Isdir);
    client.run(&[putfh(file), commit(u64::MAX, 2)]).fails(Status::Inval);
}

#[test]
fn full_storage_is_told() {
    let world = World::new();
    let client = world.client("one");
    world.storage().set_quota(1000, Some(8192));
    client.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o777))]).ok();
    let user = client.user(1000, 1000, &[]);
    let (file, stateid) = user.open_new("a");
    user.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, &[1; 8192])]).ok();
    user.run(&[putfh(file), write(stateid, 8192, StableHow::Unstable, &[1; 1])]).fails(Status::Dquot);
    let huge = allocate(stateid, 0, 2 << 30);
    world.storage().set_quota(1000, None);
    user.run(&[putfh(file), huge]).fails(Status::Nospc);
}

#[test]
fn a_lost_write_changes_the_verifier() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let put =
        |data: &[u8]| client.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, data)]).ok().written();
    let sync = || client.run(&[putfh(file), commit(0, 0)]);
    let first = put(b"one");
    assert_eq!(first.committed, StableHow::Unstable);
    assert_eq!(sync().ok().body::<CommitResult>(Operation::Commit).verifier, first.verifier);
    put(b"two");
    world.storage().fail_next_sync();
    sync().fails(Status::Io);
    let after = put(b"two").verifier;
    assert_ne!(after, first.verifier);
    assert_eq!(sync().ok().body::<CommitResult>(Operation::Commit).verifier, after);
    world.storage().fail_next_sync();
    client.run(&[putfh(file), write(stateid, 0, StableHow::FileSync, b"x")]).fails(Status::Io);
}

#[test]
fn committed_data_survives_a_power_loss() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    client.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, b"kept"), commit(0, 0)]).ok();
    let before = client.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, b"lost")]).ok();
    world.storage().crash();
    world.restart();
    let client = world.connection().client_with("one", 2, CHANNEL);
    let claim = OpenClaim::Previous(DelegationType::None);
    let reply = client.run(&[putfh(file), Open::handle().claim(claim).op()]).ok();
    let stateid = reply.opened().stateid;
    client.run(&[reclaim_complete()]).ok();
    assert_eq!(client.contents(file), b"kept");
    let after = client.run(&[putfh(file), write(stateid, 0, StableHow::Unstable, b"again")]).ok();
    assert_ne!(after.written().verifier, before.written().verifier);
}
