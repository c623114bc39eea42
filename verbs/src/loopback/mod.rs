//! [`Verbs`](crate::Verbs) within one process: adapters on different threads, with faults to inject.
//!
//! A [`Fabric`] is the network. Each [`Adapter`] is what one core has of it, and behaves as a real one does with reliable
//! connected queue pairs over a shared receive queue: what a careless caller would get wrong with an adapter goes wrong here.
//! Data moves while [`post`](crate::Verbs::post) runs, unless the [`Control`] of the adapter holds works of that kind.
//!
//! - A work's place in the queue is free again when a completion that tells of its end has been taken.
//! - A read may be overtaken by the sends and writes behind it, as the order of operations of InfiniBand has it. All others
//!   are done, and all completions are told, in the order of posting.
//! - Memory that a peer names, and memory that a work names here, is checked.
//! - A failed work breaks its connection: what is outstanding on both sides is flushed, and both are told.
//!
//! UNSAFETY: [`Verbs`](crate::Verbs) lends memory by its address, and an adapter moves bytes between such addresses (`copy`).
//! They are sound to use because every address is checked against what was registered at an adapter of the fabric, which its
//! owner promised to keep mapped for as long as the adapter lives; because an adapter that goes takes its memory, its receives
//! and its connections out of the fabric under the lock that every copy is made under; and because who posts a work or a
//! receive promised to leave its places alone. Memory that is registered for peers is lent in the same way to all who know
//! a key of it: who gives the key away looks at that memory when the peer says that it has done with it, as with any adapter.
#![allow(unsafe_code)]

mod adapter;
mod connect;
mod control;
mod copy;
mod key;
mod pair;
mod port;
mod registration;
mod state;
mod works;

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use adapter::Adapter;
pub use control::{Control, RemoteAccess};
pub use registration::Permission;
use state::State;

use crate::{Options, PairId};

/// A network within the process. Its clones are the same network.
#[derive(Clone)]
pub struct Fabric {
    state: Arc<Mutex<State>>,
}

impl Default for Fabric {
    fn default() -> Self {
        Self::new()
    }
}

impl Fabric {
    /// With nothing on it. Keys are others each time.
    pub fn new() -> Self {
        Self::seeded(RandomState::new().hash_one(0))
    }

    /// With keys that follow from the seed, for runs that are to be repeated.
    pub fn seeded(seed: u64) -> Self {
        Self { state: Arc::new(Mutex::new(State::new(seed))) }
    }

    /// An adapter, which connects from `127.0.0.1`.
    ///
    /// # Panics
    /// When the process has no descriptor left for it.
    pub fn adapter(&self, options: Options) -> Adapter {
        self.adapter_at(Ipv4Addr::LOCALHOST.into(), options)
    }

    /// An adapter that connects from this address.
    ///
    /// # Panics
    /// When the process has no descriptor left for it.
    pub fn adapter_at(&self, host: IpAddr, options: Options) -> Adapter {
        Adapter::new(self.clone(), host, options)
    }

    /// Breaks a connection, as a cable that is pulled does: the oldest work of each side fails with
    /// [`RETRIES_EXCEEDED`](crate::Status::RETRIES_EXCEEDED), and both are told.
    pub fn break_pair(&self, pair: PairId) {
        self.lock().pull(pair);
    }

    /// The state is whole whenever the lock is free, also after a panic: nothing panics halfway through a change.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
