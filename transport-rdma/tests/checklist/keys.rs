//! Keys of clients' memory: whose they are, when they are used, and what ends them (items 18, 21 and 22).

use verbs::loopback::Permission;
use verbs::{Status, WorkKind};
use wire::rdma::{Chunk, Chunks, Failure, PrivateData, ReadList, Segment};

use crate::arguments::{data_at, expect_brought, stream_in, with_data};
use crate::support::*;

/// A connection that uses memory it may not is lost, alone: its server, and another connection, go on.
fn loses_alone(wrong: impl Fn(&Client) -> Vec<u8>) {
    let server = Server::start();
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    client.echo(1);
    client.send(&wrong(&client));
    assert!(client.is_closed());
    other.echo(2);
    server.wait_until("its calls end", |state| state.stats.connections == 1 && state.payload_bytes == 0);
    let state = server.state();
    assert_eq!(state.brought, 0, "nothing was done with data that did not come");
    assert_eq!(state.gone.len(), if state.lost == 0 { 1 } else { state.gone.len() });
    client.accesses();
    let lent = other.show(&pattern(5000));
    let write = Write::nfs3(3, 0, 5000);
    other.send(&with_data(&write, &[lent]));
    expect_brought(&other, 3, &write, &pattern(5000), 0);
}

/// The same memory under a key that nobody has given.
fn forged(mut lent: Lent) -> Lent {
    lent.segment.handle ^= 0x5555_5555;
    lent
}

#[test]
fn a_write_whose_data_cannot_be_read_is_not_done() {
    let write = Write::nfs3(5, 0, 70_000);
    loses_alone(|client| with_data(&write, &[forged(client.show(&pattern(70_000)))]));
    // The second of three pieces.
    loses_alone(|client| {
        let mut pieces = client.show_pieces(&pattern(70_000), &[100, 200, 70_000]);
        pieces[1] = forged(pieces[1]);
        with_data(&write, &pieces)
    });
    // Memory that is shorter than it was said to be, that ended since, and that is lent only to be written.
    loses_alone(|client| {
        let mut lent = client.show(&pattern(69_999));
        lent.segment.length += 1;
        with_data(&write, &[lent])
    });
    loses_alone(|client| {
        let lent = client.show(&pattern(70_000));
        client.take_back(&[lent]);
        with_data(&write, &[lent])
    });
    loses_alone(|client| with_data(&write, &[client.lend(70_000)]));
}

#[test]
fn a_call_that_cannot_be_read_is_not_begun() {
    loses_alone(|client| no_message(6, stream_in(chunk(&[forged(client.show(&call(6, ECHO, b"")))]))));
    loses_alone(|client| {
        message(data_at(24, chunk(&[forged(client.show(b"path"))])), &call(6, ECHO, b"symlink"))
    });
}

#[test]
fn a_result_that_cannot_be_written_is_lost_with_its_connection() {
    loses_alone(|client| {
        let chunks = Chunks { write: Some(chunk(&[forged(client.lend(5000))])), ..Chunks::default() };
        message(chunks, &call(6, BULK, &words(&[5000, 1, 0])))
    });
    loses_alone(|client| {
        let chunks = Chunks { reply: Some(chunk(&[forged(client.lend(5000))])), ..Chunks::default() };
        message(chunks, &call(6, LONG, &words(&[5000])))
    });
    // Memory that is lent only to be read.
    loses_alone(|client| {
        let chunks = Chunks { reply: Some(chunk(&[client.show(&[0; 5000])])), ..Chunks::default() };
        message(chunks, &call(6, LONG, &words(&[5000])))
    });
}

#[test]
fn a_read_that_fails_on_its_way_loses_the_call_and_the_connection() {
    let server = Server::start();
    for status in [Status::RETRIES_EXCEEDED, Status::REMOTE_ACCESS, Status::FLUSHED] {
        let (client, other) = (Client::connect(&server), Client::connect(&server));
        let lost = server.state().lost;
        server.control().fail_next(None, WorkKind::Read, status);
        client.send(&with_data(&Write::nfs3(5, 0, 5000), &[client.show(&pattern(5000))]));
        assert!(client.is_closed());
        server
            .wait_until("the call learns of it", |state| state.lost == lost + 1 && state.payload_bytes == 0);
        other.echo(1);
    }
    assert_eq!(server.state().brought, 0);
}

#[test]
fn keys_of_chunks_that_are_not_used_are_not_used() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (write, reply) = (client.lend(5000), client.lend(5000));
    let chunks = Chunks { write: Some(chunk(&[write])), reply: Some(chunk(&[reply])), ..Chunks::default() };
    client.send(&message(chunks, &call(1, ECHO, b"short")));
    assert_eq!(client.answer().header.xid, 1);
    client.send(&message(chunks, &call(2, LONG, &words(&[5001]))));
    client.expect_error(2, Failure::Chunk);
    assert_eq!(client.accesses(), []);
}

#[test]
fn no_key_is_used_but_by_its_own_call_and_until_its_reply() {
    let server = Server::start();
    let clients: Vec<Client> = (0..3).map(|_| Client::connect(&server)).collect();
    for round in 0..20_u32 {
        let mut asked = Vec::new();
        for (index, client) in clients.iter().enumerate() {
            for call_index in 0..8_u32 {
                let xid = round << 8 | call_index;
                let bytes = 1 + (xid as usize * 7919 + index * 13) % 100_000;
                let lent = match call_index % 3 {
                    0 => vec![client.lend(bytes)],
                    1 => vec![client.show(&pattern(bytes))],
                    _ => vec![client.lend(bytes), client.lend(bytes + 64)],
                };
                let place = |index: usize| Some(chunk(&lent[index..=index]));
                client.send(&match call_index % 3 {
                    0 => message(
                        Chunks { write: place(0), ..Chunks::default() },
                        &call(xid, BULK, &words(&[bytes as u32, 1, 0])),
                    ),
                    1 => with_data(&Write::nfs4(xid, u64::from(xid), bytes), &lent),
                    _ => message(
                        Chunks { write: place(0), reply: place(1), ..Chunks::default() },
                        &call(xid, BULK, &words(&[bytes as u32, 2, 0])),
                    ),
                });
                asked.push((index, xid, lent));
            }
        }
        for _ in 0..asked.len() {
            // Whichever is answered: who uses its memory from now on, or that of a call that is not its own, is refused.
            let (index, answered) = clients
                .iter()
                .enumerate()
                .find(|(index, _)| asked.iter().any(|(of, ..)| of == index))
                .map(|(index, client)| (index, client.answer().header.xid))
                .expect("one is not answered");
            let at =
                asked.iter().position(|(of, xid, _)| (*of, *xid) == (index, answered)).expect("it was asked");
            let (.., lent) = asked.swap_remove(at);
            clients[index].take_back(&lent);
        }
    }
    assert!(clients.iter().all(|client| !client.has_ended() && client.accesses().len() >= 160));
    assert_eq!(server.state().stats.faults, 0);
}

/// Whether the reply to a call that names these ended a key.
fn ends_key(server: &Server, private: &PrivateData, names: impl Fn(&Client) -> (Chunks, Vec<u32>)) -> bool {
    let client = Client::telling(server, &private.to_bytes(), 4096);
    let (chunks, keys) = names(&client);
    client.send(&message(chunks, &call(1, ECHO, b"once")));
    client.expect_once(1);
    let ended = keys.iter().filter(|key| !client.machine.adapter.is_open(**key)).count();
    client.echo(2);
    ended > 0
}

#[test]
fn a_reply_ends_the_one_key_of_its_call_if_both_sides_wish_so() {
    let server = Server::start();
    let one = |client: &Client| {
        let lent = client.lend(100);
        (Chunks { reply: Some(chunk(&[lent])), ..Chunks::default() }, vec![lent.segment.handle])
    };
    let one_in_many = |client: &Client| {
        let lent = client.lend(100).segment;
        let half = |offset| Segment { offset: lent.offset + offset, length: 25, ..lent };
        let piece = |offsets: &[u64]| {
            let segments: Vec<Segment> = offsets.iter().map(|offset| half(*offset)).collect();
            Some(Chunk::of(&segments).expect("few"))
        };
        (
            Chunks { write: piece(&[0, 25]), reply: piece(&[50, 75]), reads: ReadList::default() },
            vec![lent.handle],
        )
    };
    let two = |client: &Client| {
        let lent = [client.lend(100), client.lend(100)];
        let keys = lent.map(|lent| lent.segment.handle).to_vec();
        (Chunks { write: Some(chunk(&lent[..1])), reply: Some(chunk(&lent[1..])), ..Chunks::default() }, keys)
    };
    let two_in_one = |client: &Client| {
        let lent = [client.lend(100), client.lend(100)];
        (
            Chunks { reply: Some(chunk(&lent)), ..Chunks::default() },
            lent.map(|lent| lent.segment.handle).to_vec(),
        )
    };
    let unwilling = PrivateData { remote_invalidation: false, ..LINUX };
    assert!(ends_key(&server, &LINUX, one));
    assert!(ends_key(&server, &LINUX, one_in_many));
    assert!(!ends_key(&server, &unwilling, one));
    assert!(!ends_key(&server, &LINUX, two));
    assert!(!ends_key(&server, &LINUX, two_in_one));
    assert_eq!(server.state().stats.invalidated, 2);
}

#[test]
fn a_reply_ends_the_key_of_what_was_read_when_it_was_read() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (write, data) = (Write::nfs3(1, 0, 5000), pattern(5000));
    let lent = client.show(&data);
    client.send(&with_data(&write, &[lent]));
    expect_brought(&client, 1, &write, &data, 0);
    assert!(!client.machine.adapter.is_open(lent.segment.handle));
    // With another key beside it none is ended.
    let (lent, reply) = (client.show(&data), client.lend(10));
    let mut chunks = data_at(write.position(), chunk(&[lent]));
    chunks.reply = Some(chunk(&[reply]));
    client.send(&message(chunks, &write.reduced()));
    expect_brought_with_reply_chunk(&client, 1);
    assert!([lent, reply].iter().all(|lent| client.machine.adapter.is_open(lent.segment.handle)));
}

fn expect_brought_with_reply_chunk(client: &Client, xid: u32) {
    assert_eq!(client.answer().header.xid, xid);
}

#[test]
fn an_error_ends_no_key() {
    let server = Server::start();
    let client = Client::connect(&server);
    let lent = client.lend(100);
    let chunks = Chunks { reply: Some(chunk(&[lent])), ..Chunks::default() };
    client.send(&message(chunks, &call(1, LONG, &words(&[5000]))));
    client.expect_error(1, Failure::Chunk);
    assert!(client.machine.adapter.is_open(lent.segment.handle));
}

#[test]
fn memory_lent_for_both_is_used_for_both() {
    let server = Server::start();
    let client = Client::connect(&server);
    let key = client.machine.open(0, 8192, Permission::ReadWrite);
    client.machine.put(0, &call(1, LONG, &words(&[4090])));
    let segment = |at: u64, length| Segment { handle: key, length, offset: client.machine.address(0) + at };
    let mut chunks = stream_in(Chunk::of(&[segment(0, 28)]).expect("one"));
    chunks.reply = Chunk::of(&[segment(28, 4090)]);
    client.send(&no_message(1, chunks));
    assert_eq!(client.answer().header.xid, 1);
    assert_eq!(client.machine.get(28, 4090), reply(1, &pattern(4082)));
}
