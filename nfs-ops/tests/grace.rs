//! After a restart (RFC 8881 §8.4.2, §18.51).

use wire::nfs4::*;

use crate::support::*;

fn reclaim() -> OpenClaim<'static> {
    OpenClaim::Previous(DelegationType::None)
}

#[test]
fn recorded_clients_reclaim_and_nobody_else_gets_anything() {
    let world = World::new();
    let (one, two) = (world.client("one"), world.client("two"));
    let (file, open) = one.open_new("a");
    one.run(&[putfh(file), lock(open, "me", LockType::Write, 0, 10)]).ok();
    one.run(&[putfh(file), setattr(Stateid::ANONYMOUS, &mode(0o000))]).ok();
    world.restart();
    one.run(&[putfh(file)]).fails(Status::Badsession);
    let one = world.connection().client_with("one", 2, CHANNEL);
    let stranger = world.connection().client_with("stranger", 2, CHANNEL);
    for (operation, status) in [
        (Open::handle().op(), Status::Grace),
        (Open::handle().claim(reclaim()).op(), Status::ReclaimBad),
        (lockt("x", LockType::Read, 0, 1), Status::Grace),
        (read(Stateid::ANONYMOUS, 0, 1), Status::Grace),
    ] {
        stranger.run(&[putfh(file), operation]).fails(status);
    }
    stranger.at_export(&[Open::named("new").unchecked(&mode(0o600))]).fails(Status::Grace);
    stranger.at_export(&[lookup("new")]).fails(Status::Noent);
    stranger.run(&[reclaim_complete()]).ok();
    stranger.run(&[putfh(file), Open::handle().op()]).fails(Status::Grace);
    // The mode that now forbids it does not keep a recorded client from its open.
    let user = one.user(1000, 1000, &[]);
    let reply = user.run(&[putfh(file), Open::handle().claim(reclaim()).op()]).ok();
    let open = reply.opened().stateid;
    one.run(&[putfh(file), lock_reclaim(open, "me", LockType::Write, 0, 10)]).ok();
    one.run(&[putfh(file), read(open, 0, 1)]).ok();
    one.run(&[putfh(file), Open::handle().op()]).fails(Status::Grace);
    one.run(&[reclaim_complete()]).ok();
    one.run(&[reclaim_complete()]).fails(Status::CompleteAlready);
    one.run(&[putfh(file), Open::handle().claim(reclaim()).op()]).fails(Status::NoGrace);
    // The second recorded client has not come back, so grace still runs.
    one.run(&[putfh(file), Open::handle().op()]).fails(Status::Grace);
    let two_again = world.connection().client_with("two", 2, CHANNEL);
    two_again.run(&[reclaim_complete()]).ok();
    one.run(&[putfh(file), Open::handle().op()]).ok();
    let denied = two_again.run(&[putfh(file), lockt("x", LockType::Read, 0, 1)]).fails(Status::Denied);
    assert_eq!(denied.last::<LockDenied<'_>>().owner.owner.bytes(), b"me");
    drop(two);
}

#[test]
fn grace_ends_by_itself() {
    let world = World::new();
    let one = world.client("one");
    let (file, _) = one.open_new("a");
    world.restart();
    let late = world.connection().client_with("one", 2, CHANNEL);
    world.advance_seconds(60);
    late.run(&[]).ok();
    world.advance_seconds(40);
    nfs_ops::sweep(&world.server());
    late.run(&[putfh(file), Open::handle().claim(reclaim()).op()]).fails(Status::NoGrace);
    late.run(&[putfh(file), Open::handle().op()]).fails(Status::Grace);
    late.run(&[reclaim_complete()]).ok();
    late.run(&[putfh(file), Open::handle().op()]).ok();
}

#[test]
fn a_fresh_server_has_no_grace_but_waits_for_reclaim_complete() {
    let world = World::new();
    let client = world.connection().client_with("one", 2, CHANNEL);
    client.at_export(&[Open::named("a").unchecked(&mode(0o600))]).fails(Status::Grace);
    client.at_export(&[op(ReclaimCompleteArgs { one_fs: true })]).ok();
    client.run(&[op(ReclaimCompleteArgs { one_fs: true })]).fails(Status::Nofilehandle);
    client.run(&[reclaim_complete()]).ok();
    client.at_export(&[Open::named("a").unchecked(&mode(0o600))]).ok();
}

#[test]
fn a_restart_within_grace_keeps_the_earlier_record() {
    let world = World::new();
    let (file, _) = world.client("one").open_new("a");
    world.restart();
    world.restart();
    let one = world.connection().client_with("one", 2, CHANNEL);
    one.run(&[putfh(file), Open::handle().claim(reclaim()).op()]).ok();
}
