//! I/O of those who have neither client nor stateid.

use std::sync::atomic::Ordering;
use std::thread;

use wire::nfs4::{Stateid, Status};

use super::Random;
use super::fixture::{File, LEASE, Peer, Server, file};
use crate::stripes::STRIPES;
use crate::{Access, Deny, InFlight, IoGrant, IoWant, OpenClaim, OpenRequest, OpenReservation};

const OK: Result<(), Status> = Ok(());

fn check(server: &Server, name: &str) -> [Result<(), Status>; 2] {
    let check = |want| server.state.check_anonymous_io(&file(name), want, server.now);
    [check(IoWant::Read), check(IoWant::Write)]
}

fn begin(
    server: &Server,
    peer: &Peer,
    name: &str,
    stateid: &Stateid,
    want: IoWant,
) -> Option<InFlight<File>> {
    match server.state.check_io(&peer.client, &file(name), stateid, want, server.now) {
        Ok(IoGrant::Open(grant)) => grant.begin(),
        _ => None,
    }
}

fn reserve(
    server: &Server,
    peer: &Peer,
    name: &str,
    access: Access,
    deny: Deny,
) -> Option<OpenReservation<File>> {
    let asked = OpenRequest { file: file(name), owner: b"reserving", access, deny, claim: OpenClaim::New };
    server.state.open_reserve(&peer.client, &asked, server.now).ok()
}

/// Denials as they are counted, and as they are.
fn denials(server: &Server) -> (u64, u64) {
    let inner = &server.state.inner;
    let all: usize = (0..STRIPES).map(|stripe| inner.files.lock(stripe).denials()).sum();
    (inner.shared.denials.load(Ordering::Acquire), all as u64)
}

#[test]
fn what_opens_deny_is_denied_to_who_has_none() {
    let mut server = Server::new();
    let peer = server.peer("a");
    let locked = Err(Status::Locked);
    for (deny, expected) in [
        (Deny::None, [OK, OK]),
        (Deny::Read, [locked, OK]),
        (Deny::Write, [OK, locked]),
        (Deny::Both, [locked, locked]),
    ] {
        let reservation = reserve(&server, &peer, "file", Access::Read, deny).unwrap();
        assert_eq!(check(&server, "file"), expected, "a reservation that denies {deny:?}");
        reservation.abandon();
        assert_eq!(check(&server, "file"), [OK, OK]);
        let open = server.open(&peer, "file", Access::Read, deny).unwrap();
        assert_eq!(check(&server, "file"), expected, "an open that denies {deny:?}");
        assert_eq!(check(&server, "elsewhere"), [OK, OK]);
        server.close(&peer, "file", &open).unwrap();
        assert_eq!(check(&server, "file"), [OK, OK]);
    }
    let open = server.open(&peer, "file", Access::Both, Deny::Write).unwrap();
    let writing = begin(&server, &peer, "file", &open, IoWant::Write);
    assert!(writing.is_some());
    server.close(&peer, "file", &open).unwrap();
    assert_eq!(check(&server, "file"), [OK, Err(Status::Delay)], "its own I/O still goes on");
    drop(writing);
    assert_eq!(check(&server, "file"), [OK, OK]);
    server.open(&peer, "file", Access::Both, Deny::Both).unwrap();
    server.pass(2 * LEASE);
    assert_eq!(check(&server, "file"), [OK, OK], "an expired client is put aside");
    server.restart();
    assert_eq!(check(&server, "file"), [OK, OK], "nor may it reclaim");
    server.peer("b");
    server.restart();
    assert_eq!(check(&server, "file"), [Err(Status::Grace); 2]);
}

#[test]
fn no_lock_is_taken_while_nobody_denies_anything() {
    let server = Server::new();
    let peer = server.peer("a");
    server.open(&peer, "file", Access::Both, Deny::None).unwrap();
    let before = server.state.locks_taken();
    assert_eq!(check(&server, "file"), [OK, OK]);
    assert_eq!(server.state.locks_taken(), before);
    server.open(&peer, "elsewhere", Access::Both, Deny::Write).unwrap();
    let before = server.state.locks_taken();
    assert_eq!(check(&server, "file"), [OK, OK]);
    assert_eq!(server.state.locks_taken(), before + 2);
}

/// Does something at random with a file of one of two clients.
fn step(server: &mut Server, random: &mut Random, peers: &mut [Peer; 2], held: &mut Held) {
    let accesses = [Access::Read, Access::Write, Access::Both];
    let access = accesses[random.below(3) as usize];
    let deny = [Deny::None, Deny::None, Deny::Read, Deny::Write, Deny::Both][random.below(5) as usize];
    let name = ["one", "two", "three"][random.below(3) as usize];
    let index = random.below(2) as usize;
    let peer = &peers[index];
    let any = (!held.opens.is_empty()).then(|| random.next() as usize % held.opens.len().max(1));
    match (random.below(12), any) {
        (0..4, _) => {
            let owner = ["x", "y"][random.below(2) as usize];
            if let Ok(open) = server.open_as(peer, owner, name, access, deny, OpenClaim::New) {
                held.opens.push((index, name, open));
            }
        }
        (4, _) => held.reservations.extend(reserve(server, peer, name, access, deny)),
        (5, _) => held.reservations.truncate(random.below(3) as usize),
        (6..8, Some(any)) => {
            let (index, name, open) = &held.opens[any];
            let want = [IoWant::Read, IoWant::Write][random.below(2) as usize];
            held.io.extend(begin(server, &peers[*index], name, open, want));
        }
        (8, Some(any)) => {
            let (index, name, open) = held.opens.swap_remove(any);
            let _ = server.close(&peers[index], name, &open);
        }
        (9, Some(any)) => {
            let (index, name, open) = &mut held.opens[any];
            let client = &peers[*index].client;
            if let Ok(left) = server.state.open_downgrade(client, &file(name), open, access, deny) {
                *open = left;
            }
        }
        (10, _) => held.io.truncate(random.below(3) as usize),
        _ => match random.below(5) {
            0 => server.pass(2 * LEASE),
            1 => server.state.revoke_client(peer.client.id(), server.now).unwrap_or(()),
            2 => server.state.revoke_files(|key| *key == file(name), server.now),
            3 => {
                peers[index] = server.mount(["a", "b"][index], random.below(256) as u8);
                let _ = server.reclaim_complete(&peers[index]);
            }
            _ => drop(server.state.sweep(server.now)),
        },
    }
}

#[derive(Default)]
struct Held {
    opens: Vec<(usize, &'static str, Stateid)>,
    reservations: Vec<OpenReservation<File>>,
    io: Vec<InFlight<File>>,
}

#[test]
fn denials_are_counted_right_whatever_happens() {
    let mut counted = 0;
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut server = Server::new();
        let mut peers = [server.peer("a"), server.peer("b")];
        let mut held = Held::default();
        for number in 0..200 {
            step(&mut server, &mut random, &mut peers, &mut held);
            let (count, all) = denials(&server);
            assert_eq!(count, all, "seed {seed} step {number}");
            counted = counted.max(count);
        }
        drop(held);
        for peer in &peers {
            let _ = server.state.revoke_client(peer.client.id(), server.now);
        }
        server.state.sweep(server.now);
        assert_eq!(denials(&server), (0, 0), "seed {seed}");
    }
    assert!(counted > 4, "several at a time were met");
}

#[test]
fn what_is_denied_without_a_break_is_never_allowed_for_a_moment() {
    let server = Server::new();
    let peer = server.peer("a");
    let open =
        |owner, deny| server.open_as(&peer, owner, "file", Access::Read, deny, OpenClaim::New).unwrap();
    let hand_over = || {
        // Opened twice and downgraded, then closed while its I/O goes on, and taken over by another owner.
        let twice = open("x", Deny::None);
        let left = server
            .state
            .open_downgrade(&peer.client, &file("file"), &twice, Access::Read, Deny::Write)
            .unwrap();
        let reading = begin(&server, &peer, "file", &left, IoWant::Read);
        server.close(&peer, "file", &left).unwrap();
        let other = open("y", Deny::Write);
        drop(reading);
        open("x", Deny::Write);
        server.close(&peer, "file", &other).unwrap();
    };
    open("x", Deny::Write);
    thread::scope(|scope| {
        let work = scope.spawn(|| (0..20_000).for_each(|_| hand_over()));
        while !work.is_finished() {
            assert_ne!(server.state.inner.shared.denials.load(Ordering::Acquire), 0);
        }
    });
}
