//! Taking state away: from expired clients when somebody else wants it (courtesy until then), by order of the
//! administrator, and from clients that are gone (RFC 8881 §8.5).

use std::sync::Arc;

use wire::nfs4::{ClientId, Status};

use crate::client::{Client, Record};
use crate::file_key::FileKey;
use crate::lease::Standing;
use crate::state::State;
use crate::stateid::client_stripe;
use crate::stripes::STRIPES;

/// How often an operation starts again after it has put expired clients aside. Each round removes all that
/// were in its way, so more than two come only of clients that expire in just these moments.
const ROUNDS_MAX: usize = 4;

/// Why an attempt under a file's lock cannot go on.
#[derive(Debug)]
pub(crate) enum Obstacle {
    /// It cannot.
    Refused(Status),
    /// Only state of these clients is in the way, which they have forfeited.
    Displaceable(Vec<Arc<Client>>),
}

impl From<Status> for Obstacle {
    fn from(status: Status) -> Self {
        Self::Refused(status)
    }
}

/// What became of a client that was in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Displaced {
    /// It has renewed its lease after all.
    Kept,
    /// Its record is being removed; until that is durable its state stays, for after a restart it could
    /// reclaim what somebody else has got meanwhile (RFC 8881 §8.4.3).
    Pending,
    /// Its state is gone.
    Stripped,
}

impl<F: Clone + Send + Sync> State<F> {
    /// Revokes all state of a client. Its stateids answer NFS4ERR_ADMIN_REVOKED until they are freed, and it
    /// may not reclaim it after a restart.
    ///
    /// # Errors
    ///
    /// NFS4ERR_STALE_CLIENTID.
    pub fn revoke_client(&self, id: ClientId, now: u64) -> Result<(), Status> {
        let client = self.client(id)?;
        if !client.has_state() {
            return Ok(());
        }
        if client.lease.set_standing(Standing::Revoked) {
            tracing::info!(?client, "all state of the client is revoked by the administrator");
            self.bump_grants(&client);
        }
        // If the record's removal takes a while, a sweep does the rest.
        self.displace(&client, now);
        Ok(())
    }

    /// Revokes every open, with its locks, of the files that `concerns` picks: their export is gone. Their stateids
    /// answer NFS4ERR_ADMIN_REVOKED until they are freed. The open files come with the next
    /// [`take_effects`](State::take_effects).
    pub fn revoke_files(&self, concerns: impl Fn(&FileKey) -> bool, now: u64) {
        for stripe in 0..STRIPES {
            let mut notices = Vec::new();
            let mut files = Vec::new();
            {
                let mut table = self.inner.files.lock(stripe);
                let picked = table.opens.iter().filter(|(_, open)| concerns(&open.file));
                let counters: Vec<u64> = picked.map(|(counter, _)| *counter).collect();
                for counter in counters {
                    let removed = table.remove_open(counter, now, Some(Standing::Revoked));
                    notices.extend(removed.notices);
                    files.push(removed.files);
                }
            }
            self.inner.effects.add(notices, files);
        }
    }

    /// Whether what the client holds may be taken by others: it is not live, or it has missed its lease.
    pub(crate) fn may_displace(&self, client: &Client, now: u64) -> bool {
        client.standing() != Standing::Live || client.lease.is_missed(now, &self.inner.config)
    }

    /// The obstacle that these holders of conflicting state are to `client`, or to somebody who is none.
    pub(crate) fn obstacle<'a>(
        &self,
        client: Option<ClientId>,
        holders: impl Iterator<Item = &'a Arc<Client>>,
        refusal: Status,
        now: u64,
    ) -> Obstacle {
        let mut displaceable: Vec<Arc<Client>> = Vec::new();
        for holder in holders {
            if Some(holder.id()) == client || !self.may_displace(holder, now) {
                return Obstacle::Refused(refusal);
            }
            if !displaceable.iter().any(|known| Arc::ptr_eq(known, holder)) {
                displaceable.push(Arc::clone(holder));
            }
        }
        Obstacle::Displaceable(displaceable)
    }

    /// Runs `attempt`, which takes a file's lock, until expired clients are out of its way.
    pub(crate) fn displacing<T>(
        &self,
        now: u64,
        mut attempt: impl FnMut() -> Result<T, Obstacle>,
    ) -> Result<T, Status> {
        for _ in 0..ROUNDS_MAX {
            let clients = match attempt() {
                Ok(done) => return Ok(done),
                Err(Obstacle::Refused(status)) => return Err(status),
                Err(Obstacle::Displaceable(clients)) => clients,
            };
            let mut is_pending = false;
            for client in &clients {
                is_pending |= self.displace(client, now) == Displaced::Pending;
            }
            if is_pending {
                break;
            }
        }
        Err(Status::Delay)
    }

    /// Takes the state of a client that is not live or has missed its lease. Holds no lock on entry.
    pub(crate) fn displace(&self, client: &Arc<Client>, now: u64) -> Displaced {
        if client.standing() == Standing::Live {
            if !client.lease.expire(now, &self.inner.config) {
                return Displaced::Kept;
            }
            tracing::info!(
                ?client,
                "the client missed its lease and is in another's way: its state is revoked"
            );
            self.bump_grants(client);
        }
        if client.record.get() == Record::Stored {
            let mut table = self.inner.clients.lock(client_stripe(client.id()));
            // Not awaited here: the record word tells, and the client in whose way it is tries again.
            drop(self.forget_record(&mut table, client));
        }
        match client.record.get() {
            Record::None | Record::Removed => {
                self.strip(client, now);
                client.acknowledge_if_freed();
                Displaced::Stripped
            }
            Record::Stored | Record::Removing => Displaced::Pending,
        }
    }

    /// Ends all grants of a client. Its standing has changed before, so none is made anew.
    pub(crate) fn bump_grants(&self, client: &Client) {
        for stripe in 0..STRIPES {
            let table = self.inner.files.lock(stripe);
            for counter in table.opens_of(client.id()) {
                if let Some(open) = table.opens.get(&counter) {
                    open.bump();
                }
            }
        }
    }

    /// Drops all state of a client that is not live. Its standing has changed before, so none is added.
    fn strip(&self, client: &Arc<Client>, now: u64) {
        let standing = client.standing();
        for stripe in 0..STRIPES {
            let mut notices = Vec::new();
            let mut files = Vec::new();
            {
                let mut table = self.inner.files.lock(stripe);
                for counter in table.opens_of(client.id()) {
                    let removed = table.remove_open(counter, now, Some(standing));
                    notices.extend(removed.notices);
                    files.push(removed.files);
                }
                if standing == Standing::Gone {
                    table.forget_revoked(client.id());
                }
            }
            self.inner.effects.add(notices, files);
        }
    }
}
