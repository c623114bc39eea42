//! How connections come to be.

use std::net::SocketAddr;

use rustix::io::Errno;

use super::pair::{Pair, Stage};
use super::port::PortId;
use super::state::State;
use crate::{Event, EventKind, PRIVATE_MAX, PairId, RequestId};

/// Reads that one connection may have outstanding, as the adapter says.
pub(super) const READS_MAX: u32 = 16;

/// Requests that no listener has answered, of all adapters.
const REQUESTS_MAX: usize = 1024;

/// Ports below are not chosen.
const PORTS_FROM: u16 = 32768;

/// `IB_CM_REJ_CONSUMER_DEFINED`
const REJECTED: i32 = 28;

/// Who wishes to connect.
pub(super) struct Asking {
    /// Its end.
    pair: PairId,
    /// Reads it bears.
    reads_max: u32,
}

/// What one side tells the other, as an event has it.
fn told(event: Event, private: &[u8]) -> Result<Event, Errno> {
    if private.len() > PRIVATE_MAX {
        return Err(Errno::INVAL);
    }
    let mut event = Event { private_bytes: u8::try_from(private.len()).expect("PRIVATE_MAX"), ..event };
    event.private[..private.len()].copy_from_slice(private);
    Ok(event)
}

/// Whether listening on one takes what is meant for the other.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let is_all = |address: SocketAddr| address.ip().is_unspecified();
    one.port() == other.port() && (one.ip() == other.ip() || is_all(one) || is_all(other))
}

impl State {
    /// Listens; a port of 0 is chosen.
    pub(super) fn listen(&mut self, owner: PortId, address: SocketAddr) -> Result<SocketAddr, Errno> {
        self.port(owner).present()?;
        let is_taken = |state: &Self, at| state.listeners.keys().any(|other| overlap(*other, at));
        let mut address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if address.port() == 0 {
            let mut ports = (PORTS_FROM..=u16::MAX).map(|port| SocketAddr::new(address.ip(), port));
            address = ports.find(|at| !is_taken(self, *at)).ok_or(Errno::ADDRINUSE)?;
        }
        if is_taken(self, address) {
            return Err(Errno::ADDRINUSE);
        }
        self.listeners.insert(address, owner);
        Ok(address)
    }

    /// Listens no more. Requests that came can still be answered.
    pub(super) fn close_listeners(&mut self, owner: PortId) {
        self.listeners.retain(|_, listener| *listener != owner);
    }

    /// Refuses those whose request went to an adapter that has gone, unless another core has taken them.
    pub(super) fn refuse_unseen(&mut self, listener: PortId) {
        let unseen = self.port(listener).requests_untaken();
        for id in unseen {
            if let Some(asking) = self.requests.remove(&id) {
                self.refuse(asking.pair, -Errno::CONNREFUSED.raw_os_error());
            }
        }
    }

    /// Asks for a connection.
    pub(super) fn connect(
        &mut self,
        owner: PortId,
        address: SocketAddr,
        reads_max: u32,
        private: &[u8],
    ) -> Result<PairId, Errno> {
        self.port(owner).present()?;
        let peer = SocketAddr::new(self.port(owner).host, self.fresh_port());
        let request = RequestId(self.number());
        let reads_max = reads_max.min(READS_MAX);
        let event = Event { request, reads_max, peer: peer.into(), ..Event::new(EventKind::Request) };
        let event = told(event, private)?;
        let id = PairId(self.number());
        self.pairs.insert(id, Pair::new(owner, Stage::Asked(request)));
        match self.listener(address) {
            Some(listener) if self.requests.len() < REQUESTS_MAX => {
                self.requests.insert(request, Asking { pair: id, reads_max });
                self.port(listener).happen(event);
            }
            _ => self.refuse(id, -Errno::CONNREFUSED.raw_os_error()),
        }
        Ok(id)
    }

    /// Accepts who asked, for an adapter that need not be the one that listened.
    ///
    /// # Errors
    /// `ECONNABORTED` when there is no such request, or who asked has gone.
    pub(super) fn accept(
        &mut self,
        owner: PortId,
        request: RequestId,
        reads_max: u32,
        private: &[u8],
    ) -> Result<PairId, Errno> {
        let here = told(Event::new(EventKind::Established), &[])?;
        let there = told(here, private).and_then(|event| self.port(owner).present().map(|()| event));
        let there = there.inspect_err(|_| self.reject(request))?;
        let Asking { pair: peer, reads_max: bears } =
            self.requests.remove(&request).ok_or(Errno::CONNABORTED)?;
        let reads_max = reads_max.min(bears);
        let id = PairId(self.number());
        let asking = self.pairs.get_mut(&peer).expect("who goes takes its request back");
        let port = asking.owner;
        asking.stage = Stage::Connected(id, owner);
        self.pairs.insert(id, Pair::new(owner, Stage::Connected(peer, port)));
        self.port(owner).happen(Event { pair: id, reads_max, ..here });
        self.port(port).happen(Event { pair: peer, reads_max, ..there });
        Ok(id)
    }

    /// Turns away who asked.
    pub(super) fn reject(&mut self, request: RequestId) {
        if let Some(asking) = self.requests.remove(&request) {
            self.refuse(asking.pair, REJECTED);
        }
    }

    /// Takes back the request of a pair. Says whether it had one that was not answered.
    pub(super) fn withdraw(&mut self, id: PairId) -> bool {
        let Some(pair) = self.pairs.get_mut(&id) else { return false };
        let Stage::Asked(request) = pair.stage else { return false };
        pair.stage = Stage::Over;
        self.requests.remove(&request).is_some()
    }

    /// Tells who asked that there is no connection to be had.
    pub(super) fn refuse(&mut self, id: PairId, reason: i32) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        pair.stage = Stage::Over;
        let owner = pair.owner;
        self.port(owner).happen(Event { pair: id, reason, ..Event::new(EventKind::Refused) });
    }

    fn listener(&self, address: SocketAddr) -> Option<PortId> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let mut listeners = self.listeners.iter();
        listeners.find(|(at, _)| overlap(**at, address)).map(|(_, listener)| *listener)
    }

    /// Not the port of the last connection.
    fn fresh_port(&mut self) -> u16 {
        self.last_port = self.last_port.checked_add(1).unwrap_or(PORTS_FROM).max(PORTS_FROM);
        self.last_port
    }
}
