//! Limits: requests wait for their turn and are answered without errors.

use std::num::{NonZeroU32, NonZeroU64};

use nfs_ops::ExportId;
use nfs_ops::file_sets::FileSet;
use nfs_ops::limits::Limited;
use qos::limits::{Limit, Rates};
use rpc::Service;
use state::Config;
use wire::nfs3;
use wire::nfs4::*;

use crate::support::*;

const MIB: u64 = 1 << 20;

/// The bytes of one WRITE here: a sixteenth of a second's at a MiB per second.
const PIECE: u64 = 64 << 10;

/// Where clients of [`World::client`] are.
const NEAR: &str = "10.0.0.1";

/// A world whose parked requests are looked after.
fn world() -> World {
    looked_after(World::new())
}

fn looked_after(world: World) -> World {
    world.executor().spawn(world.server().serve_parked());
    world
}

fn near() -> Limited {
    Limited::client(NEAR.parse().unwrap()).unwrap()
}

fn bytes_per_second(bytes: u64) -> Limit {
    let together = NonZeroU64::new(bytes);
    Limit { bytes: Rates { together, ..Rates::default() }, ..Limit::default() }
}

fn operations_per_second(operations: u64) -> Limit {
    let together = NonZeroU64::new(operations);
    Limit { operations: Rates { together, ..Rates::default() }, ..Limit::default() }
}

/// Puts a limit in force as another thread does: its bell is rung.
fn set(world: &World, limited: Limited, limit: Limit) {
    let server = world.server();
    let parent = limited.parent().map(Limited::entity);
    server.shared.limiting.table.set(limited.entity(), parent, limit, world.now_ns()).unwrap();
    server.charges.rouse();
}

fn piece(file: FileHandle, number: u32) -> [Op; 2] {
    let offset = u64::from(number) * PIECE;
    [putfh(file), write(Stateid::ANONYMOUS, offset, StableHow::Unstable, &[7; PIECE as usize])]
}

/// Milliseconds until `count` WRITEs have ended that are begun together.
fn milliseconds_of_writes(world: &World, client: &Client, file: FileHandle, count: u32) -> u64 {
    let begun_ns = world.now_ns();
    let running: Vec<_> = (0..count).map(|number| client.start(number, &piece(file, number))).collect();
    for one in running {
        one.finish().ok();
    }
    (world.now_ns() - begun_ns) / 1_000_000
}

/// Limits the client so that a piece takes ten seconds, and begins the second one.
fn exhausted(world: &World, client: &Client, file: FileHandle) -> Running<Reply> {
    set(world, near(), bytes_per_second(PIECE / 10));
    client.run(&piece(file, 0)).ok();
    let waiting = client.start(1, &piece(file, 1));
    assert!(!waiting.is_done());
    waiting
}

#[track_caller]
fn assert_about(milliseconds: u64, expected: u64) {
    assert!(milliseconds.abs_diff(expected) <= 3, "{milliseconds} ms, and not {expected} ms");
}

#[test]
fn a_client_gets_what_its_limit_allows_and_others_get_all() {
    let world = world();
    let (slow, fast) = (world.client("slow"), world.connection_from("10.0.0.9:800").client("fast", 2));
    let (file, other) = (slow.make_file("a", b""), fast.make_file("b", b""));
    assert_eq!(milliseconds_of_writes(&world, &slow, file, 8), 0, "nothing is limited");
    set(&world, near(), bytes_per_second(MIB));
    // The first goes on at once, and each waits until what went before it is paid.
    assert_about(milliseconds_of_writes(&world, &slow, file, 8), 7 * 1000 / 16);
    assert_eq!(milliseconds_of_writes(&world, &fast, other, 8), 0);
}

/// Where a weight is set and no limit, work is let go on at a rate that is found out by how fast it is done, which begins with 3400 of
/// these WRITEs per second; but some are at work in any case. They take no time here.
#[test]
fn what_is_done_lets_others_go_on_whatever_the_pace() {
    let world = looked_after(World::paced());
    let client = world.client("near");
    let file = client.make_file("a", b"");
    set(&world, near(), Limit { weight: NonZeroU32::new(50), ..Limit::default() });
    let unknown = Stateid { seqid: 1, other: [9; 12] };
    for _ in 0..32 {
        client.run(&[putfh(file), write(unknown, 0, StableHow::Unstable, b"x")]).fails(Status::BadStateid);
    }
    let begun_ns = world.now_ns();
    (0..250).for_each(|_| {
        milliseconds_of_writes(&world, &client, file, 8);
    });
    let milliseconds = (world.now_ns() - begun_ns) / 1_000_000;
    assert!(milliseconds < 20, "2000 took {milliseconds} ms");
}

#[test]
fn an_export_and_the_server_are_limits_of_everybody() {
    for limited in [Limited::Server, Limited::Export(ExportId(1))] {
        let world = world();
        let clients =
            ["10.0.0.1:800", "10.0.0.2:800"].map(|from| world.connection_from(from).client(from, 2));
        let files = ["a", "b"].map(|name| clients[0].make_file(name, b""));
        set(&world, Limited::Server, Limit::default());
        set(&world, limited, bytes_per_second(2 * MIB));
        let begun_ns = world.now_ns();
        let both = |number| [0, 1].map(|one: usize| clients[one].start(number, &piece(files[one], number)));
        let running: Vec<_> = (0..4).flat_map(both).collect();
        for one in running {
            one.finish().ok();
        }
        assert_about((world.now_ns() - begun_ns) / 1_000_000, 7 * 1000 / 32);
    }
}

#[test]
fn a_change_is_in_force_for_those_who_wait() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let waiting = exhausted(&world, &client, file);
    world.advance_seconds(1);
    assert!(!waiting.is_done(), "it takes ten seconds");
    assert_eq!(world.server().admission.parked_count(), 1);
    set(&world, near(), bytes_per_second(100 * MIB));
    world.advance_milliseconds(10);
    assert!(waiting.is_done());
    waiting.finish().ok();
    let waiting = exhausted(&world, &client, file);
    let server = world.server();
    server.shared.limiting.table.remove(near().entity(), world.now_ns()).unwrap();
    server.charges.rouse();
    world.advance_milliseconds(10);
    waiting.finish().ok();
}

#[test]
fn what_would_wait_too_long_is_told_to_come_again_at_once() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let older = world.connection().nfs3();
    set(&world, near(), bytes_per_second(PIECE / 30));
    let begun_ns = world.now_ns();
    client.run(&piece(file, 0)).ok();
    client.run(&piece(file, 1)).fails(Status::Delay);
    let of_older = nfs3::FileHandle::new(file.as_bytes()).unwrap();
    older.write(of_older, 0, nfs3::StableHow::Unstable, &[7; PIECE as usize]).fails(nfs3::Status::Jukebox);
    assert_eq!(world.now_ns(), begun_ns);
}

#[test]
fn what_keeps_a_client_alive_or_gives_back_does_not_wait() {
    let world = world();
    let client = world.client("one");
    let (file, stateid) = client.open_new("a");
    let (second, other) = client.open_new("b");
    let together = NonZeroU64::new(1);
    let operations = Rates { together, ..Rates::default() };
    set(&world, near(), Limit { operations, ..bytes_per_second(PIECE / 10) });
    client.run(&piece(file, 0)).ok();
    let waiting = client.start(1, &piece(file, 1));
    let begun_ns = world.now_ns();
    let size = || getattr(&[attribute::SIZE]);
    client.run(&[]).ok();
    let locked = client.run(&[putfh(file), lock(stateid, "me", LockType::Write, 0, 10), size()]).ok();
    let locked = locked.body::<LockResult>(Operation::Lock).stateid;
    client.run(&[test_stateids(&[locked])]).ok();
    client.run(&[putfh(file), size(), locku(locked, 0, 10)]).ok();
    client.run(&[free_stateid(locked)]).fails(Status::OldStateid);
    client.run(&[putfh(second), size(), close(other)]).ok();
    client.run(&[putfh(file), close(stateid), size()]).ok();
    client.run(&[reclaim_complete()]).fails(Status::CompleteAlready);
    let reclaim = Open::handle().claim(OpenClaim::Previous(DelegationType::None));
    client.run(&[putfh(file), reclaim.op()]).fails(Status::NoGrace);
    assert_eq!(world.now_ns(), begun_ns);
    assert!(!waiting.is_done());
}

#[test]
fn what_only_looks_is_an_operation_each() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    for number in 0..199 {
        client.make_file(&format!("{number}"), b"");
    }
    let older = world.connection().nfs3();
    let of_older = nfs3::FileHandle::new(file.as_bytes()).unwrap();
    let size = || getattr(&[attribute::SIZE]);
    set(&world, near(), operations_per_second(10));
    let milliseconds = |work: &dyn Fn()| {
        // What went before is paid.
        world.advance_seconds(10);
        let begun_ns = world.now_ns();
        work();
        client.run(&[putfh(file), size()]).ok();
        (world.now_ns() - begun_ns) / 1_000_000
    };
    let run = |operations: &[Op]| drop(client.run(operations).ok());
    assert_about(milliseconds(&|| run(&[putfh(file), size()])), 100);
    assert_about(milliseconds(&|| run(&[putfh(file), access(1), size()])), 200);
    assert_about(milliseconds(&|| drop(client.at_export(&[lookup("a"), getfh(), size()]).ok())), 200);
    assert_about(
        milliseconds(&|| {
            run(&[putfh(file), write(Stateid::ANONYMOUS, 0, StableHow::Unstable, b"x"), size()])
        }),
        200,
    );
    let listed = milliseconds(&|| drop(client.at_export(&[readdir(0, 1 << 16, &[])]).ok()));
    assert_about(listed, 100 + 300);
    assert_about(milliseconds(&|| _ = older.getattr(of_older).ok()), 100);
    assert_about(milliseconds(&|| (0..5).for_each(|_| _ = older.access(of_older, 1).ok())), 500);
}

/// A file of so many bytes, and what copies all of it to another.
fn long_copy(client: &Client, bytes: u64, synchronous: bool) -> [Op; 4] {
    let source = client.make_file("source", b"begin");
    client.run(&[putfh(source), setattr(Stateid::ANONYMOUS, &size(bytes))]).ok();
    let (target, stateid) = client.open_new("target");
    let operation = copy((Stateid::ANONYMOUS, 0), (stateid, 0), 0, synchronous);
    [putfh(source), savefh(), putfh(target), operation]
}

#[test]
fn a_copy_is_charged_its_bytes_and_cut_short_where_it_takes_long() {
    let world = world();
    let client = world.client("one");
    let all = long_copy(&client, 5 * MIB, true);
    set(&world, near(), bytes_per_second(MIB));
    let begun_ns = world.now_ns();
    let copied: CopyResult = client.run(&all).ok().body(Operation::Copy);
    assert_eq!(copied.response.count, 3 * MIB, "it was held for two seconds");
    assert_about((world.now_ns() - begun_ns) / 1_000_000, 2000);
}

#[test]
fn a_copy_that_goes_on_keeps_to_the_limit() {
    let world = world();
    let client = world.client("one");
    let all = long_copy(&client, 80 * MIB, false);
    set(&world, near(), bytes_per_second(MIB));
    let copied: CopyResult = client.run(&all).ok().body(Operation::Copy);
    let stateid = copied.response.callback_id.expect("it goes on");
    for seconds in [1, 30] {
        world.advance_seconds(seconds);
    }
    let status: OffloadStatusResult =
        client.run(&[op(OffloadStatusArgs { stateid })]).ok().body(Operation::OffloadStatus);
    assert!((31..=32).contains(&(status.count / MIB)), "{} bytes in 31 seconds", status.count);
    client.run(&[op(OffloadCancelArgs { stateid })]).ok();
}

#[test]
fn all_that_is_charged_is_logged() {
    let world = world();
    let client = world.client("one");
    let all = long_copy(&client, 80 * MIB, false);
    let logged = |operations: &[Op]| {
        world.env().take_logged();
        client.run(operations).ok();
        world.advance_seconds(1);
        let costs = world.env().take_logged();
        costs.iter().fold((0, 0), |(bytes, count), cost| (bytes + cost.bytes, count + cost.operations))
    };
    let looks = [all[0].clone(), access(1), getattr(&[attribute::SIZE]), getattr(&[attribute::SIZE])];
    assert_eq!(logged(&looks), (0, 0), "nobody is charged");
    set(&world, near(), operations_per_second(1 << 20));
    assert_eq!(logged(&looks), (0, 3), "two of them when they had taken place");
    assert_eq!(logged(&all).0, 80 * MIB, "after its reply too");
}

#[test]
fn a_copy_that_goes_on_keeps_to_a_limit_that_is_set_meanwhile() {
    let world = world();
    let client = world.client("one");
    let all = long_copy(&client, 80 * MIB, false);
    let gate = world.server().admission.gate().clone();
    let epoch = gate.close(world.now_ns(), u64::MAX).unwrap();
    let copied: CopyResult = client.run(&all).ok().body(Operation::Copy);
    let stateid = copied.response.callback_id.expect("it goes on");
    set(&world, near(), bytes_per_second(MIB));
    gate.open(epoch, world.now_ns()).unwrap();
    world.advance_seconds(20);
    let status: OffloadStatusResult =
        client.run(&[op(OffloadStatusArgs { stateid })]).ok().body(Operation::OffloadStatus);
    assert!((19..=22).contains(&(status.count / MIB)), "{} bytes in 20 seconds", status.count);
    client.run(&[op(OffloadCancelArgs { stateid })]).ok();
}

#[test]
fn what_has_no_payload_does_not_wait_for_bytes() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let waiting = exhausted(&world, &client, file);
    let begun_ns = world.now_ns();
    client.at_export(&[lookup("a"), getattr(&[attribute::SIZE])]).ok();
    client.run(&[putfh(file), commit(0, 0)]).ok();
    client.at_export(&[mkdir("d")]).ok();
    assert_eq!(world.now_ns(), begun_ns);
    assert!(!waiting.is_done());
}

#[test]
fn the_time_in_which_a_call_was_not_read_counts() {
    let world = world();
    world.advance_seconds(60);
    let client = world.client("one");
    let file = client.make_file("a", b"");
    set(&world, near(), bytes_per_second(PIECE / 10));
    client.run(&piece(file, 0)).ok();
    let call = |slot, unread_seconds: u64| {
        let operations = [&[client.sequence_on(slot)][..], &piece(file, slot)].concat();
        let call = client.connection().call(b"", 2, 3, &operations);
        rpc::Call { unread_ns: unread_seconds * 1_000_000_000, ..call }
    };
    let begun_ns = world.now_ns();
    // Its turn comes in ten seconds.
    client.connection().start_call(call(1, 11)).finish().fails(Status::Delay);
    assert_eq!(world.now_ns(), begun_ns, "it is told when it comes");
    client.connection().start_call(call(2, 9)).finish().ok();
}

#[test]
fn a_call_of_many_operations_is_held_no_longer_than_others() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    set(&world, near(), bytes_per_second(PIECE / 9));
    client.run(&piece(file, 0)).ok();
    let begun_ns = world.now_ns();
    let pieces = [piece(file, 1), piece(file, 2), piece(file, 3)].concat();
    let reply = client.run(&pieces).fails(Status::Delay);
    assert_eq!(reply.results.len(), 1 + 6, "the third would have waited for 27 seconds");
    assert_about((world.now_ns() - begun_ns) / 1_000_000, 18_000);
}

#[test]
fn the_lease_of_who_waits_stands() {
    let lease_ns = 5_000_000_000;
    let world = looked_after(World::with_config(Config { lease_ns, ..Config::new(1, [1, 2]) }));
    let slow = world.client("slow");
    let (file, stateid) = slow.open_new("a");
    slow.run(&[putfh(file), lock(stateid, "me", LockType::Write, 0, 10)]).ok();
    let waiting = exhausted(&world, &slow, file);
    let lock_as = |name: &str| {
        let other = world.connection_from("10.0.0.9:800").client(name, 2);
        let stateid = other.open(file, Open::handle()).ok().opened().stateid;
        other.run(&[putfh(file), lock(stateid, "me", LockType::Write, 0, 10)])
    };
    world.advance_seconds(8);
    lock_as("early").fails(Status::Denied);
    assert!(!waiting.is_done(), "it takes ten seconds");
    waiting.finish().ok();
    world.advance_seconds(5);
    lock_as("later").fails(Status::Denied);
    world.service().unread(slow.connection().id(), true);
    world.advance_seconds(8);
    lock_as("unread").fails(Status::Denied);
    world.service().unread(slow.connection().id(), false);
    world.advance_seconds(5);
    lock_as("still").fails(Status::Denied);
    world.advance_seconds(1);
    lock_as("late").ok();
}

/// The slots that the client is asked to make do with.
fn slots(reply: &Reply) -> u32 {
    let told: SequenceResult = reply.body(Operation::Sequence);
    assert_eq!(told.highest_slot_id.0 + 1, CHANNEL.requests_max, "none are taken away");
    told.target_highest_slot_id.0 + 1
}

#[test]
fn who_waits_for_a_limit_of_its_own_is_asked_to_send_less() {
    for (rate, few) in [(3 * PIECE, 3), (PIECE / 2, 2), (100 * PIECE, CHANNEL.requests_max)] {
        let world = world();
        let client = world.client("one");
        let file = client.make_file("a", b"");
        set(&world, near(), bytes_per_second(rate));
        assert_eq!(slots(&client.run(&piece(file, 0)).ok()), CHANNEL.requests_max);
        let first = client.start(1, &piece(file, 1));
        let second = client.start(2, &piece(file, 2));
        assert_eq!(slots(&first.finish().ok()), few, "{rate} bytes per second");
        assert_eq!(slots(&client.run(&[]).ok()), few);
        set(&world, near(), bytes_per_second(1000 * PIECE));
        assert_eq!(slots(&second.finish().ok()), few);
        // Who need not wait any more gets its slots back, twice as many each time.
        world.advance_seconds(1);
        let told: Vec<_> = (0..3)
            .map(|number| {
                world.advance_seconds(1);
                slots(&client.run(&piece(file, number)).ok())
            })
            .collect();
        assert_eq!(told[0], CHANNEL.requests_max.min(2 * few));
        assert_eq!(told[2], CHANNEL.requests_max);
    }
}

#[test]
fn who_waits_for_a_limit_of_many_keeps_its_slots() {
    for limited in [Limited::Export(ExportId(1)), Limited::Server] {
        let world = world();
        let client = world.client("one");
        let file = client.make_file("a", b"");
        set(&world, Limited::Server, Limit::default());
        set(&world, near(), bytes_per_second(100 * MIB));
        set(&world, limited, bytes_per_second(PIECE / 2));
        client.run(&piece(file, 0)).ok();
        let half = CHANNEL.requests_max / 2;
        let waiting: Vec<_> = (1..=half)
            .map(|slot| {
                assert!(client.connection().is_read(), "half of the slots are not reached with {slot}");
                client.start(slot, &piece(file, slot))
            })
            .collect();
        assert!(!client.connection().is_read(), "half of the slots are for other work");
        for (index, one) in waiting.into_iter().enumerate() {
            assert!(!one.is_done());
            assert_eq!(slots(&one.finish().ok()), CHANNEL.requests_max);
            let is_last = index + 1 == half as usize;
            assert_eq!(client.connection().is_read(), is_last, "the one that found half is the last");
        }
    }
}

#[test]
fn who_has_no_slots_is_not_read_before_anything_is_refused() {
    let world = world();
    let connection = world.connection();
    let older = connection.nfs3();
    let object = world.client("one").make_file("a", b"");
    let object = nfs3::FileHandle::new(object.as_bytes()).unwrap();
    set(&world, near(), operations_per_second(100));
    older.getattr(object).ok();
    let mut waiting = Vec::new();
    while connection.is_read() {
        let (_, call) = older.call(&nfs3::GetAttrArgs { object });
        waiting.push(connection.start_outcome(call));
    }
    assert_eq!((waiting.len(), world.server().admission.parked_count()), (128, 128));
    waiting.into_iter().for_each(|one| drop(one.finish()));
    assert!(connection.is_read());
}

#[test]
fn who_waits_for_one_export_has_slots_for_the_other() {
    let world = looked_after(World::with(vec![export_settings(1, EXPORT), export_settings(2, "other")]));
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let open = Open::named("b").unchecked(&mode(0o644));
    let other = client.run(&[putrootfh(), lookup("other"), open, getfh()]).ok().handle();
    set(&world, Limited::Server, Limit::default());
    set(&world, Limited::Export(ExportId(1)), bytes_per_second(PIECE / 2));
    client.run(&piece(file, 0)).ok();
    let half = CHANNEL.requests_max / 2;
    let waiting: Vec<_> = (1..=half).map(|slot| client.start(slot, &piece(file, slot))).collect();
    assert!(!client.connection().is_read(), "nothing else is known to be done");
    client.run(&piece(other, 0)).ok();
    let begun_ns = world.now_ns();
    for number in 1..5 {
        client.send(client.sequence_on(half + 1), &piece(file, number)).fails(Status::Delay);
        client.run(&piece(other, number)).ok();
    }
    assert_eq!(world.now_ns(), begun_ns);
    let server = world.server();
    let seat = server.shared.limiting.table.seat(Limited::Export(ExportId(1)).entity()).unwrap();
    assert_eq!(server.admission.usage(seat).refused, 4);
    // What would not wait for long is in nobody's way.
    set(&world, Limited::Export(ExportId(1)), bytes_per_second(100 * PIECE));
    for slot in 0..3 {
        drop(client.start(half + 1 + slot, &piece(file, slot)).finish().ok());
    }
    for one in waiting {
        one.finish().ok();
    }
    assert!(client.connection().is_read());
}

#[test]
fn versions_share_a_clients_limit() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    let older = world.connection().nfs3();
    set(&world, near(), bytes_per_second(MIB));
    let begun_ns = world.now_ns();
    for number in 0..4 {
        client.run(&piece(file, number)).ok();
        let of_older = nfs3::FileHandle::new(file.as_bytes()).unwrap();
        older.write(of_older, 0, nfs3::StableHow::Unstable, &[8; PIECE as usize]).ok();
    }
    assert_about((world.now_ns() - begun_ns) / 1_000_000, 7 * 1000 / 16);
}

#[test]
fn a_read_is_charged_what_was_there() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"four");
    set(&world, near(), bytes_per_second(MIB));
    let begun_ns = world.now_ns();
    for _ in 0..16 {
        client.run(&[putfh(file), read(Stateid::ANONYMOUS, 0, PIECE as u32)]).ok();
    }
    // Each waits for what it may need, and the first takes it from nobody.
    assert_about((world.now_ns() - begun_ns) / 1_000_000, 1000 / 16);
}

#[test]
fn read_plus_is_charged_what_was_there() {
    let mut settings = export_settings(1, EXPORT);
    settings.read_plus = true;
    let world = World::with(vec![settings]);
    world.executor().spawn(world.server().serve_parked());
    let client = world.client("one");
    let file = client.make_file("a", b"four");
    set(&world, near(), bytes_per_second(MIB));
    let begun_ns = world.now_ns();
    for _ in 0..4 {
        client.run(&[putfh(file), read_plus(Stateid::ANONYMOUS, 0, u32::MAX)]).ok();
    }
    let waited_ms = (world.now_ns() - begun_ns) / 1_000_000;
    assert!(
        waited_ms <= 1000,
        "{waited_ms} ms for what the largest reply could hold, and not for all that was asked for"
    );
}

#[test]
fn large_requests_count_as_several() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    set(&world, near(), operations_per_second(10));
    let data = vec![7; 3 * PIECE as usize];
    let begun_ns = world.now_ns();
    client.run(&[putfh(file), write(Stateid::ANONYMOUS, 0, StableHow::Unstable, &data)]).ok();
    client.at_export(&[mkdir("d")]).ok();
    assert_about((world.now_ns() - begun_ns) / 1_000_000, 300);
}

#[test]
fn what_waits_for_its_turn_holds_no_memory_for_its_reply() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", &[7; PIECE as usize]);
    set(&world, near(), bytes_per_second(PIECE / 10));
    let all = [putfh(file), read(Stateid::ANONYMOUS, 0, PIECE as u32)];
    client.run(&all).ok();
    let waiting = client.start(1, &all);
    assert!(!waiting.is_done());
    assert_eq!(world.env().pool().bytes_taken(), 0);
    waiting.finish().ok();
}

/// Makes a file set of a directory of the export, with a limit.
fn set_files(world: &World, path: &str, limit: Limit) -> FileSet {
    let files = FileSet::at(ExportId(1), path.as_bytes());
    let limited = Limited::Files(files);
    set(world, Limited::Server, Limit::default());
    set(world, limited.parent().unwrap(), Limit::default());
    set(world, limited, limit);
    world.server().shared.limiting.file_sets.add(files, path.as_bytes()).unwrap();
    files
}

#[test]
fn a_file_set_is_a_limit_of_what_lies_in_its_directory() {
    let world = world();
    let client = world.client("one");
    let file = client.make_file("a", b"");
    client.at_export(&[mkdir("set")]).ok();
    let files = set_files(&world, "set", bytes_per_second(MIB));
    let took = |count| milliseconds_of_writes(&world, &client, file, count);
    assert_eq!(took(4), 0, "the file is beside the set");

    let go_in = || [savefh(), lookup("set"), rename("a", "b")];
    client.at_export(&go_in()).ok();
    assert_about(took(5), 4 * 1000 / 16);
    client.at_export(&[savefh(), rename("set", "other")]).ok();
    assert_eq!(took(4), 0, "no set is called so");
    // The last of the former is to be paid yet.
    client.at_export(&[savefh(), rename("other", "set")]).ok();
    assert_about(took(4), 4 * 1000 / 16);
    client.at_export(&[lookup("set"), savefh(), putrootfh(), lookup(EXPORT), rename("b", "a")]).ok();
    assert_eq!(took(4), 0, "it is out again");
    client.at_export(&go_in()).ok();
    world.server().shared.limiting.file_sets.remove(files);
    assert_eq!(took(4), 0, "there is no set any more");
}

#[test]
fn a_file_set_is_charged_with_its_export() {
    let world = world();
    let client = world.client("one");
    client.at_export(&[mkdir("set")]).ok();
    let file = client.make_file("a", b"");
    client.at_export(&[savefh(), lookup("set"), rename("a", "a")]).ok();
    set_files(&world, "set", bytes_per_second(8 * MIB));
    set(&world, Limited::Export(ExportId(1)), bytes_per_second(MIB));
    assert_about(milliseconds_of_writes(&world, &client, file, 5), 4 * 1000 / 16);
}
