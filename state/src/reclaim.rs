//! RECLAIM_COMPLETE (RFC 8881 §18.51): from here on the client is recorded as one that may reclaim after the
//! next restart.

use std::sync::Arc;

use wire::nfs4::Status;

use crate::client::{Client, Record};
use crate::lease::Standing;
use crate::state::State;
use crate::stateid::client_stripe;
use crate::store::{StoreOperation, StoreResult};
use crate::ticket::StoreTicket;

/// What is left to do before the reply.
#[derive(Debug)]
pub enum ReclaimComplete {
    /// Nothing.
    Done,
    /// The record must be on stable storage first: await [`PendingReclaimComplete::stored`], then call
    /// [`State::finish_reclaim_complete`].
    Pending(PendingReclaimComplete),
}

/// A RECLAIM_COMPLETE whose record is on its way to the store.
#[must_use = "the client gets no state before finish_reclaim_complete"]
#[derive(Debug)]
pub struct PendingReclaimComplete {
    client: Arc<Client>,
    ticket: StoreTicket,
}

impl PendingReclaimComplete {
    /// Resolves when the record is stored, or is not.
    pub fn stored(&mut self) -> &mut StoreTicket {
        &mut self.ticket
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// RECLAIM_COMPLETE. For one file system (`rca_one_fs`) it is about migration, of which there is none here:
    /// it succeeds and does nothing (RFC 8881 §18.51.3).
    ///
    /// # Errors
    ///
    /// NFS4ERR_COMPLETE_ALREADY; NFS4ERR_DELAY while another one of the client is under way.
    pub fn reclaim_complete(&self, client: &Arc<Client>, one_fs: bool) -> Result<ReclaimComplete, Status> {
        if one_fs {
            return Ok(ReclaimComplete::Done);
        }
        if client.reclaim.is_complete() {
            return Err(Status::CompleteAlready);
        }
        if !client.reclaim.start_completing() {
            return Err(Status::Delay);
        }
        // Under the stripe's lock, so that the store sees it before or after a removal as the table does.
        let table = self.inner.clients.lock(client_stripe(client.id()));
        if !table.entries.contains_key(&client.id()) || client.standing() != Standing::Live {
            client.reclaim.completed(true);
            return Ok(ReclaimComplete::Done);
        }
        let (ticket, done) = StoreTicket::new(|_| ());
        client.record.set(Record::Stored);
        self.inner.store.submit(StoreOperation::Put(self.record_of(client, true)), done);
        Ok(ReclaimComplete::Pending(PendingReclaimComplete { client: Arc::clone(client), ticket }))
    }

    /// Ends a RECLAIM_COMPLETE that had to wait. The grace period ends with the last one.
    ///
    /// # Errors
    ///
    /// NFS4ERR_SERVERFAULT when the store failed; the client may try again.
    pub fn finish_reclaim_complete(
        &self,
        pending: PendingReclaimComplete,
        stored: StoreResult,
        now: u64,
    ) -> Result<(), Status> {
        let client = pending.client;
        client.reclaim.completed(stored.is_ok());
        if let Err(error) = stored {
            tracing::warn!(%error, ?client, "a client's record could not be written");
            return Err(Status::Serverfault);
        }
        self.inner.shared.grace.forget(client.owner());
        self.end_grace_if_due(now);
        Ok(())
    }
}
