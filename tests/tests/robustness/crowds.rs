//! Thousands of connections that do nothing, stop half way, or do not listen.

use std::time::{Duration, Instant};

use client::OpenHow;
use testkit::asking::ask;
use testkit::behaved::BehavedClient;
use testkit::raw::{RawConnection, read_call, record, write_call_head};
use testkit::server::{Scratch, Server, ServerPlan, can_serve};
use wire::nfs4::StableHow;

/// A crowd.
const CROWD: usize = 2000;

/// Bytes of a WRITE that never becomes complete, and what is sent of them.
const WRITE_BYTES: u32 = 1 << 20;
const SENT_BYTES: usize = 12 * 1024;

/// Until when the server must have done what it does after a time without progress.
const CLOSED_MAX: Duration = Duration::from_secs(30);

fn server(name: &str, limits: &str) -> Server {
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    Server::start(scratch, ServerPlan::exporting(&[&data]).limits(limits))
}

fn crowd(server: &Server) -> Vec<RawConnection> {
    testkit::server::allow_many_files();
    (0..CROWD).map(|_| RawConnection::new(server.address())).collect()
}

fn expect_all_closed(crowd: &mut [RawConnection]) {
    let begun = Instant::now();
    for connection in crowd {
        let left = CLOSED_MAX.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        assert!(connection.is_closed_within(left), "a record without progress keeps its connection");
    }
}

#[test]
fn two_thousand_idle_connections_disturb_nobody_and_stay() {
    if !can_serve() {
        return;
    }
    let server = server("idle", "record_seconds = 1");
    let mut behaved = BehavedClient::start(server.address(), "/");
    let resident_before = server.resident_bytes();
    let mut crowd = crowd(&server);
    behaved.work_on(5);
    // Longer than a record may stand still: those who owe nothing are not closed.
    std::thread::sleep(Duration::from_secs(2));
    behaved.work_on(5);
    let grown = server.resident_bytes().saturating_sub(resident_before);
    assert!(grown < CROWD as u64 * 64 * 1024, "{grown} bytes for connections that do nothing");
    for connection in crowd.iter_mut().step_by(50) {
        assert!(connection.is_answered(CLOSED_MAX), "an idle connection is as good as any");
    }
    behaved.finish();
}

#[test]
fn two_thousand_strangers_who_stop_inside_a_write_disturb_nobody() {
    if !can_serve() {
        return;
    }
    let server = server("strangers", "record_seconds = 4");
    let mut behaved = BehavedClient::start(server.address(), "/");
    // It has earned its standing when the crowd comes.
    behaved.work_on(4);
    let begun_write = [write_call_head(1, WRITE_BYTES), vec![7; SENT_BYTES]].concat();
    let mut crowd = crowd(&server);
    for connection in &mut crowd {
        assert!(connection.send(&begun_write), "nobody is closed before its time");
    }
    behaved.work_on(10);
    expect_all_closed(&mut crowd);
    behaved.finish();
}

#[test]
fn two_thousand_acquaintances_who_stop_inside_a_write_disturb_nobody() {
    if !can_serve() {
        return;
    }
    let server = server("acquaintances", "record_seconds = 4");
    let mut behaved = BehavedClient::start(server.address(), "/");
    behaved.work_on(4);
    // Two of these do not earn what holding memory costs.
    let mut whole_write = write_call_head(1, 4096);
    whole_write.resize(whole_write.len() + 4096, 7);
    let begun_write = [write_call_head(2, WRITE_BYTES), vec![7; SENT_BYTES]].concat();
    let mut crowd = crowd(&server);
    for connection in &mut crowd {
        assert!(connection.send(&whole_write), "the connection is new");
    }
    for connection in &mut crowd {
        assert!(connection.receive(CLOSED_MAX).is_some(), "a complete call is answered");
        // The server may be closing others' already, for whom it has no memory; it is their loss.
        connection.send(&begun_write);
    }
    behaved.work_on(10);
    expect_all_closed(&mut crowd);
    behaved.finish();
}

#[test]
fn readers_who_never_take_their_replies_are_cut_off() {
    if !can_serve() {
        return;
    }
    let server = server("deaf", "record_seconds = 2\npayload_memory_mib = 32");
    let mut behaved = BehavedClient::start(server.address(), "/");
    let address = server.address();
    ask(address, move |asking| async move {
        let client = asking.client("deaf").await;
        let session = client.session();
        let root = session.lookup("/").await.expect("the root");
        let file = session.open(root, "large", &OpenHow::create(0o644)).await.expect("a file");
        let content = vec![7; WRITE_BYTES as usize];
        session.write(&file, 0, &content, StableHow::Unstable).await.expect("a write");
        // Each takes more than a connection may have queued.
        let mut deaf: Vec<_> = (0..4_usize).map(|_| RawConnection::new(address)).collect();
        for (number, connection) in deaf.iter_mut().enumerate() {
            // The session's own calls go over its first slot.
            for call in 1..16 {
                let slot = (number * 15 + call) as u32;
                let bytes = read_call(session.id(), slot, &file, WRITE_BYTES);
                connection.send(&record(&bytes));
            }
        }
        behaved.work_on(5);
        // Until they have not moved for long enough.
        asking.shard.sleep(Duration::from_secs(4)).await;
        // Closing is not seen behind replies that nobody takes: they are taken now, and end half way.
        for connection in &mut deaf {
            let begun = Instant::now();
            let mut taken = 0;
            while connection.receive(CLOSED_MAX).is_some() {
                taken += 1;
                assert!(taken < 15 && begun.elapsed() < CLOSED_MAX, "a deaf reader is served for ever");
            }
        }
        behaved.finish();
    });
}
