//! What a test sees of an adapter and does to it, from any thread.

use super::Fabric;
use super::port::{Fault, PortId};
use super::works::class;
use crate::{PairId, Status, WorkKind};

/// What a peer did to the memory of an adapter. What it was refused is not among these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteAccess {
    /// The connection it came by, as this adapter knows it.
    pub pair: PairId,
    /// The key it used.
    pub key: u32,
    /// Of the first byte.
    pub address: u64,
    /// In bytes.
    pub length: u64,
    /// Whether it wrote, or else read.
    pub is_write: bool,
}

/// A hold on one adapter. Without effect, and with nothing to tell, when the adapter is gone.
///
/// Faults go by the kind of work; [`WorkKind::Send`] stands for [`WorkKind::SendInvalidate`] too.
#[derive(Clone)]
pub struct Control {
    fabric: Fabric,
    port: PortId,
}

impl Control {
    pub(super) fn new(fabric: Fabric, port: PortId) -> Self {
        Self { fabric, port }
    }

    /// Holds works of this kind that are posted from now on: they stay outstanding until they are released, and what is behind
    /// them waits, but that sends and writes overtake reads.
    pub fn hold(&self, kind: WorkKind) {
        self.fabric.lock().hold(self.port, kind);
    }

    /// Has at most so many works done that were held, oldest first. Returns how many there were. Later ones are still held.
    pub fn release(&self, count: usize) -> usize {
        self.fabric.lock().release(self.port, count)
    }

    /// Has all works done that were held, and holds none any more.
    pub fn resume(&self) {
        let mut state = self.fabric.lock();
        if let Some(port) = state.ports.get_mut(&self.port) {
            port.holds.clear();
        }
        state.release(self.port, usize::MAX);
    }

    /// Works that are held.
    pub fn held(&self) -> usize {
        self.fabric.lock().held(self.port)
    }

    /// Has the next work of this kind that is due fail, of one queue pair or of any: it does nothing, and its connection
    /// breaks.
    ///
    /// # Panics
    /// When the status is a success.
    pub fn fail_next(&self, pair: Option<PairId>, kind: WorkKind, status: Status) {
        assert!(!status.is_success(), "a fault is a failure");
        if let Some(port) = self.fabric.lock().ports.get_mut(&self.port) {
            port.faults.push(Fault { pair, kind: class(kind), status });
        }
    }

    /// Takes the device away, as hot removal does: its connections end, and nothing can be asked of it any more.
    pub fn remove_device(&self) {
        self.fabric.lock().remove_device(self.port);
    }

    /// What peers did to memory of the adapter, oldest first; of very many the last.
    pub fn accesses(&self) -> Vec<RemoteAccess> {
        let state = self.fabric.lock();
        state.ports.get(&self.port).map(|port| port.accesses()).unwrap_or_default()
    }

    /// Whether peers can still use a key.
    pub fn is_open(&self, key: u32) -> bool {
        let state = self.fabric.lock();
        state.ports.get(&self.port).is_some_and(|port| port.registrations.is_open(key))
    }

    /// Reads that one connection of the adapter's had outstanding, at most: posted, and no completion taken that tells of their
    /// end.
    pub fn reads_outstanding_max(&self) -> usize {
        self.fabric.lock().ports.get(&self.port).map_or(0, |port| port.reads_outstanding_max)
    }

    /// Receives that wait for a message.
    pub fn receives_waiting(&self) -> usize {
        self.fabric.lock().ports.get(&self.port).map_or(0, |port| port.receives.len())
    }
}
