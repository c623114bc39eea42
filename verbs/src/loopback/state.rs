//! All that a fabric is, under its lock.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;

use rustix::io::Errno;

use super::connect::Asking;
use super::key::Keys;
use super::pair::{Pair, Stage};
use super::port::{Port, PortId, Untold};
use crate::{Completion, CompletionKind, Event, EventKind, PairId, RequestId, Status};

/// Completions taken with one call.
const COMPLETIONS_MAX: usize = 256;

/// A network.
pub(super) struct State {
    pub(super) ports: BTreeMap<PortId, Port>,
    pub(super) pairs: BTreeMap<PairId, Pair>,
    /// Who wishes to connect, and has not been answered.
    pub(super) requests: HashMap<RequestId, Asking>,
    pub(super) listeners: BTreeMap<SocketAddr, PortId>,
    pub(super) keys: Keys,
    /// The last number that was given to an adapter, a pair or a request.
    last_number: u64,
    /// The last port number that was chosen.
    pub(super) last_port: u16,
}

impl State {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            ports: BTreeMap::new(),
            pairs: BTreeMap::new(),
            requests: HashMap::new(),
            listeners: BTreeMap::new(),
            keys: Keys::new(seed),
            last_number: 0,
            last_port: 0,
        }
    }

    /// A number that nothing else has.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// An adapter that is there: its owner asks.
    pub(super) fn port(&mut self, port: PortId) -> &mut Port {
        self.ports.get_mut(&port).expect("it is in the fabric until its owner drops it")
    }

    /// A queue pair of this adapter's.
    ///
    /// # Errors
    /// `ENOTCONN` when it has none of this number.
    pub(super) fn pair(&mut self, owner: PortId, pair: PairId) -> Result<&mut Pair, Errno> {
        self.pairs.get_mut(&pair).filter(|of| of.owner == owner).ok_or(Errno::NOTCONN)
    }

    /// Takes an adapter out, with all it has: nothing touches its memory afterwards.
    pub(super) fn drop_port(&mut self, port: PortId) {
        self.disband(port);
        self.pairs.retain(|_, pair| pair.owner != port);
        self.ports.remove(&port);
    }

    /// The device goes away, and its owner is told.
    pub(super) fn remove_device(&mut self, port: PortId) {
        let Some(there) = self.ports.get_mut(&port) else { return };
        if std::mem::replace(&mut there.is_removed, true) {
            return;
        }
        there.registrations.close_all();
        there.happen(Event::new(EventKind::DeviceRemoved));
        self.disband(port);
    }

    /// Ends all that goes by way of an adapter.
    fn disband(&mut self, port: PortId) {
        self.close_listeners(port);
        self.refuse_unseen(port);
        let pairs = self.pairs.iter().filter(|(_, pair)| pair.owner == port);
        for id in pairs.map(|(id, _)| *id).collect::<Vec<_>>() {
            if self.withdraw(id) {
                self.refuse(id, -Errno::NODEV.raw_os_error());
            }
            self.sever(id, Status::FLUSHED);
        }
    }

    /// Breaks a connection as a cable that is pulled does.
    pub(super) fn pull(&mut self, id: PairId) {
        self.sever(id, Status::RETRIES_EXCEEDED);
    }

    /// Ends a connection on both sides, and tells them. The oldest work of each side that has not ended ends so, those behind
    /// it are flushed.
    pub(super) fn sever(&mut self, id: PairId, oldest: Status) {
        let Some(Pair { stage: Stage::Connected(peer, _), .. }) = self.pairs.get(&id) else { return };
        for end in [id, *peer] {
            let Some(pair) = self.pairs.get_mut(&end) else { continue };
            pair.stage = Stage::Over;
            pair.flush(oldest);
            if !pair.is_ending {
                let owner = pair.owner;
                let event = Event { pair: end, ..Event::new(EventKind::Disconnected) };
                self.port(owner).happen(event);
            }
            self.settle(end);
        }
    }

    /// Tells of the works of a pair that have ended.
    pub(super) fn settle(&mut self, id: PairId) {
        while let Some(pair) = self.pairs.get_mut(&id) {
            let Some((completion, sequence)) = pair.settle(id) else { return };
            if let Some(completion) = completion {
                self.complete(completion, sequence);
            }
        }
    }

    /// Gives a completion to the owner of its pair.
    pub(super) fn complete(&mut self, completion: Completion, sequence: u64) {
        let Some(pair) = self.pairs.get_mut(&completion.pair) else { return };
        pair.untold += 1;
        let owner = pair.owner;
        self.port(owner).complete(completion, sequence);
    }

    /// Takes completions of an adapter's.
    pub(super) fn completions(&mut self, port: PortId, into: &mut Vec<Completion>) {
        for _ in 0..COMPLETIONS_MAX {
            let Some(Untold { completion, sequence }) = self.port(port).take_completion() else { return };
            if completion.kind == CompletionKind::Receive {
                self.port(port).receives_outstanding -= 1;
            }
            if let Some(pair) = self.pairs.get_mut(&completion.pair) {
                pair.untold -= 1;
                if completion.kind == CompletionKind::Work {
                    pair.told(sequence);
                }
                self.end_if_done(completion.pair);
            }
            into.push(completion);
        }
    }

    /// Ends a connection because its owner wishes so.
    pub(super) fn disconnect(&mut self, owner: PortId, id: PairId) {
        let Ok(pair) = self.pair(owner, id) else { return };
        if std::mem::replace(&mut pair.is_ending, true) {
            return;
        }
        self.withdraw(id);
        self.sever(id, Status::FLUSHED);
        self.end_if_done(id);
    }

    /// Forgets a queue pair. One that has not ended ends at once, and what it was asked for is not told.
    pub(super) fn destroy(&mut self, owner: PortId, id: PairId) {
        if self.pair(owner, id).is_err() {
            return;
        }
        self.disconnect(owner, id);
        self.pairs.remove(&id);
        self.port(owner).forget(id);
    }

    fn end_if_done(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(&id).filter(|pair| pair.is_at_end()) else { return };
        let owner = pair.owner;
        self.port(owner).happen(Event { pair: id, ..Event::new(EventKind::Ended) });
    }
}
