//! What the server reads: data of WRITEs, other arguments, and whole calls (items 12, 13 and 21).

use wire::rdma::{Chunk, Chunks, ReadList};

use crate::support::*;

/// A message whose data is with the client.
pub fn with_data(write: &Write, data: &[Lent]) -> Vec<u8> {
    message(data_at(write.position(), chunk(data)), &write.reduced())
}

/// Chunks with data that belongs to a position.
pub fn data_at(position: u32, data: Chunk) -> Chunks {
    Chunks { reads: ReadList { stream: None, data: Some((position, data)) }, ..Chunks::default() }
}

/// Chunks with the stream itself.
pub fn stream_in(stream: Chunk) -> Chunks {
    Chunks { reads: ReadList { stream: Some(stream), data: None }, ..Chunks::default() }
}

/// The next answer says that the WRITE came whole, and where it was put.
pub fn expect_brought(client: &Client, xid: u32, write: &Write, data: &[u8], file_offset: u64) {
    let head = write.head();
    let told = [
        1,
        head.len() as u32,
        checksum(&head),
        write.position(),
        data.len() as u32,
        (file_offset % 4096) as u32,
        checksum(data),
    ];
    client.expect(xid, &words(&told));
}

/// Sends a WRITE of these bytes in pieces that end so, and checks how it came.
fn write(client: &Client, xid: u32, file_offset: u64, data: &[u8], ends: &[usize]) {
    for write in [Write::nfs3(xid, file_offset, data.len()), Write::nfs4(xid, file_offset, data.len())] {
        let lent = client.show_pieces(data, ends);
        client.send(&with_data(&write, &lent));
        expect_brought(client, xid, &write, data, file_offset);
        client.take_back(&lent);
        client.accesses();
    }
}

#[test]
fn data_of_a_write_comes_to_its_place_in_the_page() {
    let server = Server::start();
    let client = Client::connect(&server);
    let all = pattern(1 << 20);
    let mut xid = 0;
    for length in [1, 2, 3, 4, 5, 511, 4095, 4096, 4097, 65_536, 65_537, 262_143, (1 << 20) - 1, 1 << 20] {
        for file_offset in [0, 1, 513, 4095, 4096, (1 << 40) + 77] {
            xid += 1;
            write(&client, xid, file_offset, &all[..length], &[length]);
        }
    }
    let state = server.state();
    assert_eq!(state.stats.calls_collected, 0, "none was looked for before it was wanted");
    assert_eq!(state.payload_bytes, 0);
}

#[test]
fn data_in_several_pieces_comes_in_their_order() {
    let server = Server::start();
    let client = Client::connect(&server);
    let data = pattern(100_001);
    write(&client, 1, 3, &data, &[1, 100_001]);
    write(&client, 2, 3, &data, &[50_000, 50_001, 100_001]);
    let sixteen: Vec<usize> =
        (1..=16).map(|index| if index == 16 { 100_001 } else { index * 6001 }).collect();
    write(&client, 3, 4000, &data, &sixteen);
    // Pieces without bytes are pieces.
    write(&client, 4, 0, &data, &[0, 70_000, 70_000, 100_001]);
}

#[test]
fn a_chunk_may_have_the_pad_or_not() {
    let server = Server::start();
    let client = Client::connect(&server);
    for length in [1, 2, 3, 4, 4095, 70_001, (1 << 20) - 3] {
        let padded = [&pattern(length)[..], &[0; 3]].concat();
        for ends in [vec![length], vec![length.next_multiple_of(4)], vec![length, length.next_multiple_of(4)]]
        {
            let write = Write::nfs4(9, 5, length);
            let lent = client.show_pieces(&padded, &ends);
            client.send(&with_data(&write, &lent));
            expect_brought(&client, 9, &write, &padded[..length], 5);
            let read: u64 = client
                .accesses()
                .iter()
                .filter(|one| one.key == lent[0].segment.handle)
                .map(|one| one.length)
                .sum();
            assert!(read <= ends[0] as u64);
        }
    }
}

#[test]
fn data_that_nobody_wants_is_not_read() {
    let server = Server::start();
    let client = Client::connect(&server);
    let lent = client.show(&pattern(5000));
    client.send(&with_data(&Write::nfs3(NEVER | 1, 0, 5000), &[lent]));
    assert_eq!(client.answer().header.xid, NEVER | 1);
    assert_eq!(client.accesses(), []);
    assert_eq!(server.state().stats.payload_read_bytes, 0);
}

#[test]
fn an_argument_that_is_no_data_is_put_where_it_belongs() {
    let server = Server::start();
    let client = Client::connect(&server);
    for length in [1, 4, 1023, 65_536] {
        let argument = pattern(length);
        let lent = client.show(&argument);
        let reply = client.lend(length + 64);
        let stream = call(3, ECHO, b"beforebehind");
        let mut chunks = data_at(24 + 8, chunk(&[lent]));
        chunks.reply = Some(chunk(&[reply]));
        client.send(&message(chunks, &stream));
        let pad = &[0; 3][..length.next_multiple_of(4) - length];
        let expected = crate::support::reply(3, &[b"beforebe", &argument[..], pad, b"hind"].concat());
        let answer = client.answer();
        let came =
            if answer.stream.is_empty() { client.written(&reply, expected.len()) } else { answer.stream };
        assert_eq!(came, expected);
        client.take_back(&[lent, reply]);
    }
    assert_eq!(server.state().stats.calls_collected, 4);
    client.accesses();
}

#[test]
fn a_whole_call_is_read_from_the_client() {
    let server = Server::start();
    let client = Client::connect(&server);
    for (xid, ends) in
        [(1, vec![7000]), (2, vec![1, 24, 25, 7000]), (3, (1..=16).map(|one| one * 7000 / 16).collect())]
    {
        let stream = call(xid, ECHO, &pattern(7000 - 24));
        let (lent, reply) = (client.show_pieces(&stream, &ends), client.lend(8000));
        let mut chunks = stream_in(chunk(&lent));
        chunks.reply = Some(chunk(&[reply]));
        client.send(&no_message(xid, chunks));
        assert_eq!(client.answer().header.xid, xid);
        assert_eq!(client.written(&reply, 7000 - 16), crate::support::reply(xid, &pattern(7000 - 24)));
        client.take_back(&[&lent[..], &[reply]].concat());
    }
    client.accesses();
    server.wait_until("no payload is held", |state| state.payload_bytes == 0);
}

#[test]
fn a_whole_call_and_its_data_are_read_from_the_client() {
    let server = Server::start();
    let client = Client::connect(&server);
    for length in [1, 5000, 1 << 20] {
        let (write, data) = (Write::nfs4(8, 4097, length), pattern(length));
        let (stream, payload) = (client.show(&write.reduced()), client.show(&data));
        let reads =
            ReadList { stream: Some(chunk(&[stream])), data: Some((write.position(), chunk(&[payload]))) };
        client.send(&no_message(8, Chunks { reads, ..Chunks::default() }));
        expect_brought(&client, 8, &write, &data, 4097);
        client.take_back(&[stream, payload]);
    }
    client.accesses();
}

#[test]
fn a_whole_call_and_an_argument_are_read_from_the_client() {
    let server = Server::start();
    let client = Client::connect(&server);
    let (stream, argument) = (client.show(&call(8, ECHO, b"beforebehind")), client.show(b"path."));
    let reads = ReadList { stream: Some(chunk(&[stream])), data: Some((32, chunk(&[argument]))) };
    client.send(&no_message(8, Chunks { reads, ..Chunks::default() }));
    client.expect(8, b"beforebepath.\0\0\0hind");
    client.accesses();
}

#[test]
fn a_write_whose_data_is_in_its_message_needs_nothing_read() {
    let server = Server::start();
    let client = Client::connect(&server);
    let write = Write::nfs3(4, 0, 101);
    let stream = [&write.before[..], &pattern(101), &[0; 3], &write.behind].concat();
    client.send(&message(Chunks::default(), &stream));
    client.expect(4, &words(&[0, stream.len() as u32, checksum(&stream)]));
    assert_eq!(client.accesses(), []);
}
