//! What is agreed on when a connection is made (the checklist's items 2 to 5).

use wire::rdma::{Content, Failure, PrivateData};

use crate::support::*;

/// Asks for a reply of so many bytes, without a place for it.
fn ask_long(client: &Client, xid: u32, bytes: u32) -> Answer {
    client.send(&inline(xid, LONG, &words(&[bytes])));
    client.answer()
}

/// Whether a reply whose message has so many bytes comes in it.
fn is_sent(client: &Client, xid: u32, message_bytes: u32) -> bool {
    let answer = ask_long(client, xid, message_bytes - 28);
    match answer.header.content {
        Content::Message(_) => {
            assert_eq!(answer.stream.len(), message_bytes as usize - 28);
            true
        }
        content => {
            assert_eq!(content, Content::Error(Failure::Chunk));
            false
        }
    }
}

#[test]
fn the_server_tells_what_it_can() {
    let server = Server::start();
    let client = Client::connect(&server);
    assert_eq!(client.told, [0xf6, 0xab, 0x0e, 0x18, 1, 1, 3, 3]);
}

#[test]
fn replies_are_as_long_as_both_said() {
    let server = Server::start();
    let told = |bytes: u32| PrivateData { receive_bytes: bytes, ..LINUX }.to_bytes().to_vec();
    let other_version = [0xf6, 0xab, 0x0e, 0x18, 2, 1, 3, 3];
    let prefixed = [&[0; 12][..], &LINUX.to_bytes()].concat();
    for (private, receive_bytes) in [
        (told(4096), 4096),
        (told(2048), 2048),
        (told(1024), 1024),
        (told(8192), 4096),
        (prefixed, 4096),
        (other_version.to_vec(), 1024),
        (LINUX.to_bytes()[..7].to_vec(), 1024),
        (Vec::new(), 1024),
    ] {
        // What is longer than the client's receives would end the connection.
        let client = Client::telling(&server, &private, receive_bytes as usize);
        assert!(is_sent(&client, 1, receive_bytes), "{private:?}");
        assert!(!is_sent(&client, 2, receive_bytes + 1), "{private:?}");
        client.echo(3);
    }
}

#[test]
fn a_call_may_be_as_long_as_a_receive_and_no_longer() {
    let server = Server::start();
    let (client, other) = (Client::connect(&server), Client::connect(&server));
    let body = pattern(4096 - 28 - 24);
    client.send(&inline(1, ECHO, &body[..body.len() - 4]));
    assert_eq!(client.answer().stream.len(), 8 + body.len() - 4);
    client.send(&inline(2, DISCARD, &body));
    client.echo(3);
    client.send(&inline(4, DISCARD, &[&body[..], b"more"].concat()));
    assert!(client.is_closed());
    other.echo(1);
}

#[test]
fn who_bears_no_reads_is_refused() {
    let server = Server::start();
    assert!(Client::asking(&server, &LINUX.to_bytes(), 4096, 0).is_err());
    assert_eq!(server.state().stats.refused, 1);
    Client::asking(&server, &LINUX.to_bytes(), 4096, 1).expect("one is enough").echo(1);
}

#[test]
fn connections_go_to_the_core_with_the_fewest() {
    let server = Server::with(&Setting { shards: 2, ..Setting::default() });
    let clients: Vec<Client> = (0..6).map(|_| Client::connect(&server)).collect();
    for (xid, client) in clients.iter().enumerate() {
        client.echo(xid as u32);
        let lent = client.show(&pattern(5000));
        let write = Write::nfs3(100, 0, 5000);
        client.send(&crate::arguments::with_data(&write, &[lent]));
        crate::arguments::expect_brought(client, 100, &write, &pattern(5000), 0);
    }
    for shard in 0..2 {
        assert_eq!(server.state_of(shard).stats.connections, 3);
        assert_eq!(server.state_of(shard).brought, 3);
    }
    drop(clients);
    server.wait_until_empty();
}
