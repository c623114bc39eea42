//! DESTROY_SESSION and DESTROY_CLIENTID (RFC 8881 §18.37, §18.50), and how clients leave the tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{ClientId, SessionId, Status};

use crate::client::{Client, ClientEntry, ClientTable, Record};
use crate::connection::ConnectionId;
use crate::host::give_back;
use crate::lease::Standing;
use crate::revoke::Displaced;
use crate::sequence::SlotClaim;
use crate::session::phase;
use crate::state::{State, session_client};
use crate::stateid::client_stripe;
use crate::store::StoreOperation;
use crate::stripes::lock;
use crate::ticket::StoreTicket;

impl<F: Clone + Send + Sync> State<F> {
    /// DESTROY_SESSION. `own` is the claim of the compound that carries it: its slot may be of the session
    /// that goes; the claim is completed as usual and its reply is forgotten.
    ///
    /// # Errors
    ///
    /// NFS4ERR_BADSESSION; NFS4ERR_CONN_NOT_BOUND_TO_SESSION; NFS4ERR_DELAY while other requests run.
    pub fn destroy_session(
        &self,
        id: &SessionId,
        connection: ConnectionId,
        own: Option<&SlotClaim>,
    ) -> Result<(), Status> {
        let client = session_client(id);
        let mut table = self.inner.clients.lock(client_stripe(client));
        let entry = table.entries.get_mut(&client).ok_or(Status::Badsession)?;
        let index = entry.sessions.iter().position(|session| session.id() == *id);
        let index = index.ok_or(Status::Badsession)?;
        let session = &entry.sessions[index];
        if !session.is_bound_to(connection) {
            return Err(Status::ConnNotBoundToSession);
        }
        session.phase.store(phase::CLOSING, Ordering::SeqCst);
        let own_slot = own.filter(|claim| claim.session().id() == *id).map(|claim| claim.call().slot.0);
        if session.is_busy(own_slot) {
            session.phase.store(phase::OPEN, Ordering::SeqCst);
            return Err(Status::Delay);
        }
        session.kill();
        entry.sessions.swap_remove(index);
        Ok(())
    }

    /// DESTROY_CLIENTID. The ticket is to be awaited before the reply; its failure costs nothing but a longer
    /// grace period after the next restart.
    ///
    /// # Errors
    ///
    /// NFS4ERR_STALE_CLIENTID; NFS4ERR_CLIENTID_BUSY while there are sessions or state.
    pub fn destroy_client(&self, id: ClientId, now: u64) -> Result<Option<StoreTicket>, Status> {
        let (client, ticket) = {
            let mut table = self.inner.clients.lock(client_stripe(id));
            let entry = table.entries.get(&id).ok_or(Status::StaleClientid)?;
            let holds = entry.client.has_state() && entry.client.standing() == Standing::Live;
            if holds || !entry.sessions.is_empty() || entry.create.is_busy() {
                return Err(Status::ClientidBusy);
            }
            let client = Arc::clone(&entry.client);
            let ticket = self.forget_record(&mut table, &client);
            self.unlink_client(&mut table, id);
            (client, ticket)
        };
        self.finish_removal(&client, now);
        Ok(ticket)
    }

    /// Takes a client out of the tables of clients: its sessions die, its state counts no longer, and the
    /// removal of its record starts. [`finish_removal`](State::finish_removal) follows without the lock.
    pub(crate) fn unlink_client(&self, table: &mut ClientTable, id: ClientId) -> Option<ClientEntry> {
        let client = Arc::clone(&table.entries.get(&id)?.client);
        // Ignored: the record word tells when the removal is done, and nobody's reply waits for it.
        drop(self.forget_record(table, &client));
        let entry = table.remove(id)?;
        self.retire_entry(&entry);
        Some(entry)
    }

    /// Ends the sessions and the standing of a client that has left the table.
    pub(crate) fn retire_entry(&self, entry: &ClientEntry) {
        entry.client.lease.set_standing(Standing::Gone);
        entry.sessions.iter().for_each(|session| session.kill());
        give_back(&self.inner.shared.clients, &entry.client.host().clients, 1);
    }

    /// Ends I/O under the state of a client that is gone, and drops the state, at once if its record is
    /// removed and by a later sweep otherwise.
    pub(crate) fn finish_removal(&self, client: &Arc<Client>, now: u64) {
        self.bump_grants(client);
        if self.displace(client, now) == Displaced::Pending {
            lock(&self.inner.departing).push(Arc::clone(client));
        }
    }

    /// Starts the removal of the client's record, if it has one that is its own.
    pub(crate) fn forget_record(&self, table: &mut ClientTable, client: &Arc<Client>) -> Option<StoreTicket> {
        if client.record.get() != Record::Stored {
            return None;
        }
        let incarnations = table.by_owner.get(client.owner()).copied().unwrap_or_default();
        let successor = incarnations.unconfirmed.and_then(|id| table.entries.get(&id));
        if successor.is_some_and(|successor| successor.create.is_busy()) {
            // The successor's record is being written in place of this one; it takes this client out then.
            return None;
        }
        if incarnations.confirmed != Some(client.id()) {
            // Gone from the table, with a removal that failed: only a successor's record could be there now.
            if incarnations.confirmed.is_some() {
                client.record.set(Record::Removed);
                return None;
            }
        }
        client.record.set(Record::Removing);
        self.inner.shared.grace.forget(client.owner());
        let word = Arc::clone(client);
        let (ticket, done) = StoreTicket::new(move |outcome| match outcome {
            Ok(()) => word.record.set(Record::Removed),
            Err(error) => {
                tracing::warn!(%error, client = ?word, "a client's record could not be removed; will try again");
                word.record.set(Record::Stored);
            }
        });
        self.inner.store.submit(StoreOperation::Remove { owner: client.owner().into() }, done);
        Some(ticket)
    }
}
