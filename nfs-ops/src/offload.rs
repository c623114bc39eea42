//! Copies that go on after their COPY was answered (RFC 7862 §4.1.3, §15.9).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use wire::nfs4::{ClientId, Stateid, Status};

/// Copies one client may have going at one time. A Linux client waits for each of its copies, so this is
/// the number of processes copying at once; past it a COPY is done before it is answered.
pub const OFFLOADS_PER_CLIENT_MAX: usize = 64;

/// Copies of all clients, those included that have ended and are kept for OFFLOAD_STATUS after the callback. At the bound
/// the latter are forgotten; where that makes no room a COPY is done before it is answered.
pub const OFFLOADS_MAX: usize = 1024;

/// One copy that goes on.
#[derive(Debug)]
pub struct Offload {
    /// The client it belongs to.
    pub client: ClientId,
    /// Names it to the client.
    pub stateid: Stateid,
    copied_bytes: AtomicU64,
    cancelled: AtomicBool,
    end: Mutex<Option<Status>>,
}

impl Offload {
    /// Bytes copied so far.
    pub fn copied_bytes(&self) -> u64 {
        self.copied_bytes.load(Ordering::Relaxed)
    }

    /// Notes that `bytes` more are copied.
    pub fn advance(&self, bytes: u64) {
        self.copied_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether the client wants no more of it.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// How it ended, once it has.
    pub fn end(&self) -> Option<Status> {
        *self.end.lock().expect("nothing panics under this lock")
    }
}

type Table = HashMap<(ClientId, [u8; 12]), Arc<Offload>>;

/// All copies that go on, and some that ended. A lock guards it; copies are rare and long.
#[derive(Debug, Default)]
pub struct Offloads {
    table: Mutex<Table>,
}

impl Offloads {
    /// Begins a copy named by the unpredictable `other`; `None` when the client, or all together, have too many going.
    pub fn begin(&self, client: ClientId, other: [u8; 12]) -> Option<Arc<Offload>> {
        let mut table = self.lock();
        let going = |offload: &Offload| offload.client == client && offload.end().is_none();
        if table.values().filter(|offload| going(offload)).count() >= OFFLOADS_PER_CLIENT_MAX {
            return None;
        }
        if table.len() >= OFFLOADS_MAX {
            table.retain(|_, offload| offload.end().is_none());
        }
        if table.len() >= OFFLOADS_MAX {
            return None;
        }
        let offload = Arc::new(Offload {
            client,
            stateid: Stateid { seqid: 1, other },
            copied_bytes: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            end: Mutex::new(None),
        });
        table.insert((client, other), offload.clone());
        Some(offload)
    }

    /// The copy a client knows by `stateid`.
    pub fn find(&self, client: ClientId, stateid: &Stateid) -> Option<Arc<Offload>> {
        self.lock().get(&(client, stateid.other)).cloned()
    }

    /// Notes how a copy ended. A cancelled copy is forgotten at once: nobody will ask.
    pub fn finish(&self, offload: &Offload, status: Status) {
        *offload.end.lock().expect("nothing panics under this lock") = Some(status);
        if offload.is_cancelled() {
            self.lock().remove(&(offload.client, offload.stateid.other));
        }
    }

    /// Asks a copy to stop; `false` when the client has none of that name.
    pub fn cancel(&self, client: ClientId, stateid: &Stateid) -> bool {
        let found = self.find(client, stateid);
        if let Some(offload) = &found {
            offload.cancelled.store(true, Ordering::Relaxed);
            if offload.end().is_some() {
                self.lock().remove(&(client, stateid.other));
            }
        }
        found.is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("nothing panics under this lock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_found_by_its_client_alone_until_cancelled() {
        let offloads = Offloads::default();
        let offload = offloads.begin(ClientId(1), [7; 12]).unwrap();
        offload.advance(10);
        assert!(offloads.find(ClientId(2), &offload.stateid).is_none());
        assert_eq!(offloads.find(ClientId(1), &offload.stateid).unwrap().copied_bytes(), 10);
        assert!(!offloads.cancel(ClientId(2), &offload.stateid) && !offload.is_cancelled());
        assert!(offloads.cancel(ClientId(1), &offload.stateid) && offload.is_cancelled());
        offloads.finish(&offload, Status::Ok);
        assert!(offloads.find(ClientId(1), &offload.stateid).is_none());
    }

    #[test]
    fn copies_per_client_are_bounded_and_finished_ones_do_not_count() {
        let offloads = Offloads::default();
        let all: Vec<_> = (0..OFFLOADS_PER_CLIENT_MAX)
            .map(|number| offloads.begin(ClientId(1), [number as u8; 12]).unwrap())
            .collect();
        assert!(offloads.begin(ClientId(1), [255; 12]).is_none());
        assert!(offloads.begin(ClientId(2), [255; 12]).is_some());
        offloads.finish(&all[0], Status::Ok);
        assert!(offloads.begin(ClientId(1), [255; 12]).is_some());
    }

    #[test]
    fn copies_of_all_clients_are_bounded_by_those_that_go_on() {
        let offloads = Offloads::default();
        let clients = (OFFLOADS_MAX / OFFLOADS_PER_CLIENT_MAX) as u64;
        let mut all = Vec::new();
        for client in 0..clients {
            let numbers = 0..OFFLOADS_PER_CLIENT_MAX;
            all.extend(numbers.map(|number| offloads.begin(ClientId(client), [number as u8; 12]).unwrap()));
        }
        assert!(offloads.begin(ClientId(clients), [0; 12]).is_none());
        offloads.finish(&all[0], Status::Ok);
        assert!(offloads.begin(ClientId(clients), [0; 12]).is_some());
        assert!(offloads.begin(ClientId(clients), [1; 12]).is_none());
    }
}
