//! Calls of the server's over a connection that its client opened (RFC 8167).

use std::sync::mpsc::Receiver;
use std::time::Duration;

use transport::CallError;
use wire::rdma::{Chunks, Content, Failure, Header, PrivateData, VERSION};

use crate::support::server::Called;
use crate::support::*;

/// A call back, whose transaction id the transport sets.
fn back(bytes: usize) -> Vec<u8> {
    call(0, 77, &pattern(bytes - 24))
}

/// A connection that has called, so that it can be called back.
fn caller(server: &Server) -> Client {
    let client = Client::connect(server);
    client.echo(1);
    client
}

/// The next message is a call back of so many bytes; its transaction id.
fn expect_back(client: &Client, bytes: usize) -> u32 {
    let Answer { header: Header { xid, version, credits, content }, stream } = client.answer();
    assert_eq!((version, content), (VERSION, Content::Message(Chunks::default())));
    assert!(credits >= 1);
    assert_eq!(stream, call(xid, 77, &pattern(bytes - 24)));
    xid
}

/// Answers a call back, and grants so many.
fn answer_back(client: &Client, xid: u32, credits: u32) {
    let mut message = message(Chunks::default(), &reply(xid, b"done"));
    message[8..12].copy_from_slice(&credits.to_be_bytes());
    client.send(&message);
}

fn came_to(called: &Receiver<Called>) -> Called {
    called.recv_timeout(PATIENCE).expect("a call back ends")
}

fn is_answered(called: &Receiver<Called>) -> bool {
    came_to(called).expect("it was answered")[4..] == *[&words(&[1])[..], b"done"].concat()
}

#[test]
fn a_call_back_is_answered_among_calls() {
    let server = Server::start();
    let client = caller(&server);
    client.send(&inline(5, HOLD, b"once"));
    let called = server.call_back(&back(60), PATIENCE);
    let xid = expect_back(&client, 60);
    // A call of the client's may have the same transaction id.
    client.echo(xid);
    answer_back(&client, xid, 4);
    assert!(is_answered(&called));
    server.release();
    client.expect_once(5);
}

#[test]
fn no_more_are_outstanding_than_the_client_grants() {
    let server = Server::start();
    let client = caller(&server);
    let mut called: Vec<_> = (0..30).map(|_| server.call_back(&back(40), PATIENCE)).collect();
    // At first one, then as many as the last answer said, and never more than the server has receives for.
    let mut outstanding = Vec::new();
    for (granted, expected) in [(1, 1), (3, 1), (2, 3), (100, 2), (100, 8)] {
        while outstanding.len() < expected {
            outstanding.push(expect_back(&client, 40));
        }
        server.state();
        client.echo(9);
        answer_back(&client, outstanding.remove(0), granted);
        // The answer is seen before the call behind it.
        if granted < expected as u32 {
            client.echo(10);
            continue;
        }
    }
    // All others, each as the one before it is answered.
    let mut answered = 5;
    while answered < 30 {
        if outstanding.is_empty() {
            outstanding.push(expect_back(&client, 40));
        }
        answer_back(&client, outstanding.remove(0), 8);
        answered += 1;
    }
    assert!(called.drain(..).all(|called| is_answered(&called)));
}

#[test]
fn a_grant_of_none_is_one() {
    let server = Server::start();
    let client = caller(&server);
    for _ in 0..3 {
        let called = server.call_back(&back(40), PATIENCE);
        answer_back(&client, expect_back(&client, 40), 0);
        assert!(is_answered(&called));
    }
}

#[test]
fn an_answer_that_comes_too_late_goes_to_nobody() {
    let server = Server::start();
    let client = caller(&server);
    let called = server.call_back(&back(40), Duration::from_millis(20));
    let late = expect_back(&client, 40);
    assert_eq!(came_to(&called), Err(CallError::TimedOut));
    let called = server.call_back(&back(40), PATIENCE);
    // Until it is answered, whoever has waited, no other may go: the client has granted one.
    client.echo(1);
    answer_back(&client, late, 1);
    let next = expect_back(&client, 40);
    assert_ne!(next, late);
    answer_back(&client, next, 1);
    assert!(is_answered(&called));
}

#[test]
fn one_that_waits_for_its_turn_can_time_out_too() {
    let server = Server::start();
    let client = caller(&server);
    let first = server.call_back(&back(40), PATIENCE);
    let xid = expect_back(&client, 40);
    let second = server.call_back(&back(44), Duration::from_millis(20));
    assert_eq!(came_to(&second), Err(CallError::TimedOut));
    answer_back(&client, xid, 1);
    assert!(is_answered(&first));
    let third = server.call_back(&back(48), PATIENCE);
    answer_back(&client, expect_back(&client, 48), 1);
    assert!(is_answered(&third));
}

#[test]
fn a_call_back_that_the_client_cannot_use_fails_alone() {
    let server = Server::start();
    let client = caller(&server);
    let called = server.call_back(&back(40), PATIENCE);
    let xid = expect_back(&client, 40);
    client.send(&header(xid, Content::Error(Failure::Chunk)));
    assert_eq!(came_to(&called), Err(CallError::Refused));
    let called = server.call_back(&back(40), PATIENCE);
    answer_back(&client, expect_back(&client, 40), 1);
    assert!(is_answered(&called));
}

#[test]
fn a_call_back_is_no_longer_than_one_message() {
    let server = Server::start();
    for (receive_bytes, private) in [
        (4096, LINUX.to_bytes().to_vec()),
        (1024, PrivateData { receive_bytes: 1024, ..LINUX }.to_bytes().to_vec()),
        (1024, Vec::new()),
    ] {
        let client = Client::telling(&server, &private, receive_bytes);
        client.echo(1);
        let called = server.call_back(&back(receive_bytes - 28 + 4), PATIENCE);
        assert_eq!(came_to(&called), Err(CallError::Unsendable));
        let called = server.call_back(&back(receive_bytes - 28), PATIENCE);
        answer_back(&client, expect_back(&client, receive_bytes - 28), 1);
        assert!(is_answered(&called));
    }
}

#[test]
fn calls_back_end_with_their_connection() {
    let server = Server::start();
    for ends_here in [true, false] {
        let client = caller(&server);
        let called: Vec<_> = (0..4).map(|_| server.call_back(&back(40), PATIENCE)).collect();
        expect_back(&client, 40);
        if ends_here {
            client.disconnect();
        } else {
            server.close_last();
        }
        assert!(called.iter().all(|called| came_to(called) == Err(CallError::Lost)));
        let late = server.call_back(&back(40), PATIENCE);
        assert_eq!(came_to(&late), Err(CallError::Lost));
    }
    server.wait_until_empty();
}

#[test]
fn a_call_back_is_answered_while_its_connection_drains() {
    let server = Server::start();
    let client = caller(&server);
    client.send(&inline(5, HOLD, b"once"));
    server.wait_until("it is held", |state| state.begun == 2);
    let called = server.call_back(&back(40), PATIENCE);
    let xid = expect_back(&client, 40);
    let drained = server.drain(PATIENCE);
    server.state();
    answer_back(&client, xid, 1);
    assert!(is_answered(&called));
    server.release();
    client.expect_once(5);
    assert!(client.is_closed());
    client.disconnect();
    assert!(drained.recv_timeout(PATIENCE).expect("it ends"));
}
