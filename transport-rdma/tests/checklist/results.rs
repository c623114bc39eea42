//! Where replies go: with their message, into a Write chunk, into a Reply chunk, or nowhere (items 15 to 20).

use wire::rdma::{Chunk, Chunks, Content, Failure};

use crate::support::*;

/// A call for bulk data: bytes, how many times, and whether from the heap.
fn bulk(xid: u32, bytes: usize, count: u32, is_on_heap: bool) -> Vec<u8> {
    call(xid, BULK, &words(&[bytes as u32, count, u32::from(is_on_heap)]))
}

/// The data of such a call, of the piece with this index.
fn data(bytes: usize, index: usize) -> Vec<u8> {
    pattern(bytes + index)[index..].to_vec()
}

/// All of the reply, but for the data of the first piece if that went elsewhere.
fn bulk_reply(xid: u32, bytes: usize, count: usize, is_first_apart: bool) -> Vec<u8> {
    let pieces = (0..count).map(|index| {
        let padded = [data(bytes, index), vec![0; bytes.next_multiple_of(4) - bytes]].concat();
        let here = if index == 0 && is_first_apart { &[][..] } else { &padded };
        [&words(&[bytes as u32])[..], here, &words(&[TAIL])].concat()
    });
    reply(xid, &pieces.collect::<Vec<_>>().concat())
}

fn write_to(lent: &[Lent]) -> Chunks {
    Chunks { write: Some(chunk(lent)), ..Chunks::default() }
}

fn reply_to(lent: &[Lent]) -> Chunks {
    Chunks { reply: Some(chunk(lent)), ..Chunks::default() }
}

/// What these chunks are in a reply, when so many bytes of each were used.
fn used(chunks: &Chunks, written: u64, replied: u64) -> Chunks {
    let filled = |chunk: Option<Chunk>, bytes| chunk.map(|chunk| chunk.filled(bytes).expect("it fits"));
    Chunks { write: filled(chunks.write, written), reply: filled(chunks.reply, replied), ..Chunks::default() }
}

/// What lies in all of these, of which so many bytes were written.
fn gather(client: &Client, lent: &[Lent], mut length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    for lent in lent {
        let now = length.min(lent.segment.length as usize);
        all.extend(client.written(lent, now));
        length -= now;
    }
    all
}

#[test]
fn the_data_of_a_result_goes_to_its_chunk_without_its_pad() {
    let server = Server::start();
    let client = Client::connect(&server);
    for (bytes, rooms) in [
        (4096, vec![4096]),
        (4095, vec![4096]),
        (1, vec![1]),
        // As Linux does: room for the pad in a piece of its own.
        (70_001, vec![70_001, 3]),
        (100_000, vec![1, 50_000, 49_999]),
        (5000, vec![0, 2500, 0, 9000, 10]),
        (1 << 20, vec![65_536; 16]),
    ] {
        for is_on_heap in [false, true] {
            let lent: Vec<Lent> = rooms.iter().map(|room| client.lend(*room)).collect();
            let chunks = write_to(&lent);
            client.send(&message(chunks, &bulk(5, bytes, 1, is_on_heap)));
            let answer = client.answer();
            assert_eq!(answer.header.content, Content::Message(used(&chunks, bytes as u64, 0)));
            assert_eq!(answer.stream, bulk_reply(5, bytes, 1, true));
            assert_eq!(gather(&client, &lent, bytes), data(bytes, 0));
            client.take_back(&lent);
        }
    }
    client.accesses();
    server.wait_until("no payload is held", |state| state.payload_bytes == 0);
}

#[test]
fn a_result_without_data_leaves_its_chunk_unused() {
    let server = Server::start();
    let client = Client::connect(&server);
    let lent = [client.lend(1000), client.lend(24)];
    let chunks = write_to(&lent);
    let unused = Content::Message(used(&chunks, 0, 0));
    // Data of no bytes, no data, and a call of which there is nothing to say.
    for (stream, expected) in [
        (bulk(1, 0, 1, false), bulk_reply(1, 0, 1, true)),
        (bulk(2, 0, 0, false), reply(2, b"")),
        (call(3, ECHO, b"echo"), reply(3, b"echo")),
    ] {
        client.send(&message(chunks, &stream));
        let answer = client.answer();
        assert_eq!((answer.header.content, answer.stream), (unused, expected));
    }
    assert_eq!(gather(&client, &lent, 0), b"");
    assert_eq!(client.accesses(), []);
}

#[test]
fn an_empty_chunk_has_the_data_in_the_message() {
    let server = Server::start();
    let client = Client::connect(&server);
    for count in [1, 2, 3] {
        let chunks = Chunks { write: Some(Chunk::default()), ..Chunks::default() };
        client.send(&message(chunks, &bulk(1, 1001, count, false)));
        let answer = client.answer();
        assert_eq!(answer.header.content, Content::Message(chunks));
        assert_eq!(answer.stream, bulk_reply(1, 1001, count as usize, false));
    }
}

#[test]
fn data_for_which_no_chunk_is_left_goes_with_the_message() {
    let server = Server::start();
    let client = Client::connect(&server);
    for count in 1..=6 {
        for bytes in [1, 4, 501] {
            let lent = [client.lend(600)];
            client.send(&message(write_to(&lent), &bulk(7, bytes, count, count == 2)));
            let answer = client.answer();
            assert_eq!(answer.stream, bulk_reply(7, bytes, count as usize, true));
            assert_eq!(gather(&client, &lent, bytes), data(bytes, 0));
            // And all of them without any chunk.
            client.send(&message(Chunks::default(), &bulk(8, bytes, count, false)));
            client.expect(8, &bulk_reply(8, bytes, count as usize, false)[8..]);
        }
    }
    assert!(
        server.state().stats.payload_copied_bytes > 0,
        "some replies lie in more places than one Send has"
    );
    client.accesses();
}

#[test]
fn a_write_chunk_without_room_is_an_error_and_nothing_is_written() {
    let server = Server::start();
    let client = Client::connect(&server);
    for rooms in [vec![4999], vec![0], vec![2500, 2499], vec![1; 16]] {
        let lent: Vec<Lent> = rooms.iter().map(|room| client.lend(*room)).collect();
        client.send(&message(write_to(&lent), &bulk(5, 5000, 1, false)));
        client.expect_error(5, Failure::Chunk);
        assert_eq!(gather(&client, &lent, 0), b"");
        client.take_back(&lent);
        client.echo(6);
    }
    assert_eq!(client.accesses(), []);
    server.wait_until("no payload is held", |state| state.payload_bytes == 0);
}

#[test]
fn a_long_reply_goes_to_its_chunk_with_all_its_pads() {
    let server = Server::start();
    let client = Client::connect(&server);
    for (stream, expected, rooms) in [
        (call(1, LONG, &words(&[4069])), reply(1, &pattern(4061)), vec![4069]),
        (call(2, LONG, &words(&[60_000])), reply(2, &pattern(59_992)), vec![1, 30_000, 0, 40_000]),
        (bulk(3, 70_001, 1, false), bulk_reply(3, 70_001, 1, false), vec![80_000]),
        (bulk(4, 3001, 5, true), bulk_reply(4, 3001, 5, false), vec![2000; 16]),
    ] {
        let lent: Vec<Lent> = rooms.iter().map(|room| client.lend(*room)).collect();
        let chunks = reply_to(&lent);
        client.send(&message(chunks, &stream));
        let answer = client.answer();
        assert_eq!(answer.header.content, Content::NoMessage(used(&chunks, 0, expected.len() as u64)));
        assert_eq!(answer.stream, b"");
        assert_eq!(gather(&client, &lent, expected.len()), expected);
        client.take_back(&lent);
    }
    client.accesses();
    server.wait_until("no payload is held", |state| state.payload_bytes == 0);
}

#[test]
fn a_reply_that_fits_its_message_leaves_its_chunk_unused() {
    let server = Server::start();
    let client = Client::connect(&server);
    let lent = [client.lend(100), client.lend(8000)];
    let chunks = reply_to(&lent);
    // The chunk itself takes room in the message.
    let header = header(1, Content::Message(used(&chunks, 0, 0))).len() as u32;
    client.send(&message(chunks, &call(1, LONG, &words(&[4096 - header]))));
    let answer = client.answer();
    assert_eq!(answer.header.content, Content::Message(used(&chunks, 0, 0)));
    assert_eq!(answer.stream, reply(1, &pattern(4096 - header as usize - 8)));
    assert_eq!(client.accesses(), []);
    client.send(&message(chunks, &call(2, LONG, &words(&[4097 - header]))));
    let length = u64::from(4097 - header);
    assert_eq!(client.answer().header.content, Content::NoMessage(used(&chunks, 0, length)));
    client.accesses();
}

#[test]
fn a_reply_without_room_is_an_error_and_nothing_is_written() {
    let server = Server::start();
    let client = Client::connect(&server);
    client.send(&message(Chunks::default(), &call(1, LONG, &words(&[4069]))));
    client.expect_error(1, Failure::Chunk);
    for rooms in [vec![], vec![0], vec![4068], vec![4000, 68], vec![254; 16]] {
        let lent: Vec<Lent> = rooms.iter().map(|room| client.lend(*room)).collect();
        for stream in [call(2, LONG, &words(&[4069])), bulk(2, 1 << 20, 1, false), bulk(2, 1500, 3, true)] {
            client.send(&message(reply_to(&lent), &stream));
            client.expect_error(2, Failure::Chunk);
        }
        assert_eq!(gather(&client, &lent, 0), b"");
        client.take_back(&lent);
        client.echo(3);
    }
    assert_eq!(client.accesses(), []);
    server.wait_until("no payload is held", |state| state.payload_bytes == 0);
}

#[test]
fn data_and_the_rest_of_a_reply_go_to_their_chunks() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (to, rest) = ([client.lend(3000), client.lend(3000)], [client.lend(20_000)]);
    let chunks = Chunks { write: Some(chunk(&to)), reply: Some(chunk(&rest)), ..Chunks::default() };
    client.send(&message(chunks, &bulk(1, 5001, 3, false)));
    let expected = bulk_reply(1, 5001, 3, true);
    let content = Content::NoMessage(used(&chunks, 5001, expected.len() as u64));
    assert_eq!(client.answer().header.content, content);
    assert_eq!(gather(&client, &to, 5001), data(5001, 0));
    assert_eq!(gather(&client, &rest, expected.len()), expected);
    // The rest is short: only the data goes apart.
    let (to, rest) = ([client.lend(5001)], [client.lend(20_000)]);
    let chunks = Chunks { write: Some(chunk(&to)), reply: Some(chunk(&rest)), ..Chunks::default() };
    client.send(&message(chunks, &bulk(2, 5001, 1, false)));
    let answer = client.answer();
    assert_eq!(answer.header.content, Content::Message(used(&chunks, 5001, 0)));
    assert_eq!(answer.stream, bulk_reply(2, 5001, 1, true));
    assert_eq!((gather(&client, &to, 5001), gather(&client, &rest, 0)), (data(5001, 0), Vec::new()));
    // The data fits and the rest does not: neither is written.
    let (to, rest) = ([client.lend(5001)], [client.lend(10_000)]);
    let chunks = Chunks { write: Some(chunk(&to)), reply: Some(chunk(&rest)), ..Chunks::default() };
    client.send(&message(chunks, &bulk(3, 5001, 3, false)));
    client.expect_error(3, Failure::Chunk);
    assert_eq!((gather(&client, &to, 0), gather(&client, &rest, 0)), (Vec::new(), Vec::new()));
    client.accesses();
}
