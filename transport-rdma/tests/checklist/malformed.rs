//! Messages that cannot be used: each is answered with an error or passed over, and the connection goes on (items 6 to 9
//! and 14).

use wire::rdma::{Chunk, Chunks, Failure, Procedure, ReadList, Segment};

use crate::arguments::{data_at, stream_in};
use crate::support::*;

const XID: u32 = 0x7001;

/// These words as a message with a whole call behind them.
fn with_call(header: &[u32]) -> Vec<u8> {
    [words(header), call(XID, ECHO, b"malformed")].concat()
}

/// Sends each, and has an honest call answered behind it.
fn are_errors(server: &Server, messages: &[Vec<u8>]) {
    let client = Client::connect(server);
    let before = server.state();
    for (index, message) in messages.iter().enumerate() {
        client.send(message);
        client.expect_error(XID, Failure::Chunk);
        client.echo(index as u32);
    }
    let after = server.state();
    assert_eq!(after.stats.errors_sent - before.stats.errors_sent, messages.len() as u64);
    assert_eq!(after.begun - before.begun, messages.len(), "only the honest calls were begun");
    assert_eq!(client.accesses(), [], "no key of theirs was used");
    assert_eq!(after.payload_bytes, 0);
}

/// Sends each, and has the honest call behind it answered, and nothing else.
fn are_passed_over(server: &Server, messages: &[Vec<u8>]) {
    let client = Client::connect(server);
    for (index, message) in messages.iter().enumerate() {
        client.send(message);
        client.echo(index as u32);
    }
    assert_eq!(server.state().begun, messages.len(), "only the honest calls were begun");
}

#[test]
fn another_version_is_told_which_one_there_is() {
    let server = Server::start();
    let client = Client::connect(&server);
    for version in [0, 2, 3, u32::MAX] {
        for procedure in [0, 1, 2, 77] {
            client.send(&with_call(&[XID, version, 32, procedure, 0, 0, 0]));
            client.expect_error_of(XID, version, Failure::Version { low: 1, high: 1 });
        }
    }
    client.echo(1);
}

#[test]
fn what_is_too_short_and_what_nobody_answers_is_passed_over() {
    let server = Server::start();
    let (done, error) = (Procedure::Done as u32, Procedure::Error as u32);
    let mut messages: Vec<Vec<u8>> =
        (0..28).map(|bytes| with_call(&[XID, 1, 32, 0, 0, 0, 0])[..bytes].to_vec()).collect();
    messages.extend([
        with_call(&[XID, 1, 32, done, 0, 0, 0]),
        words(&[XID, 1, 32, error, 1, 1, 1]),
        words(&[XID, 1, 32, error, 2, 0, 0]),
        words(&[XID, 1, 32, error, 9, 0, 0]),
        words(&[XID, 2, 32, error, 2, 0, 0]),
        words(&[XID, 9, 32, done, 2, 0, 0]),
        // A reply to no call.
        message(Chunks::default(), &reply(XID, b"I never was asked")),
    ]);
    are_passed_over(&server, &messages);
}

#[test]
fn reserved_and_unknown_procedures_are_errors() {
    let server = Server::start();
    are_errors(&server, &[2, 5, 77, u32::MAX].map(|procedure| with_call(&[XID, 1, 32, procedure, 0, 0, 0])));
}

#[test]
fn lists_that_cannot_be_read_are_errors() {
    let server = Server::start();
    let segments = |count: usize| [7, 100, 0, 64].repeat(count);
    let reads = |positions: &[u32]| {
        let list = positions.iter().flat_map(|position| [1, *position, 7, 100, 0, 64]);
        list.chain([0]).collect::<Vec<u32>>()
    };
    let start = [XID, 1, 32, 0];
    let list = |rest: &[&[u32]]| with_call(&[&start[..], &rest.concat()].concat());
    let cut = |rest: &[u32]| words(&[&start[..], rest].concat());
    are_errors(
        &server,
        &[
            // What says whether there is one more is neither yes nor no.
            list(&[&[2, 0, 0]]),
            list(&[&[0, 2, 0]]),
            list(&[&[0, 0, 2]]),
            // Not ended.
            cut(&[1, 96, 7, 100, 0, 64]),
            cut(&[0, 1, 2, 7, 100, 0, 64]),
            cut(&[0, 0, 1, 1, 7, 100]),
            cut(&[0, 0, 1, u32::MAX]),
            // Two positions, and a position within a word.
            list(&[&reads(&[24, 28]), &[0, 0]]),
            list(&[&reads(&[24, 24, 28]), &[0, 0]]),
            list(&[&reads(&[25]), &[0, 0]]),
            list(&[&reads(&[u32::MAX]), &[0, 0]]),
            // Seventeen pieces of each, and more than there is memory for.
            list(&[&reads(&[24; 17]), &[0, 0]]),
            list(&[&reads(&[0; 17]), &[0, 0]]),
            list(&[&[0, 1, 17], &segments(17), &[0, 0]]),
            list(&[&[0, 0, 1, 17], &segments(17)]),
            list(&[&[0, 1, u32::MAX], &segments(4), &[0, 0]]),
            list(&[&[0, 0, 1, u32::MAX / 16], &segments(4)]),
            // Two Write chunks.
            list(&[&[0, 1, 1], &segments(1), &[1, 1], &segments(1), &[0, 0]]),
        ],
    );
}

#[test]
fn a_stream_is_in_the_message_or_in_a_chunk_and_says_whose_it_is() {
    let server = Server::start();
    let honest = Client::connect(&server);
    let stream = call(XID, ECHO, b"malformed");
    let lent = honest.show(&stream);
    let header = |xid: u32, chunks| header(xid, wire::rdma::Content::Message(chunks));
    are_errors(
        &server,
        &[
            // In both, or in neither.
            message(stream_in(chunk(&[lent])), &stream),
            no_message(XID, Chunks::default()),
            [no_message(XID, Chunks::default()), stream.clone()].concat(),
            no_message(XID, data_at(24, chunk(&[lent]))),
            // Nothing, too little, another's, and of no kind.
            header(XID, Chunks::default()),
            [header(XID, Chunks::default()), words(&[XID])].concat(),
            [header(XID, Chunks::default()), call(XID + 1, ECHO, b"other")].concat(),
            [header(XID, Chunks::default()), reply(XID + 1, b"other")].concat(),
            [header(XID, Chunks::default()), words(&[XID, 2, 2, ECHO, 0, 0])].concat(),
        ],
    );
    assert_eq!(honest.accesses(), []);
}

#[test]
fn a_stream_in_a_chunk_that_is_no_call_is_an_error() {
    let server = Server::start();
    let client = Client::connect(&server);
    for stream in
        [call(XID + 1, ECHO, b"other"), reply(XID, b"a reply"), words(&[XID]), vec![1], words(&[XID, 7])]
    {
        client.send(&no_message(XID, stream_in(chunk(&[client.show(&stream)]))));
        client.expect_error(XID, Failure::Chunk);
        client.echo(1);
    }
    client.accesses();
    assert_eq!(server.state().begun, 5);
}

#[test]
fn positions_that_are_in_no_stream_are_errors() {
    let server = Server::start();
    let stream = call(XID, ECHO, b"malformed");
    let lent = Chunk::of(&[Segment { handle: 7, length: 8, offset: 64 }]).expect("one");
    let beyond = stream.len() as u32 + 4;
    let positions = [beyond, 4096, 1 << 20, u32::MAX - 3];
    are_errors(&server, &positions.map(|position| message(data_at(position, lent), &stream)));
    // Of a WRITE, too.
    let write = Write::nfs4(XID, 0, 8);
    let beyond = write.reduced().len() as u32 + 4;
    are_errors(
        &server,
        &[beyond, u32::MAX - 3].map(|position| message(data_at(position, lent), &write.reduced())),
    );
}

#[test]
fn an_argument_within_the_words_that_say_what_the_message_is_makes_it_none() {
    let server = Server::start();
    let client = Client::connect(&server);
    client.send(&message(data_at(4, chunk(&[client.show(&words(&[7]))])), &call(XID, ECHO, b"malformed")));
    client.expect_error(XID, Failure::Chunk);
    client.echo(1);
    assert_eq!(server.state().begun, 1);
}

#[test]
fn lengths_of_chunks_size_nothing() {
    let server = Server::start();
    let huge = |count: usize, length: u32| {
        Chunk::of(&vec![Segment { handle: 7, length, offset: u64::MAX - 5 }; count]).expect("no more than 16")
    };
    let write = |length: usize| Write::nfs3(XID, 0, length);
    let reads = |stream, data| ReadList { stream: Some(stream), data: Some((24, data)) };
    let both = |stream, data| no_message(XID, Chunks { reads: reads(stream, data), ..Chunks::default() });
    let data =
        |length: usize, chunk| message(data_at(write(length).position(), chunk), &write(length).reduced());
    are_errors(
        &server,
        &[
            no_message(XID, stream_in(huge(1, u32::MAX))),
            no_message(XID, stream_in(huge(16, u32::MAX))),
            no_message(XID, stream_in(huge(16, 1 << 28))),
            no_message(XID, stream_in(huge(2, (1 << 20) + (64 << 10)))),
            no_message(XID, stream_in(huge(1, 0))),
            no_message(XID, stream_in(Chunk::default())),
            both(huge(16, u32::MAX), huge(16, u32::MAX)),
            message(data_at(24, huge(1, u32::MAX)), &call(XID, ECHO, b"argument")),
            message(data_at(24, huge(16, u32::MAX)), &call(XID, ECHO, b"argument")),
            message(data_at(24, huge(2, 64 << 10)), &call(XID, ECHO, b"argument")),
            message(data_at(24, huge(16, 0)), &call(XID, ECHO, b"argument")),
            // WRITEs of more than any may have, and ones whose chunk has more or less than they say.
            data((1 << 20) + 1, huge(1, (1 << 20) + 1)),
            data((1 << 24) - 512, huge(1, (1 << 24) - 512)),
            data(1 << 20, huge(1, (1 << 20) + 4)),
            data(100_000, huge(1, 99_999)),
            data(100_000, huge(1, 100_004)),
            data(100_000, huge(16, u32::MAX)),
        ],
    );
}

#[test]
fn offers_of_more_room_than_there_is_are_taken_as_far_as_they_are_used() {
    let server = Server::start();
    let client = Client::connect(&server);
    let mut lent = [client.lend(5000), client.lend(20_000)];
    let bytes = lent.map(|lent| lent.segment.length as usize);
    lent.iter_mut().for_each(|lent| lent.segment.length = u32::MAX);
    let many = |lent: Lent| Chunk::of(&[lent.segment; 16]).expect("sixteen");
    let chunks = Chunks { write: Some(many(lent[0])), reply: Some(many(lent[1])), ..Chunks::default() };
    client.send(&message(chunks, &call(1, BULK, &words(&[5000, 3, 0]))));
    assert_eq!(client.answer().header.xid, 1);
    let accesses = client.machine.adapter.accesses();
    let within = |lent: &Lent, bytes: usize| {
        let ours = accesses.iter().filter(move |access| access.key == lent.segment.handle);
        ours.map(|access| access.address + access.length - lent.segment.offset).max() <= Some(bytes as u64)
    };
    assert!(within(&lent[0], bytes[0]) && within(&lent[1], bytes[1]));
}
