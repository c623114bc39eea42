//! Faults that tests inject.

use rustix::io::Errno;
use verbs::loopback::Fabric;
use verbs::{Access, EventKind, Status, Verbs, Work, WorkKind};

use crate::side::{OPTIONS, Side, any, assert_errno, connect, connection};

#[test]
fn a_read_that_is_held_is_done_when_it_is_released_and_told_in_its_order() {
    let both = connection();
    let (server, client, control) = (&both.server, &both.client, both.server.control());
    control.hold(WorkKind::Read);
    client.receive(9, 1000, 16).unwrap();
    let silent = Work { signaled: false, ..server.read(1, client.remote(0), 0, 4) };
    let works = [
        silent,
        server.read(2, client.remote(4), 4, 4),
        server.write(3, client.remote(100), 200, 4),
        server.send(4, 200, 8),
    ];
    server.fill(200, b"overtake");
    server.post(both.at_server, &works).unwrap();
    assert_eq!(client.outcomes(), [(9, Status::SUCCESS)], "reads are overtaken");
    assert_eq!((client.content(1000, 8), client.content(100, 4)), (b"overtake".to_vec(), b"over".to_vec()));
    assert_eq!(server.outcomes(), [], "but nothing is told before they are done");
    assert_eq!(control.held(), 2);

    client.fill(0, b"latelate");
    assert_eq!(control.release(1), 1);
    assert_eq!(server.content(0, 8), *b"late\0\0\0\0");
    assert_eq!(server.outcomes(), []);
    assert_eq!(control.release(5), 1);
    let done = [(2, Status::SUCCESS), (3, Status::SUCCESS), (4, Status::SUCCESS)];
    assert_eq!(server.outcomes(), done);
    assert_eq!(server.content(0, 8), b"latelate");

    server.post(both.at_server, &[works[1]]).unwrap();
    assert_eq!(control.held(), 1, "later ones are held too");
    control.resume();
    server.post(both.at_server, &[Work { id: 5, ..works[1] }]).unwrap();
    assert_eq!(server.outcomes(), [(2, Status::SUCCESS), (5, Status::SUCCESS)]);
}

#[test]
fn nothing_overtakes_a_write_or_a_message() {
    for held in [WorkKind::Write, WorkKind::SendInvalidate] {
        let both = connection();
        let (server, client) = (&both.server, &both.client);
        client.receive(9, 1000, 16).unwrap();
        client.receive(10, 1000, 16).unwrap();
        server.control().hold(held);
        let first = server.write(1, client.remote(0), 0, 4);
        let first = if held == WorkKind::Write { first } else { server.send(1, 0, 4) };
        let behind = [first, server.read(2, client.remote(0), 0, 4), server.send(3, 0, 4)];
        server.post(both.at_server, &behind).unwrap();
        assert_eq!((client.outcomes(), client.adapter.accesses()), (vec![], vec![]));
        server.control().resume();
        let done = [(1, Status::SUCCESS), (2, Status::SUCCESS), (3, Status::SUCCESS)];
        assert_eq!(server.outcomes(), done);
    }
}

#[test]
fn reads_are_counted_until_their_end_is_taken() {
    let both = connection();
    let (server, client, control) = (&both.server, &both.client, both.server.control());
    let read = |id| server.read(id, client.remote(0), 0, 4);
    assert_eq!(control.reads_outstanding_max(), 0);
    server.post(both.at_server, &[read(1), read(2), server.write(3, client.remote(0), 0, 4)]).unwrap();
    assert_eq!(control.reads_outstanding_max(), 2);
    assert_eq!(server.completions().len(), 3);
    server.post(both.at_server, &[read(1), read(2)]).unwrap();
    assert_eq!(control.reads_outstanding_max(), 2);
    server.post(both.at_server, &[read(3)]).unwrap();
    assert_eq!(control.reads_outstanding_max(), 3, "it does not know that two have ended");
}

#[test]
fn a_work_fails_as_it_was_told_to() {
    let both = connection();
    let (server, client, control) = (&both.server, &both.client, both.server.control());
    client.receive(9, 0, 16).unwrap();
    control.fail_next(Some(both.at_client), WorkKind::Write, Status(4));
    control.fail_next(None, WorkKind::Write, Status::RETRIES_EXCEEDED);
    server.fill(0, b"data");
    let works = [
        server.read(1, client.remote(8), 8, 4),
        Work { signaled: false, ..server.write(2, client.remote(100), 0, 4) },
        server.send(3, 0, 4),
    ];
    server.post(both.at_server, &works).unwrap();
    let failed = [(1, Status::SUCCESS), (2, Status::RETRIES_EXCEEDED), (3, Status::FLUSHED)];
    assert_eq!(server.outcomes(), failed);
    assert_eq!((client.outcomes(), client.content(100, 4)), (vec![], vec![0; 4]));
    both.assert_broken();
}

#[test]
fn a_fault_of_one_pair_leaves_the_others() {
    let fabric = Fabric::new();
    let (server, one, other) = (Side::new(&fabric), Side::new(&fabric), Side::new(&fabric));
    let (to_one, _) = connect(&server, &one);
    let (to_other, _) = connect(&server, &other);
    server.control().fail_next(Some(to_other), WorkKind::Read, Status::RETRIES_EXCEEDED);
    server.post(to_one, &[server.read(1, one.remote(0), 0, 4)]).unwrap();
    server.post(to_other, &[server.read(2, other.remote(0), 0, 4)]).unwrap();
    assert_eq!(server.outcomes(), [(1, Status::SUCCESS), (2, Status::RETRIES_EXCEEDED)]);
    assert_eq!(server.happened(), [(EventKind::Disconnected, to_other)]);
    server.post(to_one, &[server.read(3, one.remote(0), 0, 4)]).unwrap();
    assert_eq!(server.outcomes(), [(3, Status::SUCCESS)]);
    assert_eq!(one.happened(), []);
}

#[test]
fn a_failure_behind_held_reads_is_told_in_its_order() {
    let both = connection();
    let (server, control) = (&both.server, both.server.control());
    control.hold(WorkKind::Read);
    let remote = both.client.remote(0);
    let works = [
        Work { signaled: false, ..server.read(1, remote, 0, 4) },
        server.write(2, remote, 0, 4),
        server.send(3, 0, 4),
        server.write(4, remote, 0, 4),
    ];
    server.post(both.at_server, &works).unwrap();
    let ended = [(1, Status::FLUSHED), (2, Status::FLUSHED), (3, Status::NO_RECEIVE), (4, Status::FLUSHED)];
    assert_eq!(server.outcomes(), ended);
    assert_eq!((control.held(), control.release(9)), (0, 0));
}

#[test]
fn a_cable_that_is_pulled_breaks_both_ends() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let (at_server, at_client) = connect(&server, &client);
    server.control().hold(WorkKind::Read);
    server.fill(0, &[1; 4]);
    let read = server.read(1, client.remote(0), 0, 4);
    server.post(at_server, &[read, Work { id: 2, ..read }]).unwrap();
    fabric.break_pair(at_client);
    fabric.break_pair(at_server);
    assert_eq!(server.happened(), [(EventKind::Disconnected, at_server)]);
    assert_eq!(client.happened(), [(EventKind::Disconnected, at_client)]);
    assert_eq!(server.outcomes(), [(1, Status::RETRIES_EXCEEDED), (2, Status::FLUSHED)]);
    server.control().resume();
    assert_eq!((server.outcomes(), server.content(0, 4)), (vec![], vec![1; 4]));
    server.adapter.disconnect(at_server);
    assert_eq!(server.happened(), [(EventKind::Ended, at_server)]);
}

#[test]
fn a_device_that_is_removed_ends_all_and_takes_nothing_new() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::new(&fabric));
    let (at_server, at_client) = connect(&server, &client);
    let elsewhere = Side::of(fabric.adapter(OPTIONS), Access::Local);
    let address = elsewhere.adapter.listen(any()).unwrap();
    let own = server.adapter.listen(any()).unwrap();
    let asked = server.adapter.connect(address, 1, b"").unwrap();
    client.adapter.connect(address, 1, b"").unwrap();
    let requests: Vec<_> = elsewhere.events().iter().map(|event| event.request).collect();
    let key = server.key();

    server.control().remove_device();
    server.control().remove_device();
    let happened = server.happened();
    assert_eq!(happened[0].0, EventKind::DeviceRemoved);
    assert_eq!(happened[1..], [(EventKind::Disconnected, at_server), (EventKind::Refused, asked)]);
    assert_eq!(client.happened(), [(EventKind::Disconnected, at_client)]);
    assert!(server.adapter.devices().is_empty() && !server.adapter.is_open(key));
    assert_errno(server.receive(1, 0, 4), Errno::NODEV);
    assert_errno(server.adapter.listen(any()), Errno::NODEV);
    assert_errno(server.adapter.connect(address, 1, b""), Errno::NODEV);
    assert_errno(elsewhere.adapter.accept(requests[0], 1, b""), Errno::CONNABORTED);
    assert_errno(server.adapter.accept(requests[1], 1, b""), Errno::NODEV);
    client.event(EventKind::Refused);
    client.adapter.connect(own, 1, b"").unwrap();
    client.event(EventKind::Refused);
    server.post(at_server, &[server.send(1, 0, 4)]).unwrap();
    server.adapter.disconnect(at_server);
    assert_eq!(server.outcomes(), [(1, Status::FLUSHED)]);
    assert_eq!(server.happened(), [(EventKind::Ended, at_server)]);
}
