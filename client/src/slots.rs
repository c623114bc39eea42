//! The slots of a session's fore channel (RFC 8881 §2.10.6).

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use engine::sync::Notify;
use wire::nfs4::{SequenceArgs, SequenceId, SessionId, SlotId};

/// All slots of a session.
pub(crate) struct Slots {
    session_id: SessionId,
    states: RefCell<Vec<State>>,
    /// Highest slot that the server wants used.
    target: Cell<u32>,
    freed: Notify,
}

#[derive(Clone, Copy)]
struct State {
    /// Of the last request that the server has answered.
    sequence_id: SequenceId,
    busy: bool,
}

impl Slots {
    /// `count` slots, none of which has been used.
    pub(crate) fn new(session_id: SessionId, count: u32) -> Rc<Self> {
        let unused = State { sequence_id: SequenceId(0), busy: false };
        Rc::new(Self {
            session_id,
            states: RefCell::new(vec![unused; count as usize]),
            target: Cell::new(count.saturating_sub(1)),
            freed: Notify::new(),
        })
    }

    /// Waits for a slot: the lowest that is free, so that the server may give up the high ones.
    pub(crate) async fn take(self: &Rc<Self>) -> Slot {
        loop {
            let index = {
                let states = self.states.borrow();
                let usable = states.iter().take(self.target.get() as usize + 1);
                usable.enumerate().find(|(_, state)| !state.busy).map(|(index, _)| index)
            };
            if let Some(index) = index {
                return self.lease(index);
            }
            self.freed.notified().await;
        }
    }

    /// Takes a certain slot, if it is free.
    pub(crate) fn take_this(self: &Rc<Self>, index: u32) -> Option<Slot> {
        let free = self.states.borrow().get(index as usize).is_some_and(|state| !state.busy);
        free.then(|| self.lease(index as usize))
    }

    /// Notes which slots the server wants used.
    pub(crate) fn set_target(&self, highest: SlotId) {
        let last = self.states.borrow().len().saturating_sub(1) as u32;
        self.target.set(highest.0.min(last));
        self.freed.notify_all();
    }

    /// The highest slot that may be used now.
    pub(crate) fn target(&self) -> SlotId {
        SlotId(self.target.get())
    }

    fn lease(self: &Rc<Self>, index: usize) -> Slot {
        self.states.borrow_mut()[index].busy = true;
        Slot { slots: Rc::clone(self), index, in_doubt: Cell::new(false) }
    }

    fn highest_busy(&self) -> u32 {
        let states = self.states.borrow();
        states.iter().rposition(|state| state.busy).unwrap_or(0) as u32
    }
}

/// A slot that is in use by one request. Dropping it frees it, unless a request was sent on it whose outcome
/// is not known: such a slot cannot be used again.
pub struct Slot {
    slots: Rc<Slots>,
    index: usize,
    in_doubt: Cell<bool>,
}

impl Slot {
    /// SEQUENCE for the slot's next request. Until [`Slot::answered`], it is the same again.
    pub fn sequence(&self, cache_reply: bool) -> SequenceArgs {
        let last = self.slots.states.borrow()[self.index].sequence_id;
        SequenceArgs {
            session_id: self.slots.session_id,
            sequence_id: last.next(),
            slot_id: SlotId(self.index as u32),
            highest_slot_id: SlotId(self.slots.highest_busy()),
            cache_this: cache_reply,
        }
    }

    /// A request is being sent: its outcome is in doubt until the slot is told.
    pub fn sent(&self) {
        self.in_doubt.set(true);
    }

    /// SEQUENCE succeeded: the next request is another one.
    pub fn answered(&self) {
        self.in_doubt.set(false);
        let state = &mut self.slots.states.borrow_mut()[self.index];
        state.sequence_id = state.sequence_id.next();
    }

    /// SEQUENCE succeeded for so many requests that were sent in the slot by other means.
    pub(crate) fn passed(&self, requests: u32) {
        let state = &mut self.slots.states.borrow_mut()[self.index];
        state.sequence_id = SequenceId(state.sequence_id.0.wrapping_add(requests));
    }

    /// SEQUENCE failed, so that the server has not taken the request.
    pub fn refused(&self) {
        self.in_doubt.set(false);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.in_doubt.get() {
            self.slots.states.borrow_mut()[self.index].busy = false;
            self.slots.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_slot_is_taken_and_counts_its_requests() {
        let slots = Slots::new(SessionId([7; 16]), 3);
        let first = slots.take_this(0).expect("free");
        let second = slots.take_this(1).expect("free");
        assert!(slots.take_this(1).is_none());
        assert!(slots.take_this(3).is_none());
        first.sent();
        first.answered();
        let sequence = first.sequence(true);
        assert_eq!((sequence.sequence_id, sequence.slot_id), (SequenceId(2), SlotId(0)));
        assert_eq!(sequence.highest_slot_id, SlotId(1));
        second.sent();
        assert_eq!(second.sequence(false), second.sequence(false), "a retry is the same request");
        drop(second);
        assert!(slots.take_this(1).is_none(), "what became of its request is not known");
        drop(first);
        assert_eq!(slots.take_this(0).expect("free again").sequence(false).sequence_id, SequenceId(2));
    }

    #[test]
    fn the_target_stays_within_the_session() {
        let slots = Slots::new(SessionId([7; 16]), 3);
        slots.set_target(SlotId(100));
        assert_eq!(slots.target(), SlotId(2));
        slots.set_target(SlotId(0));
        assert_eq!(slots.target(), SlotId(0));
    }
}
