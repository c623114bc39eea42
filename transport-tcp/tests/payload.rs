//! Where payloads go, and who gets memory for them.

mod support;

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use support::{
    HELD, Peer, REASSEMBLE, Server, fragmented, pattern, record, word, write_call, write_record,
    writes_message,
};
use transport_tcp::Limits;

const MIB: usize = 1 << 20;

/// Sends a WRITE in pieces and checks how it arrived.
fn check_write(peer: &mut Peer, offset: u64, data: &[u8], piece: usize) {
    let (head, tail) = write_call(9, offset, data.len());
    for piece in write_record(9, offset, data).chunks(piece) {
        peer.send(piece);
    }
    let reply = peer.receive();
    let words: Vec<usize> = (0..7).map(|index| word(&reply, 4 * index) as usize).collect();
    assert_eq!(words[..2], [9, 1]);
    assert_eq!(words[2], 1, "one payload was cut out");
    assert_eq!(words[3], head.len() + tail.len(), "the head is all but the payload");
    assert_eq!(words[4..6], [head.len(), data.len()]);
    assert_eq!(words[6], (offset % 4096) as usize, "the payload stands where its offset demands");
    assert!(reply[28..28 + data.len()] == *data, "the bytes are the same");
    assert_eq!(reply[28 + data.len()..], [0xe0; 4], "what follows the payload follows it");
}

#[test]
fn payloads_arrive_aligned_and_whole() {
    let server = Server::start(Limits::default(), 8 << 20);
    let mut peer = server.peer();
    for length in [4096, 4097, 65_536, 300_001, MIB] {
        let data = pattern(length);
        for offset in [0, 1, 512, 4095, (1 << 40) + 5] {
            check_write(&mut peer, offset, &data, usize::MAX);
        }
        check_write(&mut peer, 3, &data, 1_000);
    }
    check_write(&mut peer, 7, &pattern(5_000), 1);
    peer.echo(1);
    let stats = server.stats();
    // The heads of this peer are shorter than the first guess, and later as long as the one before.
    assert!(stats.payload_caught_bytes < 256, "{} payload bytes were copied", stats.payload_caught_bytes);
    assert!(
        stats.payload_caught_first_bytes < 20_480,
        "{} were copied at first",
        stats.payload_caught_first_bytes
    );
    assert_eq!(stats.switches_to_bulk, 1, "{stats:?}");
    assert_eq!((stats.collected, server.payload_bytes()), (0, 0));
}

#[test]
fn a_stream_of_writes_is_hardly_copied() {
    const WRITES: u32 = 50;
    let server = Server::start(Limits::default(), 8 << 20);
    let mut peer = server.peer();
    let data = pattern(MIB);
    let one = write_record(9, 0, &data);
    let mut writer = peer.stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        (0..WRITES).try_for_each(|_| std::io::Write::write_all(&mut writer, &one))
    });
    for _ in 0..WRITES {
        assert_eq!(peer.receive().len(), 32 + MIB);
    }
    sending.join().expect("no panic").expect("all sent");
    let stats = server.stats();
    let copied = stats.payload_caught_bytes + stats.payload_caught_first_bytes;
    assert_eq!(copied + stats.payload_placed_bytes, u64::from(WRITES) * MIB as u64);
    // Heads are received to their end; but the second may come with the tail of the first, when its length is a guess.
    assert!(stats.payload_caught_bytes < 256, "{} caught later", stats.payload_caught_bytes);
    assert!(
        stats.payload_caught_first_bytes < 20_480,
        "{} caught at first",
        stats.payload_caught_first_bytes
    );
}

#[test]
fn short_payloads_and_unknown_shapes_stay_in_the_message() {
    let server = Server::start(Limits::default(), 8 << 20);
    let mut peer = server.peer();
    let small = write_record(5, 0, &pattern(1000));
    peer.send(&small);
    let reply = peer.receive();
    assert_eq!((word(&reply, 8), word(&reply, 12) as usize), (0, small.len() - 4));

    // The data reaches beyond the record: nothing is cut, and the decoder will refuse it.
    let (head, _) = write_call(6, 0, MIB);
    peer.send(&support::record(&[&head[..], &pattern(10_000)].concat()));
    let reply = peer.receive();
    assert_eq!((word(&reply, 8), word(&reply, 12) as usize), (0, head.len() + 10_000));
    assert_eq!(server.stats().collected, 1);
}

/// Peers that each stop inside a WRITE of 1 MiB.
fn stalled_peers(server: &Server, count: usize) -> Vec<Peer> {
    let whole = write_record(1, 0, &pattern(MIB));
    let stalled: Vec<Peer> = (0..count)
        .map(|_| {
            let mut peer = server.peer();
            peer.send(&whole[..30_000]);
            peer
        })
        .collect();
    server.wait_until("all are accepted", |stats| stats.connections_opened >= count as u64);
    stalled
}

#[test]
fn peers_that_stop_do_not_hold_up_one_that_works() {
    let server = Server::start(Limits::default(), 8 << 20);
    let mut worker = server.peer();
    let data = pattern(MIB);
    check_write(&mut worker, 0, &data, usize::MAX);
    let stalled = stalled_peers(&server, 2_000);
    for _ in 0..10 {
        let begun = Instant::now();
        check_write(&mut worker, 4096, &data, usize::MAX);
        assert!(begun.elapsed() < Duration::from_secs(3), "the worker waits");
    }
    assert!(server.payload_bytes() < 6 << 20, "strangers hold a part of the memory only");
    drop(stalled);
    server.wait_until("all are forgotten", |stats| stats.connections == 1);
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
}

#[test]
fn memory_is_taken_from_those_who_stop() {
    let server = Server::start(Limits::default(), 8 << 20);
    let stalled = stalled_peers(&server, 4);
    // A newcomer itself, so that it waits for what the others hold.
    let mut worker = server.peer();
    check_write(&mut worker, 0, &pattern(MIB), usize::MAX);
    assert!(server.stats().evicted > 0, "somebody was evicted");
    drop(stalled);
}

#[test]
fn a_newcomer_gets_its_turn_in_a_crowd() {
    let server = Server::start(Limits::default(), 8 << 20);
    let stalled = stalled_peers(&server, 50);
    let mut worker = server.peer();
    let begun = Instant::now();
    check_write(&mut worker, 0, &pattern(MIB), usize::MAX);
    assert!(begun.elapsed() < Duration::from_secs(20), "the crowd is gone through quickly");
    drop(stalled);
}

#[test]
fn the_bound_of_a_connection_holds_it_up_alone() {
    const WRITES: u32 = 60;
    let limits = Limits { payload_max: 2 * MIB, ..Limits::default() };
    let server = Server::start(limits, 16 << 20);
    let mut greedy = server.peer();
    let mut other = server.peer();
    other.echo(1);
    // Nothing of the replies is read, so that they and the payloads in them pile up.
    let mut writer = greedy.stream.try_clone().expect("a socket");
    let sending = std::thread::spawn(move || {
        let one = write_record(9, 0, &pattern(MIB));
        (0..WRITES).try_for_each(|_| std::io::Write::write_all(&mut writer, &one))
    });
    for xid in 0..200 {
        other.echo(xid);
    }
    // Reading lets it go on, to its end.
    for _ in 0..WRITES {
        assert_eq!(greedy.receive().len(), 32 + MIB);
    }
    sending.join().expect("no panic").expect("all sent");
    other.echo(1);
}

#[test]
fn what_is_held_up_of_one_address_leaves_memory_to_others() {
    let server = Server::start(Limits::default(), 16 << 20);
    let data = pattern(MIB);
    let mut held: Vec<_> = (0..16).map(|_| server.peer()).collect();
    for peer in &mut held {
        peer.send(&write_record(HELD | 1, 0, &data[..500_000]));
    }
    // As many as newcomers of one address may hold: half of three quarters of three quarters of it all.
    server.wait_until("some are begun", |stats| stats.calls >= 9);
    let mut other = server.peer_from(Ipv4Addr::new(127, 0, 0, 2));
    for _ in 0..3 {
        check_write(&mut other, 0, &data, usize::MAX);
    }
    assert_eq!(server.stats().calls, 9 + 3, "no more of the one address");
    // Nor does it cost another its connection, which they would get nothing of.
    let slow = write_record(1, 0, &data);
    let mut other = server.peer_from(Ipv4Addr::new(127, 0, 0, 2));
    other.send(&slow[..500_000]);
    std::thread::sleep(Duration::from_millis(1500));
    other.send(&slow[500_000..]);
    assert_eq!(word(&other.receive(), 0), 1);
    assert_eq!((server.stats().calls, server.stats().evicted), (9 + 4, 0));
    server.release();
    server.wait_until("the others are begun", |stats| stats.calls >= 16 + 4);
    server.release();
    for peer in &mut held {
        assert_eq!(word(&peer.receive(), 0), HELD | 1);
    }
}

/// Two newcomers, and what newcomers may hold: one payload, and one record that is collected. The first holds the payload
/// and will need the second; the other holds that, and its own payload finds no room.
#[test]
fn who_collects_does_not_wait_for_a_payload() {
    let record_max = Limits::default().record_max;
    let server = Server::start(Limits { collect_max: 2 * record_max, ..Limits::default() }, 4 << 20);
    let small = [(0, 2_000); 6];
    let (first, places) = writes_message(REASSEMBLE | 1, &[&[(0, MIB)][..], &small].concat());
    let placed_end = places[0].0 + places[0].1;
    let (second, places) = writes_message(REASSEMBLE | 2, &[&small[..], &[(0, MIB)]].concat());

    let (mut holder, mut collector) = (server.peer(), server.peer());
    let sent = record(&first);
    holder.send(&sent[..4 + placed_end]);
    server.wait_until("the payload is here", |stats| stats.received_bytes >= 4 + placed_end as u64);
    collector.send(&fragmented(&second, &[places[6].0]));
    let answer = collector.receive();
    assert_eq!(word(&answer, 8), 0, "its payload stayed in the message");
    assert!(answer[12..] == second);

    holder.send(&sent[4 + placed_end..]);
    let answer = holder.receive();
    assert_eq!(word(&answer, 8), 1);
    assert!(answer[24..] == first);
    assert_eq!(server.stats().evicted, 0);
}
