//! Calls in progress: their order, their number, their way back, and their end.

mod support;

use std::{
    rc::Rc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use engine::{EngineConfig, block_on};
use support::{
    ALONE, CALL_BACK, ECHO, EchoService, HOLD, PATIENCE, RELEASE, Server, UNREAD, message, pattern, record,
    reply, word, write_call,
};
use transport_tcp::{CallError, Endpoint, Intake, Limits, Listener, Message};

const REGION_BYTES: usize = 8 << 20;

#[test]
fn replies_leave_when_they_are_ready() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    peer.send(&record(&message(1, HOLD, b"slow")));
    peer.send(&record(&message(2, ECHO, b"quick")));
    assert_eq!(peer.receive(), reply(2, b"quick"));
    peer.send(&record(&message(3, RELEASE, b"")));
    let mut rest = [peer.receive(), peer.receive()];
    rest.sort();
    assert_eq!(rest, [reply(1, b"slow"), reply(3, b"")]);
}

#[test]
fn at_the_bound_of_calls_the_connection_is_not_read() {
    let limits = Limits { calls_max: 4, ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let mut peer = server.peer();
    for xid in 0..10 {
        peer.send(&record(&message(xid, HOLD, b"")));
    }
    server.wait_until("four are begun", |stats| stats.calls == 4);
    server.peer().echo(1);
    assert_eq!(server.stats().calls, 5, "four, and one of another connection");
    for received in [4, 4, 2] {
        server.release();
        (0..received).for_each(|_| assert_eq!(peer.receive().len(), 8));
    }
}

#[test]
fn a_connection_that_its_service_holds_is_not_read() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    peer.send(&record(&message(1, ALONE, b"first")));
    server.wait_until("it is begun", |stats| stats.calls == 1);
    for xid in 2..100 {
        peer.send(&record(&message(xid, ECHO, b"next")));
    }
    server.peer().echo(1);
    assert_eq!(server.stats().calls, 2, "the first, and one of another connection");
    server.release();
    let mut replies: Vec<_> = (1..100).map(|_| peer.receive()).collect();
    replies.sort();
    assert_eq!((replies[0].clone(), replies[98].clone()), (reply(1, b"first"), reply(99, b"next")));
    // Also who waits ends with its peer.
    peer.send(&record(&message(1, ALONE, b"")));
    server.wait_until("it is begun", |stats| stats.calls == 101);
    drop(peer);
    server.release();
    server.wait_until("both are gone", |stats| stats.connections == 0);
}

#[test]
fn calls_say_how_long_they_lay_unread() {
    let limits = Limits { calls_max: 2, ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let mut peer = server.peer();
    let begun = Instant::now();
    for (xid, program) in [HOLD, HOLD, UNREAD, UNREAD].into_iter().enumerate() {
        peer.send(&record(&message(xid as u32, program, b"")));
    }
    server.wait_until_unread(&[true]);
    // What is sent while nothing is read comes later.
    peer.send(&record(&message(5, UNREAD, b"")));
    server.release();
    let mut replies: Vec<_> = (0..5).map(|_| peer.receive()).collect();
    let whole = begun.elapsed();
    replies.sort();
    let unread = |number: usize| Duration::from_millis(word(&replies[number], 8).into());
    for number in [2, 3] {
        assert!((Duration::from_secs(1)..=whole).contains(&unread(number)), "{:?}", unread(number));
    }
    assert!(unread(4) + Duration::from_millis(300) <= unread(2), "{:?} {:?}", unread(4), unread(2));
    server.wait_until_unread(&[true, false]);
    peer.send(&record(&message(6, UNREAD, b"")));
    assert_eq!(word(&peer.receive(), 8), 0, "all is read again");
}

#[test]
fn who_is_not_read_is_not_late_with_its_reply() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    peer.send(&record(&message(1, CALL_BACK, b"soon")));
    let call = peer.receive();
    peer.send(&record(&message(2, ALONE, b"")));
    server.wait_until("nothing more is read", |stats| stats.calls == 2);
    peer.send(&record(&reply(word(&call, 0), b"I am")));
    server.wait_until_unread(&[true]);
    server.release();
    let mut replies = [peer.receive(), peer.receive()];
    replies.sort();
    assert_eq!(replies[0], reply(1, b"I am"));
}

#[test]
fn what_is_sent_slowly_does_not_lie_unread() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let call = record(&message(1, UNREAD, &pattern(100_000)));
    let (begin, rest) = call.split_at(50_000);
    peer.send(begin);
    server.wait_until("it is being collected", |stats| stats.collected == 1);
    std::thread::sleep(Duration::from_millis(300));
    peer.send(rest);
    assert_eq!(word(&peer.receive(), 8), 0, "it was read all the time");
}

#[test]
fn a_call_goes_back_over_the_same_connection() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    peer.send(&record(&message(1, CALL_BACK, b"")));
    let call = peer.receive();
    assert_eq!((word(&call, 4), word(&call, 12)), (0, 77), "a call of program 77");
    assert_eq!(call[24..], *b"who is there");
    // Replies to calls that nobody made, and to none of ours, are dropped.
    peer.send(&record(&reply(word(&call, 0) + 100, b"nobody asked")));
    peer.send(&record(&reply(word(&call, 0), &pattern(10_000))));
    assert_eq!(peer.receive(), reply(1, &pattern(10_000)));
    assert_eq!(server.stats().replies, 2);
}

#[test]
fn draining_finishes_what_was_begun() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut idle = server.peer();
    idle.echo(1);
    let mut peer = server.peer();
    peer.send(&record(&message(1, HOLD, b"begun")));
    server.wait_until("the call is begun", |stats| stats.calls == 2);
    let drained = server.drain();
    assert!(idle.is_closed());
    assert!(drained.try_recv().is_err(), "a call is in progress");
    server.release();
    assert_eq!(peer.receive(), reply(1, b"begun"));
    assert!(peer.is_closed());
    assert!(drained.recv_timeout(PATIENCE).expect("drained"));
    assert!(server.peer().is_closed(), "no connection is served any more");
}

#[test]
fn a_begun_call_outlives_its_connection() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    peer.send(&record(&message(1, HOLD, b"")));
    server.wait_until("the call is begun", |stats| stats.calls == 1);
    drop(peer);
    let mut other = server.peer();
    other.echo(1);
    server.wait_until_gone(1);
    server.release();
    other.echo(2);
    server.wait_until("the connection is forgotten", |stats| stats.connections == 1);
    // Again when the call has ended, which might have tied something to the connection.
    server.wait_until_gone(2);
}

#[test]
fn idle_connections_cost_no_payload_memory() {
    const IDLE: u64 = 2_000;
    let server = Server::start(Limits::default(), REGION_BYTES);
    let idle: Vec<_> = (0..IDLE).map(|_| server.peer()).collect();
    server.wait_until("all are accepted", |stats| stats.connections == IDLE);
    let mut worker = server.peer();
    for xid in 0..100 {
        worker.echo(xid);
    }
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
    drop(idle);
    server.wait_until("all are forgotten", |stats| stats.connections == 1);
}

#[test]
fn connections_beyond_the_bound_are_refused() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let (mut first, mut second) = (server.peer(), server.peer());
    first.echo(1);
    second.echo(1);
    assert!(server.peer().is_closed());
    drop(second);
    server.wait_until("one has gone", |stats| stats.connections == 1);
    server.peer().echo(1);
    first.echo(2);
    assert_eq!(server.stats().refused, 1);
}

/// Runs a test in which server and client share a shard.
fn with_both_ends<F, T>(test: T)
where
    T: FnOnce(Endpoint, Rc<transport_tcp::Connection>) -> F + Send + 'static,
    F: Future<Output = ()> + 'static,
{
    let config = EngineConfig { region_bytes: 32 << 20, ..EngineConfig::small() };
    let run = block_on(config, move |shard| async move {
        let endpoint = Endpoint::new(&shard, Limits::default());
        let listener = Listener::bind("127.0.0.1:0".parse().expect("an address")).expect("a free port");
        let (address, intake) = (listener.address(), Intake::new(1));
        let service = EchoService::new(&endpoint);
        shard.spawn(listener.accept_all(shard.clone(), intake.clone()));
        let (serving, echo) = (endpoint.clone(), Rc::clone(&service));
        shard.spawn(async move { intake.serve(serving, echo).await });
        let connection = endpoint.connect(address, service).await.expect("connected");
        test(endpoint, connection).await;
    });
    run.expect("io_uring");
}

#[test]
fn many_calls_are_outstanding_at_once() {
    with_both_ends(|endpoint, connection| async move {
        let tasks: Vec<_> = (0..200_u32)
            .map(|number| {
                let connection = Rc::clone(&connection);
                endpoint.shard().spawn(async move {
                    let body = number.to_be_bytes();
                    let call = Message::new(BytesMut::from(&message(0, ECHO, &body)[..]));
                    let answer = connection.call(call, PATIENCE).await.expect("answered");
                    assert_eq!(answer.head[8..], body);
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

#[test]
fn a_chain_goes_out_and_comes_back() {
    with_both_ends(|endpoint, connection| async move {
        const LENGTH: usize = 1 << 20;
        let data = pattern(LENGTH);
        // In one fragment, and with one for the data, which the other end sees in the marks and still takes apart.
        for fragments in [false, true, true, false] {
            connection.fragment_bulk(fragments);
            let mut chain = endpoint.shard().pool().take(LENGTH, 0).expect("free");
            chain.copy_from(0, &data);
            let (head, tail) = write_call(0, 8192, LENGTH);
            let inserts = vec![rpc::Insert { position: head.len(), data: chain.into() }];
            let call = Message { head: BytesMut::from(&[head, tail].concat()[..]), inserts: inserts.into() };
            let answer = connection.call(call, PATIENCE).await.expect("answered");
            assert_eq!(word(&answer.head, 8), 1, "the payload was cut out");
            assert!(answer.head[28..28 + LENGTH] == data[..]);
        }
    });
}

#[test]
fn calls_end_with_their_connection_or_their_time() {
    with_both_ends(|_, connection| async move {
        let held = || Message::new(BytesMut::from(&message(0, HOLD, b"")[..]));
        let short = std::time::Duration::from_millis(20);
        assert_eq!(connection.call(held(), short).await.unwrap_err(), CallError::TimedOut);
        // The answer to the call that was given up finds nobody, and harms nobody.
        let release = Message::new(BytesMut::from(&message(0, RELEASE, b"")[..]));
        assert!(connection.call(release, PATIENCE).await.is_ok());
        connection.close();
        assert_eq!(connection.call(held(), PATIENCE).await.unwrap_err(), CallError::Lost);
    });
}
