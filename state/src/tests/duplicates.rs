//! The duplicate request cache.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use super::Random;
use super::fixture::Server;
use crate::{CallBegin, CallClaim, CallKey, DuplicateCounts, DuplicateRequests, FirstReply, Limits};

const HERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// REMOVE.
const PROCEDURE: u32 = 12;

fn call(address: impl Into<IpAddr>, xid: u32) -> CallKey {
    CallKey { address: address.into(), xid, procedure: PROCEDURE, fingerprint: 7, length_bytes: 100 }
}

fn server(configure: impl FnOnce(&mut Limits)) -> Server {
    Server::with(|config| configure(&mut config.limits))
}

fn execute(cache: &DuplicateRequests, call: CallKey, now: u64) -> CallClaim {
    match cache.begin(call, now) {
        CallBegin::Execute(claim) => claim,
        other => panic!("not executed: {other:?}"),
    }
}

fn join(cache: &DuplicateRequests, call: CallKey) -> FirstReply {
    match cache.begin(call, 0) {
        CallBegin::InProgress(reply) => reply,
        other => panic!("not joined: {other:?}"),
    }
}

fn reply(cache: &DuplicateRequests, call: CallKey, now: u64) -> Option<Vec<u8>> {
    match cache.begin(call, now) {
        CallBegin::Replay(reply) => Some(reply),
        CallBegin::Execute(claim) => {
            drop(claim);
            None
        }
        other => panic!("{other:?}"),
    }
}

fn poll(waiting: &mut FirstReply, waker: &Waker) -> Poll<Option<Vec<u8>>> {
    pin!(waiting).poll(&mut Context::from_waker(waker))
}

/// Counts how often it woke.
#[derive(Default)]
struct Woken(AtomicU32);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn only_the_very_same_call_gets_the_first_reply() {
    let server = server(|_| ());
    let cache = server.state.duplicates();
    let first = call(HERE, 1);
    execute(cache, first, 0).complete(b"first", 0);
    let mapped = CallKey { address: HERE.to_ipv6_mapped().into(), ..first };
    for again in [first, first, mapped] {
        assert_eq!(reply(cache, again, 1).as_deref(), Some(&b"first"[..]), "{again:?}");
    }
    let others = [
        CallKey { xid: 2, ..first },
        CallKey { procedure: PROCEDURE + 1, ..first },
        CallKey { fingerprint: 8, ..first },
        CallKey { length_bytes: 104, ..first },
        CallKey { address: Ipv4Addr::new(192, 0, 2, 2).into(), ..first },
    ];
    for other in others {
        assert_eq!(reply(cache, other, 1), None, "{other:?}");
        execute(cache, other, 1).complete(b"other", 1);
    }
    assert_eq!(
        reply(cache, first, 2).as_deref(),
        Some(&b"first"[..]),
        "the same xid on another call is another"
    );
    let counts = cache.counts();
    assert_eq!((counts.calls, counts.replayed, counts.reply_bytes), (6, 4, 30));
}

#[test]
fn who_comes_while_the_call_is_executed_gets_its_reply() {
    let server = server(|limits| limits.duplicate_reply_bytes_max = 8);
    let cache = server.state.duplicates();
    // What is too long to be kept is told to those who wait all the same.
    for (xid, bytes) in [(1, &b"short"[..]), (2, &b"longer than eight"[..])] {
        let claim = execute(cache, call(HERE, xid), 0);
        let woken = Arc::new(Woken::default());
        let mut waiting: Vec<_> = (0..4).map(|_| join(cache, call(HERE, xid))).collect();
        for waiting in &mut waiting {
            assert_eq!(poll(waiting, &Arc::clone(&woken).into()), Poll::Pending);
        }
        assert!(matches!(cache.begin(call(HERE, xid), 0), CallBegin::Discard), "the bound");
        let left = waiting.pop();
        drop(left);
        waiting.push(join(cache, call(HERE, xid)));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0, "who went away is not woken");
        claim.complete(bytes, 0);
        assert_eq!(woken.0.load(Ordering::SeqCst), 3);
        for waiting in &mut waiting {
            assert_eq!(poll(waiting, Waker::noop()), Poll::Ready(Some(bytes.to_vec())));
        }
    }
    assert_eq!(reply(cache, call(HERE, 1), 0).as_deref(), Some(&b"short"[..]));
    assert_eq!(reply(cache, call(HERE, 2), 0), None);
    let counts = cache.counts();
    assert_eq!((counts.too_long, counts.joined, counts.discarded, counts.calls), (1, 10, 2, 1));
}

#[test]
fn a_call_that_is_given_up_was_never_executed() {
    let server = server(|_| ());
    let cache = server.state.duplicates();
    let claim = execute(cache, call(HERE, 1), 0);
    let woken = Arc::new(Woken::default());
    let mut waiting = join(cache, call(HERE, 1));
    assert_eq!(poll(&mut waiting, &Arc::clone(&woken).into()), Poll::Pending);
    drop(claim);
    assert_eq!(woken.0.load(Ordering::SeqCst), 1);
    assert_eq!(poll(&mut waiting, Waker::noop()), Poll::Ready(None));
    assert_eq!(cache.counts().calls, 0);
    execute(cache, call(HERE, 1), 0).complete(b"second", 0);
    assert_eq!(reply(cache, call(HERE, 1), 0).as_deref(), Some(&b"second"[..]));
}

#[test]
fn replies_are_kept_for_their_time() {
    let mut server = server(|limits| limits.duplicate_kept_ns = 10);
    let other = Ipv4Addr::new(192, 0, 2, 2);
    let cache = server.state.duplicates().clone();
    let claims = [execute(&cache, call(HERE, 1), 0), execute(&cache, call(HERE, 2), 0)];
    execute(&cache, call(other, 3), 0).complete(b"of who goes away", 5);
    for (claim, now) in claims.into_iter().zip([100, 105]) {
        claim.complete(b"reply", now);
    }
    assert!(reply(&cache, call(HERE, 1), 109).is_some(), "its time begins with the reply");
    assert!(reply(&cache, call(HERE, 1), 110).is_none());
    assert!(reply(&cache, call(HERE, 2), 110).is_some());
    let running = execute(&cache, call(HERE, 4), 110);
    server.now = 200;
    server.state.sweep(server.now);
    assert_eq!(cache.counts(), DuplicateCounts { calls: 1, reply_bytes: 0, ..cache.counts() });
    assert!(matches!(cache.begin(call(HERE, 4), 1000), CallBegin::InProgress(_)), "what runs has no age");
    running.complete(b"reply", 1000);
    assert!(reply(&cache, call(HERE, 4), 1000).is_some());
    assert_eq!(cache.counts().evicted, 0);
}

/// A source address for each number.
fn address(number: u32) -> IpAddr {
    if number.is_multiple_of(2) {
        Ipv4Addr::from(0x0a00_0000 + number).into()
    } else {
        Ipv6Addr::from(u128::from(number) << 64).into()
    }
}

#[test]
fn memory_stays_in_its_bound_under_ten_thousand_clients() {
    let server = server(|_| ());
    let cache = server.state.duplicates();
    let limits = &server.state.config().limits;
    let longest = vec![0; limits.duplicate_reply_bytes_max as usize];
    let without = Limits { duplicates_max: 0, ..limits.clone() };
    let bytes_max = limits.memory_bytes_max() - without.memory_bytes_max();
    let check = |when: &str| {
        let counts = cache.counts();
        assert!(counts.calls <= limits.duplicates_max, "{when}: {counts:?}");
        assert!(counts.reply_bytes <= counts.calls * longest.len() as u64, "{when}: {counts:?}");
        let heap_bytes = cache.heap_bytes() as u64;
        assert!(heap_bytes <= bytes_max, "{when}: {heap_bytes} of {bytes_max} bytes");
    };
    // Few with all they may have, then ten thousand with what each had before it, then as many as can be remembered.
    for (clients, first, calls) in [(200, 0, 1000), (10_000, 1000, 20), (100_000, 2000, 1)] {
        for xid in first..first + calls {
            for client in 0..clients {
                execute(cache, call(address(client), xid), 0).complete(&longest, 0);
            }
        }
        check(&format!("{calls} calls of {clients} clients"));
    }
    let counts = cache.counts();
    assert_eq!(counts.calls, limits.duplicates_max, "all stripes are full");
    assert_eq!(counts.executed - counts.evicted, counts.calls);
    assert_eq!((counts.unremembered, counts.too_long), (0, 0));
    // All in progress.
    let claims: Vec<_> = (0..100_000).map(|client| execute(cache, call(address(client), 3000), 0)).collect();
    check("in progress");
    let unremembered = cache.counts().unremembered;
    assert_eq!(unremembered, 100_000 - limits.duplicates_max);
    drop(claims);
    assert_eq!(cache.counts().calls, 0);
}

#[test]
fn a_client_goes_on_over_other_connections_while_one_is_cut() {
    let server = server(|_| ());
    let cache = server.state.duplicates();
    for xid in 0..30_000 {
        execute(cache, call(HERE, xid), 0).complete(b"reply", 0);
    }
    assert!(reply(cache, call(HERE, 0), 0).is_some(), "some seconds' worth of calls of a busy client");
    for xid in 30_000..100_000 {
        execute(cache, call(HERE, xid), 0).complete(b"reply", 0);
    }
    assert_eq!(cache.counts().calls, server.state.config().limits.duplicates_max / 2);
}

/// So many transaction ids of an address, whose calls all fall into the same stripe.
fn of_one_stripe(server: &Server, address: IpAddr, count: usize) -> Vec<u32> {
    let hash = crate::stripes::KeyedHash::new(server.state.config().hash_key);
    (0..).filter(|xid| hash.stripe(&call(address, *xid)) == 0).take(count).collect()
}

#[test]
fn one_client_does_not_push_out_the_others() {
    // All in one stripe of 64 calls, so that all are in each other's way.
    let server = server(|limits| limits.duplicates_max = 64 * 64);
    let cache = server.state.duplicates();
    let mut xids = HashMap::new();
    (0..10)
        .map(address)
        .for_each(|address| drop(xids.insert(address, of_one_stripe(&server, address, 5001))));
    let (greedy, busy) = (address(0), address(1));
    let few: Vec<_> = (2..10).map(address).collect();
    let numbered = |address: IpAddr, number: usize| call(address, xids[&address][number]);
    let send = |address, number| execute(cache, numbered(address, number), 0).complete(b"reply", 0);
    let remembers = |address, number| cache.has(&numbered(address, number));
    let kept = |address| (0..=5000).filter(|number| remembers(address, *number)).count();
    for address in &few {
        (0..4).for_each(|number| send(*address, number));
    }
    (0..1000).for_each(|number| send(greedy, number));
    assert_eq!((kept(greedy), cache.counts().calls), (32, 64), "half of the stripe");
    assert!(remembers(greedy, 999) && remembers(greedy, 968) && !remembers(greedy, 967), "its oldest go");
    (0..1000).for_each(|number| send(busy, number));
    (1000..2000).for_each(|number| send(greedy, number));
    assert_eq!((kept(greedy), kept(busy)), (17, 15), "who has most gives");
    assert!(few.iter().all(|address| kept(*address) == 4), "who has little keeps it");
    // Where all that one has is in progress, nothing of it goes, and the others still are remembered.
    let claims: Vec<_> = (2000..3000).map(|number| execute(cache, numbered(greedy, number), 0)).collect();
    assert_eq!(cache.counts().unremembered, 1000 - 32);
    assert!(few.iter().chain([&busy]).all(|address| kept(*address) >= 3), "the rest of the stripe is theirs");
    send(few[0], 5000);
    assert!(remembers(few[0], 5000));
    claims.into_iter().for_each(|claim| claim.complete(b"late", 0));
    assert_eq!(kept(greedy), 32);
}

#[test]
fn an_address_of_ipv6_is_no_way_around_the_bound() {
    let server = server(|limits| limits.duplicates_max = 64 * 8);
    let cache = server.state.duplicates();
    let host = |number: u128| IpAddr::from(Ipv6Addr::from((0x2001_0db8 << 96) + number));
    let calls: Vec<_> =
        (0..100).map(host).map(|host| call(host, of_one_stripe(&server, host, 1)[0])).collect();
    for call in &calls {
        execute(cache, *call, 0).complete(b"reply", 0);
    }
    assert_eq!(cache.counts().calls, 4);
    let last = calls[99];
    assert_eq!(reply(cache, last, 0).as_deref(), Some(&b"reply"[..]));
    assert_eq!(reply(cache, CallKey { address: host(200), ..last }, 0), None, "each has its own calls");
}

/// Against what is simply true of it, with bounds so tight that every branch is taken.
#[test]
fn random_calls_are_executed_by_one_and_answered_with_the_last_reply() {
    for seed in 0..200 {
        let server = server(|limits| (limits.duplicates_max, limits.duplicate_kept_ns) = (64 * 4, 50));
        let cache = server.state.duplicates();
        let mut random = Random::new(seed);
        let mut running: HashMap<CallKey, (CallClaim, Vec<FirstReply>)> = HashMap::new();
        let mut last: HashMap<CallKey, (Vec<u8>, u64)> = HashMap::new();
        for now in 0..400 {
            let key = call(address(random.below(64) as u32), random.below(6) as u32);
            if random.below(3) > 0 {
                match cache.begin(key, now) {
                    CallBegin::Execute(claim) => drop(running.insert(key, (claim, Vec::new()))),
                    CallBegin::InProgress(waiting) => running.get_mut(&key).unwrap().1.push(waiting),
                    CallBegin::Discard => assert!(running[&key].1.len() >= 4),
                    CallBegin::Replay(reply) => {
                        let (bytes, at) = &last[&key];
                        assert!(reply == *bytes && now - at < 50 && !running.contains_key(&key));
                    }
                }
            } else if let Some(key) = running.keys().min_by_key(|key| (key.xid, key.address)).copied() {
                let (claim, waiting) = running.remove(&key).unwrap();
                let answer = (random.below(4) > 0).then(|| now.to_be_bytes().to_vec());
                if let Some(bytes) = &answer {
                    claim.complete(bytes, now);
                    last.insert(key, (bytes.clone(), now));
                } else {
                    drop(claim);
                }
                for mut waiting in waiting {
                    assert_eq!(poll(&mut waiting, Waker::noop()), Poll::Ready(answer.clone()));
                }
            }
            let _ = cache.heap_bytes();
        }
        running.clear();
        server.state.sweep(1000);
        assert_eq!(cache.counts().calls, 0, "seed {seed}");
    }
}

#[test]
fn threads_execute_each_call_once() {
    const CALLS: u32 = 4000;
    let server = server(|_| ());
    let cache = server.state.duplicates();
    let executed = AtomicU32::new(0);
    let send_all = || {
        for xid in 0..CALLS {
            let answer = loop {
                match cache.begin(call(address(xid % 16), xid), 0) {
                    CallBegin::Execute(claim) => {
                        executed.fetch_add(1, Ordering::Relaxed);
                        claim.complete(&xid.to_be_bytes(), 0);
                    }
                    CallBegin::Replay(reply) => break reply,
                    CallBegin::InProgress(mut waiting) => {
                        while poll(&mut waiting, Waker::noop()).is_pending() {
                            thread::yield_now();
                        }
                    }
                    CallBegin::Discard => thread::yield_now(),
                }
            };
            assert_eq!(answer, xid.to_be_bytes());
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(send_all))));
    assert_eq!((executed.load(Ordering::Relaxed), cache.counts().evicted), (CALLS, 0));
}
