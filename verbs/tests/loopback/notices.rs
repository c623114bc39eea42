//! What the descriptor tells of.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use verbs::loopback::Fabric;
use verbs::{Access, EventKind, Options, Verbs};

use crate::side::{OPTIONS, Side, any, connect, connection};

/// Whether the descriptor can be read from now.
fn is_told(side: &Side) -> bool {
    let descriptor = side.adapter.descriptor();
    let mut asked = [PollFd::new(&descriptor, PollFlags::IN)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() == 1
}

#[test]
fn a_completion_is_told_of_once_and_only_when_it_comes_after_arming() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    let write = |id| client.post(both.at_client, &[client.write(id, server.remote(0), 0, 4)]).unwrap();
    assert!(!is_told(client));
    write(1);
    assert!(!is_told(client), "it was not asked for");
    client.adapter.arm().unwrap();
    assert!(!is_told(client), "what came before arming is not told of");
    assert_eq!(client.completions().len(), 1);

    write(2);
    assert!(is_told(client));
    assert_eq!(client.completions().len(), 1);
    assert!(is_told(client), "arming ends it, not taking");
    client.adapter.arm().unwrap();
    assert!(!is_told(client));
    write(3);
    write(4);
    assert!(is_told(client));
    client.adapter.arm().unwrap();
    assert!(!is_told(client), "both came before");
    assert_eq!(client.completions().len(), 2);
    assert!(!is_told(server), "memory is read and written without its owner");
}

#[test]
fn very_many_completions_come_with_several_calls() {
    let fabric = Fabric::new();
    let options = Options { works_max: 600, ..OPTIONS };
    let (server, client) = (Side::new(&fabric), Side::of(fabric.adapter(options), Access::Remote));
    let (_, at_client) = connect(&server, &client);
    let works: Vec<_> = (0..600).map(|id| client.write(id, server.remote(0), 0, 4)).collect();
    client.adapter.arm().unwrap();
    client.post(at_client, &works).unwrap();
    let mut ids: Vec<_> = client.completions().iter().map(|completion| completion.id).collect();
    assert!(ids.len() < works.len() / 2);
    client.adapter.arm().unwrap();
    assert!(!is_told(&client), "those that are left came before");
    while ids.len() < works.len() {
        let more = client.completions();
        assert!(!more.is_empty());
        ids.extend(more.iter().map(|completion| completion.id));
    }
    assert!(ids.into_iter().eq(0..600));
}

#[test]
fn a_message_is_told_of_where_it_comes() {
    let both = connection();
    both.server.receive(1, 0, 4).unwrap();
    both.server.adapter.arm().unwrap();
    both.client.post(both.at_client, &[both.client.send(1, 0, 4)]).unwrap();
    assert!(is_told(&both.server) && !is_told(&both.client));
}

#[test]
fn events_are_told_of_until_they_are_taken_whether_armed_or_not() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    let address = server.adapter.listen(any()).unwrap();
    client.adapter.connect(address, 1, b"").unwrap();
    assert!(is_told(server));
    server.adapter.arm().unwrap();
    assert!(is_told(server), "the event is still there");
    server.event(EventKind::Request);
    assert!(!is_told(server));
    server.adapter.arm().unwrap();
    client.adapter.connect(address, 1, b"").unwrap();
    server.event(EventKind::Request);
    assert!(!is_told(server));
    server.receive(1, 0, 4).unwrap();
    client.post(both.at_client, &[client.send(1, 0, 4)]).unwrap();
    assert!(is_told(server), "an event does not disarm");
    server.adapter.arm().unwrap();
    client.adapter.connect(address, 1, b"").unwrap();
    server.event(EventKind::Request);
    assert!(!is_told(server), "arming has ended the notice");
}

#[test]
fn an_event_that_is_taken_leaves_a_completion_told_of() {
    let both = connection();
    let (server, client) = (&both.server, &both.client);
    server.receive(1, 0, 4).unwrap();
    server.adapter.arm().unwrap();
    client.post(both.at_client, &[client.send(1, 0, 4)]).unwrap();
    client.adapter.disconnect(both.at_client);
    server.event(EventKind::Disconnected);
    assert!(is_told(server));
    assert_eq!(server.completions().len(), 1);
    server.adapter.arm().unwrap();
    assert!(!is_told(server));
}
