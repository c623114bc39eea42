//! What connections cost that say nothing. A process of its own, as it looks at all of its memory.

mod support;

use support::{Peer, Server, pattern, write_record};
use transport_tcp::Limits;

const CONNECTIONS: usize = 6_000;

/// Bytes of memory that one may cost in this process, with what the payload region and the shared buffers have come to
/// besides: less than the server's sum of its memory counts for each.
const BYTES_MAX: usize = 10 * 1024;

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("a process knows itself");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("its memory");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<usize>().expect("in KiB") * 1024
}

#[test]
fn idle_connections_cost_little_whatever_they_did_before() {
    let limits = Limits { connections_max: 2 * CONNECTIONS, ..Limits::default() };
    let server = Server::start(limits, 8 << 20);
    let mut first = server.peer();
    let write = write_record(1, 0, &pattern(100_000));
    first.send(&write);
    first.receive();
    let before = resident_bytes();
    // Some have never said anything, some have sent small calls, some bulk data.
    let mut peers: Vec<Peer> = (0..CONNECTIONS).map(|_| server.peer()).collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        match index % 3 {
            0 => {}
            1 => peer.echo(1),
            _ => {
                peer.send(&write);
                peer.receive();
            }
        }
    }
    server.wait_until("all are there", |stats| stats.connections == CONNECTIONS as u64 + 1);
    let each = resident_bytes().saturating_sub(before) / CONNECTIONS;
    assert!(each < BYTES_MAX, "{each} bytes for each connection");
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
}
