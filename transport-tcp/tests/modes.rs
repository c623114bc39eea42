//! Receiving in two ways: whatever is sent, in whatever pieces, arrives whole, in order, and where it belongs.

mod support;

use std::{io::Write, time::Duration};

use support::{
    ECHO, Peer, REASSEMBLE, Server, fragment, fragmented, marked, message, pattern, record, reply, word,
    writes_message,
};
use transport_tcp::{BURST_BYTES, Limits};

const REGION_BYTES: usize = 32 << 20;

/// Shortest payload that gets a place of its own.
const PAYLOAD_MIN: usize = 2048;

/// A source of numbers that look random and are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// One record, and how its answer must look.
struct Case {
    stream: Vec<u8>,
    message: Vec<u8>,
    /// Position, length and file offset of the payloads that must have places of their own; absent when they may or
    /// may not.
    placed: Option<Vec<(usize, usize, u64)>>,
}

impl Case {
    /// WRITEs as they are usually sent.
    fn whole(xid: u32, writes: &[(u64, usize)]) -> Self {
        let (message, places) = writes_message(REASSEMBLE | xid, writes);
        let stream = record(&message);
        let placed = Some(Self::worth_placing(writes, &places));
        Self { stream, message, placed }
    }

    /// WRITEs with a fragment for each payload.
    fn marked(xid: u32, writes: &[(u64, usize)]) -> Self {
        let (message, places) = writes_message(REASSEMBLE | xid, writes);
        let stream = marked(&message, &places);
        let placed = Some(Self::worth_placing(writes, &places));
        Self { stream, message, placed }
    }

    /// WRITEs cut at these places, wherever they are.
    fn cut(xid: u32, writes: &[(u64, usize)], cuts: &[usize]) -> Self {
        let (message, _) = writes_message(REASSEMBLE | xid, writes);
        Self { stream: fragmented(&message, cuts), message, placed: None }
    }

    fn small(xid: u32, length: usize) -> Self {
        let message = message(xid, ECHO, &pattern(length));
        Self { stream: record(&message), message, placed: None }
    }

    fn worth_placing(writes: &[(u64, usize)], places: &[(usize, usize)]) -> Vec<(usize, usize, u64)> {
        let all =
            writes.iter().zip(places).map(|((offset, _), (position, length))| (*position, *length, *offset));
        all.filter(|(_, length, _)| *length >= PAYLOAD_MIN).collect()
    }

    fn check(&self, answer: &[u8]) {
        let xid = word(&self.message, 0);
        assert_eq!((word(answer, 0), word(answer, 4)), (xid, 1), "answers come in order");
        if xid & REASSEMBLE == 0 {
            assert!(answer == reply(xid, &self.message[24..]), "call {xid} came whole");
            return;
        }
        let count = word(answer, 8) as usize;
        let words: Vec<u32> = (0..3 * count).map(|index| word(answer, 12 + 4 * index)).collect();
        assert!(answer[12 + 12 * count..] == self.message, "call {xid:x} came whole");
        if let Some(placed) = &self.placed {
            let expected = placed.iter().flat_map(|(position, length, offset)| {
                [*position as u32, *length as u32, (offset % 4096) as u32]
            });
            assert_eq!(words, expected.collect::<Vec<_>>(), "call {xid:x} has its payloads in their places");
        }
    }
}

/// Sends pieces, each when the server has had turns to deal with the one before, and checks the answers.
fn check_pieces(server: &Server, peer: &mut Peer, cases: &[Case], cuts: &[usize]) {
    let stream: Vec<u8> = cases.iter().flat_map(|case| case.stream.iter().copied()).collect();
    let mut from = 0;
    for cut in cuts {
        peer.send(&stream[from..*cut]);
        from = *cut;
        for _ in 0..2 {
            server.stats();
        }
    }
    peer.send(&stream[from..]);
    cases.iter().for_each(|case| case.check(&peer.receive()));
}

#[test]
fn a_record_may_be_cut_anywhere() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut writer = server.peer();
    Case::whole(1, &[(0, 70_000)]).check(&{
        writer.send(&Case::whole(1, &[(0, 70_000)]).stream);
        writer.receive()
    });
    let make = |marks: bool| {
        let writes = [(5, 9_001)];
        let write = if marks { Case::marked(2, &writes) } else { Case::whole(2, &writes) };
        [Case::small(1, 40), write, Case::small(3, 40)]
    };
    for marks in [false, true] {
        let cases = make(marks);
        let length: usize = cases.iter().map(|case| case.stream.len()).sum();
        let near_marks = (1..400).chain(length - 140..length);
        for cut in near_marks.chain((400..length - 140).step_by(997)) {
            // As the first on a connection, and in a stream of bulk data.
            check_pieces(&server, &mut server.peer(), &cases, &[cut]);
            check_pieces(&server, &mut writer, &cases, &[cut]);
        }
    }
    let stats = server.stats();
    assert_eq!((stats.faults, stats.stalled, server.payload_bytes()), (0, 0, 0));
}

#[test]
fn single_bytes_make_a_record() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    for case in [Case::whole(1, &[(3, 3_000)]), Case::marked(2, &[(3, 9_000)]), Case::whole(3, &[(3, 9_000)])]
    {
        let mut peer = server.peer();
        for byte in &case.stream {
            peer.send(std::slice::from_ref(byte));
        }
        case.check(&peer.receive());
    }
}

#[test]
fn all_writes_of_a_compound_are_placed() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let several: [&[(u64, usize)]; 5] = [
        &[(0, 65_536), (4096, 65_536)],
        &[(1, 10_000), (2, 1), (3, 300_000), (4095, 2_047), (9, 2_048), (8, 5_000)],
        &[(7, 100), (5, 200_000)],
        &[(512, 8_192); 8],
        &[(0, 3_000), (0, 3_000)],
    ];
    for round in 0..3 {
        for (index, writes) in several.iter().enumerate() {
            for case in [Case::whole(10 + index as u32, writes), Case::marked(20 + index as u32, writes)] {
                for piece in case.stream.chunks([usize::MAX, 10_007, 511][round]) {
                    peer.send(piece);
                }
                case.check(&peer.receive());
            }
        }
    }
    // Each piece comes when the server has waited for it.
    let writes = [(1, 10_000), (2, 20_000), (3, 5_000)];
    for (case, marks) in [(Case::whole(31, &writes), [0, 0, 0]), (Case::marked(32, &writes), [8, 16, 24])] {
        let (_, places) = writes_message(REASSEMBLE, &writes);
        let cuts = places.iter().zip(marks).flat_map(|((position, length), marks)| {
            let begin = position + 4.max(marks);
            [begin, begin + length]
        });
        check_pieces(&server, &mut peer, &[case], &cuts.collect::<Vec<_>>());
    }
    // More than have places stay in the head, whole.
    let many = Case { placed: None, ..Case::whole(30, &[(0, 4_000); 12]) };
    peer.send(&many.stream);
    let answer = peer.receive();
    many.check(&answer);
    assert_eq!(word(&answer, 8), 8);
    server.wait_until("memory comes back", |_| server.payload_bytes() == 0);
}

#[test]
fn fragments_are_hints_and_never_believed() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    let writes = [(77, 20_000), (4_000, 9_000)];
    let (message, places) = writes_message(REASSEMBLE, &writes);
    let (first, second) = (places[0].0, places[1].0);
    let shapes: Vec<Vec<usize>> = vec![
        // Data and what follows it in one fragment: still a payload.
        vec![first, second],
        vec![first],
        // A boundary before, behind and inside the data, and too short a fragment.
        vec![first - 4, first + 20_000],
        vec![first + 4, first + 20_000],
        vec![first, first + 10_000, first + 20_000],
        vec![first, first + 19_999],
        vec![4, 8, 12, first, first + 20_000, second],
        (1..first).chain([first]).collect(),
        (1..10).map(|index| index * 2_900).collect(),
        vec![message.len() - 1],
    ];
    for (index, cuts) in shapes.iter().enumerate() {
        let case = Case::cut(index as u32, &writes, cuts);
        for piece in [usize::MAX, 3_001] {
            case.stream.chunks(piece).for_each(|piece| peer.send(piece));
            let answer = peer.receive();
            case.check(&answer);
            let placed = word(&answer, 8);
            assert_eq!(placed > 0, [0, 1, 6, 7].contains(&index), "{placed} placed of shape {index}");
        }
    }
    // A boundary where no payload is.
    for bytes in [30_000, 200_000] {
        let call = support::message(9, ECHO, &pattern(bytes));
        peer.send(&fragmented(&call, &[24, 24 + 20_000]));
        assert!(peer.receive() == reply(9, &pattern(bytes)));
    }
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
}

#[test]
fn payloads_announced_in_fragments_hold_no_memory_before_they_come() {
    let limits = Limits { progress_timeout: Duration::from_millis(700), ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    let (message, places) = writes_message(REASSEMBLE, &[(0, 1_000_000)]);
    let head = fragment(false, &message[..places[0].0]);
    let mut stalled: Vec<Peer> = (0..50)
        .map(|_| {
            let mut peer = server.peer();
            peer.send(&head);
            peer.send(&(1_000_000_u32).to_be_bytes());
            peer
        })
        .collect();
    server.wait_until("all have come", |stats| stats.switches_to_bulk == 50);
    server.wait_until("its memory comes back", |_| server.payload_bytes() == 0);
    assert!(stalled.iter_mut().all(Peer::is_closed), "who stops is closed");
}

#[test]
fn a_steady_stream_is_received_in_place_and_in_order() {
    const WRITES: u32 = 300;
    let server = Server::start(Limits::default(), REGION_BYTES);
    for marks in [false, true] {
        let before = server.stats();
        let mut peer = server.peer();
        let cases: Vec<Case> = (0..WRITES)
            .map(|xid| {
                let write = [(u64::from(xid) * 65_536, 65_536)];
                if marks { Case::marked(xid, &write) } else { Case::whole(xid, &write) }
            })
            .collect();
        let stream: Vec<u8> = cases.iter().flat_map(|case| case.stream.iter().copied()).collect();
        let mut writer = peer.stream.try_clone().expect("a socket");
        let sending = std::thread::spawn(move || writer.write_all(&stream));
        cases.iter().for_each(|case| case.check(&peer.receive()));
        sending.join().expect("no panic").expect("all sent");
        let stats = server.stats();
        let first = stats.payload_caught_first_bytes - before.payload_caught_first_bytes;
        assert!(first <= u64::from(BURST_BYTES) + 4096, "{first} bytes caught at first");
        let (caught, placed) = (
            stats.payload_caught_bytes - before.payload_caught_bytes,
            stats.payload_placed_bytes - before.payload_placed_bytes,
        );
        assert!(caught * 100 < placed, "{caught} caught, {placed} placed");
        assert_eq!(caught + first + placed, u64::from(WRITES) * 65_536);
    }
}

#[test]
fn mixed_loads_lose_and_reorder_nothing() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..12 {
        let mut peer = server.peer();
        let cases: Vec<Case> = (0..150).map(|xid| any_case(&mut random, xid)).collect();
        let stream: Vec<u8> = cases.iter().flat_map(|case| case.stream.iter().copied()).collect();
        let mut writer = peer.stream.try_clone().expect("a socket");
        let seed = random.below(usize::MAX) as u64 | 1;
        let sending = std::thread::spawn(move || send_in_pieces(&mut writer, &stream, Random(seed)));
        cases.iter().for_each(|case| case.check(&peer.receive()));
        sending.join().expect("no panic");
    }
    let stats = server.stats();
    assert!(stats.switches_to_bulk > 12 && stats.switches_to_small > 0, "{stats:?}");
    assert!(stats.payload_caught_first_bytes <= stats.switches_to_bulk * (u64::from(BURST_BYTES) + 4096));
    assert_eq!((stats.faults, server.payload_bytes()), (0, 0));
}

fn any_case(random: &mut Random, xid: u32) -> Case {
    let length = |random: &mut Random| match random.below(4) {
        0 => 1 + random.below(3_000),
        1 => 4_096,
        2 => 7_000 + random.below(3_000),
        _ => 1 + random.below(150_000),
    };
    let count = 1 + random.below(3);
    let writes: Vec<(u64, usize)> =
        (0..count).map(|_| (random.below(1 << 20) as u64, length(random))).collect();
    match random.below(16) {
        0..9 => Case::small(xid, random.below(300)),
        9 => Case::small(xid, random.below(40_000)),
        10..13 => Case::whole(xid, &writes),
        13 => Case::marked(xid, &writes),
        14 => Case::whole(xid, &writes[..1]),
        _ => {
            let mut cuts: Vec<usize> = (0..5).map(|_| 1 + random.below(200)).collect();
            cuts.sort_unstable();
            cuts.dedup();
            Case::cut(xid, &writes, &cuts)
        }
    }
}

fn send_in_pieces(writer: &mut std::net::TcpStream, stream: &[u8], mut random: Random) {
    let mut rest = stream;
    while !rest.is_empty() {
        let piece = match random.below(3) {
            0 => 1 + random.below(30),
            1 => 1 + random.below(3_000),
            _ => 1 + random.below(100_000),
        };
        let (now, later) = rest.split_at(piece.min(rest.len()));
        writer.write_all(now).expect("the server reads");
        rest = later;
    }
}

#[test]
fn small_calls_bring_a_connection_back() {
    let server = Server::start(Limits::default(), REGION_BYTES);
    let mut peer = server.peer();
    for round in 1..=3 {
        let write = Case::whole(1, &[(0, 100_000)]);
        peer.send(&write.stream);
        write.check(&peer.receive());
        // Some between WRITEs change nothing.
        (0..7).for_each(|xid| peer.echo(xid));
        peer.send(&write.stream);
        write.check(&peer.receive());
        (0..10).for_each(|xid| peer.echo(xid));
        let stats = server.stats();
        assert_eq!((stats.switches_to_bulk, stats.switches_to_small), (round, round));
    }
}

#[test]
fn a_connection_that_is_held_up_keeps_no_buffer_from_others() {
    let limits = Limits { calls_max: 1, ..Limits::default() };
    let server = Server::start(limits, REGION_BYTES);
    // Each has a call in progress and sends more than all common buffers hold together.
    let held: Vec<Peer> = (0..40)
        .map(|_| {
            let mut peer = server.peer();
            peer.send(&record(&message(1, support::HOLD, b"held")));
            let calls: Vec<u8> = (0..600).flat_map(|xid| record(&message(xid, ECHO, &[1; 100]))).collect();
            peer.send(&calls);
            peer
        })
        .collect();
    server.wait_until("all are held up", |stats| stats.calls >= 40);
    let mut other = server.peer();
    (0..100).for_each(|xid| other.echo(xid));
    server.release();
    for mut peer in held {
        assert_eq!(peer.receive(), reply(1, b"held"));
        (0..600).for_each(|xid| assert_eq!(peer.receive(), reply(xid, &[1; 100])));
    }
}
