//! SEQUENCE and the reply cache.

use wire::nfs4::{SlotId, Status};

use super::fixture::{Server, call, execute};
use crate::{Begin, SequenceCall, SlotReply};

/// A short name of what a request met.
fn outcome(begin: Begin) -> String {
    match begin {
        Begin::Execute(claim) => {
            claim.complete(SlotReply::Cached(b"done"));
            "execute".into()
        }
        Begin::Replay(reply) => format!("replay {}", reply.escape_ascii()),
        Begin::Uncached(_) => "uncached".into(),
        Begin::Refused(status) => status.name().into(),
    }
}

/// Sends requests of these slots and sequence ids in turn.
fn check(requests: &[(u32, u32, &str)]) {
    let server = Server::new();
    let peer = server.peer("a");
    for (slot, sequence, expected) in requests {
        let met = outcome(peer.session.begin(&call(*slot, *sequence), 0));
        assert_eq!(met, *expected, "slot {slot} sequence {sequence} in {requests:?}");
    }
}

#[test]
fn sequence_ids_are_next_last_or_misordered() {
    check(&[
        (0, 0, "NFS4ERR_SEQ_MISORDERED"),
        (0, 2, "NFS4ERR_SEQ_MISORDERED"),
        (0, 1, "execute"),
        (0, 1, "replay done"),
        (0, 1, "replay done"),
        (0, 3, "NFS4ERR_SEQ_MISORDERED"),
        (0, 2, "execute"),
        (0, 1, "NFS4ERR_SEQ_MISORDERED"),
        (63, 1, "execute"),
        (64, 1, "NFS4ERR_BADSLOT"),
        (u32::MAX, 1, "NFS4ERR_BADSLOT"),
    ]);
}

#[test]
fn a_retry_of_a_running_request_is_put_off_and_touches_nothing() {
    let mut server = Server::new();
    let peer = server.peer("a");
    let claim = execute(&peer.session, &call(0, 1));
    let renewed = server.state.clients(0)[0].silent_ns;
    server.pass(10 * crate::config::SECOND_NS);
    // The same session from another connection is the same `Session`.
    let elsewhere = server.state.session(&peer.session.id()).unwrap();
    for sequence in [1, 1] {
        assert_eq!(outcome(elsewhere.begin(&call(0, sequence), server.now)), "NFS4ERR_DELAY");
    }
    assert_eq!(outcome(elsewhere.begin(&call(0, 2), server.now)), "NFS4ERR_SEQ_MISORDERED");
    let silent_ns = server.state.clients(server.now)[0].silent_ns;
    assert_eq!(silent_ns, renewed + server.now, "the lease is not renewed by an error");
    claim.complete(SlotReply::Cached(b"first"));
    assert_eq!(outcome(elsewhere.begin(&call(0, 1), server.now)), "replay first");
}

#[test]
fn an_uncached_reply_is_not_replayed() {
    let server = Server::new();
    let peer = server.peer("a");
    execute(&peer.session, &call(0, 1)).complete(SlotReply::Uncached);
    assert_eq!(outcome(peer.session.begin(&call(0, 1), 0)), "uncached");
    let too_long = vec![0; peer.session.fore_channel().response_cached_bytes_max as usize + 1];
    execute(&peer.session, &call(0, 2)).complete(SlotReply::Cached(&too_long));
    assert_eq!(outcome(peer.session.begin(&call(0, 2), 0)), "uncached");
}

#[test]
fn a_false_retry_is_told_by_its_fingerprint() {
    let server = Server::new();
    let peer = server.peer("a");
    let with = |fingerprint| SequenceCall { fingerprint, ..call(0, 1) };
    assert_eq!(outcome(peer.session.begin(&with(Some(1)), 0)), "execute");
    assert_eq!(outcome(peer.session.begin(&with(Some(2)), 0)), "NFS4ERR_SEQ_FALSE_RETRY");
    assert_eq!(outcome(peer.session.begin(&with(Some(1)), 0)), "replay done");
    assert_eq!(outcome(peer.session.begin(&with(None), 0)), "replay done");
}

#[test]
fn slots_above_the_target_go_when_the_client_knows_it() {
    let server = Server::new();
    let peer = server.peer("a");
    let highest = |session: &crate::Session| {
        let reply = session.sequence_reply();
        (reply.highest_slot.0, reply.target_highest_slot.0)
    };
    assert_eq!(outcome(peer.session.begin(&call(40, 1), 0)), "execute");
    assert_eq!(peer.session.set_target_slots(4), 4);
    assert_eq!(highest(&peer.session), (63, 3));
    assert_eq!(outcome(peer.session.begin(&call(0, 1), 0)), "execute");
    assert_eq!(highest(&peer.session), (63, 3), "the client may not have seen the target when it sent this");
    let busy = SequenceCall { highest_slot: SlotId(40), ..call(0, 2) };
    assert_eq!(outcome(peer.session.begin(&busy, 0)), "execute");
    assert_eq!(highest(&peer.session), (63, 3), "it still uses higher slots");
    assert_eq!(outcome(peer.session.begin(&call(0, 3), 0)), "execute");
    assert_eq!(highest(&peer.session), (3, 3));
    assert_eq!(outcome(peer.session.begin(&call(40, 2), 0)), "NFS4ERR_BADSLOT");
    assert_eq!(peer.session.set_target_slots(1000), 64);
    assert_eq!(outcome(peer.session.begin(&call(40, 1), 0)), "execute", "a slot granted anew starts at 1");
    assert_eq!(outcome(peer.session.begin(&call(40, 1), 0)), "replay done");
    assert_eq!(outcome(peer.session.begin(&call(40, 2), 0)), "execute");
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "dropped without its reply")]
fn a_claim_is_not_dropped() {
    let server = Server::new();
    let peer = server.peer("a");
    drop(execute(&peer.session, &call(0, 1)));
}

#[test]
fn a_claim_may_be_dropped_when_the_server_stops() {
    let server = Server::new();
    let peer = server.peer("a");
    let claim = execute(&peer.session, &call(0, 1));
    server.state.close();
    drop(claim);
    let retry = peer.session.begin(&call(0, 1), 0);
    assert!(matches!(retry, Begin::Refused(Status::Delay)));
}
