//! Replies whose bulk data lies in pipes.

mod support;

use std::time::{Duration, Instant};

use support::{ECHO, FILE_BYTES, PIPED, Server, message, pattern, record, reply};
use transport_tcp::Limits;

const REGION_BYTES: usize = 8 << 20;

/// Pipes of a core, as `buf` has them at the most.
const PIPES: usize = 64;

fn piped_call(xid: u32, bytes: usize, count: usize, behind: usize) -> Vec<u8> {
    let words = [bytes as u32, count as u32, behind as u32].map(u32::to_be_bytes);
    record(&message(xid, PIPED, &words.concat()))
}

fn piped_reply(xid: u32, bytes: usize, count: usize, behind: usize) -> Vec<u8> {
    let piece = [pattern(bytes), vec![0xb0; behind]].concat();
    reply(xid, &piece.repeat(count))
}

#[test]
fn pieces_of_every_size_stand_in_their_place() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let mut spliced = 0;
    for bytes in [0, 1, 4095, 4096, 16 << 10, (64 << 10) + 1, FILE_BYTES] {
        for (count, behind) in [(1, 0), (1, 3), (1, 5000), (3, 0), (3, 12)] {
            peer.send(&piped_call(9, bytes, count, behind));
            assert!(peer.receive() == piped_reply(9, bytes, count, behind), "{bytes} {count} {behind}");
            spliced += (bytes * count) as u64;
        }
    }
    let stats = server.stats();
    assert_eq!((stats.payload_spliced_bytes, stats.payload_from_memory_bytes), (spliced, 0));
}

#[test]
fn replies_of_all_kinds_keep_their_order_and_bounds() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let mut reader = support::Peer { stream: peer.stream.try_clone().expect("a descriptor") };
    let reading = std::thread::spawn(move || {
        for xid in 0..400_u32 {
            let expected = match xid % 4 {
                0 => reply(xid, b"small"),
                1 => piped_reply(xid, xid as usize * 100, 1, 8),
                2 => piped_reply(xid, FILE_BYTES / 2, 1, 0),
                _ => reply(xid, &pattern(10_000)),
            };
            assert!(reader.receive() == expected, "reply {xid}");
        }
    });
    for xid in 0..400_u32 {
        peer.send(&match xid % 4 {
            0 => record(&message(xid, ECHO, b"small")),
            1 => piped_call(xid, xid as usize * 100, 1, 8),
            2 => piped_call(xid, FILE_BYTES / 2, 1, 0),
            _ => record(&message(xid, ECHO, &pattern(10_000))),
        });
    }
    reading.join().expect("all are right");
}

#[test]
fn without_a_pipe_memory_serves_and_pipes_come_back() {
    let server = Server::start(Limits::default(), 192 << 20);
    // Replies that nobody takes yet hold all pipes there are, and then some memory.
    let mut slow: Vec<_> = (0..20).map(|_| server.peer()).collect();
    for peer in &mut slow {
        (0..7).for_each(|xid| peer.send(&piped_call(xid, FILE_BYTES, 1, 4)));
    }
    server.wait_until("all calls are in", |stats| stats.calls == 140);
    assert!(server.payload_bytes() > 0, "not all of them found a pipe");
    for peer in &mut slow {
        for xid in 0..7 {
            assert!(peer.receive() == piped_reply(xid, FILE_BYTES, 1, 4));
        }
    }
    let all = server.stats();
    assert!(all.payload_spliced_bytes >= (PIPES / 2 * FILE_BYTES) as u64, "{all:?}");
    assert_eq!(all.payload_spliced_bytes + all.payload_from_memory_bytes, (140 * FILE_BYTES) as u64);
    // All is given back.
    let mut peer = server.peer();
    peer.send(&piped_call(1, FILE_BYTES, PIPES / 2, 0));
    assert!(peer.receive() == piped_reply(1, FILE_BYTES, PIPES / 2, 0));
    let spliced = server.stats().payload_spliced_bytes - all.payload_spliced_bytes;
    assert_eq!(spliced, (PIPES / 2 * FILE_BYTES) as u64, "there are pipes again");
}

#[test]
fn a_peer_that_takes_nothing_is_closed_within_a_pipe() {
    let limits = Limits { progress_timeout: Duration::from_millis(300), ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let mut deaf = server.peer();
    (0..7).for_each(|xid| deaf.send(&piped_call(xid, FILE_BYTES, 1, 4)));
    server.wait_until("it is given up", |stats| stats.stalled == 1);
    server.wait_until("it is gone", |stats| stats.connections == 0);
    let mut peer = server.peer();
    peer.send(&piped_call(9, FILE_BYTES, 1, 4));
    assert!(peer.receive() == piped_reply(9, FILE_BYTES, 1, 4), "others are served");
}

#[test]
fn a_peer_that_takes_little_by_little_gets_it_all() {
    // The kernel tells of room only when a third of a full send buffer is free, which is up to two replies: a
    // quarter of the time that is allowed.
    const CALLS: u32 = 14;
    let limits = Limits { progress_timeout: Duration::from_secs(2), ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let mut slow = server.peer();
    (0..CALLS).for_each(|xid| slow.send(&piped_call(xid, FILE_BYTES, 1, 4)));
    let begun = Instant::now();
    for xid in 0..CALLS {
        std::thread::sleep(Duration::from_millis(250));
        assert!(slow.receive() == piped_reply(xid, FILE_BYTES, 1, 4));
    }
    assert!(begun.elapsed() > Duration::from_secs(3), "longer than may pass without progress");
    assert_eq!(server.stats().stalled, 0);
}

#[test]
fn a_peer_that_goes_away_within_a_pipe_takes_nothing_with_it() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    for _ in 0..3 * PIPES {
        let mut peer = server.peer();
        let before = server.stats().payload_spliced_bytes;
        (0..7).for_each(|xid| peer.send(&piped_call(xid, FILE_BYTES, 1, 4)));
        server.wait_until("it is sent to", |stats| stats.payload_spliced_bytes > before);
        drop(peer);
        server.wait_until("it is gone", |stats| stats.connections == 0);
    }
    let before = server.stats().payload_spliced_bytes;
    let mut peer = server.peer();
    peer.send(&piped_call(1, FILE_BYTES, PIPES / 2, 0));
    assert!(peer.receive() == piped_reply(1, FILE_BYTES, PIPES / 2, 0));
    assert_eq!(
        server.stats().payload_spliced_bytes - before,
        (PIPES / 2 * FILE_BYTES) as u64,
        "there are pipes"
    );
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
}
