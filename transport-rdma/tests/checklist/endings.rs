//! How connections end, and what comes back when they have.

use std::time::Duration;

use transport_rdma::Limits;
use verbs::{Verbs, WorkKind};
use wire::rdma::Chunks;

use crate::arguments::with_data;
use crate::support::*;

/// A call for bulk data that goes to this memory.
fn bulk_to(client: &Client, xid: u32, bytes: usize) -> Vec<u8> {
    let chunks = Chunks { write: Some(chunk(&[client.lend(bytes)])), ..Chunks::default() };
    message(chunks, &call(xid, BULK, &words(&[bytes as u32, 1, 0])))
}

#[test]
fn calls_in_progress_end_after_their_connection() {
    let server = Server::start();
    let client = Client::connect(&server);
    (0..3).for_each(|xid| client.send(&inline(xid, HOLD, b"")));
    server.wait_until("they are held", |state| state.begun == 3);
    client.disconnect();
    server.wait_until("it is told", |state| state.gone.len() == 1 && state.stats.connections == 0);
    server.release();
    server.wait_until("it is told again when the last has ended", |state| state.gone.len() == 2);
    let state = server.state();
    assert_eq!(state.gone[0], state.gone[1]);
    // One without calls is told of once.
    let client = Client::connect(&server);
    client.echo(1);
    client.disconnect();
    server.wait_until("it is told", |state| state.stats.connections == 0);
    assert_eq!(server.state().gone.len(), 3);
}

#[test]
fn memory_is_kept_until_the_adapter_has_done_with_it() {
    let server = Server::start();
    for kind in [WorkKind::Read, WorkKind::Write, WorkKind::Send] {
        for breaks in [false, true] {
            let client = Client::connect(&server);
            server.control().hold(kind);
            client.send(&with_data(&Write::nfs3(1, 7, 100_000), &[client.show(&pattern(100_000))]));
            client.send(&bulk_to(&client, 2, 200_000));
            client.send(&inline(3, ECHO, b"echo"));
            let held = |state: &State| server.control().held() >= 1 && state.begun.is_multiple_of(3);
            server.wait_until("works are outstanding", held);
            if breaks {
                server.fabric.break_pair(client.pair);
                assert!(client.is_closed());
            } else {
                client.disconnect();
            }
            server.wait_until_empty();
            server.control().resume();
        }
    }
    assert_eq!(server.control().receives_waiting(), 512);
}

#[test]
fn a_call_that_may_not_be_read_on_ends_the_connection() {
    let server = Server::start();
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    client.send(&inline(1, DISCONNECT, b""));
    assert!(client.is_closed());
    other.echo(1);
    assert_eq!(server.state().stats.faults, 1);
}

#[test]
fn draining_finishes_what_was_begun_and_begins_nothing() {
    let server = Server::start();
    let (busy, idle) = (Client::connect(&server), Client::connect(&server));
    busy.echo(1);
    idle.echo(1);
    busy.send(&inline(2, HOLD, b"once"));
    server.wait_until("it is held", |state| state.begun == 3);
    let drained = server.drain(PATIENCE);
    assert!(idle.is_closed());
    busy.send(&inline(3, ECHO, b"never"));
    busy.send(&words(&[3, 1, 32, 77, 0, 0, 0]));
    assert!(Client::asking(&server, &LINUX.to_bytes(), 4096, 16).is_err());
    server.release();
    busy.expect_once(2);
    assert_eq!(busy.try_answer(), None, "nothing is said to what came later");
    assert!(drained.recv_timeout(PATIENCE).expect("it ends"), "all ended by themselves");
    assert_eq!(server.state().begun, 3);
    server.wait_until_empty();
}

#[test]
fn draining_waits_for_replies_on_their_way() {
    let server = Server::start();
    let client = Client::connect(&server);
    client.echo(1);
    server.control().hold(WorkKind::Write);
    client.send(&bulk_to(&client, 2, 100_000));
    server.wait_until("it is on its way", |_| server.control().held() == 1);
    let drained = server.drain(PATIENCE);
    server.state();
    assert!(!client.has_ended());
    server.control().resume();
    assert_eq!(client.answer().header.xid, 2);
    assert!(client.is_closed());
    assert!(drained.recv_timeout(PATIENCE).expect("it ends"));
}

#[test]
fn draining_cuts_off_what_takes_too_long() {
    let server = Server::start();
    let client = Client::connect(&server);
    client.send(&inline(2, HOLD, b""));
    server.wait_until("it is held", |state| state.begun == 1);
    let drained = server.drain(Duration::from_millis(20));
    assert!(!drained.recv_timeout(PATIENCE).expect("it ends"));
    assert!(client.is_closed());
    server.release();
    server.wait_until("its call has ended", |state| state.gone.len() == 2);
    server.wait_until_empty();
}

#[test]
fn a_device_that_goes_takes_its_connections_and_nothing_else() {
    let server = Server::with(&Setting { shards: 2, ..Setting::default() });
    let clients: Vec<Client> = (0..4).map(|_| Client::connect(&server)).collect();
    clients.iter().for_each(|client| client.echo(1));
    for client in &clients {
        client.send(&inline(2, HOLD, b""));
    }
    server.wait_until("they are held", |state| state.begun == 4);
    server.control().remove_device();
    server.wait_until("its connections end", |state| state.stats.connections == 0);
    let (ended, alive): (Vec<_>, Vec<_>) = clients.iter().partition(|client| client.has_ended());
    assert_eq!((ended.len(), alive.len()), (2, 2));
    alive.iter().for_each(|client| client.echo(3));
    server.release();
    server.wait_until("their calls end", |state| state.gone.len() == 4);
    assert!(Client::asking(&server, &LINUX.to_bytes(), 4096, 16).is_err(), "nobody listens any more");
    assert!(server.drain(PATIENCE).recv_timeout(PATIENCE).expect("it ends"));
}

#[test]
fn who_goes_before_it_is_accepted_leaves_nothing_behind() {
    let server = Server::start();
    let client = Client::connect(&server);
    for _ in 0..500 {
        let pair =
            client.machine.adapter.connect(server.address, 16, &LINUX.to_bytes()).expect("a queue pair");
        client.machine.adapter.destroy(pair);
    }
    client.echo(1);
    server.wait_until_empty_but_for(1);
    let stats = server.state().stats;
    assert!(stats.connections_opened + stats.refused <= 501);
    assert_eq!(server.control().receives_waiting(), 512);
}

#[test]
fn a_reply_that_the_client_cannot_receive_ends_its_connection() {
    let server = Server::start();
    let other = Client::connect(&server);
    // It says that it takes more than it does.
    let client = Client::telling(&server, &LINUX.to_bytes(), 1024);
    client.send(&inline(1, LONG, &words(&[1025])));
    assert!(client.is_closed());
    other.echo(1);
    server.wait_until_empty_but_for(1);
}

#[test]
fn a_reply_for_which_there_is_no_memory_ends_its_connection() {
    let server = Server::with(&Setting { region_bytes: 2 << 20, ..Setting::default() });
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    let chunks = Chunks { reply: Some(chunk(&[client.lend(4 << 20)])), ..Chunks::default() };
    client.send(&message(chunks, &call(1, LONG, &words(&[4 << 20]))));
    assert!(client.is_closed(), "it is not left waiting");
    assert_eq!(client.accesses(), []);
    other.echo(1);
    server.wait_until_empty_but_for(1);
}

#[test]
fn a_server_that_ends_leaves_memory_alone() {
    for kind in [WorkKind::Read, WorkKind::Write, WorkKind::Send] {
        let server = Server::start();
        let client = Client::connect(&server);
        server.control().hold(kind);
        client.send(&with_data(&Write::nfs3(1, 7, 100_000), &[client.show(&pattern(100_000))]));
        client.send(&bulk_to(&client, 2, 200_000));
        client.send(&inline(3, HOLD, b""));
        server.wait_until("works are outstanding", |state| server.control().held() >= 1 && state.begun == 3);
        let control = server.control().clone();
        drop(server);
        assert!(client.is_closed());
        control.resume();
        assert_eq!(control.held(), 0);
        client.accesses();
    }
}

#[test]
fn thousands_of_connections_leave_nothing_behind() {
    let limits = Limits { receives_max: 128, ..Limits::default() };
    let server = Server::with(&Setting { limits, ..Setting::default() });
    let mut client = Client::connect(&server);
    client.send(&inline(0, ECHO, b""));
    let credits = client.answer().header.credits;
    for round in 0..4000_u32 {
        // Ended with nothing, with a call, and with a payload outstanding.
        match round % 4 {
            0 => client.echo(round),
            1 => client.send(&inline(round, ECHO, b"")),
            2 => client.send(&bulk_to(&client, round, 5000)),
            _ => {}
        }
        client.disconnect();
        server.wait_until("its promise comes back", |state| state.stats.connections == 0);
        client.connect_again(&LINUX.to_bytes(), 16).expect("there is always room for one");
    }
    client.send(&inline(0, ECHO, b""));
    assert_eq!(client.answer().header.credits, credits, "as many as at first");
    drop(client);
    server.wait_until_empty();
    assert_eq!(server.control().receives_waiting(), 128);
    assert_eq!(server.state().stats.connections_opened, 4001);
}

#[test]
fn who_takes_nothing_and_who_is_silent_for_long_is_closed() {
    let stall_max = Duration::from_millis(500);
    let limits = Limits { stall_max, idle_max: Duration::from_secs(3), ..Limits::default() };
    let server = Server::with(&Setting { limits, ..Setting::default() });
    let (deaf, silent, busy) = (Client::connect(&server), Client::connect(&server), Client::connect(&server));
    deaf.echo(1);
    // A call in progress is no silence, however long it takes.
    busy.send(&inline(1, HOLD, b""));
    server.control().hold(WorkKind::Send);
    deaf.send(&inline(2, ECHO, b""));
    server.wait_until("it is given up", |state| state.stats.faults == 1 && state.stats.connections == 2);
    server.control().resume();
    silent.echo(3);
    server.wait_until("it is closed", |state| state.stats.connections == 1);
    assert!(silent.is_closed());
    server.release();
    busy.expect(1, b"");
    assert_eq!(server.state().stats.faults, 1);
}
