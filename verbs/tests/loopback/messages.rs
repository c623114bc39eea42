//! Messages, and what bounds the queues.
//!
//! UNSAFETY: one test lends a place that is none, which the adapter has to refuse.
#![allow(unsafe_code)]

use rustix::io::Errno;
use verbs::loopback::Fabric;
use verbs::{Access, CompletionKind, DeviceId, MemoryId, Status, Verbs, Work, WorkKind};

use crate::side::{MEMORY_BYTES, OPTIONS, Side, assert_errno, connect, connection, pattern};

#[test]
fn a_message_is_gathered_into_the_oldest_receive() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    server.receive(11, 0, 100).unwrap();
    server.receive(12, 1000, 100).unwrap();
    client.fill(0, &pattern(1, 300));
    let places = [client.place(0, 1), client.place(100, 20), client.place(50, 0), client.place(200, 9)];
    client.post(both.at_client, &[Work::new(1, WorkKind::Send, &places), client.send(2, 5, 100)]).unwrap();

    let received = server.completions();
    assert_eq!(received.len(), 2);
    for (completion, (id, bytes)) in received.iter().zip([(11, 30), (12, 100)]) {
        assert_eq!((completion.id, completion.bytes, completion.pair), (id, bytes, both.at_server));
        assert_eq!((completion.kind, completion.status), (CompletionKind::Receive, Status::SUCCESS));
    }
    let sent = pattern(1, 300);
    assert_eq!(server.content(0, 30), [&sent[..1], &sent[100..120], &sent[200..209]].concat());
    assert_eq!(server.content(30, 1), [0], "nothing behind the message");
    assert_eq!(server.content(1000, 100), sent[5..105]);
    let done = client.completions();
    assert_eq!(done.iter().map(|completion| completion.id).collect::<Vec<_>>(), [1, 2]);
    assert!(done.iter().all(|completion| completion.kind == CompletionKind::Work));
    assert!(
        done.iter().all(|completion| completion.pair == both.at_client && completion.status.is_success())
    );
}

#[test]
fn connections_share_the_receives() {
    let fabric = Fabric::new();
    let (server, one, other) = (Side::new(&fabric), Side::new(&fabric), Side::new(&fabric));
    let (from_one, at_one) = connect(&server, &one);
    let (from_other, at_other) = connect(&server, &other);
    for id in 0..3 {
        server.receive(id, 0, 16).unwrap();
    }
    for (side, pair) in [(&other, at_other), (&one, at_one), (&other, at_other)] {
        side.post(pair, &[side.send(0, 0, 4)]).unwrap();
    }
    let pairs: Vec<_> =
        server.completions().iter().map(|completion| (completion.id, completion.pair)).collect();
    assert_eq!(pairs, [(0, from_other), (1, from_one), (2, from_other)]);
}

#[test]
fn a_message_without_receive_breaks_the_connection_and_what_is_behind_it_is_flushed() {
    let both = connection();
    let client = &both.client;
    both.server.receive(9, 0, 16).unwrap();
    let silent = Work { signaled: false, ..client.send(2, 0, 4) };
    let works = [Work { id: 1, ..silent }, silent, client.send(3, 0, 4), Work { id: 4, ..silent }];
    client.post(both.at_client, &works).unwrap();
    both.assert_broken();
    assert_eq!(both.server.outcomes(), [(9, Status::SUCCESS)]);
    let flushed = [(2, Status::NO_RECEIVE), (3, Status::FLUSHED), (4, Status::FLUSHED)];
    assert_eq!(client.outcomes(), flushed);

    both.server.receive(10, 0, 16).unwrap();
    client.post(both.at_client, &[Work { id: 5, ..silent }]).unwrap();
    assert_eq!(client.outcomes(), [(5, Status::FLUSHED)]);
    both.server.post(both.at_server, &[both.server.send(6, 0, 4)]).unwrap();
    assert_eq!(both.server.outcomes(), [(6, Status::FLUSHED)]);
    assert_eq!(both.server.control().receives_waiting(), 1, "shared receives are not flushed");
}

#[test]
fn a_message_that_is_too_long_fails_at_both_ends() {
    let both = connection();
    both.server.receive(9, 0, 16).unwrap();
    both.client.fill(0, &[1; 17]);
    both.client.post(both.at_client, &[both.client.send(1, 0, 17)]).unwrap();
    assert_eq!(both.client.outcomes(), [(1, Status(9))]);
    assert_eq!(both.server.outcomes(), [(9, Status(1))]);
    assert_eq!(both.server.content(0, 17), [0; 17]);
    both.assert_broken();
}

#[test]
fn a_silent_work_keeps_its_place_until_a_later_one_is_told() {
    let both = connection();
    let (client, room) = (&both.client, OPTIONS.works_max);
    let works: Vec<_> =
        (0..u64::from(room)).map(|id| client.write(id, both.server.remote(0), 0, 4)).collect();
    let silent: Vec<_> = works.iter().map(|work| Work { signaled: false, ..*work }).collect();

    client.post(both.at_client, &silent[1..]).unwrap();
    assert_eq!(client.outcomes(), []);
    assert_errno(client.post(both.at_client, &works[..2]), Errno::NOMEM);
    assert_eq!(
        both.server.adapter.accesses().len(),
        works.len() - 1,
        "none of those for which there was no room"
    );
    client.post(both.at_client, &works[..1]).unwrap();
    assert_errno(client.post(both.at_client, &works[..1]), Errno::NOMEM);
    assert_eq!(client.outcomes(), [(0, Status::SUCCESS)]);
    client.post(both.at_client, &works).unwrap();
    assert_eq!(client.adapter.works_max(), works.len());
}

#[test]
fn receives_are_bounded_until_their_completions_are_taken() {
    let both = connection();
    for id in 0..u64::from(OPTIONS.receives_max) {
        both.server.receive(id, 0, 16).unwrap();
    }
    assert_errno(both.server.receive(99, 0, 16), Errno::NOMEM);
    both.client.post(both.at_client, &[both.client.send(1, 0, 4)]).unwrap();
    assert_errno(both.server.receive(99, 0, 16), Errno::NOMEM);
    assert_eq!(both.server.outcomes(), [(0, Status::SUCCESS)]);
    both.server.receive(99, 0, 16).unwrap();
}

#[test]
fn memory_of_this_side_is_checked_before_anything_is_done() {
    let both = connection();
    let client = &both.client;
    both.server.receive(9, 0, 16).unwrap();
    let strangers = [
        verbs::Place { memory: MemoryId(7), ..client.place(0, 4) },
        client.place(MEMORY_BYTES - 3, 4),
        verbs::Place { address: u64::MAX - 1, ..client.place(0, 4) },
        verbs::Place { address: client.address(0) - 1, ..client.place(0, 4) },
        both.server.place(0, 4),
    ];
    for place in strangers {
        let works = [client.send(1, 0, 4), Work::new(2, WorkKind::Send, &[client.place(0, 4), place])];
        assert_errno(client.post(both.at_client, &works), Errno::INVAL);
        // SAFETY: nothing is taken in.
        assert_errno(unsafe { client.adapter.receive(DeviceId(0), 1, place) }, Errno::INVAL);
    }
    let too_many = Work { place_count: 5, ..client.send(1, 0, 4) };
    assert_errno(client.post(both.at_client, &[too_many]), Errno::INVAL);
    assert_eq!(client.outcomes(), []);
    assert_eq!(both.server.outcomes(), []);
}

#[test]
fn memory_for_this_side_alone_serves_messages() {
    let fabric = Fabric::new();
    let (server, client) =
        (Side::of(fabric.adapter(OPTIONS), Access::Local), Side::of(fabric.adapter(OPTIONS), Access::Local));
    let (_, at_client) = connect(&server, &client);
    server.receive(1, 10, 10).unwrap();
    client.fill(0, b"message");
    client.post(at_client, &[client.send(1, 0, 7)]).unwrap();
    assert_eq!(server.content(10, 7), b"message");
}
