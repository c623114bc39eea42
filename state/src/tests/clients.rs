//! EXCHANGE_ID, CREATE_SESSION and the end of clients.

use std::sync::Arc;

use wire::nfs4::{ClientId, SequenceId, Status};

use super::fixture::{LEASE, Server, create};
use crate::config::SLOT_BYTES;
use crate::{Access, ChannelAttributes, CreateOutcome, Deny};

/// One EXCHANGE_ID: owner, verifier, principal, update.
type Asked = (&'static str, u8, &'static str, bool);

/// What each EXCHANGE_ID answers after a client "a" with verifier 1 of "root" was confirmed.
fn check_confirmed(asked: Asked, with_open: bool, expected: Result<bool, Status>) {
    let server = Server::new();
    let peer = server.peer("a");
    if with_open {
        server.open(&peer, "file", Access::Read, Deny::None).unwrap();
    }
    let (owner, verifier, principal, update) = asked;
    let answered = server.exchange_as(owner, verifier, principal, update);
    let known = answered.map(|(client, _, confirmed)| {
        assert_eq!(confirmed, client == peer.client.id(), "{asked:?}: confirmed means the same client id");
        confirmed
    });
    assert_eq!(known, expected, "{asked:?}");
}

#[test]
fn exchange_id_in_all_cases_of_a_confirmed_client() {
    check_confirmed(("b", 1, "root", false), false, Ok(false));
    check_confirmed(("a", 1, "root", false), true, Ok(true));
    check_confirmed(("a", 1, "other", false), true, Err(Status::ClidInuse));
    check_confirmed(("a", 1, "other", false), false, Ok(false));
    check_confirmed(("a", 2, "root", false), true, Ok(false));
    check_confirmed(("a", 1, "root", true), true, Ok(true));
    check_confirmed(("b", 1, "root", true), false, Err(Status::Noent));
    check_confirmed(("a", 2, "root", true), false, Err(Status::NotSame));
    check_confirmed(("a", 1, "other", true), false, Err(Status::Perm));
}

#[test]
fn an_unconfirmed_client_is_replaced_and_forgotten() {
    let mut server = Server::new();
    let (first, _, _) = server.exchange("a", 1).unwrap();
    assert_eq!(server.exchange_as("a", 1, "root", true), Err(Status::Noent));
    let (second, sequence, _) = server.exchange("a", 1).unwrap();
    assert_ne!(first, second);
    assert_eq!(server.create(first, 1), Err(Status::StaleClientid));
    server.pass(LEASE + 1);
    server.state.sweep(server.now);
    assert_eq!(server.create(second, sequence.0), Err(Status::StaleClientid));
    assert_eq!(server.state.totals().clients, 0);
}

#[test]
fn a_restarted_client_replaces_its_earlier_self_when_confirmed() {
    let server = Server::new();
    let earlier = server.peer("a");
    let stateid = server.open(&earlier, "file", Access::Both, Deny::Both).unwrap();
    let (client, sequence, _) = server.exchange("a", 2).unwrap();
    assert!(earlier.session.is_alive(), "nothing changes before CREATE_SESSION");
    assert_eq!(server.state.test_stateid(&earlier.client, &stateid), Status::Ok);
    server.create(client, sequence.0).unwrap();
    assert!(!earlier.session.is_alive());
    let other = server.peer("b");
    server.open(&other, "file", Access::Both, Deny::Both).unwrap();
    let record = server.store.records().into_iter().find(|record| record.owner == b"a").unwrap();
    assert_eq!((record.verifier.0[0], record.reclaimable), (2, false));
}

#[test]
fn create_session_replays_and_refuses_misordered_ones() {
    let server = Server::new();
    let (client, sequence, _) = server.exchange("a", 1).unwrap();
    assert_eq!(sequence, SequenceId(1));
    assert_eq!(server.create(client, 0), Err(Status::SeqMisordered), "the contrived first reply");
    assert_eq!(server.create(client, 2), Err(Status::SeqMisordered));
    let first = server.create(client, 1).unwrap();
    assert_eq!(server.create(client, 1).as_ref(), Ok(&first));
    let second = server.create(client, 2).unwrap();
    assert_ne!(first.session, second.session);
    assert_eq!(server.create(client, 1), Err(Status::SeqMisordered));
    assert_eq!(server.exchange("a", 1).unwrap(), (client, SequenceId(3), true));
    assert_eq!(server.create(ClientId(7), 1), Err(Status::StaleClientid));
    let foreign = crate::CreateSession { principal: b"other", ..create(client, 3) };
    assert_eq!(server.state.create_session(&foreign, 0).err(), Some(Status::ClidInuse));
}

#[test]
fn a_client_is_confirmed_when_its_record_is_stored_and_not_before() {
    let server = Server::new();
    let (client, _, _) = server.exchange("a", 1).unwrap();
    server.store.hold();
    let Ok(CreateOutcome::Pending(mut pending)) = server.create_outcome(client, 1) else {
        panic!("the reply must wait for the store")
    };
    assert_eq!(pending.stored().outcome(), None);
    assert_eq!(server.create_outcome(client, 1).err(), Some(Status::Delay), "the retry touches nothing");
    assert_eq!(server.exchange("a", 1).err(), Some(Status::Delay));
    server.store.fail(true);
    server.store.release();
    let stored = pending.stored().outcome().unwrap();
    assert_eq!(server.state.finish_create_session(pending, stored, 0), Err(Status::Serverfault));
    assert_eq!(server.exchange_as("a", 1, "root", true), Err(Status::Noent), "it is not confirmed");
    server.store.fail(false);
    server.create(client, 1).unwrap();
    assert_eq!(server.store.records().len(), 1);
}

#[test]
fn channels_get_no_more_than_is_asked_and_allowed() {
    let server = Server::new();
    let (client, _, _) = server.exchange("a", 1).unwrap();
    let too_small = |fore: ChannelAttributes, back: ChannelAttributes| {
        let asked = crate::CreateSession { fore, back, ..create(client, 1) };
        assert_eq!(server.state.create_session(&asked, 0).err(), Some(Status::Toosmall));
    };
    let usual = create(client, 1);
    too_small(ChannelAttributes { request_bytes_max: 20, ..usual.fore }, usual.back);
    too_small(ChannelAttributes { response_bytes_max: 0, ..usual.fore }, usual.back);
    too_small(usual.fore, ChannelAttributes { operations_max: 1, ..usual.back });
    let created = server.create(client, 1).unwrap();
    assert_eq!((created.fore.operations_max, created.fore.requests_max), (8, 64));
    assert_eq!(created.fore.response_bytes_max, usual.fore.response_bytes_max);
    assert_eq!((created.back.operations_max, created.back.requests_max), (2, 16));
    assert!(created.back_channel);
}

#[test]
fn the_reply_cache_is_shared_out_and_given_back() {
    let slot_bytes = 4096 + SLOT_BYTES;
    let server = Server::with(|config| config.limits.reply_cache_bytes_max = 256 * slot_bytes);
    let (client, _, _) = server.exchange("a", 1).unwrap();
    let first = server.create(client, 1).unwrap();
    assert_eq!(first.fore.requests_max, 56, "a quarter of what is not kept for late comers");
    let second = server.create(client, 2).unwrap();
    assert_eq!(second.fore.requests_max, 28, "a quarter of the rest that its host may have");
    assert_eq!(server.state.totals().reply_cache_bytes, (56 + 28) * slot_bytes);
    for created in [&first, &second] {
        let session = server.state.session(&created.session).unwrap();
        let connection = create(client, 1).connection;
        server.state.destroy_session(&session.id(), connection, None).unwrap();
    }
    assert_eq!(server.state.totals().reply_cache_bytes, 0);
}

#[test]
fn a_client_with_sessions_or_state_is_not_destroyed() {
    let server = Server::new();
    let peer = server.peer("a");
    let stateid = server.open(&peer, "file", Access::Read, Deny::None).unwrap();
    let id = peer.client.id();
    let busy = |server: &Server| {
        assert_eq!(server.state.destroy_client(id, 0).err(), Some(Status::ClientidBusy));
    };
    busy(&server);
    server.close(&peer, "file", &stateid).unwrap();
    busy(&server);
    let connection = create(id, 1).connection;
    server.state.destroy_session(&peer.session.id(), connection, None).unwrap();
    let ticket = server.state.destroy_client(id, 0).unwrap().expect("its record is removed");
    assert_eq!(ticket.outcome(), Some(Ok(())));
    assert_eq!(server.store.records(), []);
    assert_eq!(server.state.destroy_client(id, 0).err(), Some(Status::StaleClientid));
    assert_eq!(Arc::strong_count(&peer.session), 1, "no table keeps the session");
}

#[test]
fn the_bound_on_clients_makes_silent_ones_go() {
    let mut server = Server::with(|config| config.limits.clients_max = 2);
    let silent = server.peer("a");
    server.open(&silent, "file", Access::Read, Deny::None).unwrap();
    server.peer("b");
    assert_eq!(server.exchange("c", 1).err(), Some(Status::Delay));
    server.pass(LEASE + 1);
    assert_eq!(server.exchange("c", 1).err(), Some(Status::Delay));
    server.state.sweep(server.now);
    server.exchange("c", 1).unwrap();
    assert_eq!(server.state.totals().opens, 0);
}

#[test]
fn those_who_only_ask_do_not_keep_others_out() {
    const CLIENTS: u32 = 2048;
    let server = Server::with(|config| config.limits.clients_max = CLIENTS);
    let settled = server.peer("settled");
    let mut crowd = 0;
    while server.state.totals().clients < u64::from(CLIENTS) {
        server.exchange(&format!("crowd {crowd}"), 1).unwrap();
        crowd += 1;
    }
    for number in 0..100 {
        let peer = server.peer(&format!("newcomer {number}"));
        assert!(peer.session.is_alive());
        // They go on asking.
        for _ in 0..10 {
            let _ = server.exchange(&format!("crowd {crowd}"), 1);
            crowd += 1;
        }
        assert!(peer.session.is_alive());
    }
    assert!(settled.session.is_alive());
    assert_eq!(server.state.totals().clients, u64::from(CLIENTS));
}

#[test]
fn slots_that_keep_no_replies_are_bounded_too() {
    let server = Server::with(|config| config.limits.reply_cache_bytes_max = 40 * SLOT_BYTES);
    let (client, _, _) = server.exchange("a", 1).unwrap();
    let usual = create(client, 1);
    let fore = ChannelAttributes { response_cached_bytes_max: 0, ..usual.fore };
    let asked = crate::CreateSession { fore, ..usual };
    let created = server.finish(server.state.create_session(&asked, 0).unwrap()).unwrap();
    assert_eq!(created.fore.requests_max, 8, "a quarter of what is not kept for late comers");
}

#[test]
fn the_bound_on_the_reply_cache_makes_silent_ones_go() {
    let mut server = Server::with(|config| config.limits.reply_cache_bytes_max = 4096 + SLOT_BYTES);
    let silent = server.peer("a");
    server.open(&silent, "file", Access::Read, Deny::None).unwrap();
    drop(silent);
    server.state.sweep(server.now);
    server.pass(LEASE + 1);
    server.state.sweep(server.now);
    assert_eq!(server.state.totals().opens, 1, "courtesy");
    let (client, _, _) = server.exchange("b", 1).unwrap();
    assert_eq!(server.create(client, 1).err(), Some(Status::Nospc));
    server.state.sweep(server.now);
    server.create(client, 1).unwrap();
    assert_eq!(server.state.totals().opens, 0);
}
