//! Places: each is a slot of a session, or its like for NULL, and has one call outstanding at most.

use std::rc::Rc;

use bytes::BytesMut;
use wire::{
    nfs4::{SequenceArgs, SequenceId, SlotId},
    xdr::Encoder,
};

use super::link::Link;
use crate::{Session, channel::null_call, compound, slots::Slot};

/// Bits of a transaction id that name the place; the others tell its calls apart.
const PLACE_BITS: u32 = 16;

/// Most places of one pipeline.
pub(super) const PLACES_MAX: usize = 1 << PLACE_BITS;

/// Bytes of the headers before the operations.
const HEADERS_MAX: usize = 2048;

/// Places that share a session.
pub(super) struct Group {
    /// Everything before the caller's operations.
    pub(super) headers: Vec<u8>,
    /// The slots, kept from everybody else.
    slots: Vec<Slot>,
    has_session: bool,
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
        Self { headers: encoder.finish().head.to_vec(), slots, has_session: true }
    }

    pub(super) fn of_null() -> Self {
        Self { headers: null_call().to_vec(), slots: Vec::new(), has_session: false }
    }

    pub(super) fn is_null(&self) -> bool {
        !self.has_session
    }

    /// What the next SEQUENCE of a slot says.
    pub(super) fn first_sequence(&self, slot: usize) -> SequenceId {
        self.slots.get(slot).map_or(SequenceId(0), |slot| slot.sequence(false).sequence_id)
    }

    /// Lets the session go on where a place stopped. A slot whose last call was lost is not used again.
    pub(super) fn settle(&self, place: &Place) {
        if let Some(slot) = self.slots.get(place.slot as usize) {
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

    /// Begins a call on a connection and returns its transaction id.
    pub(super) fn begin(&mut self, index: usize, link: usize) -> u32 {
        self.turn = self.turn.wrapping_add(1);
        let xid = (self.turn as u32) << PLACE_BITS | index as u32;
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

/// The place that a transaction id names.
pub(super) fn of_xid(xid: u32) -> usize {
    (xid & ((1 << PLACE_BITS) - 1)) as usize
}
