//! How connections begin and end.

use std::net::SocketAddr;

use rustix::io::Errno;
use verbs::loopback::Fabric;
use verbs::{Access, EventKind, PRIVATE_MAX, PairId, RequestId, Status, Verbs};

use crate::side::{OPTIONS, Side, any, assert_errno, connect, connection};

#[test]
fn a_request_is_accepted_by_another_core_and_both_sides_are_told() {
    let fabric = Fabric::new();
    let (listener, core) = (Side::new(&fabric), Side::new(&fabric));
    let host = "10.1.2.3".parse().unwrap();
    let client = Side::of(fabric.adapter_at(host, OPTIONS), Access::Remote);
    let address = listener.adapter.listen("0.0.0.0:20049".parse().unwrap()).unwrap();
    assert_eq!(address.port(), 20049);

    let at_client = client.adapter.connect("192.0.2.9:20049".parse().unwrap(), 6, b"hello").unwrap();
    assert_errno(client.post(at_client, &[client.send(1, 0, 1)]), Errno::NOTCONN);
    let request = listener.event(EventKind::Request);
    assert_eq!((request.private(), request.reads_max), (&b"hello"[..], 6));
    let peer = SocketAddr::from(request.peer);
    assert_eq!(peer.ip(), host);
    assert_ne!(peer.port(), 0);

    let at_core = core.adapter.accept(request.request, 9, b"welcome").unwrap();
    core.receive(1, 0, 8).unwrap();
    let there = client.event(EventKind::Established);
    assert_eq!((there.pair, there.private(), there.reads_max), (at_client, &b"welcome"[..], 6));
    client.post(at_client, &[client.send(1, 0, 1)]).unwrap();
    assert_eq!(core.completions()[0].pair, at_core);
    let here = core.event(EventKind::Established);
    assert_eq!((here.pair, here.private(), here.reads_max), (at_core, &b""[..], 6));
    assert_eq!(listener.happened(), []);
    assert_errno(core.adapter.accept(request.request, 9, b""), Errno::CONNABORTED);

    client.adapter.connect(address, 1, b"").unwrap();
    let second = SocketAddr::from(listener.event(EventKind::Request).peer);
    assert_ne!(second.port(), peer.port());
}

#[test]
fn who_is_not_heard_or_not_wanted_is_refused() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let address = server.adapter.listen(any()).unwrap();
    let nobody = SocketAddr::new(address.ip(), address.port() ^ 1);
    let pair = client.adapter.connect(nobody, 1, b"").unwrap();
    let refused = client.event(EventKind::Refused);
    assert_eq!((refused.pair, refused.reason), (pair, -Errno::CONNREFUSED.raw_os_error()));
    client.adapter.disconnect(pair);
    assert_eq!(client.happened(), [(EventKind::Ended, pair)]);

    let pair = client.adapter.connect(address, 1, b"").unwrap();
    let request = server.event(EventKind::Request).request;
    assert_eq!(client.happened(), []);
    server.adapter.reject(request);
    let refused = client.event(EventKind::Refused);
    assert_eq!((refused.pair, refused.reason), (pair, 28));
    assert_errno(server.adapter.accept(request, 1, b""), Errno::CONNABORTED);

    let long = [0; PRIVATE_MAX + 1];
    assert_errno(client.adapter.connect(address, 1, &long), Errno::INVAL);
    client.adapter.connect(address, 1, &long[1..]).unwrap();
    let request = server.event(EventKind::Request);
    assert_eq!(request.private(), &long[1..]);
    assert_errno(server.adapter.accept(request.request, 1, &long), Errno::INVAL);
    assert_eq!(client.event(EventKind::Refused).reason, 28);
}

#[test]
fn an_address_has_one_listener() {
    let fabric = Fabric::new();
    let (one, other) = (Side::new(&fabric), Side::new(&fabric));
    let address = one.adapter.listen(any()).unwrap();
    assert_ne!(address.port(), 0);
    let all = SocketAddr::new("::".parse().unwrap(), address.port());
    for taken in [address, all] {
        assert_errno(other.adapter.listen(taken), Errno::ADDRINUSE);
        assert_errno(one.adapter.listen(taken), Errno::ADDRINUSE);
    }
    assert_ne!(other.adapter.listen(any()).unwrap(), address);
    one.adapter.close_listeners();
    other.adapter.listen(all).unwrap();
    one.adapter.connect(address, 1, b"").unwrap();
    other.event(EventKind::Request);
}

#[test]
fn a_connection_ends_when_its_completions_are_taken() {
    let both = connection();
    let (server, client, pair) = (&both.server, &both.client, both.at_client);
    client.control().hold(verbs::WorkKind::Read);
    server.receive(7, 0, 16).unwrap();
    client.post(pair, &[client.read(1, server.remote(0), 0, 4), client.send(2, 0, 4)]).unwrap();
    assert_eq!(client.outcomes(), []);

    client.adapter.disconnect(pair);
    client.adapter.disconnect(pair);
    assert_eq!(client.happened(), [], "its completions come first");
    assert_eq!(server.happened(), [(EventKind::Disconnected, both.at_server)]);
    assert_eq!(client.outcomes(), [(1, Status::FLUSHED), (2, Status::FLUSHED)]);
    assert_eq!(client.happened(), [(EventKind::Ended, pair)]);
    client.adapter.disconnect(pair);
    assert_eq!(client.happened(), []);
    assert_errno(client.post(pair, &[client.send(3, 0, 4)]), Errno::NOTCONN);

    server.adapter.disconnect(both.at_server);
    assert_eq!(server.happened(), [], "a message was received that was not taken");
    assert_eq!(server.outcomes(), [(7, Status::SUCCESS)]);
    assert_eq!(server.happened(), [(EventKind::Ended, both.at_server)]);
    server.adapter.destroy(both.at_server);
    client.adapter.destroy(pair);
    assert_eq!((client.happened(), server.happened()), (vec![], vec![]));
}

#[test]
fn a_pair_that_is_not_there_does_nothing() {
    let both = connection();
    let client = &both.client;
    for pair in [PairId(0), PairId(999), both.at_server] {
        assert_errno(client.post(pair, &[client.send(1, 0, 4)]), Errno::NOTCONN);
        client.adapter.disconnect(pair);
        client.adapter.destroy(pair);
    }
    client.adapter.reject(RequestId(999));
    assert_eq!((client.happened(), both.server.happened()), (vec![], vec![]));
    both.server.receive(1, 0, 4).unwrap();
    client.post(both.at_client, &[client.send(1, 0, 4)]).unwrap();
    assert_eq!(client.outcomes(), [(1, Status::SUCCESS)]);
}

#[test]
fn a_pair_that_is_destroyed_early_ends_at_once() {
    let both = connection();
    let client = &both.client;
    both.server.receive(1, 0, 4).unwrap();
    client.receive(2, 0, 4).unwrap();
    client.post(both.at_client, &[client.send(1, 0, 4)]).unwrap();
    both.server.post(both.at_server, &[both.server.send(1, 0, 4)]).unwrap();
    client.adapter.destroy(both.at_client);
    assert_eq!(client.outcomes(), [(2, Status::SUCCESS)], "what was received is told still");
    assert_eq!(client.happened(), []);
    assert_eq!(both.server.happened(), [(EventKind::Disconnected, both.at_server)]);

    let (_, idle) = connect(&both.server, client);
    client.adapter.destroy(idle);
    assert_eq!(client.happened(), []);
}

#[test]
fn who_asked_and_went_is_not_accepted() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let address = server.adapter.listen(any()).unwrap();
    let pair = client.adapter.connect(address, 1, b"").unwrap();
    client.adapter.disconnect(pair);
    assert_eq!(client.happened(), [(EventKind::Ended, pair)]);
    let request = server.event(EventKind::Request).request;
    assert_errno(server.adapter.accept(request, 1, b""), Errno::CONNABORTED);

    client.adapter.connect(address, 1, b"").unwrap();
    drop(client);
    let request = server.event(EventKind::Request).request;
    assert_errno(server.adapter.accept(request, 1, b""), Errno::CONNABORTED);
    assert_eq!(server.happened(), []);
}

#[test]
fn an_adapter_that_goes_takes_its_connections_and_listeners_with_it() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let (_, at_client) = connect(&server, &client);
    let address = server.adapter.listen(any()).unwrap();
    let waiting = client.adapter.connect(address, 1, b"").unwrap();
    let remote = server.remote(0);
    client.control().hold(verbs::WorkKind::Write);
    client.post(at_client, &[client.write(1, remote, 0, 4)]).unwrap();
    let control = server.control();
    drop(server);

    let happened = client.happened();
    assert_eq!(happened.len(), 2);
    assert!(happened.contains(&(EventKind::Disconnected, at_client)));
    assert!(happened.contains(&(EventKind::Refused, waiting)));
    client.control().resume();
    client.post(at_client, &[client.write(2, remote, 0, 4)]).unwrap();
    assert_eq!(client.outcomes(), [(1, Status::FLUSHED), (2, Status::FLUSHED)]);
    client.adapter.connect(address, 1, b"").unwrap();
    client.event(EventKind::Refused);
    control.hold(verbs::WorkKind::Send);
    control.remove_device();
    assert!(!control.is_open(remote.key) && control.accesses().is_empty());
}
