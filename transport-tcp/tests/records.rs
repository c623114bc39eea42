//! Records as peers cut, crowd, break and abandon them.

mod support;

use std::time::Duration;

use support::{ECHO, Server, fragment, message, pattern, record, reply, write_call};
use transport_tcp::Limits;

const REGION_BYTES: usize = 8 << 20;

#[test]
fn records_of_many_fragments_are_put_together() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let body = pattern(20_000);
    for (xid, piece) in [(1, 7_000), (2, 4_096), (3, 100), (4, 20_024)] {
        let call = message(xid, ECHO, &body);
        let mut stream = Vec::new();
        let pieces: Vec<_> = call.chunks(piece).collect();
        for (index, piece) in pieces.iter().enumerate() {
            stream.extend(fragment(index + 1 == pieces.len(), piece));
        }
        // A small call right behind must not be swallowed.
        stream.extend(record(&message(100 + xid, ECHO, b"next")));
        peer.send(&stream);
        assert_eq!(peer.receive(), reply(xid, &body));
        assert_eq!(peer.receive(), reply(100 + xid, b"next"));
    }
}

#[test]
fn small_calls_are_answered_together() {
    const CALLS: u32 = 2_000;
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let stream: Vec<u8> = (0..CALLS).flat_map(|xid| record(&message(xid, ECHO, &[xid as u8; 100]))).collect();
    let mut writer = peer.stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut writer, &stream));
    let mut seen = vec![false; CALLS as usize];
    for _ in 0..CALLS {
        let answer = peer.receive();
        let xid = support::word(&answer, 0);
        assert_eq!(answer, reply(xid, &[xid as u8; 100]));
        assert!(!std::mem::replace(&mut seen[xid as usize], true), "answered once");
    }
    sending.join().expect("no panic").expect("all sent");
    let stats = server.stats();
    assert_eq!(stats.calls, u64::from(CALLS));
    assert!(stats.sends < u64::from(CALLS) / 4, "{} sends", stats.sends);
    // One request receives so many bytes, however many calls they are.
    let bursts = stats.received_bytes / u64::from(transport_tcp::BURST_BYTES);
    assert!(stats.receives_rearmed >= bursts / 2, "{} for {bursts}", stats.receives_rearmed);
}

#[test]
fn what_is_no_record_closes_its_connection_alone() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut bystander = server.peer();
    bystander.echo(1);
    let oversized = [0x80 | 0x01, 0, 0, 0].to_vec();
    let endless_empty: Vec<u8> = (0..3_000).flat_map(|_| fragment(false, &[])).collect();
    let endless_small: Vec<u8> = (0..3_000).flat_map(|_| fragment(false, &[0; 4])).collect();
    let endless_large: Vec<u8> = (0..20).flat_map(|_| fragment(false, &[0; 100_000])).collect();
    let neither = record(&[[0; 7].as_slice(), &[2], &[0; 40]].concat());
    let headless = record(&[0; 12]);
    let cases: [(&str, Vec<u8>); 8] = [
        ("garbage", b"GET / HTTP/1.1\r\nHost: example\r\n\r\n".to_vec()),
        ("an oversized record", oversized),
        ("endless empty fragments", endless_empty),
        ("endless small fragments", endless_small),
        ("endless large fragments", endless_large),
        ("neither call nor reply", neither),
        ("an empty record", record(&[])),
        ("a call that the service cannot read", headless),
    ];
    for (index, (what, bytes)) in cases.iter().enumerate() {
        let mut peer = server.peer();
        // The server may close before it has read everything.
        let _ = std::io::Write::write_all(&mut peer.stream, bytes);
        assert!(peer.is_closed(), "{what} is not refused");
        server.wait_until(what, |stats| stats.faults == index as u64 + 1);
        bystander.echo(2);
    }
    server.wait_until("the others are forgotten", |stats| stats.connections == 1);
}

#[test]
fn a_record_cut_short_is_forgotten() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let call = message(1, ECHO, &pattern(50_000));
    let (head, _) = write_call(1, 0, 1 << 20);
    let promised = ((1_u32 << 31) + (1 << 20) + 300).to_be_bytes();
    let write = [&promised[..], &head, &pattern(300_000)].concat();
    for bytes in [&record(&call)[..3], &record(&call)[..30], &record(&call)[..30_000], &write] {
        let mut peer = server.peer();
        peer.send(bytes);
        drop(peer);
    }
    server.wait_until("all are forgotten", |stats| stats.connections_opened == 4 && stats.connections == 0);
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
    assert_eq!(server.stats().calls, 0);
}

#[test]
fn a_record_that_stops_closes_its_connection() {
    let limits = Limits { progress_timeout: Duration::from_millis(500), ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let mut idle = server.peer();
    idle.echo(1);
    let (head, _) = write_call(1, 0, 1 << 20);
    let promised = ((1_u32 << 31) + (1 << 20) + 300).to_be_bytes();
    let in_payload = [&promised[..], &head, &pattern(300_000)].concat();
    for bytes in [&[0x80, 0][..], &record(&message(1, ECHO, b"body"))[..20], &in_payload] {
        let mut peer = server.peer();
        peer.send(bytes);
        assert!(peer.is_closed());
    }
    server.wait_until("all are closed", |stats| stats.stalled == 3 && stats.connections == 1);
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
    idle.echo(2);
}
