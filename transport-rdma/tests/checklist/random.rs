//! Messages that were valid before some of their bits changed: the server goes on for everybody else.

use wire::rdma::{Chunk, Chunks, ReadList};

use crate::arguments::{data_at, stream_in, with_data};
use crate::support::*;

/// Messages that are sent.
const ROUNDS: u32 = 6000;

/// Numbers that follow from a seed (xorshift).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// A valid message of some kind.
fn valid(client: &Client, random: &mut Random, xid: u32) -> Vec<u8> {
    let bytes = 1 + random.below(9000);
    let place = |bytes: usize| Some(chunk(&[client.lend(bytes)]));
    let bulk = call(xid, BULK, &words(&[bytes as u32, 1, 0]));
    match random.below(8) {
        0 => inline(xid, ECHO, &pattern(random.below(3000))),
        1 => with_data(&Write::nfs3(xid, 5, bytes), &[client.show(&pattern(bytes))]),
        2 => {
            with_data(&Write::nfs4(xid, 5, bytes), &client.show_pieces(&pattern(bytes), &[bytes / 2, bytes]))
        }
        3 => message(Chunks { write: place(bytes), ..Chunks::default() }, &bulk),
        4 => message(Chunks { reply: place(bytes + 100), ..Chunks::default() }, &bulk),
        5 => message(Chunks { write: place(bytes), reply: place(300), ..Chunks::default() }, &bulk),
        6 => no_message(xid, stream_in(chunk(&[client.show(&call(xid, ECHO, &pattern(bytes)))]))),
        _ => {
            let write = Write::nfs3(xid, 5, bytes);
            let data = data_at(write.position(), chunk(&[client.show(&pattern(bytes))])).reads.data;
            let stream: Chunk = chunk(&[client.show(&write.reduced())]);
            no_message(xid, Chunks { reads: ReadList { stream: Some(stream), data }, ..Chunks::default() })
        }
    }
}

/// Changes some of it, mostly words of the header.
pub fn change(message: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(3) {
        let words = message.len() / 4;
        if words == 0 {
            return;
        }
        let near = words.min(if random.below(4) == 0 { words } else { 24 });
        let at = 4 * random.below(near);
        let word = u32::from_be_bytes(message[at..at + 4].try_into().expect("four bytes"));
        let new = match random.below(6) {
            0 => word ^ 1 << random.below(32),
            1 => random.below(20) as u32,
            2 => u32::MAX - random.below(4) as u32,
            3 => word.wrapping_add(4),
            4 => random.next() as u32,
            _ => {
                message.truncate(at + random.below(4));
                return;
            }
        };
        message[at..at + 4].copy_from_slice(&new.to_be_bytes());
    }
}

#[test]
fn no_message_stops_the_server() {
    let seed = 0x5eed_0003;
    println!("seed {seed:#x}");
    let mut random = Random(seed);
    let server = Server::start();
    let (mut client, honest) = (Client::connect(&server), Client::connect(&server));
    let mut connections = 1;
    for round in 0..ROUNDS {
        // What it asks to have done with its payload is not of the changes.
        let mut message = valid(&client, &mut random, round);
        if round % 5 != 0 {
            change(&mut message, &mut random);
        }
        // An adapter that is asked to end a key that is none, or to use one so, ends the connection.
        client.send(&message);
        if round % 16 == 0 {
            honest.echo(round);
        }
        if client.has_ended() || round % 64 == 63 {
            client.disconnect();
            client.connect_again(&LINUX.to_bytes(), 16).expect("whoever comes is served");
            connections += 1;
        }
        if round % 500 == 499 {
            let lent = honest.show(&pattern(5000));
            let write = Write::nfs3(7, 9, 5000);
            honest.send(&with_data(&write, &[lent]));
            crate::arguments::expect_brought(&honest, 7, &write, &pattern(5000), 9);
        }
    }
    honest.echo(1);
    client.disconnect();
    server.release();
    server.wait_until("all comes back", |state| state.stats.connections == 1 && state.payload_bytes == 0);
    assert_eq!(server.control().receives_waiting(), 512);
    let stats = server.state().stats;
    assert!(
        stats.errors_sent > 100 && stats.ignored > 100 && stats.payload_read_bytes > 0 && connections > 100,
        "{stats:?}"
    );
}
