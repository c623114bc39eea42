//! TEST_STATEID and FREE_STATEID (RFC 8881 §18.48, §18.38).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{ClientId, Stateid, Status};

use crate::client::Client;
use crate::file_table::FileTable;
use crate::lease::Standing;
use crate::revoke::Displaced;
use crate::state::State;
use crate::stateid::{StateKind, StateName};

impl<F: Clone + Send + Sync> State<F> {
    /// TEST_STATEID of one stateid: NFS4_OK or what its use would answer. Special stateids are never valid
    /// here (RFC 8881 §18.48.3).
    pub fn test_stateid(&self, client: &Client, stateid: &Stateid) -> Status {
        let Ok(name) = StateName::parse(stateid, self.inner.config.epoch) else {
            return Status::BadStateid;
        };
        let table = self.inner.files.lock(name.stripe);
        table.find(stateid, client, None).err().unwrap_or(Status::Ok)
    }

    /// FREE_STATEID: frees a lock stateid without locks, or acknowledges that a stateid was revoked.
    ///
    /// # Errors
    ///
    /// NFS4ERR_LOCKS_HELD for state in use; NFS4ERR_BAD_STATEID, NFS4ERR_OLD_STATEID; NFS4ERR_DELAY while the
    /// revocation is not complete.
    pub fn free_stateid(&self, client: &Arc<Client>, stateid: &Stateid, now: u64) -> Result<(), Status> {
        let name = StateName::parse(stateid, self.inner.config.epoch)?;
        if client.standing() != Standing::Live && self.displace(client, now) == Displaced::Pending {
            return Err(Status::Delay);
        }
        let mut table = self.inner.files.lock(name.stripe);
        match table.find(stateid, client, None) {
            Ok(name) if name.kind == StateKind::Lock => table.free_lock_state(name.counter),
            Ok(_) => Err(Status::LocksHeld),
            Err(Status::Expired | Status::AdminRevoked) => {
                table.free_revoked(name.counter, client);
                Ok(())
            }
            Err(status) => Err(status),
        }
    }
}

impl<F> FileTable<F> {
    fn free_lock_state(&mut self, counter: u64) -> Result<(), Status> {
        let locks = self.locks.get(&counter).ok_or(Status::BadStateid)?;
        let entry = self.files.get_mut(&locks.file).ok_or(Status::BadStateid)?;
        if entry.ranges.holds(&locks.owner) {
            return Err(Status::LocksHeld);
        }
        entry.lock_states.remove(&(locks.owner.clone(), locks.open));
        if let Some(open) = self.opens.get_mut(&locks.open) {
            open.locks.retain(|lock| *lock != counter);
            open.bump();
        }
        let client = Arc::clone(locks.owner.client());
        self.locks.remove(&counter);
        self.uncount_locks(&client, 1);
        Ok(())
    }

    /// Forgets a revoked stateid.
    fn free_revoked(&mut self, counter: u64, client: &Client) {
        let Some(revoked) = self.revoked.remove(&counter) else { return };
        self.uncount(revoked.kind, client);
        let unfreed = if revoked.by_admin { &client.revoked_admin } else { &client.revoked_expired };
        unfreed.fetch_sub(1, Ordering::AcqRel);
        client.acknowledge_if_freed();
    }

    /// Forgets all revoked stateids of a client that is gone.
    pub(crate) fn forget_revoked(&mut self, client: ClientId) {
        let mut forgotten = Vec::new();
        self.revoked.retain(|_, revoked| {
            let stays = revoked.client.id() != client;
            if !stays {
                forgotten.push((revoked.kind, Arc::clone(&revoked.client)));
            }
            stays
        });
        for (kind, client) in forgotten {
            self.uncount(kind, &client);
        }
    }
}
