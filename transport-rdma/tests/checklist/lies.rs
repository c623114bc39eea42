//! Servers that answer what they were not asked: only the call, or the connection, is lost.

use bytes::BytesMut;
use transport::{CALL, CallError, prefix};
use wire::rdma::{Chunk, Chunks, Content, Failure, Header, Received, Segment, VERSION};
use wire::xdr::Encoder;

use crate::random::{Random, change};
use crate::support::caller::{body, calling, plain, room};
use crate::support::peer::Peer;
use crate::support::*;

/// Replies of the last test.
const ROUNDS: u32 = 3000;

/// A reply that grants so many calls.
fn granting(xid: u32, credits: u32, content: Content, stream: &[u8]) -> Vec<u8> {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    encoder.put(&Header { xid, version: VERSION, credits, content }).expect("room");
    [&encoder.finish().head[..], stream].concat()
}

/// What a call offers; nothing of a message that is none: an answer to what was taken for a call.
fn try_offered(message: &[u8]) -> Option<(u32, Chunks)> {
    let Received { header, stream } = Received::parse(message).ok()?;
    let (Content::Message(chunks) | Content::NoMessage(chunks)) = header.content else { return None };
    prefix(stream).filter(|(_, kind)| *kind == CALL).map(|(xid, _)| (xid, chunks))
}

fn offered(call: &[u8]) -> (u32, Chunks) {
    try_offered(call).expect("it is a call")
}

/// The chunk with other pieces.
fn changed(chunk: Option<Chunk>, change: impl Fn(&mut Segment)) -> Option<Chunk> {
    let mut segments = chunk?.segments().to_vec();
    segments.iter_mut().for_each(change);
    Chunk::of(&segments)
}

/// Calls a server that answers so; the outcome, and whether the connection stays.
fn outcome(answer: fn(u32, Chunks) -> Vec<u8>, expected: Result<&'static [u8], CallError>, stays: bool) {
    let peer = Peer::start(move |call| {
        let (xid, chunks) = offered(call);
        vec![answer(xid, chunks)]
    });
    calling(&peer.fabric, peer.address, move |caller| async move {
        let connection = caller.connect().await;
        let answered = connection.ask(None, plain(ECHO, b"lie to me"), room(10_000, 20_000)).await;
        match expected {
            Ok(expected) => assert_eq!(body(answered), expected),
            Err(expected) => assert_eq!(answered.err(), Some(expected)),
        }
        assert_eq!(connection.is_open(), stays);
        caller.wait_until_empty().await;
    });
}

#[test]
fn what_is_as_it_was_offered_is_taken() {
    let unused = |xid, chunks: Chunks| {
        let unused = |chunk: Option<Chunk>| changed(chunk, |segment| segment.length = 0);
        let chunks = Chunks { write: unused(chunks.write), reply: unused(chunks.reply), ..chunks };
        granting(xid, 1, Content::Message(chunks), &reply(xid, b"here"))
    };
    outcome(unused, Ok(b"here"), true);
    let silent = |xid, _| granting(xid, 0, Content::Message(Chunks::default()), &reply(xid, b"here"));
    outcome(silent, Ok(b"here"), true);
}

#[test]
fn places_that_were_not_offered_end_the_connection() {
    let longer = |xid, chunks: Chunks| {
        let write = changed(chunks.write, |segment| segment.length += 1);
        granting(xid, 8, Content::Message(Chunks { write, ..Chunks::default() }), &reply(xid, b""))
    };
    outcome(longer, Err(CallError::Lost), false);
    let elsewhere = |xid, chunks: Chunks| {
        let write = changed(chunks.write, |segment| segment.offset += 8);
        granting(xid, 8, Content::Message(Chunks { write, ..Chunks::default() }), &reply(xid, b""))
    };
    outcome(elsewhere, Err(CallError::Lost), false);
    let another_key = |xid, chunks: Chunks| {
        let reply = changed(chunks.reply, |segment| segment.handle ^= 1);
        granting(xid, 8, Content::NoMessage(Chunks { reply, ..Chunks::default() }), b"")
    };
    outcome(another_key, Err(CallError::Lost), false);
}

#[test]
fn a_reply_that_was_not_written_ends_the_connection() {
    // What stands in the memory is nobody's reply.
    let unwritten =
        |xid, chunks: Chunks| granting(xid, 8, Content::NoMessage(Chunks { write: None, ..chunks }), b"");
    outcome(unwritten, Err(CallError::Lost), false);
    let nowhere = |xid, _| granting(xid, 8, Content::NoMessage(Chunks::default()), b"");
    outcome(nowhere, Err(CallError::Lost), false);
}

#[test]
fn an_error_fails_the_call_alone() {
    for answer in [
        (|xid, _| granting(xid, 8, Content::Error(Failure::Chunk), b"")) as fn(u32, Chunks) -> Vec<u8>,
        |xid, _| granting(xid, 8, Content::Error(Failure::Version { low: 2, high: 3 }), b""),
    ] {
        outcome(answer, Err(CallError::Refused), true);
    }
}

#[test]
fn a_flood_of_replies_ends_the_connection() {
    let peer = Peer::start(|call| {
        let (xid, _) = offered(call);
        let late = granting(xid ^ 0x5555, 8, Content::Message(Chunks::default()), &reply(xid ^ 0x5555, b""));
        vec![late; 40]
    });
    calling(&peer.fabric, peer.address, |caller| async move {
        let connection = caller.connect().await;
        let ask = || connection.ask(None, plain(ECHO, b""), room(5000, 5000));
        let soon = std::time::Duration::from_millis(30);
        assert!(transport::within(&caller.shard, soon, ask()).await.is_none(), "some are late answers");
        assert_eq!(ask().await.err(), Some(CallError::Lost), "so many are not");
        caller.wait_until_empty().await;
    });
}

#[test]
fn replies_that_were_valid_once() {
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let peer = Peer::start(move |message| {
        let Some((xid, chunks)) = try_offered(message) else { return Vec::new() };
        let unused = |chunk: Option<Chunk>| changed(chunk, |segment| segment.length = 0);
        let write = unused(chunks.write);
        let content = match random.below(4) {
            0 => Content::NoMessage(Chunks { write, ..chunks }),
            1 => Content::Error(Failure::Chunk),
            _ => Content::Message(Chunks { write, reply: unused(chunks.reply), ..Chunks::default() }),
        };
        let mut answer = granting(xid, 8, content, &reply(xid, b"here"));
        change(&mut answer, &mut random);
        vec![answer]
    });
    calling(&peer.fabric, peer.address, |caller| async move {
        let mut connection = caller.connect().await;
        for _ in 0..ROUNDS {
            let asked = connection.ask(None, plain(ECHO, b"here"), room(5000, 5000));
            // Whatever names no call is never answered.
            let answered = transport::within(&caller.shard, std::time::Duration::from_millis(3), asked).await;
            if answered.is_none() {
                connection.close();
            }
            if !connection.is_open() {
                connection = caller.connect().await;
            }
        }
        connection.close();
        caller.wait_until_empty().await;
    });
}
