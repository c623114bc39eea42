//! Byte-range locks, their stateids and those who wait for them.

use wire::nfs4::{Stateid, Status};

use super::fixture::{LEASE, Peer, Server, file};
use crate::{Access, Deny, IoWant, LockKind, LockNotice, LockRange, LockRefusal, Locker};

const ALL: (u64, u64) = (0, u64::MAX);

/// A client that has "file" open.
struct User {
    peer: Peer,
    open: Stateid,
}

fn users<const N: usize>(server: &Server) -> [User; N] {
    std::array::from_fn(|index| {
        let peer = server.peer(&format!("client {index}"));
        let open = server.open(&peer, "file", Access::Both, Deny::None).unwrap();
        User { peer, open }
    })
}

impl User {
    fn lock(
        &self,
        server: &Server,
        owner: &str,
        kind: LockKind,
        range: (u64, u64),
        blocking: bool,
    ) -> Result<Stateid, LockRefusal> {
        let locker = Locker::Open { stateid: self.open, owner: owner.as_bytes() };
        server.lock(&self.peer, "file", locker, kind, range, blocking)
    }

    fn unlock(&self, server: &Server, stateid: &Stateid, range: (u64, u64)) -> Result<Stateid, Status> {
        let range = LockRange::new(range.0, range.1)?;
        server.state.unlock(&self.peer.client, &file("file"), stateid, range, server.now)
    }

    fn test(
        &self,
        server: &Server,
        owner: &str,
        kind: LockKind,
        range: (u64, u64),
    ) -> Result<(), LockRefusal> {
        let range = LockRange::new(range.0, range.1)?;
        let name = file("file");
        server.state.test_lock(&self.peer.client, &name, owner.as_bytes(), kind, range, server.now)
    }
}

/// Who is in the way and with what.
fn denied<T: std::fmt::Debug>(result: Result<T, LockRefusal>) -> (String, u64, u64, LockKind) {
    match result {
        Err(LockRefusal::Denied(denied)) => {
            let owner = String::from_utf8(denied.owner).unwrap();
            (owner, denied.range.offset(), denied.range.length(), denied.kind)
        }
        other => panic!("not denied: {other:?}"),
    }
}

fn told(notices: &[LockNotice]) -> Vec<&str> {
    notices.iter().map(|notice| str::from_utf8(&notice.owner).unwrap()).collect()
}

#[test]
fn locks_exclude_by_owner_and_kind() {
    let server = Server::new();
    let [a, b] = users(&server);
    a.lock(&server, "p", LockKind::Read, (10, 10), false).unwrap();
    b.lock(&server, "q", LockKind::Read, (15, 10), false).unwrap();
    let in_way = denied(b.lock(&server, "q", LockKind::Write, (0, 12), false));
    assert_eq!(in_way, ("p".into(), 10, 10, LockKind::Read));
    assert_eq!(denied(a.test(&server, "p", LockKind::Write, ALL)), ("q".into(), 15, 10, LockKind::Read));
    assert_eq!(b.test(&server, "q", LockKind::Write, (0, 10)), Ok(()));
    assert_eq!(a.test(&server, "p", LockKind::Write, (0, 15)), Ok(()), "one's own are no conflict");
    // Two owners of one client are strangers.
    assert_eq!(denied(a.test(&server, "p2", LockKind::Write, (10, 1))).0, "p");
    for (offset, length) in [(0, 0), (2, u64::MAX - 1)] {
        let refused = a.lock(&server, "p", LockKind::Read, (offset, length), false);
        assert_eq!(refused, Err(LockRefusal::Status(Status::Inval)));
    }
}

#[test]
fn a_lock_stateid_moves_on_and_lives_until_close() {
    let server = Server::new();
    let [a] = users(&server);
    let first = a.lock(&server, "p", LockKind::Write, (0, 10), false).unwrap();
    let again = a.lock(&server, "p", LockKind::Write, (20, 10), false).unwrap();
    assert_eq!(
        (again.other, again.seqid),
        (first.other, 2),
        "the owner has its stateid for this open already"
    );
    let old = server.lock(&a.peer, "file", Locker::Lock { stateid: first }, LockKind::Read, (0, 1), false);
    assert_eq!(old, Err(LockRefusal::Status(Status::OldStateid)));
    assert_eq!(server.state.free_stateid(&a.peer.client, &again, 0), Err(Status::LocksHeld));
    let unlocked = a.unlock(&server, &again, ALL).unwrap();
    assert_eq!(unlocked.seqid, 3);
    assert_eq!(a.unlock(&server, &unlocked, (5, 5)).unwrap().seqid, 4, "nothing was locked there");
    let newest = Stateid { seqid: 0, ..first };
    let file_key = file("file");
    assert!(server.state.check_io(&a.peer.client, &file_key, &newest, IoWant::Write, 0).is_ok());
    assert_eq!(server.state.free_stateid(&a.peer.client, &newest, 0), Ok(()));
    assert_eq!(a.unlock(&server, &newest, ALL), Err(Status::BadStateid));
    let held = a.lock(&server, "p", LockKind::Write, ALL, false).unwrap();
    assert_eq!(server.state.close_file(&a.peer.client, &file_key, &held, 0).err(), Some(Status::BadStateid));
    server.close(&a.peer, "file", &a.open).unwrap();
    assert_eq!(server.state.test_stateid(&a.peer.client, &held), Status::BadStateid);
    assert_eq!(server.state.totals().locks, 0);
}

#[test]
fn a_lock_needs_an_open_that_allows_such_io() {
    let server = Server::new();
    let peer = server.peer("a");
    for (access, kind) in [(Access::Read, LockKind::Write), (Access::Write, LockKind::Read)] {
        let open = server.open(&peer, "file", access, Deny::None).unwrap();
        let locker = Locker::Open { stateid: open, owner: b"p" };
        let refused = server.lock(&peer, "file", locker, kind, ALL, false);
        assert_eq!(refused, Err(LockRefusal::Status(Status::Openmode)));
        server.close(&peer, "file", &open).unwrap();
    }
}

#[test]
fn waiters_are_told_in_their_order() {
    let mut server = Server::new();
    let [a, b, c, d] = users(&server);
    let held = a.lock(&server, "a", LockKind::Write, ALL, false).unwrap();
    denied(b.lock(&server, "b", LockKind::Write, (0, 10), true));
    denied(c.lock(&server, "c", LockKind::Write, (5, 10), true));
    denied(d.lock(&server, "d", LockKind::Write, (50, 10), true));
    a.unlock(&server, &held, ALL).unwrap();
    let effects = server.state.take_effects();
    assert_eq!(told(&effects.notices), ["b", "d"], "c would be in b's way");
    assert_eq!(denied(c.lock(&server, "c", LockKind::Write, (5, 10), true)).0, "b", "it is b's turn");
    server.pass(server.state.config().limits.waiter_turn_ns);
    assert_eq!(told(&server.state.sweep(server.now).notices), ["c"], "b let its turn pass");
    let taken = c.lock(&server, "c", LockKind::Write, (5, 10), true).unwrap();
    assert_eq!(denied(b.lock(&server, "b", LockKind::Write, (0, 10), true)).0, "c");
    c.unlock(&server, &taken, ALL).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["b", "d"], "both passed their turns");
    b.lock(&server, "b", LockKind::Write, (0, 10), true).unwrap();
}

#[test]
fn whoever_stops_to_wait_is_forgotten() {
    let mut server = Server::new();
    let [a, b, c] = users(&server);
    let held = a.lock(&server, "a", LockKind::Write, ALL, false).unwrap();
    denied(b.lock(&server, "b", LockKind::Write, ALL, true));
    denied(b.lock(&server, "b", LockKind::Write, ALL, false));
    denied(c.lock(&server, "c", LockKind::Write, ALL, true));
    server.close(&c.peer, "file", &c.open).unwrap();
    a.unlock(&server, &held, ALL).unwrap();
    assert!(server.state.take_effects().notices.is_empty());
    let held = a.lock(&server, "a", LockKind::Write, ALL, false).unwrap();
    denied(b.lock(&server, "b", LockKind::Write, ALL, true));
    for _ in 0..3 {
        server.pass(LEASE / 2);
        server.renew(&a.peer);
        server.renew(&b.peer);
        server.state.sweep(server.now);
    }
    a.unlock(&server, &held, ALL).unwrap();
    assert!(server.state.take_effects().notices.is_empty(), "it has not polled for a lease");
}

#[test]
fn readers_are_told_when_a_writer_becomes_one_and_at_close() {
    let server = Server::new();
    let [a, b, c] = users(&server);
    a.lock(&server, "a", LockKind::Write, ALL, false).unwrap();
    denied(b.lock(&server, "b", LockKind::Read, ALL, true));
    denied(c.lock(&server, "c", LockKind::Write, ALL, true));
    a.lock(&server, "a", LockKind::Read, ALL, false).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["b"]);
    let reading = b.lock(&server, "b", LockKind::Read, ALL, true).unwrap();
    server.close(&a.peer, "file", &a.open).unwrap();
    assert!(server.state.take_effects().notices.is_empty());
    b.unlock(&server, &reading, ALL).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["c"]);
}

#[test]
fn locks_and_waiters_are_bounded() {
    let server = Server::with(|config| {
        config.limits.locks_per_file_max = 4;
        config.limits.waiters_per_file_max = 1;
    });
    let [a, b, c] = users(&server);
    let mut lock = None;
    for offset in [0, 10, 20] {
        lock = Some(a.lock(&server, "a", LockKind::Write, (offset, 1), false).unwrap());
    }
    let refused = a.lock(&server, "a", LockKind::Write, (30, 1), false);
    assert_eq!(refused, Err(LockRefusal::Status(Status::Delay)));
    denied(b.lock(&server, "b", LockKind::Write, (0, 1), true));
    denied(c.lock(&server, "c", LockKind::Write, (10, 1), true));
    a.unlock(&server, &lock.unwrap(), ALL).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["b"], "c has to poll");
    assert_eq!(server.state.totals().locks, 1, "a's stateid");
}

#[test]
fn waiters_of_a_client_are_bounded_over_all_files_and_make_room_when_they_go() {
    let server = Server::with(|config| config.limits.waiters_per_client_max = 2);
    let [a, b, c] = users(&server);
    let all = a.lock(&server, "a", LockKind::Write, ALL, false).unwrap();
    for owner in ["b0", "b1", "b2"] {
        denied(b.lock(&server, owner, LockKind::Read, (0, 1), true));
    }
    denied(c.lock(&server, "c", LockKind::Read, (0, 1), true));
    let all = a.unlock(&server, &all, ALL).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["b0", "b1", "c"], "b2 has to poll");
    b.lock(&server, "b0", LockKind::Read, (0, 1), true).unwrap();
    let relocked = Locker::Lock { stateid: all };
    server.lock(&a.peer, "file", relocked, LockKind::Write, (10, 1), false).unwrap();
    denied(b.lock(&server, "b3", LockKind::Read, (10, 1), true));
    denied(b.lock(&server, "b4", LockKind::Read, (10, 1), true));
    server.close(&a.peer, "file", &a.open).unwrap();
    assert_eq!(told(&server.state.take_effects().notices), ["b3"], "b0 made room for one");
    server.close(&b.peer, "file", &b.open).unwrap();
    assert_eq!(b.peer.client.waiters.load(std::sync::atomic::Ordering::Relaxed), 0);
}
