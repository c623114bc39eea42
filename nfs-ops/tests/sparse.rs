//! Space, holes and copies (RFC 7862 §15.1 to §15.13).

use wire::nfs4::*;
use wire::xdr::List;

use crate::support::*;

const BLOCK: u64 = vfs::mem::BLOCK_BYTES;
/// More than the server copies before it answers.
const LONG_BYTES: u64 = 70 << 20;

/// A file of four blocks: data, hole, data, hole.
fn checkered(client: &Client) -> (FileHandle, Stateid) {
    let (file, stateid) = client.open_new("checkered");
    let block = vec![7; BLOCK as usize];
    client
        .run(&[
            putfh(file),
            write(stateid, 0, StableHow::Unstable, &block),
            write(stateid, 2 * BLOCK, StableHow::Unstable, &block),
            setattr(stateid, &size(4 * BLOCK)),
        ])
        .ok();
    (file, stateid)
}

#[test]
fn data_and_holes_are_found() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = checkered(&client);
    for (offset, what, expected) in [
        (0, DataContent::Data, Ok((false, 0))),
        (0, DataContent::Hole, Ok((false, BLOCK))),
        (BLOCK + 1, DataContent::Data, Ok((false, 2 * BLOCK))),
        (BLOCK + 1, DataContent::Hole, Ok((false, BLOCK + 1))),
        (2 * BLOCK, DataContent::Hole, Ok((false, 3 * BLOCK))),
        (3 * BLOCK, DataContent::Data, Ok((true, 4 * BLOCK))),
        (4 * BLOCK, DataContent::Data, Err(Status::Nxio)),
        (4 * BLOCK, DataContent::Hole, Err(Status::Nxio)),
        (u64::MAX, DataContent::Hole, Err(Status::Nxio)),
    ] {
        let reply = client.run(&[putfh(file), seek(stateid, offset, what)]);
        match expected {
            Ok((eof, found)) => {
                let told: SeekResult = reply.ok().body(Operation::Seek);
                assert_eq!((told.eof, told.offset), (eof, found), "{what} from {offset}");
            }
            Err(status) => drop(reply.fails(status)),
        }
    }
    let other = op(SeekArgs { stateid, offset: 0, what: 2 });
    client.run(&[putfh(file), other]).fails(Status::UnionNotsupp);
    client.at_export(&[seek(Stateid::ANONYMOUS, 0, DataContent::Data)]).fails(Status::Isdir);
}

#[test]
fn ranges_are_allocated_and_given_back() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let used = || {
        let reply = client.run(&[putfh(file), getattr(&[attribute::SPACE_USED, attribute::SIZE])]).ok();
        let told = reply.attributes();
        (told.space_used.unwrap(), told.size.unwrap())
    };
    client.run(&[putfh(file), allocate(stateid, BLOCK, 2 * BLOCK)]).ok();
    assert_eq!(used(), (2 * BLOCK, 3 * BLOCK));
    client.run(&[putfh(file), deallocate(stateid, BLOCK, BLOCK)]).ok();
    assert_eq!(used(), (BLOCK, 3 * BLOCK));
    for (offset, length, status) in
        [(0, 0, Status::Inval), (u64::MAX, 2, Status::Fbig), (i64::MAX as u64, 1, Status::Fbig)]
    {
        client.run(&[putfh(file), allocate(stateid, offset, length)]).fails(status);
        client.run(&[putfh(file), deallocate(stateid, offset, length)]).fails(status);
    }
    let reading = client.open(file, Open::handle().owner("r").access(share_access::READ)).ok();
    client.run(&[putfh(file), allocate(reading.opened().stateid, 0, 1)]).fails(Status::Openmode);
}

#[test]
fn read_plus_is_off_unless_the_export_has_it() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = checkered(&client);
    client.run(&[putfh(file), read_plus(stateid, 0, 100)]).fails(Status::Notsupp);
    let mut settings = export_settings(1, EXPORT);
    settings.read_plus = true;
    let world = World::with(vec![settings]);
    let client = world.client("one");
    let (file, stateid) = checkered(&client);
    let whole = vec![7; BLOCK as usize];
    for (offset, count, expected, eof) in [
        (
            0,
            u32::MAX,
            vec![
                Segment::Data(0, whole.clone()),
                Segment::Hole(BLOCK, BLOCK),
                Segment::Data(2 * BLOCK, whole.clone()),
                Segment::Hole(3 * BLOCK, BLOCK),
            ],
            true,
        ),
        (5, 3, vec![Segment::Data(5, vec![7; 3])], false),
        (BLOCK - 1, 3, vec![Segment::Data(BLOCK - 1, vec![7]), Segment::Hole(BLOCK, 2)], false),
        (4 * BLOCK, 3, vec![], true),
        (u64::MAX, 3, vec![], true),
        (0, 0, vec![], false),
    ] {
        let reply = client.run(&[putfh(file), read_plus(stateid, offset, count)]).ok();
        assert_eq!(reply.segments(), (expected, eof), "{count} at {offset}");
    }
    client.at_export(&[read_plus(Stateid::ANONYMOUS, 0, 1)]).fails(Status::Isdir);
}

#[test]
fn read_plus_fits_every_reply() {
    let mut settings = export_settings(1, EXPORT);
    settings.read_plus = true;
    let world = World::with(vec![settings]);
    let setup = world.client("setup");
    let (file, stateid) = checkered(&setup);
    setup.run(&[putfh(file), close(stateid)]).ok();
    for bytes in (400..560).step_by(4) {
        let channel =
            ChannelAttributes { response_size_max: bytes, response_size_max_cached: 100, ..CHANNEL };
        let client = world.connection().client_with(&format!("client {bytes}"), 2, channel);
        let reply = client.run(&[putfh(file), read_plus(Stateid::BYPASS, BLOCK - 300, 1000)]);
        assert!(reply.ok().bytes <= bytes as usize);
    }
}

#[test]
fn ranges_are_copied_within_the_server() {
    let world = World::new();
    let client = world.client("one");
    let source = client.make_file("source", b"0123456789");
    let (target, stateid) = client.open_new("target");
    let run = |operation: Op| client.run(&[putfh(source), savefh(), putfh(target), operation]);
    let from = Stateid::ANONYMOUS;
    let reply = run(copy((from, 2), (stateid, 1), 5, true)).ok();
    let copied: CopyResult = reply.body(Operation::Copy);
    assert_eq!((copied.response.count, copied.response.callback_id), (5, None));
    assert!(copied.requirements.synchronous);
    assert_eq!(client.contents(target), b"\x0023456");
    run(copy((from, 0), (stateid, 0), 0, false)).ok();
    assert_eq!(client.contents(target), b"0123456789");
    for (operation, status) in [
        (copy((from, 11), (stateid, 0), 0, true), Status::Inval),
        (copy((from, 5), (stateid, 0), 6, true), Status::Inval),
        (copy((from, 0), (stateid, u64::MAX), 5, true), Status::Fbig),
        (copy((from, 0), (Stateid::CURRENT, 0), 0, true), Status::BadStateid),
        (clone_range((from, 1), (stateid, 0), 2), Status::Inval),
        (clone_range((from, 0), (stateid, 0), 11), Status::Inval),
    ] {
        run(operation).fails(status);
    }
    client.run(&[putfh(target), savefh(), copy((stateid, 0), (stateid, 1), 5, true)]).fails(Status::Inval);
    client.at_export(&[savefh(), putfh(target), copy((from, 0), (stateid, 0), 0, true)]).fails(Status::Isdir);
    run(clone_range((from, 0), (stateid, 0), 0)).ok();
    let elsewhere = NetLocation::Name("elsewhere".into());
    let between = CopyArgs {
        source_stateid: from,
        destination_stateid: stateid,
        source_offset: 0,
        destination_offset: 0,
        count: 0,
        consecutive: true,
        synchronous: true,
        source_servers: List(vec![elsewhere]),
    };
    run(op(between)).fails(Status::Notsupp);
}

/// A COPY that goes on after its reply; answers its stateid, the files and the target's.
fn begin_long_copy(client: &Client) -> (Stateid, FileHandle) {
    let source = client.make_file("source", b"begin");
    client.run(&[putfh(source), setattr(Stateid::ANONYMOUS, &size(LONG_BYTES))]).ok();
    let (target, stateid) = client.open_new("target");
    let operation = copy((Stateid::ANONYMOUS, 0), (stateid, 0), 0, false);
    let reply = client.run(&[putfh(source), savefh(), putfh(target), operation]).ok();
    let copied: CopyResult = reply.body(Operation::Copy);
    assert_eq!((copied.response.count, copied.requirements.synchronous), (0, false));
    (copied.response.callback_id.expect("it goes on"), target)
}

fn status_of(client: &Client, stateid: Stateid) -> OffloadStatusResult {
    client.run(&[op(OffloadStatusArgs { stateid })]).ok().body(Operation::OffloadStatus)
}

#[test]
fn a_long_copy_goes_on_and_its_end_is_called() {
    let world = World::new();
    let client = world.client("one");
    let (stateid, target) = begin_long_copy(&client);
    let status = status_of(&client, stateid);
    assert_eq!(status.complete, None);
    let callbacks = world.callbacks();
    assert_eq!((callbacks.len(), callbacks[0].minor), (1, 2));
    let CallbackArguments::Offload(end) = callbacks[0].operation() else { panic!("{callbacks:?}") };
    assert_eq!((end.handle, end.stateid), (target, stateid));
    let OffloadInfo::Done(response) = end.info else { panic!("{:?}", end.info) };
    assert_eq!(response.count, LONG_BYTES);
    let status = status_of(&client, stateid);
    assert_eq!((status.count, status.complete), (LONG_BYTES, Some(Status::Ok)));
    let reply = client.run(&[putfh(target), read(Stateid::BYPASS, 0, 5), getattr(&[attribute::SIZE])]).ok();
    assert_eq!((&reply.data().0[..], reply.attributes().size), (&b"begin"[..], Some(LONG_BYTES)));
    let other = world.client("two");
    other.run(&[op(OffloadStatusArgs { stateid })]).fails(Status::BadStateid);
    other.run(&[op(OffloadCancelArgs { stateid })]).fails(Status::BadStateid);
}

#[test]
fn a_long_copy_is_cancelled() {
    let world = World::new();
    let client = world.client("one");
    let (stateid, target) = begin_long_copy(&client);
    client.run(&[op(OffloadCancelArgs { stateid })]).ok();
    assert!(world.callbacks().is_empty(), "who cancels is not called");
    client.run(&[op(OffloadStatusArgs { stateid })]).fails(Status::BadStateid);
    let reply = client.run(&[putfh(target), getattr(&[attribute::SIZE])]).ok();
    assert!(reply.attributes().size.unwrap() < LONG_BYTES);
}

#[test]
fn the_end_of_a_copy_is_called_until_the_client_hears_it() {
    let world = World::new();
    let client = world.client("one");
    let connection = client.connection().id();
    world.set_manner(connection, Manner::Breaks);
    let (stateid, _) = begin_long_copy(&client);
    assert!(world.callbacks().is_empty(), "the connection breaks");
    world.set_manner(connection, Manner::Answers(Status::Delay));
    world.advance_seconds(1);
    assert_eq!(world.callbacks().len(), 1, "not now, says the client");
    world.set_manner(connection, Manner::Answers(Status::Ok));
    world.advance_seconds(1);
    let callbacks = world.callbacks();
    let CallbackArguments::Offload(end) = callbacks[0].operation() else { panic!("{callbacks:?}") };
    assert_eq!(end.stateid, stateid);
    world.advance_seconds(5);
    assert!(world.callbacks().is_empty(), "it knows");
}

#[test]
fn a_server_that_stops_calls_nobody_again() {
    let world = World::new();
    let client = world.client("one");
    let connection = client.connection().id();
    world.set_manner(connection, Manner::Breaks);
    begin_long_copy(&client);
    assert!(world.callbacks().is_empty());
    world.server().shared.state.close();
    world.set_manner(connection, Manner::Answers(Status::Ok));
    world.advance_seconds(5);
    assert!(world.callbacks().is_empty());
}

#[test]
fn a_copy_whose_end_cannot_be_called_is_done_before_its_answer() {
    let world = World::new();
    let client = world.client("one");
    client.connection().lose();
    let source = client.make_file("source", b"begin");
    client.run(&[putfh(source), setattr(Stateid::ANONYMOUS, &size(LONG_BYTES))]).ok();
    let (target, stateid) = client.open_new("target");
    let operation = copy((Stateid::ANONYMOUS, 0), (stateid, 0), 0, false);
    let reply = client.run(&[putfh(source), savefh(), putfh(target), operation]).ok();
    let copied: CopyResult = reply.body(Operation::Copy);
    assert_eq!((copied.response.count, copied.requirements.synchronous), (LONG_BYTES, true));
}

#[test]
fn a_copy_ends_with_the_right_to_it() {
    let world = World::new();
    let client = world.client("one");
    let (_, target) = begin_long_copy(&client);
    // The client restarts, and all that it held is gone before a byte is copied.
    let (client_id, sequence, _) = client.connection().exchange_id("one", 2);
    let again = create_session(client_id, sequence, CHANNEL, 0);
    client.connection().compound(2, &[again]).ok();
    assert!(world.callbacks().is_empty(), "nobody waits for it");
    let other = world.client("two");
    let reply = other.run(&[putfh(target), getattr(&[attribute::SIZE])]).ok();
    assert_eq!(reply.attributes().size, Some(0));
}

#[test]
fn ranges_of_one_file_are_copied_when_they_are_apart() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    client.run(&[putfh(file), setattr(stateid, &size(LONG_BYTES))]).ok();
    let within = |from, to, count| {
        let operation = copy((stateid, from), (stateid, to), count, true);
        client.run(&[putfh(file), savefh(), operation])
    };
    // Further apart than one step of a copy, and yet not apart.
    within(0, 40 << 20, 60 << 20).fails(Status::Inval);
    within(5, 0, 60 << 20).fails(Status::Inval);
    within(0, 5, 0).fails(Status::Inval);
    within(0, 35 << 20, 35 << 20).ok();
    within(35 << 20, 0, 1 << 20).ok();
}

#[test]
fn a_long_copy_that_fails_says_how_far_it_came() {
    let world = World::new();
    let client = world.client("one");
    world.storage().set_quota(5, Some(3 << 20));
    client.at_export(&[setattr(Stateid::ANONYMOUS, &mode(0o777))]).ok();
    let user = client.user(5, 5, &[]);
    begin_long_copy(&user);
    let callbacks = world.callbacks();
    let CallbackArguments::Offload(end) = callbacks[0].operation() else { panic!("{callbacks:?}") };
    match end.info {
        OffloadInfo::Done(response) => assert!(response.count > 0 && response.count < LONG_BYTES),
        OffloadInfo::Failed { status, bytes_copied } => {
            assert_eq!(status, Status::Dquot);
            assert!(bytes_copied < LONG_BYTES);
        }
    }
}

#[test]
fn advice_is_answered_with_what_is_followed() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let hints = Bitmap::of(&[IoAdvice::Sequential.number(), IoAdvice::InitProximity.number()]);
    let advise = op(IoAdviseArgs { stateid, offset: 0, count: 0, hints });
    let reply = client.run(&[putfh(file), advise]).ok();
    let told: IoAdviseResult = reply.body(Operation::IoAdvise);
    assert!(told.hints.is_subset(&Bitmap::of(&[IoAdvice::Sequential.number()])));
    let unknown = Stateid { seqid: 1, other: [8; 12] };
    let advise = op(IoAdviseArgs { stateid: unknown, offset: 0, count: 0, hints });
    client.run(&[putfh(file), advise]).fails(Status::BadStateid);
}
