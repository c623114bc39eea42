//! What the administrator can see.

use std::sync::atomic::Ordering;

use wire::nfs4::ClientId;

use crate::lease::Standing;
use crate::state::State;
use crate::stripes::STRIPES;

/// One client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientSummary {
    /// The client id.
    pub id: ClientId,
    /// The name the client gives itself.
    pub owner: Vec<u8>,
    /// Whether CREATE_SESSION has confirmed it.
    pub confirmed: bool,
    /// How it stands.
    pub standing: Standing,
    /// Nanoseconds since it was last heard of.
    pub silent_ns: u64,
    /// Sessions.
    pub sessions: u32,
    /// Connections of all sessions.
    pub connections: u32,
    /// Opens, revoked ones included until they are freed.
    pub opens: u32,
    /// Locked ranges and lock stateids, likewise.
    pub locks: u32,
}

metric::metrics! {
    /// Sums over all clients.
    pub struct Totals {
        /// Clients.
        pub clients: Gauge,
        /// Sessions, ended ones included until no core keeps them.
        pub sessions: Gauge,
        /// Opens.
        pub opens: Gauge,
        /// Locked ranges and lock stateids.
        pub locks: Gauge,
        /// Bytes reserved for cached replies.
        pub reply_cache_bytes: Gauge,
        /// Recorded clients that have not finished reclaiming; counts only while the grace period runs.
        pub reclaiming: Gauge,
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// Every client. Takes each stripe's lock for a moment; of different stripes the moments differ.
    pub fn clients(&self, now: u64) -> Vec<ClientSummary> {
        let mut summaries = Vec::new();
        for stripe in 0..STRIPES {
            let table = self.inner.clients.lock(stripe);
            summaries.extend(table.entries.values().map(|entry| {
                let client = &entry.client;
                let connections: usize = entry.sessions.iter().map(|session| session.connections()).sum();
                ClientSummary {
                    id: client.id(),
                    owner: client.owner().to_vec(),
                    confirmed: entry.confirmed,
                    standing: client.standing(),
                    silent_ns: client.lease.silent_ns(now, &self.inner.config),
                    sessions: entry.sessions.len() as u32,
                    connections: connections as u32,
                    opens: client.opens.load(Ordering::Acquire),
                    locks: client.locks.load(Ordering::Acquire),
                }
            }));
        }
        summaries
    }

    /// The sums.
    pub fn totals(&self) -> Totals {
        let shared = &self.inner.shared;
        Totals {
            clients: shared.clients.load(Ordering::Acquire),
            sessions: shared.sessions.load(Ordering::Acquire),
            opens: shared.opens.load(Ordering::Acquire),
            locks: shared.locks.load(Ordering::Acquire),
            reply_cache_bytes: shared.reply_bytes.load(Ordering::Acquire),
            reclaiming: shared.grace.awaited() as u64,
        }
    }
}
