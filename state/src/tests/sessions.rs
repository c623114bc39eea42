//! Connections, the backchannel and the end of sessions.

use wire::nfs4::Status;

use super::fixture::{Server, call, create, execute};
use crate::{Begin, ConnectionId, Direction, SlotReply, status_flag};

#[test]
fn a_lost_backchannel_is_told_until_there_is_another() {
    let server = Server::new();
    let peer = server.peer("a");
    let first = create(peer.client.id(), 1).connection;
    let down = status_flag::CB_PATH_DOWN | status_flag::CB_PATH_DOWN_SESSION;
    assert_eq!(peer.session.status_flags(), 0);
    server.state.connection_seen(&peer.session, ConnectionId(2)).unwrap();
    server.state.connection_lost(first);
    assert_eq!(peer.session.status_flags(), down);
    let id = peer.session.id();
    server.state.bind_connection(&id, ConnectionId(2), Direction::Both).unwrap();
    server.state.bind_connection(&id, ConnectionId(2), Direction::Both).unwrap();
    assert_eq!(peer.session.status_flags(), 0);
    assert_eq!(server.state.callback_session(peer.client.id()).map(|session| session.id()), Some(id));
    server.state.connection_lost(ConnectionId(2));
    assert_eq!(peer.session.status_flags(), down);
    assert!(server.state.callback_session(peer.client.id()).is_none());
}

#[test]
fn callbacks_number_their_slots() {
    let server = Server::new();
    let peer = server.peer("a");
    let numbers = |claim: &crate::CallbackClaim| (claim.slot().0, claim.sequence().0, claim.highest_slot().0);
    let first = peer.session.begin_callback().unwrap();
    let second = peer.session.begin_callback().unwrap();
    assert_eq!((numbers(&first), numbers(&second)), ((0, 1, 0), (1, 1, 1)));
    first.answered();
    let mut third = peer.session.begin_callback().unwrap();
    assert_eq!(numbers(&third), (0, 2, 1));
    assert_eq!(third.retry_on(), None, "there is no other connection");
    server.state.bind_connection(&peer.session.id(), ConnectionId(2), Direction::Back).unwrap();
    assert_eq!(third.retry_on(), Some(ConnectionId(2)));
    third.refused();
    second.answered();
    assert_eq!(numbers(&peer.session.begin_callback().unwrap()), (0, 2, 0), "a refused one is not counted");
    for _ in 0..16 {
        let Some(claim) = peer.session.begin_callback() else { break };
        claim.give_up();
    }
    assert_eq!(peer.session.status_flags(), status_flag::BACKCHANNEL_FAULT);
}

#[test]
fn a_session_ends_when_its_requests_have() {
    let server = Server::new();
    let peer = server.peer("a");
    let (id, connection) = (peer.session.id(), create(peer.client.id(), 1).connection);
    let running = execute(&peer.session, &call(1, 1));
    let own = execute(&peer.session, &call(0, 1));
    let destroy = |connection| server.state.destroy_session(&id, connection, Some(&own));
    assert_eq!(destroy(ConnectionId(99)), Err(Status::ConnNotBoundToSession));
    assert_eq!(destroy(connection), Err(Status::Delay));
    running.complete(SlotReply::Uncached);
    assert_eq!(destroy(connection), Ok(()));
    assert_eq!(destroy(connection), Err(Status::Badsession));
    own.complete(SlotReply::Cached(b"gone"));
    assert!(!peer.session.is_alive());
    assert!(matches!(peer.session.begin(&call(0, 2), 0), Begin::Refused(Status::Badsession)));
    assert_eq!(server.state.session(&id).err(), Some(Status::Badsession));
    assert_eq!(server.state.connection_seen(&peer.session, ConnectionId(5)), Err(Status::Badsession));
}

#[test]
fn connections_of_a_session_are_bounded() {
    let server = Server::with(|config| config.limits.connections_per_session_max = 2);
    let peer = server.peer("a");
    server.state.connection_seen(&peer.session, ConnectionId(2)).unwrap();
    assert_eq!(server.state.connection_seen(&peer.session, ConnectionId(3)), Err(Status::Delay));
    assert_eq!(server.state.connection_seen(&peer.session, ConnectionId(2)), Ok(()));
}
