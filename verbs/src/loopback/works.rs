//! How works are done.

use rustix::io::Errno;

use super::control::RemoteAccess;
use super::copy;
use super::pair::Stage;
use super::port::{PortId, Receive};
use super::state::State;
use crate::{Completion, CompletionKind, DeviceId, PLACES_MAX, PairId, Status, Work, WorkKind};

/// `IBV_WC_LOC_LEN_ERR`: a message was longer than the receive.
const TOO_LONG: Status = Status(1);

/// `IBV_WC_REM_INV_REQ_ERR`: the peer could not take the message.
const REMOTE_INVALID: Status = Status(9);

/// Both ends of a connection, as seen from the one that asks.
#[derive(Clone, Copy)]
struct Ends {
    pair: PairId,
    owner: PortId,
    peer: PairId,
    peer_owner: PortId,
}

/// The kind that holds and faults go by: messages are messages.
pub(super) fn class(kind: WorkKind) -> WorkKind {
    if kind == WorkKind::SendInvalidate { WorkKind::Send } else { kind }
}

impl State {
    /// Takes works of a pair in, and does those that are due.
    ///
    /// # Errors
    /// `ENOTCONN` when there is no connection yet or its end was asked for, `EINVAL` when a place is not in the memory that it
    /// says, `ENOMEM` when there is no room for all of them.
    ///
    /// # Safety
    /// As [`Verbs::post`](crate::Verbs::post).
    pub(super) unsafe fn post(&mut self, owner: PortId, id: PairId, works: &[Work]) -> Result<(), Errno> {
        let pair = self.pair(owner, id)?;
        if pair.is_ending || matches!(pair.stage, Stage::Asked(_)) {
            return Err(Errno::NOTCONN);
        }
        let outstanding = pair.outstanding();
        let port = self.port(owner);
        let holds = |work: &Work| work.places().iter().all(|place| port.registrations.holds(place));
        if !works.iter().all(|work| work.place_count as usize <= PLACES_MAX && holds(work)) {
            return Err(Errno::INVAL);
        }
        if outstanding + works.len() > port.options.works_max as usize {
            return Err(Errno::NOMEM);
        }
        self.take_in(owner, id, works);
        self.advance(id);
        Ok(())
    }

    fn take_in(&mut self, owner: PortId, id: PairId, works: &[Work]) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let port = self.ports.get_mut(&owner).expect("its owner asks");
        for work in works {
            let is_held = port.holds.contains(&class(work.kind));
            let sequence = pair.push(*work, is_held);
            if is_held {
                port.held.push_back((id, sequence));
            }
        }
        port.reads_outstanding_max = port.reads_outstanding_max.max(pair.reads_outstanding());
    }

    /// Does the works of a pair that are due. Its places were checked when they were posted.
    fn advance(&mut self, id: PairId) {
        while let Some(pair) = self.pairs.get_mut(&id) {
            let Stage::Connected(peer, peer_owner) = pair.stage else {
                pair.flush(Status::FLUSHED);
                return self.settle(id);
            };
            let Some((sequence, work)) = pair.due() else { return };
            let ends = Ends { pair: id, owner: pair.owner, peer, peer_owner };
            let status = self.execute(ends, &work);
            self.end(id, sequence, status);
        }
    }

    /// Notes how a work ended; its connection breaks if it failed.
    fn end(&mut self, id: PairId, sequence: u64, status: Status) {
        if let Some(pair) = self.pairs.get_mut(&id) {
            pair.end(sequence, status);
        }
        // Before the connection breaks: what has succeeded is not flushed.
        self.settle(id);
        if !status.is_success() {
            self.sever(id, Status::FLUSHED);
        }
    }

    fn execute(&mut self, ends: Ends, work: &Work) -> Status {
        let kind = class(work.kind);
        if let Some(status) = self.port(ends.owner).take_fault(ends.pair, kind) {
            return status;
        }
        match work.kind {
            WorkKind::Send => self.send(ends, work, None),
            WorkKind::SendInvalidate => self.send(ends, work, Some(work.invalidate)),
            WorkKind::Read => self.reach(ends, work, false),
            WorkKind::Write => self.reach(ends, work, true),
        }
    }

    /// Brings a message into the peer's oldest receive, then ends a key of the peer's.
    fn send(&mut self, ends: Ends, work: &Work, invalidate: Option<u32>) -> Status {
        let port = self.port(ends.peer_owner);
        if invalidate.is_some_and(|key| !port.registrations.is_open(key)) {
            return Status::REMOTE_ACCESS;
        }
        let Some(Receive { id, place }) = port.receives.pop_front() else { return Status::NO_RECEIVE };
        let fits = work.length() <= u64::from(place.length);
        if fits {
            // SAFETY: the work's places were checked when it was posted, the receive's when that was, and memory stays
            // registered until its adapter is dropped, which takes its pairs and its receives with it. Their owners have
            // promised to leave both alone until the completions, which are told only now.
            unsafe { copy::gather(work.places(), place.address) };
            invalidate.map(|key| port.registrations.close(key));
        }
        let received = Completion {
            id,
            pair: ends.peer,
            status: if fits { Status::SUCCESS } else { TOO_LONG },
            kind: CompletionKind::Receive,
            device: DeviceId(0),
            bytes: if fits { u32::try_from(work.length()).expect("it fits a place") } else { 0 },
        };
        self.complete(received, 0);
        if fits { Status::SUCCESS } else { REMOTE_INVALID }
    }

    /// Reads or writes memory of the peer.
    fn reach(&mut self, ends: Ends, work: &Work, is_write: bool) -> Status {
        let port = self.port(ends.peer_owner);
        let length = work.length();
        if !port.registrations.allows(work.remote, length, is_write) {
            return Status::REMOTE_ACCESS;
        }
        let (places, address, key) = (work.places(), work.remote.address, work.remote.key);
        if is_write {
            // SAFETY: the work's places were checked when it was posted; the peer's memory is registered at its adapter, which
            // is in the fabric, and a key that is open lends it.
            unsafe { copy::gather(places, address) };
        } else {
            // SAFETY: as above; the places are left alone until the completion, which is told only now.
            unsafe { copy::scatter(address, places) };
        }
        port.remember(RemoteAccess { pair: ends.peer, key, address, length, is_write });
        Status::SUCCESS
    }

    /// Has works of a kind held when they are posted.
    pub(super) fn hold(&mut self, owner: PortId, kind: WorkKind) {
        let Some(port) = self.ports.get_mut(&owner) else { return };
        if !port.holds.contains(&class(kind)) {
            port.holds.push(class(kind));
        }
    }

    /// Has works done that were held, the oldest ones, at most so many. Returns how many there were.
    pub(super) fn release(&mut self, owner: PortId, count: usize) -> usize {
        for released in 0..count {
            let Some((id, sequence)) = self.next_held(owner) else { return released };
            if let Some(pair) = self.pairs.get_mut(&id) {
                pair.let_go(sequence);
            }
            self.advance(id);
        }
        count
    }

    /// How many works are held.
    pub(super) fn held(&self, owner: PortId) -> usize {
        let Some(port) = self.ports.get(&owner) else { return 0 };
        port.held.iter().filter(|(pair, _)| self.is_connected(*pair)).count()
    }

    fn is_connected(&self, pair: PairId) -> bool {
        self.pairs.get(&pair).is_some_and(|pair| matches!(pair.stage, Stage::Connected(..)))
    }

    /// Takes the oldest work that is held and whose connection has not ended.
    fn next_held(&mut self, owner: PortId) -> Option<(PairId, u64)> {
        loop {
            let held = self.ports.get_mut(&owner)?.held.pop_front()?;
            if self.is_connected(held.0) {
                return Some(held);
            }
        }
    }
}
