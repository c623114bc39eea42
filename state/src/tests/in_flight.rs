//! What is taken from a client goes to nobody else while I/O under it may still reach the file.

use wire::nfs4::{Stateid, Status};

use super::fixture::{File, LEASE, Peer, Server, file};
use crate::{Access, Deny, InFlight, IoGrant, IoWant, LockKind, LockRefusal, Locker};

fn begin(server: &Server, peer: &Peer, name: &str, stateid: &Stateid, want: IoWant) -> InFlight<File> {
    let granted = server.state.check_io(&peer.client, &file(name), stateid, want, server.now);
    let Ok(IoGrant::Open(grant)) = granted else { panic!("no grant: {granted:?}") };
    grant.begin().expect("the grant is new")
}

fn lock(server: &Server, peer: &Peer, name: &str, open: Stateid) -> Result<Stateid, LockRefusal> {
    let locker = Locker::Open { stateid: open, owner: b"owner" };
    server.lock(peer, name, locker, LockKind::Write, (0, u64::MAX), false)
}

const DELAY: Result<Stateid, LockRefusal> = Err(LockRefusal::Status(Status::Delay));

/// How a client can lose what it holds.
type Loss = fn(&mut Server, &Peer, &Stateid);

const LOSSES: [(&str, Loss); 4] = [
    ("expiry", |server, _, _| server.pass(2 * LEASE)),
    ("revocation", |server, peer, _| server.state.revoke_client(peer.client.id(), server.now).unwrap()),
    ("restart", |server, _, _| server.reclaim_complete(&server.mount("loser", 2)).unwrap()),
    ("close", |server, peer, open| server.close(peer, "file", open).unwrap()),
];

#[test]
fn a_lock_waits_for_the_writes_of_who_lost_it() {
    for (how, lose) in LOSSES {
        let mut server = Server::new();
        let loser = server.peer("loser");
        let open = server.open(&loser, "file", Access::Both, Deny::None).unwrap();
        let elsewhere = server.open(&loser, "elsewhere", Access::Both, Deny::None).unwrap();
        lock(&server, &loser, "file", open).unwrap();
        lock(&server, &loser, "elsewhere", elsewhere).unwrap();
        let writing = begin(&server, &loser, "file", &open, IoWant::Write);
        lose(&mut server, &loser, &open);
        let winner = server.peer("winner");
        let won = server.open(&winner, "file", Access::Both, Deny::None).unwrap();
        assert_eq!(lock(&server, &winner, "file", won), DELAY, "after {how}");
        if how != "close" {
            let other = server.open(&winner, "elsewhere", Access::Both, Deny::None).unwrap();
            lock(&server, &winner, "elsewhere", other).expect("no I/O goes on there");
        }
        server.pass(LEASE / 2);
        server.renew(&winner);
        server.pass(LEASE / 2);
        server.state.sweep(server.now);
        assert_eq!(lock(&server, &winner, "file", won), DELAY, "it still goes on after {how}");
        assert_eq!(*writing.file(), "write", "and has its file");
        drop(writing);
        lock(&server, &winner, "file", won).expect("the write has ended");
    }
}

#[test]
fn what_an_open_denied_stays_denied_while_its_io_goes_on() {
    let mut server = Server::new();
    let loser = server.peer("loser");
    let open = server.open(&loser, "file", Access::Write, Deny::Write).unwrap();
    let writing = begin(&server, &loser, "file", &open, IoWant::Write);
    server.pass(2 * LEASE);
    let winner = server.peer("winner");
    let anonymous = |want| {
        server.state.check_io(&winner.client, &file("file"), &Stateid::ANONYMOUS, want, server.now).map(drop)
    };
    assert_eq!(server.open(&winner, "file", Access::Write, Deny::None), Err(Status::Delay));
    assert_eq!(server.open(&winner, "file", Access::Read, Deny::Write), Err(Status::Delay));
    assert_eq!((anonymous(IoWant::Write), anonymous(IoWant::Read)), (Err(Status::Delay), Ok(())));
    server.open(&winner, "file", Access::Read, Deny::None).expect("this was never denied");
    drop(writing);
    server.open(&winner, "file", Access::Write, Deny::None).expect("the write has ended");
    anonymous(IoWant::Write).unwrap();
}

#[test]
fn io_that_began_before_the_open_changed_counts() {
    let mut server = Server::new();
    let loser = server.peer("loser");
    let open = server.open(&loser, "file", Access::Read, Deny::None).unwrap();
    let reading = begin(&server, &loser, "file", &open, IoWant::Read);
    let both = server.open(&loser, "file", Access::Write, Deny::None).unwrap();
    let writing = begin(&server, &loser, "file", &both, IoWant::Write);
    let (state, name) = (&server.state, file("file"));
    state.open_downgrade(&loser.client, &name, &both, Access::Read, Deny::None).unwrap();
    assert_eq!((*reading.file(), *writing.file()), ("read", "write"));
    server.pass(2 * LEASE);
    let winner = server.peer("winner");
    let won = server.open(&winner, "file", Access::Both, Deny::None).unwrap();
    // The one in whose way it was is the reason why it is revoked.
    server.state.revoke_client(loser.client.id(), server.now).unwrap();
    assert_eq!(lock(&server, &winner, "file", won), DELAY);
    drop(reading);
    assert_eq!(lock(&server, &winner, "file", won), DELAY);
    drop(writing);
    lock(&server, &winner, "file", won).unwrap();
}

#[test]
fn a_client_does_not_wait_for_itself() {
    let server = Server::new();
    let peer = server.peer("a");
    let open = server.open(&peer, "file", Access::Both, Deny::None).unwrap();
    let writing = begin(&server, &peer, "file", &open, IoWant::Write);
    server.close(&peer, "file", &open).unwrap();
    let again = server.open(&peer, "file", Access::Both, Deny::Both).unwrap();
    lock(&server, &peer, "file", again).unwrap();
    drop(writing);
}
