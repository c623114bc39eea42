//! EXCHANGE_ID in all its cases (RFC 8881 §18.35.4).

use std::net::IpAddr;
use std::sync::Arc;

use wire::nfs4::{ClientId, SequenceId, Status, Verifier};

use crate::client::{Client, ClientEntry, ClientTable};
use crate::create_session::CreateSlot;
use crate::host::{Host, take_share};
use crate::lease::Standing;
use crate::state::State;
use crate::stateid::client_id;

/// What EXCHANGE_ID asks, as far as state is concerned. Flags, state protection (SP4_NONE is all there is)
/// and implementation ids are the caller's.
#[derive(Clone, Copy, Debug)]
pub struct ExchangeId<'a> {
    /// `co_ownerid`.
    pub owner: &'a [u8],
    /// `co_verifier`.
    pub verifier: Verifier,
    /// Who asks, in a form that is equal exactly when the principal is.
    pub principal: &'a [u8],
    /// EXCHGID4_FLAG_UPD_CONFIRMED_REC_A.
    pub update: bool,
    /// From where: clients of one source address share what one host may have.
    pub address: IpAddr,
}

/// What EXCHANGE_ID answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangedId {
    /// `eir_clientid`.
    pub client: ClientId,
    /// `eir_sequenceid`: what the next CREATE_SESSION is to carry.
    pub sequence: SequenceId,
    /// EXCHGID4_FLAG_CONFIRMED_R.
    pub confirmed: bool,
}

impl<F: Clone + Send + Sync> State<F> {
    /// EXCHANGE_ID.
    ///
    /// # Errors
    ///
    /// NFS4ERR_CLID_INUSE when another principal's client of that name holds state; for updates NFS4ERR_NOENT,
    /// NFS4ERR_NOT_SAME and NFS4ERR_PERM; NFS4ERR_DELAY at the bound on clients and while a CREATE_SESSION of
    /// the unconfirmed client id is under way.
    pub fn exchange_id(&self, asked: &ExchangeId<'_>, now: u64) -> Result<ExchangedId, Status> {
        let stripe = self.inner.hash.stripe(asked.owner);
        let mut removed = Vec::new();
        let result = {
            let mut table = self.inner.clients.lock(stripe);
            if asked.update {
                update(&table, asked)
            } else {
                self.exchange_new(&mut table, stripe, asked, now, &mut removed)
            }
        };
        for entry in removed {
            self.finish_removal(&entry.client, now);
        }
        result
    }

    fn exchange_new(
        &self,
        table: &mut ClientTable,
        stripe: usize,
        asked: &ExchangeId<'_>,
        now: u64,
        removed: &mut Vec<ClientEntry>,
    ) -> Result<ExchangedId, Status> {
        let incarnations = table.by_owner.get(asked.owner).copied().unwrap_or_default();
        let unconfirmed = incarnations.unconfirmed.and_then(|id| table.entries.get(&id));
        let is_confirming = unconfirmed.is_some_and(|entry| entry.create.is_busy());
        if let Some(confirmed) = incarnations.confirmed.and_then(|id| table.entries.get(&id)) {
            let client = Arc::clone(&confirmed.client);
            let same_principal = client.principal() == asked.principal;
            if same_principal && client.verifier() == asked.verifier {
                // Case 2: a retry, or the client tests for trunking. The record is unchanged.
                return Ok(answer(confirmed));
            }
            if !same_principal && !is_confirming {
                // Case 3: a collision of names.
                let in_use = client.has_state() && !client.lease.is_missed(now, &self.inner.config);
                if in_use && client.standing() == Standing::Live {
                    return Err(Status::ClidInuse);
                }
                removed.extend(self.unlink_client(table, client.id()));
            }
            // Case 5: the client has restarted; the old record stays until CREATE_SESSION.
        }
        if let Some(unconfirmed) = incarnations.unconfirmed {
            // Case 4: replaced, whatever its properties were.
            if is_confirming {
                return Err(Status::Delay);
            }
            removed.extend(self.unlink_client(table, unconfirmed));
        }
        let host = self.inner.hosts.find(asked.address);
        if !self.take_place(&host) {
            // Who only asks must not keep out who comes to stay: the one who has asked longest ago makes room.
            let oldest = table.oldest_unconfirmed(&host);
            removed.extend(oldest.and_then(|oldest| self.unlink_client(table, oldest)));
            if oldest.is_none() || !self.take_place(&host) {
                self.inner.shared.press();
                return Err(Status::Delay);
            }
        }
        Ok(self.add_unconfirmed(table, stripe, asked, host, now))
    }

    /// Takes a place among the clients.
    fn take_place(&self, host: &Host) -> bool {
        let clients_max = u64::from(self.inner.config.limits.clients_max);
        take_share(&self.inner.shared.clients, &host.clients, 1, clients_max)
    }

    /// Case 1: a new record, for which there is a place.
    fn add_unconfirmed(
        &self,
        table: &mut ClientTable,
        stripe: usize,
        asked: &ExchangeId<'_>,
        host: Arc<Host>,
        now: u64,
    ) -> ExchangedId {
        let id = client_id(self.inner.config.epoch, table.next_counter, stripe);
        table.next_counter += 1;
        let client = Arc::new(Client::new(id, asked.owner, asked.verifier, asked.principal, host, now));
        let entry =
            ClientEntry { client, confirmed: false, create: CreateSlot::default(), sessions: Vec::new() };
        let answered = answer(&entry);
        table.entries.insert(id, entry);
        table.by_owner.entry(asked.owner.into()).or_default().unconfirmed = Some(id);
        answered
    }
}

/// Cases 6 to 9.
fn update(table: &ClientTable, asked: &ExchangeId<'_>) -> Result<ExchangedId, Status> {
    let confirmed = table.by_owner.get(asked.owner).and_then(|incarnations| incarnations.confirmed);
    let entry = confirmed.and_then(|id| table.entries.get(&id)).ok_or(Status::Noent)?;
    if entry.client.verifier() != asked.verifier {
        return Err(Status::NotSame);
    }
    if entry.client.principal() != asked.principal {
        return Err(Status::Perm);
    }
    Ok(answer(entry))
}

fn answer(entry: &ClientEntry) -> ExchangedId {
    ExchangedId { client: entry.client.id(), sequence: entry.create.expected(), confirmed: entry.confirmed }
}
