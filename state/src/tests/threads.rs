//! Real threads on one state: what each does must stay whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;

use wire::nfs4::Status;

use super::Random;
use super::fixture::{Peer, Server, call};
use crate::{Access, Begin, Deny, LockKind, LockRefusal, Locker, OpenClaim, SlotReply};

const THREADS: u64 = 4;
const REQUESTS: u32 = 2000;

#[test]
fn every_request_is_executed_once_however_often_it_is_sent() {
    let server = Server::new();
    let peer = server.peer("a");
    let executed = AtomicU32::new(0);
    let send_all = || {
        for sequence in 1..=REQUESTS {
            let slot = sequence % 4;
            let sequence = sequence.div_ceil(4);
            loop {
                match peer.session.begin(&call(slot, sequence), 0) {
                    Begin::Execute(claim) => {
                        executed.fetch_add(1, Ordering::Relaxed);
                        claim.complete(SlotReply::Cached(&sequence.to_be_bytes()));
                    }
                    Begin::Replay(reply) => assert_eq!(reply, sequence.to_be_bytes()),
                    // Another thread is further on with this slot, so the request has had its reply.
                    Begin::Refused(Status::SeqMisordered) => (),
                    Begin::Refused(Status::Delay) => {
                        thread::yield_now();
                        continue;
                    }
                    other => panic!("{other:?}"),
                }
                break;
            }
        }
    };
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(send_all))));
    assert_eq!(executed.load(Ordering::Relaxed), REQUESTS);
}

/// Opens, locks and closes one of a few files; at most one thread may be inside a file's write lock.
fn work(server: &Server, peer: &Peer, seed: u64, inside: &[AtomicU64]) {
    let mut random = Random::new(seed);
    let owner = format!("owner {seed}");
    for _ in 0..500 {
        let index = random.below(inside.len() as u64) as usize;
        let name = format!("file {index}");
        let deny = if random.below(8) == 0 { Deny::Both } else { Deny::None };
        let open = match server.open_as(peer, &owner, &name, Access::Both, deny, OpenClaim::New) {
            Ok(open) => open,
            Err(Status::ShareDenied) => continue,
            Err(other) => panic!("{other}"),
        };
        let locker = Locker::Open { stateid: open, owner: owner.as_bytes() };
        match server.lock(peer, &name, locker, LockKind::Write, (0, u64::MAX), random.below(2) == 0) {
            Ok(_) => {
                assert_eq!(inside[index].fetch_add(1, Ordering::SeqCst), 0);
                thread::yield_now();
                assert_eq!(inside[index].fetch_sub(1, Ordering::SeqCst), 1);
            }
            Err(LockRefusal::Denied(_)) => (),
            Err(LockRefusal::Status(status)) => panic!("{status}"),
        }
        server.close(peer, &name, &open).unwrap();
    }
}

#[test]
fn opens_and_locks_exclude_and_leave_nothing_behind() {
    let server = Server::new();
    let inside: Vec<_> = (0..3).map(|_| AtomicU64::new(0)).collect();
    let peers: Vec<_> = (0..THREADS).map(|index| server.peer(&format!("client {index}"))).collect();
    thread::scope(|scope| {
        for (seed, peer) in peers.iter().enumerate() {
            let (server, inside) = (&server, &inside);
            scope.spawn(move || work(server, peer, seed as u64, inside));
        }
    });
    let totals = server.state.totals();
    assert_eq!((totals.opens, totals.locks), (0, 0));
}

#[test]
fn clients_come_and_go_beside_each_other() {
    let server = Arc::new(Server::new());
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let server = Arc::clone(&server);
            scope.spawn(move || {
                for verifier in 1..100 {
                    let peer = server.mount(&format!("client {thread}"), verifier);
                    server.reclaim_complete(&peer).unwrap();
                    let name = format!("file {thread}");
                    server.open(&peer, &name, Access::Both, Deny::Both).unwrap();
                    server.state.sweep(server.now);
                }
            });
        }
    });
    assert_eq!(server.state.totals().opens, THREADS);
    assert_eq!(server.state.totals().clients, THREADS);
    assert_eq!(server.store.records().len(), THREADS as usize);
}
