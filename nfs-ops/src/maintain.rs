//! What a core does from time to time besides answering calls.

use std::rc::Rc;

use vfs::Vfs;

use crate::callback;
use crate::env::{Backchannel, Env};
use crate::server::Server;

/// How long a grant that another core has ended may keep its file open here: below what a person or script notices
/// between removing a file and asking for the space.
const PRUNE_PERIOD_NS: u64 = 100_000_000;

/// Prunes between two sweeps, which come about once a second.
const PRUNES_PER_SWEEP: u32 = 10;

impl<V: Vfs, E: Env + Backchannel> Server<V, E> {
    /// Runs for ever: drops grants that ended elsewhere, and where `sweeps` has state look over what time alone brings
    /// about and sends the callbacks that come of it. To be run as one task per core, sweeping on exactly one of them.
    pub async fn maintain(self: Rc<Self>, sweeps: bool) {
        loop {
            for _ in 0..PRUNES_PER_SWEEP {
                self.env.sleep(PRUNE_PERIOD_NS).await;
                self.prune_grants();
            }
            if sweeps {
                callback::sweep(&self);
            }
        }
    }
}
