//! Grants kept per core: I/O under them ends with their open, and so does their hold on the file.

use wire::nfs4::*;

use crate::support::*;

const DATA_BYTES: usize = 65536;

/// A file with data, open, and the bytes free on its storage.
fn open_file(client: &Client) -> (FileHandle, Stateid, u64) {
    let (file, stateid) = client.open_new("a");
    client.run(&[putfh(file), write(stateid, 0, StableHow::FileSync, &[1; DATA_BYTES])]).ok();
    (file, stateid, free(client))
}

fn free(client: &Client) -> u64 {
    client.at_export(&[getattr(&[attribute::SPACE_FREE])]).ok().attributes().space_free.unwrap()
}

/// The same client over a connection to another core.
fn elsewhere(world: &World, client: &Client) -> (World, Client) {
    let other = world.on_another_core();
    let client = client.over(&other.connection());
    (other, client)
}

#[test]
fn what_a_core_has_granted_ends_with_the_open_on_any_core() {
    let world = World::new();
    let client = world.client("one");
    let (other_world, other) = elsewhere(&world, &client);
    let (file, stateid, _) = open_file(&client);
    for sender in [&client, &other] {
        let reply = sender.run(&[putfh(file), read(stateid, 0, 4), read(stateid, 0, 4)]).ok();
        assert_eq!(reply.data().0, [1; 4]);
    }
    assert_eq!((world.server().grants_kept(), other_world.server().grants_kept()), (2, 1));
    let reply = client.run(&[putfh(file), downgrade(stateid, share_access::BOTH, 0)]).ok();
    let newer = reply.body::<OpenDowngradeResult>(Operation::OpenDowngrade).stateid;
    other.run(&[putfh(file), read(stateid, 0, 4)]).fails(Status::OldStateid);
    other.run(&[putfh(file), read(newer, 0, 4), write(newer, 0, StableHow::Unstable, b"x")]).ok();
    client.run(&[putfh(file), close(newer)]).ok();
    assert_eq!(world.server().grants_kept(), 0);
    for sender in [&client, &other] {
        sender.run(&[putfh(file), read(newer, 0, 4)]).fails(Status::BadStateid);
        sender.run(&[putfh(file), write(newer, 0, StableHow::Unstable, b"x")]).fails(Status::BadStateid);
    }
}

#[test]
fn a_grant_is_for_one_client_file_and_kind() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, stateid, _) = open_file(&one);
    let other = one.make_file("b", b"");
    let reading = one.open(file, Open::handle().owner("r").access(share_access::READ)).ok().opened().stateid;
    one.run(&[putfh(file), read(reading, 0, 1), read(stateid, 0, 1)]).ok();
    one.run(&[putfh(file), write(reading, 0, StableHow::Unstable, b"x")]).fails(Status::Openmode);
    two.run(&[putfh(file), read(stateid, 0, 1)]).fails(Status::BadStateid);
    one.run(&[putfh(other), read(stateid, 0, 1)]).fails(Status::BadStateid);
}

#[test]
fn a_removed_file_gives_its_space_back_when_it_is_closed() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid, before) = open_file(&client);
    client.run(&[putfh(file), read(stateid, 0, 4)]).ok();
    client.at_export(&[remove("a")]).ok();
    assert_eq!(free(&client), before, "still open");
    client.run(&[putfh(file), close(stateid)]).ok();
    assert_eq!(free(&client), before + DATA_BYTES as u64);
}

#[test]
fn another_cores_grant_does_not_hold_a_closed_file() {
    let world = World::new();
    let client = world.client("one");
    let (other_world, other) = elsewhere(&world, &client);
    let (file, stateid, before) = open_file(&client);
    other.run(&[putfh(file), read(stateid, 0, 4)]).ok();
    let (server, other_server) = (world.server(), other_world.server());
    let _maintaining = [
        world.executor().start(async move { server.maintain(true).await }),
        world.executor().start(async move { other_server.maintain(false).await }),
    ];
    client.run(&[putfh(file), close(stateid)]).ok();
    client.at_export(&[remove("a")]).ok();
    assert_eq!(free(&client), before + DATA_BYTES as u64, "the other core's grant keeps nothing open");
    world.advance_milliseconds(1100);
    assert_eq!(other_world.server().grants_kept(), 0);
}

#[test]
fn the_core_that_removes_a_name_looks_at_its_own_grants_first() {
    let world = World::new();
    let client = world.client("one");
    let (_, other) = elsewhere(&world, &client);
    for replace in [false, true] {
        let (file, stateid, before) = open_file(&client);
        other.run(&[putfh(file), read(stateid, 0, 4)]).ok();
        client.run(&[putfh(file), close(stateid)]).ok();
        if replace {
            other.make_file("b", b"");
            other.at_export(&[savefh(), rename("b", "a")]).ok();
        } else {
            other.at_export(&[remove("a")]).ok();
        }
        assert_eq!(free(&client), before + DATA_BYTES as u64);
    }
}

#[test]
fn grants_are_bounded() {
    let world = World::new();
    let client = world.client("one");
    let (file, stateid, _) = open_file(&client);
    for number in 0..40 {
        let owner = format!("owner {number}");
        let opened = client.open(file, Open::handle().owner(&owner)).ok().opened().stateid;
        client.run(&[putfh(file), read(opened, 0, 4)]).ok();
    }
    assert_eq!(world.server().grants_kept(), 16);
    client.run(&[putfh(file), read(stateid, 0, 4)]).ok();
    // More files than a core keeps grants for.
    for number in 0..5000 {
        let name = format!("file {number}");
        let open = Open::named(&name).unchecked(&mode(0o600));
        client.at_export(&[open, read(Stateid::CURRENT, 0, 1)]).ok();
        assert!(world.server().grants_kept() <= 4096 + 16);
    }
    client.run(&[putfh(file), read(stateid, 0, 4)]).ok();
}

#[test]
fn revoked_state_is_not_served_from_grants() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, stateid, _) = open_file(&one);
    one.run(&[putfh(file), read(stateid, 0, 4)]).ok();
    world.advance_seconds(200);
    let deny = || two.open(file, Open::handle().deny(share_deny::BOTH));
    if deny().status == Status::Delay {
        deny().ok();
    }
    one.run(&[putfh(file), read(stateid, 0, 4)]).fails(Status::Expired);
}

#[test]
fn maintenance_sweeps_once_a_second() {
    let world = World::new();
    let one = world.client("one");
    let (file, _) = one.open_new("a");
    world.restart();
    let server = world.server();
    let _maintaining = world.executor().start(async move { server.maintain(true).await });
    let one = world.connection().client_with("one", 2, CHANNEL);
    world.advance_seconds(60);
    one.run(&[]).ok();
    world.advance_seconds(32);
    one.run(&[reclaim_complete()]).ok();
    one.run(&[putfh(file), Open::handle().op()]).ok();
}

#[test]
fn a_session_that_ended_elsewhere_gives_its_replies_room_back() {
    let world = World::new();
    let client = world.client("one");
    let there = world.on_another_core();
    client.over(&there.connection()).run(&[]).ok();
    let reserved = || world.server().shared.state.totals().reply_cache_bytes;
    assert!(reserved() > 0);
    client.connection().compound(2, &[destroy_session(client.session())]).ok();
    let (here, elsewhere) = (world.server(), there.server());
    let _maintaining = world.executor().start(async move { here.maintain(true).await });
    let _there = world.executor().start(async move { elsewhere.maintain(false).await });
    world.advance_seconds(2);
    assert_eq!(reserved(), 0);
}
