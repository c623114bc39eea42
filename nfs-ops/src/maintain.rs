//! What a core does from time to time besides answering calls.

use std::rc::Rc;

use vfs::Vfs;

use crate::callback;
use crate::env::{Backchannel, Env};
use crate::server::Server;

/// How often: leases are counted in seconds.
const PERIOD_NS: u64 = 1_000_000_000;

impl<V: Vfs, E: Env + Backchannel> Server<V, E> {
    /// Runs for ever: drops grants and sessions that ended elsewhere, and where `sweeps` has state look over what time alone brings
    /// about and sends the callbacks that come of it. To be run as one task per core, sweeping on exactly one of them.
    pub async fn maintain(self: Rc<Self>, sweeps: bool) {
        loop {
            self.env.sleep(PERIOD_NS).await;
            self.prune_grants();
            self.prune_sessions();
            if sweeps {
                callback::sweep(&self);
            }
        }
    }
}
