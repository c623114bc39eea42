//! Payload that leaves without the kernel's copy, where it is tried and where it turns out to be none.

mod support;

use std::time::Duration;

use support::{ECHO, FILE_BYTES, FROM_MEMORY, Server, message, pattern, record, reply};
use transport_tcp::Limits;

const REGION_BYTES: usize = 192 << 20;

fn call(xid: u32) -> Vec<u8> {
    let words = [FILE_BYTES as u32, 1, 8].map(u32::to_be_bytes);
    record(&message(xid, FROM_MEMORY, &words.concat()))
}

fn expected(xid: u32) -> Vec<u8> {
    reply(xid, &[pattern(FILE_BYTES), vec![0xb0; 8]].concat())
}

#[test]
fn on_a_local_route_nothing_is_tried() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    (0..10).for_each(|xid| peer.send(&call(xid)));
    (0..10).for_each(|xid| assert!(peer.receive() == expected(xid)));
    let stats = server.stats();
    assert_eq!((stats.payload_from_memory_bytes, stats.sends_sparing_copy), (10 * FILE_BYTES as u64, 0));
}

#[test]
fn a_connection_finds_out_that_the_kernel_copies_all_the_same() {
    let limits = Limits { zero_copy_on_local_routes: true, ..Limits::default() };
    let tries = limits.zero_copy_tries;
    let server = Server::start(limits, REGION_BYTES);
    let mut peer = server.peer();
    let calls = 2 * tries as u32;
    for xid in 0..calls {
        peer.send(&call(xid));
        assert!(peer.receive() == expected(xid), "reply {xid}");
    }
    let tried = server.stats().sends_sparing_copy;
    // A reply of this length leaves in two or three steps; the last ones' reports may not have come when the next is sent.
    assert!((tries..=tries + 8).contains(&tried), "{tried} sends tried to spare the copy");
    peer.send(&record(&message(calls, ECHO, b"small")));
    assert!(peer.receive() == reply(calls, b"small"));
    drop(peer);
    server.wait_until("all have gone", |stats| stats.connections == 0);
    let patience = std::time::Instant::now() + Duration::from_secs(10);
    while server.payload_bytes() > 0 {
        assert!(std::time::Instant::now() < patience, "the kernel lets go of memory in the end");
        std::thread::sleep(Duration::from_millis(10));
    }
}
