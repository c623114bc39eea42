//! Expired clients keep what nobody else wants.

use wire::nfs4::{Stateid, Status};

use super::fixture::{LEASE, Peer, Server, file};
use crate::config::Defect;
use crate::{Access, Deny, IoGrant, IoWant, LockKind, LockRefusal, Locker, Standing, status_flag};

const ALL: (u64, u64) = (0, u64::MAX);

fn lock(server: &Server, peer: &Peer, open: Stateid) -> Result<Stateid, LockRefusal> {
    let locker = Locker::Open { stateid: open, owner: b"owner" };
    server.lock(peer, "file", locker, LockKind::Write, ALL, false)
}

/// A silent client with an open and a lock of "file", and one that has just said something.
fn silent_and_active(server: &mut Server, deny: Deny) -> (Peer, Stateid, Stateid, Peer) {
    let silent = server.peer("silent");
    let open = server.open(&silent, "file", Access::Both, deny).unwrap();
    let locked = lock(server, &silent, open).unwrap();
    server.pass(2 * LEASE);
    let active = server.peer("active");
    server.state.sweep(server.now);
    (silent, open, locked, active)
}

#[test]
fn an_expired_client_that_comes_back_finds_everything() {
    let mut server = Server::new();
    let (silent, open, locked, active) = silent_and_active(&mut server, Deny::None);
    server.open(&active, "file", Access::Both, Deny::None).unwrap();
    server.renew(&silent);
    assert_eq!(silent.session.status_flags(), 0);
    assert_eq!(server.state.test_stateid(&silent.client, &open), Status::Ok);
    assert_eq!(server.state.test_stateid(&silent.client, &locked), Status::Ok);
    let other = server.open(&active, "file", Access::Both, Deny::None).unwrap();
    assert!(matches!(lock(&server, &active, other), Err(LockRefusal::Denied(_))), "it is alive again");
}

/// Whether a client keeps its lock from others while a request of it is held for longer than a lease, and for a lease
/// after that, but no longer.
fn does_a_lease_stand_while_held(defect: Option<Defect>) -> bool {
    let mut server = Server::with(|config| config.defect = defect);
    let held = server.peer("held");
    let open = server.open(&held, "file", Access::Both, Deny::None).unwrap();
    lock(&server, &held, open).unwrap();
    let holds = [held.client.hold_lease(), held.client.hold_lease()];
    let is_kept = |server: &mut Server, nanoseconds| {
        server.pass(nanoseconds);
        server.state.sweep(server.now);
        let other = server.peer(&format!("other at {}", server.now));
        let open = server.open(&other, "file", Access::Both, Deny::None).unwrap();
        matches!(lock(server, &other, open), Err(LockRefusal::Denied(_)))
    };
    let while_held = is_kept(&mut server, 2 * LEASE);
    let [first, last] = holds;
    first.end(server.now, server.state.config());
    let while_one_is_held = is_kept(&mut server, 2 * LEASE);
    last.end(server.now, server.state.config());
    let after = is_kept(&mut server, LEASE);
    let late = is_kept(&mut server, 1);
    assert_eq!(held.client.standing() == Standing::Live, late, "its lease runs again");
    while_held && while_one_is_held && after && !late
}

#[test]
fn a_lease_stands_while_a_request_of_its_client_is_held() {
    assert!(does_a_lease_stand_while_held(None));
    let defect = Some(Defect::LeaseRunsWhileHeld);
    assert!(!does_a_lease_stand_while_held(defect), "a lease that runs meanwhile must be seen");
}

#[test]
fn a_conflict_revokes_all_of_an_expired_client_at_once() {
    let mut server = Server::new();
    let (silent, open, locked, active) = silent_and_active(&mut server, Deny::None);
    let elsewhere = server.open(&silent, "elsewhere", Access::Read, Deny::None).unwrap();
    let name = file("elsewhere");
    let Ok(IoGrant::Open(grant)) =
        server.state.check_io(&silent.client, &name, &elsewhere, IoWant::Read, server.now)
    else {
        panic!("no grant")
    };
    let other = server.open(&active, "file", Access::Both, Deny::None).unwrap();
    lock(&server, &active, other).unwrap();
    assert!(!grant.is_valid());
    assert_eq!(server.state.take_effects().files.len(), 2);
    server.renew(&silent);
    assert_eq!(silent.session.status_flags(), status_flag::EXPIRED_ALL_STATE_REVOKED);
    assert!(server.store.records().iter().all(|record| record.owner != b"silent"), "nor may it reclaim");
    let stateids = [open, locked, elsewhere];
    for stateid in &stateids {
        assert_eq!(server.state.test_stateid(&silent.client, stateid), Status::Expired);
    }
    assert_eq!(server.open(&silent, "new", Access::Read, Deny::None), Err(Status::Expired));
    for stateid in &stateids {
        server.state.free_stateid(&silent.client, stateid, server.now).unwrap();
        assert_eq!(server.state.test_stateid(&silent.client, stateid), Status::BadStateid);
    }
    assert_eq!(silent.session.status_flags(), 0, "the loss is acknowledged");
    server.open(&silent, "new", Access::Read, Deny::None).unwrap();
}

#[test]
fn opens_and_special_io_make_an_expired_client_yield_too() {
    let mut server = Server::new();
    let (silent, _, _, active) = silent_and_active(&mut server, Deny::Both);
    server.open(&active, "file", Access::Read, Deny::None).unwrap();
    assert_eq!(silent.client.standing(), Standing::Expired);
    let mut server = Server::new();
    let (silent, _, _, active) = silent_and_active(&mut server, Deny::Write);
    let name = file("file");
    let granted =
        server.state.check_io(&active.client, &name, &Stateid::ANONYMOUS, IoWant::Write, server.now);
    assert!(matches!(granted, Ok(IoGrant::Special)));
    assert_eq!(silent.client.standing(), Standing::Expired);
}

#[test]
fn state_goes_to_another_only_when_the_record_is_gone_for_good() {
    let mut server = Server::new();
    let (silent, _, locked, active) = silent_and_active(&mut server, Deny::None);
    let open = server.open(&active, "file", Access::Both, Deny::None).unwrap();
    let delayed = Err(LockRefusal::Status(Status::Delay));
    server.store.hold();
    assert_eq!(lock(&server, &active, open), delayed);
    assert_eq!(server.state.test_stateid(&silent.client, &locked), Status::Expired, "revoked at once");
    assert_eq!(lock(&server, &active, open), delayed);
    server.store.fail(true);
    server.store.release();
    assert_eq!(lock(&server, &active, open), delayed, "the removal failed and is tried again");
    server.store.fail(false);
    lock(&server, &active, open).unwrap();
    assert_eq!(server.store.records().len(), 1);
}

#[test]
fn courtesy_ends_and_needs_state() {
    let mut server = Server::new();
    let idle = server.peer("idle");
    let silent = server.peer("silent");
    server.open(&silent, "file", Access::Both, Deny::None).unwrap();
    server.pass(LEASE + 1);
    server.state.sweep(server.now);
    assert!(!idle.session.is_alive(), "it held nothing");
    assert!(silent.session.is_alive());
    server.pass(server.state.config().courtesy_ns);
    let effects = server.state.sweep(server.now);
    assert!(!silent.session.is_alive());
    assert_eq!(effects.files.len(), 1);
    drop((idle, silent));
    assert_eq!(server.state.totals(), crate::Totals::default());
    assert_eq!(server.store.records(), []);
}

#[test]
fn the_administrator_revokes_a_client() {
    let server = Server::new();
    let peer = server.peer("a");
    server.state.revoke_client(peer.client.id(), 0).unwrap();
    assert_eq!(peer.client.standing(), Standing::Live, "there was nothing to revoke");
    let open = server.open(&peer, "file", Access::Both, Deny::Both).unwrap();
    server.state.revoke_client(peer.client.id(), 0).unwrap();
    assert_eq!(server.state.test_stateid(&peer.client, &open), Status::AdminRevoked);
    assert_eq!(peer.session.status_flags(), status_flag::ADMIN_STATE_REVOKED);
    let other = server.peer("b");
    server.open(&other, "file", Access::Both, Deny::Both).unwrap();
    server.state.free_stateid(&peer.client, &open, 0).unwrap();
    assert_eq!(peer.session.status_flags(), 0);
    assert_eq!(server.state.clients(0).len(), 2);
}
