//! Callbacks: which connection, slot and sequence id the next one takes (RFC 8881 §2.10.3.1, §20.9, §18.33).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{SequenceId, SlotId};

use crate::connection::{Bound, ConnectionId};
use crate::session::Session;
use crate::stripes::lock;

/// The credential with which callbacks are sent (`callback_sec_parms4`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum CallbackCredential {
    /// AUTH_NONE.
    #[default]
    None,
    /// AUTH_SYS with what the client gave.
    Sys {
        /// Arbitrary number.
        stamp: u32,
        /// Name of the machine.
        machine_name: Vec<u8>,
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
        /// Supplementary groups.
        gids: Vec<u32>,
    },
}

/// The session's connections and its backchannel's slots.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    pub(crate) connections: Vec<Bound>,
    pub(crate) back_slots: Vec<BackSlot>,
    pub(crate) program: u32,
    pub(crate) credential: CallbackCredential,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackSlot {
    /// Sequence id of the last callback.
    sequence: SequenceId,
    busy: bool,
    /// A callback's reply never came, so the client's sequence id is unknown.
    lost: bool,
}

/// A slot of the backchannel and the connection to use it on. To be ended with
/// [`answered`](CallbackClaim::answered) or [`give_up`](CallbackClaim::give_up); dropping it gives up.
#[must_use = "a callback slot stays taken until the claim is ended"]
#[derive(Debug)]
pub struct CallbackClaim {
    session: Arc<Session>,
    connection: ConnectionId,
    slot: usize,
    sequence: SequenceId,
    highest_slot: u32,
    ended: bool,
}

impl Session {
    /// Sets the callback program and credential (CREATE_SESSION, BACKCHANNEL_CTL §18.33).
    pub fn set_backchannel(&self, program: u32, credential: CallbackCredential) {
        let mut channels = lock(&self.channels);
        (channels.program, channels.credential) = (program, credential);
    }

    /// The callback program and credential.
    pub fn backchannel(&self) -> (u32, CallbackCredential) {
        let channels = lock(&self.channels);
        (channels.program, channels.credential.clone())
    }

    /// Takes a slot of the backchannel, or `None` when all are taken or no connection carries it.
    pub fn begin_callback(self: &Arc<Self>) -> Option<CallbackClaim> {
        let mut channels = lock(&self.channels);
        let connection = channels.connections.iter().find(|bound| bound.back)?.connection;
        let slot = channels.back_slots.iter().position(|slot| !slot.busy && !slot.lost)?;
        let taken = &mut channels.back_slots[slot];
        taken.busy = true;
        let sequence = taken.sequence.next();
        let highest = channels.back_slots.iter().rposition(|slot| slot.busy).unwrap_or(slot);
        Some(CallbackClaim {
            session: Arc::clone(self),
            connection,
            slot,
            sequence,
            highest_slot: highest as u32,
            ended: false,
        })
    }
}

impl CallbackClaim {
    /// The session.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// The connection to send on.
    pub fn connection(&self) -> ConnectionId {
        self.connection
    }

    /// `csa_slotid`.
    pub fn slot(&self) -> SlotId {
        SlotId(self.slot as u32)
    }

    /// `csa_sequenceid`.
    pub fn sequence(&self) -> SequenceId {
        self.sequence
    }

    /// `csa_highest_slotid`.
    pub fn highest_slot(&self) -> SlotId {
        SlotId(self.highest_slot)
    }

    /// The connection was lost before the reply: another one on which to send the same again (RFC 8881
    /// §2.10.6.2), or `None` when the session has none now.
    pub fn retry_on(&mut self) -> Option<ConnectionId> {
        let channels = lock(&self.session.channels);
        let mut candidates = channels.connections.iter().filter(|bound| bound.back);
        self.connection = candidates.find(|bound| bound.connection != self.connection)?.connection;
        Some(self.connection)
    }

    /// The client has answered CB_SEQUENCE with success, so its slot has moved on.
    pub fn answered(mut self) {
        self.end(|slot, sequence| slot.sequence = sequence);
    }

    /// The client has answered CB_SEQUENCE with an error, so its slot has not moved (RFC 8881 §20.9.3).
    pub fn refused(mut self) {
        self.end(|_, _| ());
    }

    /// No answer came and none is awaited any more. The slot's sequence id is unknown from now on, so the
    /// slot is out of use; when all are, `sr_status_flags` says BACKCHANNEL_FAULT.
    pub fn give_up(mut self) {
        self.end(|slot, _| slot.lost = true);
    }

    fn end(&mut self, change: impl FnOnce(&mut BackSlot, SequenceId)) {
        self.ended = true;
        let mut channels = lock(&self.session.channels);
        let slot = &mut channels.back_slots[self.slot];
        slot.busy = false;
        change(slot, self.sequence);
        if channels.back_slots.iter().all(|slot| slot.lost) {
            self.session.back_fault.store(true, Ordering::Release);
        }
    }
}

impl Drop for CallbackClaim {
    fn drop(&mut self) {
        if !self.ended {
            self.end(|slot, _| slot.lost = true);
        }
    }
}
