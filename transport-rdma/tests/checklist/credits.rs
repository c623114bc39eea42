//! Credits: granted in every reply, and not exceeded (items 10 and 11).

use transport_rdma::Limits;
use wire::rdma::Chunks;

use crate::support::*;

/// A server that grants so many calls.
fn granting(credits_max: u32) -> Server {
    let limits = Limits { receives_max: 128, credits_max, ..Limits::default() };
    Server::with(&Setting { limits, ..Setting::default() })
}

#[test]
fn as_many_calls_are_granted_as_can_be_received() {
    let limits = Limits { receives_max: 128, ..Limits::default() };
    let server = Server::with(&Setting { limits, ..Setting::default() });
    let (mut clients, mut granted) = (Vec::new(), Vec::new());
    while let Ok(client) = Client::asking(&server, &LINUX.to_bytes(), 4096, 16) {
        client.send(&inline(1, ECHO, b""));
        granted.push(client.answer().header.credits);
        clients.push(client);
    }
    // Of 128 receives a quarter is kept, and of those left another from one host; each connection has half of what is left, beside
    // 8 for calls back.
    assert_eq!(granted, [44, 12]);
    // All of them at once, and none is short of a receive.
    for (client, credits) in clients.iter().zip(&granted) {
        (0..*credits).for_each(|xid| client.send(&inline(xid, HOLD, b"")));
    }
    server.wait_until("all are there", |state| state.begun == 2 + 44 + 12);
    server.release();
    for (client, credits) in clients.iter().zip(&granted) {
        (0..*credits).for_each(|xid| assert_eq!(client.expect(xid, b"").header.credits, *credits));
    }
}

#[test]
fn who_has_more_calls_than_it_may_loses_its_connection_and_others_do_not() {
    let server = granting(16);
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    let malformed = message(Chunks::default(), &words(&[99, 5]));
    for last in [inline(99, ECHO, b""), malformed] {
        let mut client = Client::connect(&server);
        let begun = server.state().begun;
        (0..16).for_each(|xid| client.send(&inline(xid, HOLD, b"")));
        server.wait_until("all are there", |state| state.begun == begun + 16);
        client.send(&last);
        assert!(client.is_closed());
        other.echo(1);
        server.release();
        client.disconnect();
        client.connect_again(&LINUX.to_bytes(), 16).expect("there is room again");
        client.echo(2);
    }
    client.echo(3);
    assert_eq!(server.state().stats.faults, 2);
}

#[test]
fn a_burst_within_what_is_promised_to_none_harms_only_who_sends_it() {
    let server = granting(16);
    let other = Client::connect(&server);
    for round in 0..20 {
        let client = Client::connect(&server);
        // Of 128 receives the other has 24 and this one has 24; 32 are promised to none.
        (0..24 + 32).for_each(|xid| client.send(&inline(xid, HOLD, b"")));
        (0..20).for_each(|xid| other.echo(xid));
        assert!(client.is_closed());
        server.release();
        server.wait_until("its calls have ended", |state| state.gone.len() == 2 * (round + 1));
    }
    other.echo(20);
    assert_eq!(server.state().stats.faults, 20);
    assert_eq!(server.control().receives_waiting(), 128);
}

#[test]
fn calls_that_end_without_an_answer_are_no_longer_outstanding() {
    let server = granting(8);
    let client = Client::connect(&server);
    for round in 0..20 {
        (0..7).for_each(|xid| client.send(&inline(xid, DISCARD, b"")));
        (0..3).for_each(|_| client.send(&words(&[1, 2, 3])));
        client.echo(round);
    }
    assert_eq!(server.state().stats.ignored, 60);
}

#[test]
fn who_sends_what_nobody_waits_for_loses_its_connection_before_long() {
    let server = granting(8);
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    for _ in 0..4 {
        (0..16).for_each(|_| client.send(&words(&[1, 2, 3])));
        client.echo(1);
    }
    client.send(&words(&[1, 2, 3]));
    assert!(client.is_closed());
    other.echo(1);
    assert_eq!(server.state().stats.faults, 1);
}

#[test]
fn as_many_calls_as_are_granted_go_round_and_round() {
    let server = granting(32);
    let clients: Vec<Client> = (0..2).map(|_| Client::connect(&server)).collect();
    for client in &clients {
        client.echo(0);
    }
    for round in 0..50 {
        for client in &clients {
            (0..8).for_each(|xid| client.send(&inline(round * 100 + xid, ECHO, &words(&[xid]))));
        }
        for client in &clients {
            let mut xids: Vec<u32> = (0..8).map(|_| client.answer().header.xid).collect();
            xids.sort_unstable();
            assert!(xids.into_iter().eq(round * 100..round * 100 + 8));
        }
    }
    assert_eq!(server.control().receives_waiting(), 128);
}
