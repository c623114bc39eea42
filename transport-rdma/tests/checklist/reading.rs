//! What waits: calls of a connection that is not read, payloads that nobody has asked for yet, and works for which a queue
//! pair has no room.

use std::time::{Duration, Instant};

use transport_rdma::Limits;
use verbs::WorkKind;
use wire::rdma::{Chunks, PrivateData};

use crate::arguments::{expect_brought, with_data};
use crate::support::*;

#[test]
fn what_comes_while_a_connection_is_not_read_is_served_when_it_is() {
    let server = Server::start();
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    client.send(&inline(1, ALONE, b"once"));
    server.wait_until("it is held", |state| state.begun == 1);
    (2..20).for_each(|xid| client.send(&inline(xid, ECHO, b"once")));
    let (write, data) = (Write::nfs3(20, 5, 70_001), pattern(70_001));
    client.send(&with_data(&write, &[client.show(&data)]));
    client.send(&inline(21, UNREAD, b""));
    other.echo(1);
    assert_eq!(server.state().begun, 2, "they wait");
    assert_eq!(client.accesses(), []);
    let since = Instant::now();
    server.wait_until("the service is told", |state| state.unread == [true]);
    assert!(since.elapsed() > Duration::from_millis(900));
    server.release();
    (1..20).for_each(|xid| client.expect_once(xid));
    // One that has something brought is overtaken.
    let unread = client.answer();
    let ms = word(&unread.stream, 8);
    assert_eq!(unread.header.xid, 21);
    assert!((900..PATIENCE.as_millis() as u32).contains(&ms), "{ms}");
    expect_brought(&client, 20, &write, &data, 5);
    server.wait_until("the service is told", |state| state.unread == [true, false]);
    client.echo(22);
}

#[test]
fn credits_hold_for_what_waits() {
    let limits = Limits { receives_max: 128, credits_max: 16, ..Limits::default() };
    let server = Server::with(&Setting { limits, ..Setting::default() });
    let client = Client::connect(&server);
    client.send(&inline(0, ALONE, b""));
    server.wait_until("it is held", |state| state.begun == 1);
    (1..16).for_each(|xid| client.send(&inline(xid, ECHO, b"")));
    server.state();
    assert!(!client.has_ended());
    client.send(&inline(16, ECHO, b""));
    assert!(client.is_closed());
    server.wait_until("the service is told", |state| state.gone.len() == 1);
    server.release();
    server.wait_until("what waited has ended", |state| state.gone.len() == 2);
    assert_eq!(server.state().begun, 1);
}

#[test]
fn payloads_take_no_memory_before_they_are_wanted() {
    const WRITES: u32 = 64;
    const BYTES: usize = 1 << 20;
    let server = Server::start();
    let client = Client::connect(&server);
    let data = pattern(BYTES);
    client.machine.put(4096, &data);
    let writes: Vec<(u32, u64, Write)> = (0..WRITES)
        .map(|index| {
            (LATER | index, u64::from(index) * 777, Write::nfs3(LATER | index, u64::from(index) * 777, BYTES))
        })
        .collect();
    for (.., write) in &writes {
        client.send(&with_data(write, &[client.show_at(4096, BYTES)]));
    }
    server.wait_until("all have begun", |state| state.begun == WRITES as usize);
    let state = server.state();
    assert_eq!((state.payload_bytes, state.brought), (0, 0));
    assert_eq!(client.accesses(), []);
    server.release();
    let mut answered = Vec::new();
    for _ in 0..WRITES {
        let answer = client.answer();
        assert_eq!(word(&answer.stream, 8 + 24), checksum(&data));
        let offset = writes.iter().find(|(xid, ..)| *xid == answer.header.xid).expect("it was asked").1;
        assert_eq!(word(&answer.stream, 8 + 20), (offset % 4096) as u32);
        answered.push(answer.header.xid);
    }
    answered.sort_unstable();
    assert!(answered.into_iter().eq((0..WRITES).map(|index| LATER | index)));
    assert!(server.control().reads_outstanding_max() <= 16);
    server.wait_until_empty_but_for(1);
}

#[test]
fn reads_are_no_more_than_the_client_bears_unless_one_payload_needs_them() {
    let server = Server::start();
    let client = Client::asking(&server, &LINUX.to_bytes(), 4096, 3).expect("three are enough");
    let data = pattern(9000);
    server.control().hold(WorkKind::Read);
    let write = |xid| Write::nfs3(xid, 0, 9000);
    (0..20).for_each(|xid| client.send(&with_data(&write(xid), &[client.show(&data)])));
    server.wait_until("all have begun", |state| state.begun == 20);
    for _ in 0..20 {
        server.wait_until("one is outstanding", |_| server.control().held() > 0);
        assert!(server.control().held() <= 3);
        server.control().release(1);
        let xid = client.answer().header.xid;
        assert!(xid < 20);
    }
    assert_eq!(server.control().reads_outstanding_max(), 3);
    let pieces = || client.show_pieces(&data, &[1000, 2000, 3000, 4000, 9000]);
    (20..23).for_each(|xid| client.send(&with_data(&write(xid), &pieces())));
    server.wait_until("all have begun", |state| state.begun == 23);
    server.control().resume();
    (20..23).for_each(|xid| expect_brought(&client, xid, &write(xid), &data, 0));
    assert_eq!(server.control().reads_outstanding_max(), 5, "one alone may have more");
}

#[test]
fn a_payload_that_is_given_up_on_its_way_is_in_nobodys_way() {
    let server = Server::start();
    // One that has no key ended by a reply, and ends none itself.
    let patient = PrivateData { remote_invalidation: false, ..LINUX };
    let client = Client::asking(&server, &patient.to_bytes(), 4096, 2).expect("two are enough");
    server.control().hold(WorkKind::Read);
    let (write, data) = (|xid| Write::nfs3(xid, 0, 5000), pattern(5000));
    for xid in 1..3 {
        client.send(&with_data(&write(GIVEN_UP | xid), &[client.show(&data)]));
        assert_eq!(client.answer().header.xid, GIVEN_UP | xid);
    }
    assert!(server.state().payload_bytes > 0, "the adapter still has its memory");
    server.control().resume();
    server.wait_until("it comes back", |state| state.payload_bytes == 0);
    for xid in 3..9 {
        client.send(&with_data(&write(xid), &client.show_pieces(&data, &[100, 5000])));
        expect_brought(&client, xid, &write(xid), &data, 0);
    }
}

/// Calls whose replies are written in sixteen pieces, while none of these gets away; all are answered afterwards.
fn answers_all(server: &Server, calls: u32, pieces: u32) {
    let client = Client::connect(server);
    server.control().hold(WorkKind::Write);
    let lent: Vec<Vec<Lent>> = (0..calls).map(|_| (0..16).map(|_| client.lend(600)).collect()).collect();
    for (xid, lent) in (0..).zip(&lent) {
        let chunks = Chunks { reply: Some(chunk(lent)), ..Chunks::default() };
        client.send(&message(chunks, &call(xid, BULK, &words(&[9200 / pieces, pieces, 0]))));
    }
    server.wait_until("all have begun", |state| state.begun == calls as usize);
    server.control().release(3);
    server.wait_until("the first are on their way", |_| server.control().held() > 0);
    assert!(!client.has_ended());
    server.control().resume();
    let mut answered: Vec<u32> = (0..calls).map(|_| client.answer().header.xid).collect();
    answered.sort_unstable();
    assert!(answered.into_iter().eq(0..calls));
    client.accesses();
    server.wait_until_empty_but_for(1);
}

#[test]
fn more_works_than_a_queue_pair_takes_wait_for_it() {
    answers_all(&Server::start(), 50, 1);
}

#[test]
fn replies_wait_for_places_for_their_messages() {
    // There are 64 places, 20 calls, and replies that need 9 of them each.
    let limits = Limits { receives_max: 64, ..Limits::default() };
    answers_all(&Server::with(&Setting { limits, ..Setting::default() }), 20, 8);
}

#[test]
fn a_core_that_looks_without_pause_serves_as_one_that_is_told() {
    let limits = Limits { receives_max: 128, busy_poll: true, ..Limits::default() };
    let server = Server::with(&Setting { limits, ..Setting::default() });
    let client = Client::connect(&server);
    for xid in 0..50 {
        client.echo(xid);
        let (write, data) = (Write::nfs3(xid, 1, 5000), pattern(5000));
        client.send(&with_data(&write, &[client.show(&data)]));
        expect_brought(&client, xid, &write, &data, 1);
    }
    drop(client);
    server.wait_until_empty();
}
