//! Places: each is a slot of a session, or its like where there are no sessions, and has one call outstanding at most.

use std::rc::Rc;

use bytes::BytesMut;
use wire::{
    nfs3::{PROGRAM, Procedure, VERSION},
    nfs4::{SequenceArgs, SequenceId, SlotId},
    xdr::Encoder,
};

use super::link::Link;
use crate::{
    Identity, Session,
    channel::{header, null_call},
    compound,
    slots::Slot,
};

/// Most places of one pipeline, so that transaction ids have bits to tell the calls of each place apart.
pub(super) const PLACES_MAX: usize = 1 << 16;

/// Bytes of the headers before the operations.
const HEADERS_MAX: usize = 2048;

/// Places that share a session, or have none.
pub(super) struct Group {
    /// Everything before the caller's operations or arguments.
    pub(super) headers: Vec<u8>,
    pub(super) kind: Kind,
}

/// What the calls of a group are.
pub(super) enum Kind {
    /// NULL alone.
    Null,
    /// Procedures of NFSv3.
    Procedures,
    /// Compounds in these slots, which are kept from everybody else.
    Compounds(Vec<Slot>),
}

/// Where a place is in its cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It may call.
    Free,
    /// Its call is on its way.
    Calling {
        /// Names the call.
        xid: u32,
        /// Index of the connection that took it.
        link: usize,
    },
    /// It calls never again.
    Ended,
}

/// One place.
pub(super) struct Place {
    pub(super) group: usize,
    pub(super) slot: u32,
    /// Of the next call.
    pub(super) sequence: SequenceId,
    pub(super) state: State,
    /// Calls that SEQUENCE let pass.
    passed: u32,
    /// Whether a call was sent whose outcome nobody knows.
    is_in_doubt: bool,
    /// Connections that take its calls in turn.
    links: Vec<usize>,
    turn: usize,
}

impl Group {
    pub(super) fn of_session(session: &Session, places: usize) -> Self {
        let slots: Vec<Slot> = (0..places)
            .map(|index| session.slot(index as u32).expect("the session has as many free slots as places"))
            .collect();
        let sequence = SequenceArgs {
            session_id: session.id(),
            sequence_id: SequenceId(0),
            slot_id: SlotId(0),
            highest_slot_id: SlotId(places.saturating_sub(1) as u32),
            cache_this: false,
        };
        let options = session.options();
        let mut encoder = Encoder::new(BytesMut::new(), HEADERS_MAX);
        let credential = options.identity.credential();
        compound::begin(&mut encoder, credential, b"", options.minor_version, Some(sequence), 1);
        Self { headers: encoder.finish().head.to_vec(), kind: Kind::Compounds(slots) }
    }

    pub(super) fn of_procedures(identity: &Identity) -> Self {
        let called = (PROGRAM, VERSION, Procedure::Null.number());
        let mut encoder = Encoder::new(BytesMut::new(), HEADERS_MAX);
        encoder.put(&header(called, identity.credential())).expect("headers fit");
        Self { headers: encoder.finish().head.to_vec(), kind: Kind::Procedures }
    }

    pub(super) fn of_null(version: u32) -> Self {
        Self { headers: null_call(version).to_vec(), kind: Kind::Null }
    }

    /// What the next SEQUENCE of a slot says.
    pub(super) fn first_sequence(&self, slot: usize) -> SequenceId {
        self.slots().get(slot).map_or(SequenceId(0), |slot| slot.sequence(false).sequence_id)
    }

    fn slots(&self) -> &[Slot] {
        if let Kind::Compounds(slots) = &self.kind { slots } else { &[] }
    }

    /// Lets the session go on where a place stopped. A slot whose last call was lost is not used again.
    pub(super) fn settle(&self, place: &Place) {
        if let Some(slot) = self.slots().get(place.slot as usize) {
            slot.passed(place.passed);
            if place.is_in_doubt {
                slot.sent();
            }
        }
    }
}

impl Place {
    pub(super) fn new(group: usize, sequence: SequenceId, slot: usize, links: Vec<usize>) -> Self {
        let slot = slot as u32;
        Self { group, slot, sequence, state: State::Free, passed: 0, is_in_doubt: false, links, turn: 0 }
    }

    /// The connection of the next call, if one of the place's is open.
    pub(super) fn link(&self, links: &[Rc<Link>]) -> Option<usize> {
        let count = self.links.len();
        let mut candidates = (0..count).map(|step| self.links[(self.turn + step) % count]);
        candidates.find(|link| links[*link].is_open())
    }

    /// Begins a call on a connection, under the transaction id that comes of `ids`, and returns that.
    pub(super) fn begin(&mut self, index: usize, link: usize, ids: Ids) -> u32 {
        self.turn = self.turn.wrapping_add(1);
        let xid = ids.of(index, self.turn);
        self.state = State::Calling { xid, link };
        xid
    }

    /// The call is over; `passed`: SEQUENCE took it.
    pub(super) fn over(&mut self, passed: bool) {
        self.state = State::Free;
        if passed {
            self.passed += 1;
            self.sequence = self.sequence.next();
        }
    }

    /// The call's outcome will never be known.
    pub(super) fn lose(&mut self) {
        self.state = State::Ended;
        self.is_in_doubt = true;
    }
}

/// How transaction ids are made: some bits name the place, and the others tell its calls apart, as long as they can, and from
/// those of others who were at this address before: a server may remember them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    place_bits: u32,
    first_turn: u32,
}

impl Ids {
    /// For so many places, the first call of each having this number.
    pub(super) fn new(places: usize, first_turn: u32) -> Self {
        Self { place_bits: places.next_power_of_two().trailing_zeros(), first_turn }
    }

    fn of(self, place: usize, turn: usize) -> u32 {
        self.first_turn.wrapping_add(turn as u32) << self.place_bits | place as u32
    }

    /// The place that a transaction id names.
    pub(super) fn place(self, xid: u32) -> usize {
        (xid & ((1 << self.place_bits) - 1)) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_ids_name_their_place_and_come_back_late() {
        for places in [1, 2, 3, 1000, PLACES_MAX] {
            let ids = Ids::new(places, u32::MAX);
            let turns = (1_u64 << 32) / places.next_power_of_two() as u64;
            for place in [0, places - 1] {
                let xid = ids.of(place, 7);
                assert_eq!(ids.place(xid), place);
                assert_ne!(ids.of(place, 8), xid);
                assert_eq!(ids.of(place, 7 + turns as usize), xid, "all bits are used");
            }
        }
    }
}
