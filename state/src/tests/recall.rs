//! What is bounded for all is shared: slots are asked back, and no host takes everything.

use std::net::IpAddr;
use std::sync::Arc;

use wire::nfs4::Status;

use super::fixture::{Peer, Server, call};
use crate::config::SLOT_BYTES;
use crate::recall::SLOTS_MIN;
use crate::{Access, Begin, Deny, Session, SlotReply};

/// What a slot of the fixture's clients costs.
const COST: u64 = 4096 + SLOT_BYTES;

/// A whole session of theirs.
const WHOLE: u64 = 64 * COST;

fn slots(session: &Session) -> u32 {
    session.sequence_reply().highest_slot.0 + 1
}

/// The client goes on with its next request, on one slot.
fn go_on(session: &Arc<Session>, sequence: u32) {
    match session.begin(&call(0, sequence), 0) {
        Begin::Execute(claim) => claim.complete(SlotReply::Cached(b"done")),
        other => panic!("not executed: {other:?}"),
    }
}

fn crowd(server: &Server, count: usize) -> Vec<Peer> {
    (0..count).map(|number| server.peer(&format!("client {number}"))).collect()
}

#[test]
fn slots_are_asked_back_for_who_comes_and_given_back_when_there_is_room() {
    let server = Server::with(|config| config.limits.reply_cache_bytes_max = 16 * WHOLE);
    let crowd = crowd(&server, 14);
    assert!(crowd[..8].iter().all(|peer| slots(&peer.session) == 64));
    let late = slots(&crowd[13].session);
    assert!(late < 64, "{late} slots for the last");
    let effects = server.state.sweep(0);
    let recalled = &effects.recalls;
    assert!(recalled.len() >= 8 && recalled.iter().all(|session| slots(session) > 32), "{recalled:?}");
    for peer in &crowd {
        let told = peer.session.sequence_reply();
        assert!(told.target_highest_slot.0 < 32);
    }
    let before = server.state.totals().reply_cache_bytes;
    assert!(before > 8 * WHOLE, "nothing is taken that nobody has given back");
    for sequence in [1, 2] {
        crowd.iter().for_each(|peer| go_on(&peer.session, sequence));
    }
    let after = server.state.totals().reply_cache_bytes;
    assert!(after <= 8 * WHOLE, "{after} of {before} bytes are left");
    assert!(server.state.sweep(0).recalls.is_empty(), "nobody is asked twice");
    assert!(slots(&server.peer("newcomer").session) > late);
    drop(effects);
    // All but one leave.
    let mut crowd = crowd.into_iter();
    let stays = crowd.next().expect("there are some");
    for peer in crowd {
        let connection = crate::ConnectionId(peer.client.id().0);
        server.state.destroy_session(&peer.session.id(), connection, None).unwrap();
    }
    server.state.sweep(0);
    assert_eq!(slots(&stays.session), 64);
    go_on(&stays.session, 3);
    let Begin::Execute(claim) = stays.session.begin(&call(63, 1), 0) else {
        panic!("the slot is granted anew")
    };
    claim.complete(SlotReply::Uncached);
}

#[test]
fn who_keeps_what_it_is_asked_for_keeps_nobody_out() {
    let server = Server::with(|config| config.limits.reply_cache_bytes_max = 16 * WHOLE);
    let deaf = crowd(&server, 20);
    let newcomers: Vec<_> = (0..20).map(|number| server.peer(&format!("newcomer {number}"))).collect();
    server.state.sweep(0);
    assert!(newcomers.iter().all(|peer| slots(&peer.session) >= SLOTS_MIN));
    assert_eq!(slots(&deaf[0].session), 64, "it has not been seen to know");
    assert!(server.state.totals().reply_cache_bytes <= 16 * WHOLE);
}

#[test]
fn clients_behind_one_address_share_their_part() {
    let mut server = Server::with(|config| config.limits.reply_cache_bytes_max = 64 * WHOLE);
    server.host = Some(IpAddr::from([10, 0, 0, 1]));
    let crowd = crowd(&server, 34);
    let late = slots(&crowd[33].session);
    assert!(late < 64, "{late} slots for the last");
    let recalled = server.state.sweep(0).recalls.len();
    assert!(recalled >= 16, "{recalled} are asked for slots");
    for sequence in [1, 2] {
        crowd.iter().for_each(|peer| go_on(&peer.session, sequence));
    }
    assert!(slots(&server.peer("newcomer").session) > late);
}

#[test]
fn one_host_with_many_names_leaves_room_for_others() {
    let mut server = Server::with(|config| {
        config.limits.clients_max = 64;
        config.limits.reply_cache_bytes_max = 64 * WHOLE;
        config.limits.opens_max = 64;
        config.limits.locks_max = 64;
    });
    server.host = Some(IpAddr::from([10, 0, 0, 1]));
    let mut greedy = Vec::new();
    for name in 0..64 {
        let Ok((client, sequence, _)) = server.exchange(&format!("name {name}"), 1) else { break };
        let mut sequence = sequence.0;
        while let Ok(created) = server.create(client, sequence) {
            greedy.push(server.state.session(&created.session).unwrap());
            sequence += 1;
        }
    }
    let clients = server.state.totals().clients;
    assert!((32..=33).contains(&clients), "{clients} clients of one host");
    let peer = Peer { session: Arc::clone(&greedy[0]), client: Arc::clone(greedy[0].client()) };
    server.reclaim_complete(&peer).unwrap();
    let mut opens = 0;
    while server.open(&peer, &format!("file {opens}"), Access::Both, Deny::None).is_ok() {
        opens += 1;
    }
    assert!((32..=33).contains(&opens), "{opens} opens of one host");
    // Hardly more than half of the replies' room either.
    assert!(server.state.totals().reply_cache_bytes <= 33 * WHOLE);
    for number in 0..8 {
        server.host = Some(IpAddr::from([10, 0, 1, number]));
        let other = server.peer(&format!("other {number}"));
        assert!(slots(&other.session) > SLOTS_MIN, "{}", slots(&other.session));
        server.open(&other, "theirs", Access::Both, Deny::None).unwrap();
    }
    // Its own names that only ask make room for its own, and not those of others.
    server.host = Some(IpAddr::from([10, 0, 2, 1]));
    let (asking, ..) = server.exchange("asking", 1).unwrap();
    server.host = Some(IpAddr::from([10, 0, 0, 1]));
    assert_eq!(server.exchange("yet another name", 1).err(), Some(Status::Delay));
    assert!(server.state.client(asking).is_ok());
}
