//! Records that are none, end too early, are too long, or never end.

use std::time::{Duration, Instant};

use testkit::behaved::BehavedClient;
use testkit::raw::{RawConnection, mark, null_call, record, write_call_head};
use testkit::server::{Scratch, Server, ServerPlan, can_serve};

/// Seconds without progress after which the servers here close a connection.
const RECORD_SECONDS: u64 = 2;

/// Until when a connection must be closed: the time above, the watch's period, and what a busy machine adds.
const CLOSED_MAX: Duration = Duration::from_secs(RECORD_SECONDS + 8);

/// Longest record a server accepts, generously.
const RECORD_MAX: u32 = 2 << 20;

fn server(name: &str) -> Server {
    let scratch = Scratch::new(name);
    let data = scratch.directory("data");
    let plan = ServerPlan::exporting(&[&data]).limits(&format!("record_seconds = {RECORD_SECONDS}"));
    Server::start(scratch, plan)
}

/// Numbers that look random and are the same in every run.
struct Noise(u64);

impl Noise {
    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut next = || {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 24) as u8
        };
        (0..count).map(|_| next()).collect()
    }
}

fn expect_all_closed(what: &str, connections: &mut [RawConnection]) {
    let begun = Instant::now();
    for (number, connection) in connections.iter_mut().enumerate() {
        let left = CLOSED_MAX.saturating_sub(begun.elapsed()).max(Duration::from_millis(1));
        assert!(connection.is_closed_within(left), "{what} {number} keeps its connection");
    }
}

#[test]
fn garbage_and_truncated_records_close_only_their_own_connections() {
    if !can_serve() {
        return;
    }
    let server = server("garbage");
    let mut behaved = BehavedClient::start(server.address(), "/");
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let mut connections = Vec::new();
    for number in 0..200_usize {
        let mut connection = RawConnection::new(server.address());
        match number % 4 {
            // No record at all.
            0 => connection.send(&noise.bytes(8192)),
            // A record that is no RPC message.
            1 => connection.send(&record(&noise.bytes(number + 4))),
            // A record that stops.
            2 => connection.send(&record(&null_call(1))[..20 + number % 20]),
            // A mark that stops.
            _ => connection.send(&mark(true, 100)[..1 + number % 3]),
        };
        // Every other one goes away as well.
        if number % 8 > 3 {
            connection.end();
        }
        connections.push(connection);
    }
    behaved.work_on(2);
    expect_all_closed("garbage", &mut connections);
    behaved.finish();
}

#[test]
fn calls_cut_anywhere_are_answered_or_end_their_connection() {
    if !can_serve() {
        return;
    }
    let server = server("cut");
    let mut behaved = BehavedClient::start(server.address(), "/");
    let mut whole = write_call_head(7, 64)[4..].to_vec();
    whole.extend_from_slice(&[1; 64]);
    let mut connection = RawConnection::new(server.address());
    for length in 0..whole.len() {
        assert!(connection.send(&record(&whole[..length])), "the last one was answered");
        if connection.receive(CLOSED_MAX).is_none() {
            // Too little to know whom to answer.
            assert!(
                connection.is_closed_within(CLOSED_MAX),
                "{length} bytes are neither answered nor closed"
            );
            connection = RawConnection::new(server.address());
        }
    }
    let mut noise = Noise(0x2545_f491_4f6c_dd1d);
    for _ in 0..500 {
        // Every word of a call wrong in turn, the first two (id and direction) excepted.
        let mut wrong = whole.clone();
        let at = 8 + noise.bytes(1)[0] as usize % (whole.len() - 12);
        wrong[at..at + 4].copy_from_slice(&noise.bytes(4));
        assert!(connection.send(&record(&wrong)), "the last one was answered");
        assert!(connection.receive(CLOSED_MAX).is_some(), "a call with a wrong word at {at} is answered");
    }
    behaved.work_on(1);
    behaved.finish();
}

#[test]
fn oversized_and_endless_records_close_their_connections_and_take_no_memory() {
    if !can_serve() {
        return;
    }
    let server = server("endless");
    let mut behaved = BehavedClient::start(server.address(), "/");
    let resident_before = server.resident_bytes();
    let mut announced: Vec<_> = (0..50_u32).map(|_| RawConnection::new(server.address())).collect();
    for (number, connection) in announced.iter_mut().enumerate() {
        let length = [0x7fff_ffff, RECORD_MAX][number % 2];
        connection.send(&mark(number % 4 < 2, length));
    }
    expect_all_closed("an oversized record", &mut announced);

    let mut endless: Vec<_> = (0..64_u32).map(|_| RawConnection::new(server.address())).collect();
    let piece = [&mark(false, 60_000)[..], &[0; 60_000]].concat();
    let crumbs = [&mark(false, 1)[..], &[0]].concat().repeat(1000);
    let nothing = mark(false, 0).repeat(1000);
    let begun = Instant::now();
    // Sent until the server will not have it any more.
    let mut open: Vec<_> = (0..endless.len()).collect();
    while !open.is_empty() {
        assert!(begun.elapsed() < CLOSED_MAX, "{} endless records go on", open.len());
        open.retain(|number| endless[*number].send([&piece, &crumbs, &nothing][number % 3]));
    }
    expect_all_closed("an endless record", &mut endless);
    behaved.work_on(1);
    let grown = server.resident_bytes().saturating_sub(resident_before);
    assert!(grown < 200 << 20, "{grown} bytes were taken");
    behaved.finish();
}

#[test]
fn a_record_that_dribbles_loses_its_connection() {
    if !can_serve() {
        return;
    }
    let server = server("dribble");
    let behaved = BehavedClient::start(server.address(), "/");
    let head = write_call_head(1, 1 << 20);
    let mut connections: Vec<_> = (0..20_u32).map(|_| RawConnection::new(server.address())).collect();
    let begun = Instant::now();
    for connection in &mut connections {
        assert!(connection.send(&head));
    }
    let mut open: Vec<_> = (0..connections.len()).collect();
    while !open.is_empty() {
        assert!(begun.elapsed() < CLOSED_MAX, "{} records dribble on", open.len());
        open.retain(|number| connections[*number].send(&[0]));
        std::thread::sleep(Duration::from_millis(20));
    }
    behaved.finish();
}
