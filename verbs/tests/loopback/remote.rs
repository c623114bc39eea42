//! Reading and writing the peer's memory, and the keys to it.

use rustix::io::Errno;
use verbs::loopback::{Fabric, Permission, RemoteAccess};
use verbs::{Access, DeviceId, MemoryId, Remote, Status, Verbs, Work, WorkKind};

use crate::side::{Connection, MEMORY_BYTES, OPTIONS, Side, assert_errno, connect, connection, pattern};

#[test]
fn reads_and_writes_move_what_they_say() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    client.fill(0, &pattern(1, 5000));
    server.fill(20_000, &pattern(2, 600));
    let scattered = [server.place(0, 1000), server.place(3000, 3000), server.place(9000, 1000)];
    let gathered = [server.place(20_000, 100), server.place(20_300, 300)];
    let (from, to) = (client.remote(0), client.remote(MEMORY_BYTES - 400));
    let works = [
        Work { remote: from, ..Work::new(1, WorkKind::Read, &scattered) },
        Work { remote: to, ..Work::new(2, WorkKind::Write, &gathered) },
    ];
    server.post(both.at_server, &works).unwrap();
    assert_eq!(server.outcomes(), [(1, Status::SUCCESS), (2, Status::SUCCESS)]);
    let there = [server.content(0, 1000), server.content(3000, 3000), server.content(9000, 1000)].concat();
    assert_eq!(there, pattern(1, 5000));
    let written = pattern(2, 600);
    assert_eq!(client.content(MEMORY_BYTES - 400, 400), [&written[..100], &written[300..]].concat());
    assert_eq!(client.content(MEMORY_BYTES - 401, 1), [0]);

    let access = RemoteAccess {
        pair: both.at_client,
        key: client.key(),
        address: from.address,
        length: 5000,
        is_write: false,
    };
    let written = RemoteAccess { address: to.address, length: 400, is_write: true, ..access };
    assert_eq!(client.adapter.accesses(), [access, written]);
    assert_eq!(server.adapter.accesses(), []);
}

/// A work at the server that may not be done fails, moves nothing, and breaks the connection.
fn assert_denied(both: &Connection, work: Work) {
    both.server.fill(0, &[3; 100]);
    both.server.post(both.at_server, &[work, work]).unwrap();
    let id = work.id;
    assert_eq!(both.server.outcomes(), [(id, Status::REMOTE_ACCESS), (id, Status::FLUSHED)]);
    both.assert_broken();
    assert_eq!(both.client.content(0, MEMORY_BYTES as usize), vec![0; MEMORY_BYTES as usize]);
    assert_eq!(both.server.content(0, 100), [3; 100]);
    assert_eq!(both.client.adapter.accesses(), []);
}

#[test]
fn a_range_that_is_not_the_keys_is_denied() {
    let whole = |both: &Connection| both.client.remote(0);
    let cases: [fn(&Connection) -> Remote; 5] = [
        |both| Remote { key: both.client.key() ^ 1, ..both.client.remote(0) },
        |both| Remote { key: both.server.key(), ..both.client.remote(0) },
        |both| both.client.remote(MEMORY_BYTES - 9),
        |both| Remote { address: both.client.address(0) - 1, ..both.client.remote(0) },
        |both| Remote { address: u64::MAX - 3, ..both.client.remote(0) },
    ];
    for case in cases {
        for kind in [WorkKind::Read, WorkKind::Write] {
            let both = connection();
            assert_ne!(case(&both), whole(&both));
            let place = both.server.place(0, 10);
            assert_denied(&both, Work { remote: case(&both), ..Work::new(1, kind, &[place]) });
        }
    }
}

#[test]
fn a_window_opens_its_part_for_what_it_allows() {
    let cases = [
        (Permission::Read, WorkKind::Write, 100, 10),
        (Permission::Write, WorkKind::Read, 100, 10),
        (Permission::ReadWrite, WorkKind::Read, 99, 10),
        (Permission::ReadWrite, WorkKind::Write, 141, 10),
    ];
    for (permission, kind, offset, length) in cases {
        let both = connection();
        let key = both.client.adapter.window(both.client.memory, 100, 50, permission).unwrap();
        let remote = Remote { address: both.client.address(offset), key };
        let place = both.server.place(0, length);
        assert_denied(&both, Work { remote, ..Work::new(1, kind, &[place]) });
    }
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    let window = |permission| {
        let key = client.adapter.window(client.memory, 100, 50, permission).unwrap();
        Remote { address: client.address(100), key }
    };
    let (readable, writable) = (window(Permission::Read), window(Permission::Write));
    client.fill(100, &[5; 50]);
    let works = [server.read(1, readable, 0, 50), server.write(2, writable, 0, 25)];
    server.post(both.at_server, &works).unwrap();
    assert_eq!(server.outcomes(), [(1, Status::SUCCESS), (2, Status::SUCCESS)]);
    assert_eq!(server.content(0, 50), [5; 50]);
    let keys: Vec<_> = client.adapter.accesses().iter().map(|access| access.key).collect();
    assert_eq!(keys, [readable.key, writable.key]);

    assert!(client.adapter.close_window(readable.key) && !client.adapter.close_window(readable.key));
    assert!(!client.adapter.is_open(readable.key) && client.adapter.is_open(writable.key));
    server.post(both.at_server, &[server.read(3, readable, 0, 50)]).unwrap();
    assert_eq!(server.outcomes(), [(3, Status::REMOTE_ACCESS)]);
}

#[test]
fn a_message_can_end_a_key_once() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    let (earlier, remote) = (client.key(), client.remote(0));
    for id in 0..3 {
        client.receive(id, 100, 16).unwrap();
    }
    let ending = |id, key| Work { kind: WorkKind::SendInvalidate, invalidate: key, ..server.send(id, 0, 16) };
    server.fill(0, &[7; 16]);
    server.post(both.at_server, &[server.read(1, remote, 500, 4), ending(2, earlier)]).unwrap();
    assert_eq!(server.outcomes(), [(1, Status::SUCCESS), (2, Status::SUCCESS)]);
    assert_eq!(client.outcomes(), [(0, Status::SUCCESS)]);
    assert_eq!(client.content(100, 16), [7; 16]);
    assert!(!client.adapter.is_open(earlier));
    assert_eq!(client.adapter.remote_key(DeviceId(0), client.memory), None);

    let fresh = client.adapter.register_again(client.memory).unwrap();
    assert_ne!(fresh, earlier);
    assert_eq!(client.key(), fresh);
    server.post(both.at_server, &[server.read(3, client.remote(0), 500, 4)]).unwrap();
    assert_eq!(server.outcomes(), [(3, Status::SUCCESS)]);
    let again = client.adapter.register_again(client.memory).unwrap();
    assert!(!client.adapter.is_open(fresh) && client.adapter.is_open(again));

    server.post(both.at_server, &[ending(4, earlier)]).unwrap();
    assert_eq!(server.outcomes(), [(4, Status::REMOTE_ACCESS)]);
    assert_eq!(client.outcomes(), []);
    both.assert_broken();
}

#[test]
fn memory_for_this_side_alone_has_no_key() {
    let fabric = Fabric::new();
    let (server, client) = (Side::new(&fabric), Side::of(fabric.adapter(OPTIONS), Access::Local));
    let (at_server, _) = connect(&server, &client);
    assert_eq!(client.adapter.remote_key(DeviceId(0), client.memory), None);
    assert_eq!(client.adapter.remote_key(DeviceId(0), MemoryId(1)), None);
    assert_eq!(server.adapter.remote_key(DeviceId(1), server.memory), None);
    assert_errno(client.adapter.window(client.memory, 0, 1, Permission::Read), Errno::ACCESS);
    assert_errno(client.adapter.register_again(client.memory), Errno::ACCESS);
    assert_errno(client.adapter.register_again(MemoryId(1)), Errno::INVAL);
    let beyond = server.adapter.window(server.memory, u64::from(MEMORY_BYTES), 1, Permission::Read);
    assert_errno(beyond, Errno::INVAL);
    assert_errno(server.adapter.window(server.memory, u64::MAX, 2, Permission::Read), Errno::INVAL);
    for key in 0..100 {
        assert!(!client.adapter.is_open(key));
    }
    server.post(at_server, &[server.read(1, Remote { address: client.address(0), key: 0 }, 0, 1)]).unwrap();
    assert_eq!(server.outcomes(), [(1, Status::REMOTE_ACCESS)]);
}
