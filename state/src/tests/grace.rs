//! What outlives a restart: the right to reclaim, and nothing else.

use wire::nfs4::{Stateid, Status};

use super::fixture::{LEASE, Peer, Server, file};
use crate::{
    Access, CreateOutcome, Deny, IoWant, LockKind, LockRange, LockRefusal, LockRequest, Locker, OpenClaim,
    status_flag,
};

fn open(server: &Server, peer: &Peer, claim: OpenClaim) -> Result<Stateid, Status> {
    server.open_as(peer, "owner", "file", Access::Both, Deny::None, claim)
}

fn lock(server: &Server, peer: &Peer, open: Stateid, reclaim: bool) -> Result<Stateid, LockRefusal> {
    let asked = LockRequest {
        file: file("file"),
        locker: Locker::Open { stateid: open, owner: b"owner" },
        kind: LockKind::Write,
        blocking: false,
        range: LockRange::new(0, 10)?,
        reclaim,
    };
    server.state.lock(&peer.client, &asked, server.now)
}

#[test]
fn only_recorded_clients_reclaim_and_nobody_gets_new_state() {
    let mut server = Server::new();
    server.peer("a");
    server.peer("b");
    server.restart();
    assert!(server.state.is_in_grace());
    let (a, b, stranger) = (server.mount("a", 1), server.mount("b", 2), server.mount("c", 1));
    let needed = |peer: &Peer| peer.session.status_flags() & status_flag::RESTART_RECLAIM_NEEDED != 0;
    assert_eq!([needed(&a), needed(&b), needed(&stranger)], [true, false, false]);
    let reclaimed = open(&server, &a, OpenClaim::Reclaim).unwrap();
    lock(&server, &a, reclaimed, true).unwrap();
    assert_eq!(lock(&server, &a, reclaimed, false), Err(LockRefusal::Status(Status::Grace)));
    assert_eq!(open(&server, &b, OpenClaim::Reclaim), Err(Status::ReclaimBad), "it has restarted itself");
    assert_eq!(open(&server, &stranger, OpenClaim::Reclaim), Err(Status::ReclaimBad));
    server.reclaim_complete(&stranger).unwrap();
    assert_eq!(open(&server, &stranger, OpenClaim::New), Err(Status::Grace));
    let anonymous = |want| {
        let name = file("file");
        server.state.check_io(&stranger.client, &name, &Stateid::ANONYMOUS, want, 0).err()
    };
    assert_eq!([anonymous(IoWant::Read), anonymous(IoWant::Write)], [Some(Status::Grace); 2]);
    assert!(server.state.check_io(&a.client, &file("file"), &reclaimed, IoWant::Write, 0).is_ok());
    server.reclaim_complete(&a).unwrap();
    assert!(!server.state.is_in_grace(), "all that were recorded have come back or restarted");
    assert!(!needed(&a));
    assert_eq!(open(&server, &a, OpenClaim::Reclaim), Err(Status::NoGrace));
    assert_eq!(server.reclaim_complete(&a), Err(Status::CompleteAlready));
    open(&server, &stranger, OpenClaim::New).unwrap();
}

#[test]
fn a_client_says_reclaim_complete_before_it_gets_new_state() {
    let server = Server::new();
    assert!(!server.state.is_in_grace(), "nobody is recorded");
    let peer = server.mount("a", 1);
    assert_eq!(open(&server, &peer, OpenClaim::New), Err(Status::Grace));
    assert_eq!(open(&server, &peer, OpenClaim::Reclaim), Err(Status::NoGrace));
    server.state.reclaim_complete(&peer.client, true).unwrap();
    assert_eq!(open(&server, &peer, OpenClaim::New), Err(Status::Grace), "that was about one file system");
    server.reclaim_complete(&peer).unwrap();
    open(&server, &peer, OpenClaim::New).unwrap();
}

#[test]
fn a_restart_within_grace_keeps_the_records() {
    let mut server = Server::new();
    server.peer("a");
    server.peer("b");
    server.restart();
    let a = server.mount("a", 1);
    open(&server, &a, OpenClaim::Reclaim).unwrap();
    server.restart();
    server.restart();
    for owner in ["a", "b"] {
        let peer = server.mount(owner, 1);
        server
            .open_as(&peer, "owner", owner, Access::Both, Deny::None, OpenClaim::Reclaim)
            .unwrap_or_else(|status| panic!("{owner}: {status}"));
        server.reclaim_complete(&peer).unwrap();
    }
    assert!(!server.state.is_in_grace());
}

#[test]
fn who_misses_the_grace_period_has_no_right_after_the_next_restart() {
    let mut server = Server::new();
    server.peer("a");
    server.peer("b");
    server.restart();
    // One does not come; one comes but does not finish.
    let b = server.mount("b", 1);
    server.pass(LEASE);
    server.state.sweep(server.now);
    assert!(!server.state.is_in_grace());
    assert_eq!(open(&server, &b, OpenClaim::Reclaim), Err(Status::NoGrace));
    // Both confirm again, but neither has said RECLAIM_COMPLETE when the server dies: somebody else may have
    // got what they held, so they must not reclaim it.
    server.mount("a", 1);
    server.restart();
    assert_eq!(server.state.totals().reclaiming, 0);
    let (a, b) = (server.mount("a", 1), server.mount("b", 1));
    for peer in [&a, &b] {
        let refused = open(&server, peer, OpenClaim::Reclaim);
        assert!(matches!(refused, Err(Status::NoGrace | Status::ReclaimBad)), "{refused:?}");
    }
}

#[test]
fn the_end_of_grace_is_durable_before_new_state() {
    let mut server = Server::new();
    server.peer("a");
    server.restart();
    let stranger = server.peer("b");
    server.store.hold();
    server.pass(LEASE);
    server.state.sweep(server.now);
    assert_eq!(open(&server, &stranger, OpenClaim::New), Err(Status::Grace));
    server.store.fail(true);
    server.store.release();
    assert_eq!(open(&server, &stranger, OpenClaim::New), Err(Status::Grace));
    server.store.fail(false);
    server.state.sweep(server.now);
    open(&server, &stranger, OpenClaim::New).unwrap();
    assert_eq!(server.store.records().len(), 1);
}

#[test]
fn reclaim_complete_waits_for_its_record() {
    let server = Server::new();
    let peer = server.mount("a", 1);
    server.store.hold();
    let Ok(crate::ReclaimComplete::Pending(mut pending)) = server.state.reclaim_complete(&peer.client, false)
    else {
        panic!("the reply must wait for the store")
    };
    assert_eq!(server.reclaim_complete(&peer), Err(Status::Delay));
    assert_eq!(open(&server, &peer, OpenClaim::New), Err(Status::Grace));
    server.store.fail(true);
    server.store.release();
    let stored = pending.stored().outcome().unwrap();
    assert_eq!(server.state.finish_reclaim_complete(pending, stored, 0), Err(Status::Serverfault));
    server.store.fail(false);
    server.reclaim_complete(&peer).unwrap();
    assert!(server.store.records()[0].reclaimable);
}

#[test]
fn reclaims_that_conflict_are_told_so() {
    let mut server = Server::new();
    server.peer("a");
    server.peer("b");
    server.restart();
    let (a, b) = (server.mount("a", 1), server.mount("b", 1));
    server.open_as(&a, "o", "file", Access::Both, Deny::Write, OpenClaim::Reclaim).unwrap();
    assert_eq!(open(&server, &b, OpenClaim::Reclaim), Err(Status::ReclaimConflict));
}

#[test]
fn a_recorded_client_is_confirmed_without_a_write() {
    let mut server = Server::new();
    server.peer("a");
    server.restart();
    let before = server.store.records();
    let (client, sequence, _) = server.exchange("a", 1).unwrap();
    let outcome = server.create_outcome(client, sequence.0).unwrap();
    assert!(matches!(&outcome, CreateOutcome::Pending(_)));
    server.finish(outcome).unwrap();
    assert_eq!(server.store.records(), before, "its right stays with the old epoch until it has reclaimed");
}
