//! Calls over connections that we open: what they offer, and what comes back of it.

use std::rc::Rc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use transport::{CallError, within};

use crate::support::caller::{Caller, body, calling, plain, room, with_bulk};
use crate::support::*;

fn with_server<F: Future<Output = ()> + 'static>(
    test: impl FnOnce(Rc<Server>, Caller) -> F + Send + 'static,
) {
    let server = Server::start();
    let (fabric, address) = (server.fabric.clone(), server.address);
    calling(&fabric, address, move |caller| async move {
        let server = Rc::new(server);
        test(Rc::clone(&server), caller).await;
        drop(server);
    });
}

/// Arguments of [`BULK`].
fn bulk(bytes: usize, count: u32) -> Vec<u8> {
    words(&[bytes as u32, count, 0])
}

/// What [`BULK`] answers behind the reply's first words, with its data or without.
fn bulk_text(bytes: usize, with_data: bool) -> Bytes {
    let mut text = BytesMut::new();
    text.put_u32(bytes as u32);
    if with_data {
        text.extend_from_slice(&pattern(bytes));
        text.put_bytes(0, bytes.next_multiple_of(4) - bytes);
    }
    text.put_u32(TAIL);
    text.freeze()
}

#[test]
fn calls_and_replies_of_any_length() {
    with_server(|_server, caller| async move {
        let connection = caller.connect().await;
        for bytes in [0, 4, 3000, 4000, 4040, 4100, 60_000, 1 << 20] {
            let sent = pattern(bytes);
            // Room is offered whether or not it is needed.
            let answered = connection.ask(None, plain(ECHO, &sent), room(0, bytes + 8)).await;
            assert!(body(answered) == sent, "{bytes} bytes");
        }
        let answered = connection.ask(None, plain(LONG, &words(&[100_000])), room(0, 100_000)).await;
        assert!(body(answered) == pattern(100_000 - 8));
        caller.wait_until_empty().await;
    });
}

#[test]
fn bulk_data_of_a_call_is_read_by_the_server() {
    with_server(|server, caller| async move {
        let connection = caller.connect().await;
        for bytes in [1, 3, 4, 3900, 4097, 50_002] {
            let (data, behind) = (pattern(bytes), words(&[TAIL]));
            let padded = bytes.next_multiple_of(4);
            let mut expected = [&b"body"[..], &data].concat();
            expected.resize(4 + padded, 0);
            expected.extend_from_slice(&behind);
            let mut chain = caller.shard.pool().take(bytes, 0).expect("memory");
            chain.copy_from(0, &data);
            let on_heap = with_bulk(ECHO, b"body", Bytes::from(data), &behind);
            let in_memory = with_bulk(ECHO, b"body", chain, &behind);
            for message in [on_heap, in_memory] {
                let answered = connection.ask(None, message, room(0, expected.len() + 8)).await;
                assert!(body(answered) == expected, "{bytes} bytes");
            }
        }
        caller.wait_until_empty().await;
        server.wait_until("memory comes back", |state| state.payload_bytes == 0);
    });
}

#[test]
fn data_of_a_result_comes_apart_from_the_rest() {
    with_server(|_server, caller| async move {
        let connection = caller.connect().await;
        for bytes in [1, 5, 4096, 300_001, 1 << 20] {
            // What is offered may be more than is used, and one with data need not be the only one.
            for (offered, text) in [(bytes, 0), (bytes + 1000, 9000)] {
                let answered = connection.ask(None, plain(BULK, &bulk(bytes, 1)), room(offered, text)).await;
                let answered = answered.expect("it is answered");
                let data = answered.data.expect("data").to_vec();
                assert!(data == pattern(bytes), "{bytes} bytes");
                assert_eq!(answered.text[8..], bulk_text(bytes, false));
            }
            let answered = connection.ask(None, plain(BULK, &bulk(bytes, 1)), room(0, bytes + 100)).await;
            assert!(body(answered) == bulk_text(bytes, true));
        }
        // A result without data leaves the place alone.
        assert_eq!(body(connection.ask(None, plain(ECHO, b"none"), room(100_000, 0)).await), b"none"[..]);
        caller.wait_until_empty().await;
    });
}

#[test]
fn a_reply_without_room_fails_alone() {
    with_server(|_server, caller| async move {
        let connection = caller.connect().await;
        for offered in [room(0, 0), room(5000, 0), room(0, 9000)] {
            let answered = connection.ask(None, plain(BULK, &bulk(10_000, 1)), offered).await;
            assert_eq!(answered.err(), Some(CallError::Refused));
        }
        assert_eq!(body(connection.ask(None, plain(ECHO, b"next"), room(0, 0)).await), b"next"[..]);
        assert!(connection.is_open());
        caller.wait_until_empty().await;
    });
}

#[test]
fn no_more_are_outstanding_than_the_server_grants() {
    with_server(|server, caller| async move {
        let connection = caller.connect().await;
        let calls = (0..1000_u32).map(|number| {
            let connection = Rc::clone(&connection);
            caller.shard.spawn(async move {
                let sent = pattern(number as usize * 9);
                assert!(
                    body(connection.ask(None, plain(ECHO, &sent), room(0, sent.len() + 8)).await) == sent
                );
            })
        });
        for call in calls.collect::<Vec<_>>() {
            call.await.expect("no task failed");
        }
        // The server closes connections with more.
        assert!(connection.is_open());
        assert_eq!(server.state().stats.faults, 0);
        caller.wait_until_empty().await;
    });
}

#[test]
fn calls_back_are_answered_among_calls() {
    with_server(|server, caller| async move {
        let connection = caller.connect().await;
        body(connection.ask(None, plain(ECHO, b"here"), room(0, 0)).await);
        let held = Rc::clone(&connection);
        let held =
            caller.shard.spawn(async move { body(held.ask(None, plain(HOLD, b"held"), room(0, 0)).await) });
        for number in 0..20 {
            let called = server.call_back(&call(0, ECHO, &words(&[number])), PATIENCE);
            let answer = loop {
                match called.try_recv() {
                    Ok(answer) => break answer.expect("it is answered"),
                    Err(_) => caller.shard.sleep(Duration::from_millis(1)).await,
                }
            };
            assert_eq!(answer[4..], words(&[1, number]));
        }
        server.release();
        assert_eq!(held.await.expect("no task failed"), b"held"[..]);
    });
}

#[test]
fn what_a_lost_connection_had_comes_back() {
    with_server(|server, caller| async move {
        let connection = caller.connect().await;
        let asking = Rc::clone(&connection);
        let asked =
            caller.shard.spawn(async move { asking.ask(None, plain(HOLD, b"held"), room(9000, 9000)).await });
        while server.state().begun == 0 {
            caller.shard.sleep(Duration::from_millis(1)).await;
        }
        assert!(caller.shard.pool().bytes_taken() > 0, "it is lent");
        server.close_last();
        assert_eq!(asked.await.expect("no task failed").err(), Some(CallError::Lost));
        caller.wait_until_empty().await;
        assert_eq!(
            connection.ask(None, plain(ECHO, b"late"), room(9000, 0)).await.err(),
            Some(CallError::Lost)
        );
        caller.wait_until_empty().await;
        let again = caller.connect().await;
        assert_eq!(body(again.ask(None, plain(ECHO, b"again"), room(0, 0)).await), b"again"[..]);
    });
}

#[test]
fn memory_stays_lent_until_the_answer_though_nobody_waits() {
    with_server(|server, caller| async move {
        let connection = caller.connect().await;
        let asked = connection.ask(None, plain(HOLD, b"held"), room(9000, 9000));
        let given_up = within(&caller.shard, Duration::from_millis(30), asked).await;
        assert!(given_up.is_none());
        assert!(caller.shard.pool().bytes_taken() > 0, "the server may still write there");
        server.release();
        caller.wait_until_empty().await;
        assert_eq!(body(connection.ask(None, plain(ECHO, b"next"), room(0, 0)).await), b"next"[..]);
    });
}

#[test]
fn connections_that_are_not_to_be_had() {
    let server = Server::start();
    let (fabric, mut nowhere) = (server.fabric.clone(), server.address);
    nowhere.set_port(1);
    calling(&fabric, nowhere, |caller| async move {
        let refused = caller.try_connect().await.expect_err("nobody listens there");
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    });
    with_server(|server, caller| async move {
        // The first takes half of what is left, and so on.
        let mut connections = Vec::new();
        let refused = loop {
            match caller.try_connect().await {
                Ok(connection) => connections.push(connection),
                Err(refused) => break refused,
            }
            assert!(connections.len() < 100, "receives are promised without end");
        };
        assert!(connections.len() > 2, "{refused}");
        assert_eq!(server.state().stats.connections, connections.len() as u64);
    });
}
