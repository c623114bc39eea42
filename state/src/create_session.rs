//! CREATE_SESSION with its own slot for retries (RFC 8881 §18.36), and the confirmation of clients.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{ClientId, SequenceId, SessionId, Status};

use crate::backchannel::CallbackCredential;
use crate::client::{Client, ClientEntry, ClientTable, Record};
use crate::connection::ConnectionId;
use crate::host::{Host, share_left, take_share};
use crate::negotiate::{ChannelAttributes, back_channel, fore_channel, slot_bytes, slots_within};
use crate::session::Session;
use crate::state::{State, session_id};
use crate::stateid::client_stripe;
use crate::store::{ClientRecord, StoreOperation, StoreResult};
use crate::ticket::StoreTicket;

/// What CREATE_SESSION asks. Flag bits other than the backchannel's are the caller's: PERSIST and RDMA are
/// cleared in the answer, unknown ones are NFS4ERR_INVAL.
#[derive(Clone, Debug)]
pub struct CreateSession<'a> {
    /// `csa_clientid`.
    pub client: ClientId,
    /// `csa_sequence`.
    pub sequence: SequenceId,
    /// Minor version of the compound: callbacks on the session are of the same (RFC 8881 §20.9.3).
    pub minor_version: u32,
    /// Who asks, as in [`ExchangeId`](crate::ExchangeId).
    pub principal: &'a [u8],
    /// CREATE_SESSION4_FLAG_CONN_BACK_CHAN.
    pub back_channel: bool,
    /// `csa_fore_chan_attrs`.
    pub fore: ChannelAttributes,
    /// `csa_back_chan_attrs`.
    pub back: ChannelAttributes,
    /// `csa_cb_program`.
    pub callback_program: u32,
    /// The first usable one of `csa_sec_parms`.
    pub callback_credential: CallbackCredential,
    /// The connection that it came on.
    pub connection: ConnectionId,
}

/// What CREATE_SESSION answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCreated {
    /// `csr_sessionid`.
    pub session: SessionId,
    /// `csr_sequence`.
    pub sequence: SequenceId,
    /// CREATE_SESSION4_FLAG_CONN_BACK_CHAN.
    pub back_channel: bool,
    /// `csr_fore_chan_attrs`.
    pub fore: ChannelAttributes,
    /// `csr_back_chan_attrs`.
    pub back: ChannelAttributes,
}

/// What is left to do before the reply.
#[derive(Debug)]
pub enum CreateOutcome {
    /// Nothing: a replay, or the client was confirmed before.
    Done(SessionCreated),
    /// The session confirms the client, whose record must be on stable storage first: await
    /// [`PendingSession::stored`], then call [`State::finish_create_session`].
    Pending(PendingSession),
}

/// A session that exists once the client's record is stored. Until then retries get NFS4ERR_DELAY.
#[must_use = "the session does not exist before finish_create_session"]
#[derive(Debug)]
pub struct PendingSession {
    session: Arc<Session>,
    created: SessionCreated,
    connection: ConnectionId,
    ticket: StoreTicket,
}

impl PendingSession {
    /// Resolves when the record is stored, or is not.
    pub fn stored(&mut self) -> &mut StoreTicket {
        &mut self.ticket
    }
}

/// The slot of a client id for CREATE_SESSION. Starts one before the sequence id that EXCHANGE_ID answered.
#[derive(Debug)]
pub(crate) struct CreateSlot {
    sequence: SequenceId,
    reply: CreateReply,
}

#[derive(Debug)]
enum CreateReply {
    /// RFC 8881 §18.36.4: the contrived first reply is NFS4ERR_SEQ_MISORDERED.
    Misordered,
    /// The record is on its way to the store.
    Busy,
    Created(SessionCreated),
}

impl Default for CreateSlot {
    fn default() -> Self {
        Self { sequence: SequenceId(0), reply: CreateReply::Misordered }
    }
}

impl CreateSlot {
    /// The sequence id of the next CREATE_SESSION.
    pub(crate) fn expected(&self) -> SequenceId {
        self.sequence.next()
    }

    pub(crate) fn is_busy(&self) -> bool {
        matches!(self.reply, CreateReply::Busy)
    }

    /// Phase 2 of RFC 8881 §18.36.4: the reply to a retry, `None` for a new request.
    fn replay(&self, sequence: SequenceId) -> Result<Option<SessionCreated>, Status> {
        if sequence == self.sequence {
            return match &self.reply {
                CreateReply::Misordered => Err(Status::SeqMisordered),
                CreateReply::Busy => Err(Status::Delay),
                CreateReply::Created(created) => Ok(Some(created.clone())),
            };
        }
        match self.reply {
            _ if sequence != self.sequence.next() => Err(Status::SeqMisordered),
            CreateReply::Busy => Err(Status::Delay),
            _ => Ok(None),
        }
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// CREATE_SESSION.
    ///
    /// # Errors
    ///
    /// NFS4ERR_TOOSMALL, NFS4ERR_STALE_CLIENTID, NFS4ERR_SEQ_MISORDERED, NFS4ERR_CLID_INUSE; NFS4ERR_NOSPC at
    /// the bounds on sessions and on the reply cache; NFS4ERR_DELAY for a retry while the first still runs.
    /// An error leaves the slot as it was, so the client may use the same sequence id again.
    pub fn create_session(&self, asked: &CreateSession<'_>, now: u64) -> Result<CreateOutcome, Status> {
        let limits = &self.inner.config.limits;
        let mut fore = fore_channel(&asked.fore, limits)?;
        let back = back_channel(&asked.back, asked.back_channel, limits)?;
        let mut table = self.inner.clients.lock(client_stripe(asked.client));
        let counter = table.next_session;
        let entry = table.entries.get_mut(&asked.client).ok_or(Status::StaleClientid)?;
        if let Some(created) = entry.create.replay(asked.sequence)? {
            return Ok(CreateOutcome::Done(created));
        }
        if entry.client.principal() != asked.principal {
            return Err(Status::ClidInuse);
        }
        if entry.sessions.len() >= limits.sessions_per_client_max as usize {
            return Err(Status::Nospc);
        }
        fore.requests_max = self.reserve_reply_cache(&fore, entry.client.host())?;
        let id = session_id(asked.client, counter);
        let session = Session::new(id, &entry.client, asked.minor_version, fore, back, &self.inner.shared);
        session.set_backchannel(asked.callback_program, asked.callback_credential.clone());
        let session = Arc::new(session);
        let created = SessionCreated {
            session: id,
            sequence: asked.sequence,
            back_channel: asked.back_channel && back.requests_max > 0,
            fore,
            back,
        };
        entry.create.sequence = asked.sequence;
        let outcome = if entry.confirmed {
            self.attach(&session, asked.connection, created.back_channel)?;
            entry.create.reply = CreateReply::Created(created.clone());
            entry.sessions.push(session);
            entry.client.lease.renew(now, 0);
            CreateOutcome::Done(created)
        } else {
            entry.create.reply = CreateReply::Busy;
            let ticket = self.record_incarnation(&entry.client);
            CreateOutcome::Pending(PendingSession { session, created, connection: asked.connection, ticket })
        };
        table.next_session += 1;
        Ok(outcome)
    }

    /// Ends a CREATE_SESSION that had to wait: on success the client is confirmed, an earlier incarnation and
    /// all of its state are gone (RFC 8881 §18.36.4 phase 3), and the session exists.
    ///
    /// # Errors
    ///
    /// NFS4ERR_SERVERFAULT when the store failed; nothing has changed then.
    pub fn finish_create_session(
        &self,
        pending: PendingSession,
        stored: StoreResult,
        now: u64,
    ) -> Result<SessionCreated, Status> {
        let PendingSession { session, created, connection, .. } = pending;
        let client = Arc::clone(session.client());
        let mut replaced = None;
        {
            let mut table = self.inner.clients.lock(client_stripe(client.id()));
            let entry = table.entries.get_mut(&client.id()).ok_or(Status::StaleClientid)?;
            if let Err(error) = stored {
                tracing::warn!(%error, ?client, "a client could not be confirmed");
                entry.create = CreateSlot::default();
                return Err(Status::Serverfault);
            }
            entry.confirmed = true;
            entry.create.reply = CreateReply::Created(created.clone());
            entry.sessions.push(Arc::clone(&session));
            self.attach(&session, connection, created.back_channel)?;
            client.record.set(Record::Stored);
            client.lease.renew(now, 0);
            let incarnations = table.by_owner.entry(client.owner().into()).or_default();
            incarnations.unconfirmed = None;
            if let Some(earlier) = incarnations.confirmed.replace(client.id()) {
                replaced = self.take_replaced(&mut table, earlier);
            }
        }
        if let Some(earlier) = replaced {
            self.finish_removal(&earlier.client, now);
        }
        self.admit_to_grace(&client, now);
        Ok(created)
    }

    /// Takes the earlier incarnation out of the table. Its record was overwritten by its successor's.
    fn take_replaced(&self, table: &mut ClientTable, earlier: ClientId) -> Option<ClientEntry> {
        let entry = table.remove(earlier)?;
        entry.client.record.set(Record::Removed);
        self.retire_entry(&entry);
        Some(entry)
    }

    /// Writes that this incarnation of the client is the one there is, without a right to reclaim: that comes
    /// with RECLAIM_COMPLETE. The record of a client that is about to reclaim stays as it is, because it must
    /// neither lose its right if the server restarts now nor keep it beyond this grace period.
    fn record_incarnation(&self, client: &Arc<Client>) -> StoreTicket {
        let (ticket, done) = StoreTicket::new(|_| ());
        if self.inner.shared.grace.may_reclaim(client) {
            done(Ok(()));
        } else {
            self.inner.store.submit(StoreOperation::Put(self.record_of(client, false)), done);
        }
        ticket
    }

    pub(crate) fn record_of(&self, client: &Client, reclaimable: bool) -> ClientRecord {
        ClientRecord {
            owner: client.owner().into(),
            verifier: client.verifier(),
            principal: client.principal().into(),
            epoch: self.inner.config.epoch,
            reclaimable,
        }
    }

    /// Reserves the session's part of the reply cache; the number of slots that it is enough for.
    fn reserve_reply_cache(&self, fore: &ChannelAttributes, host: &Host) -> Result<u32, Status> {
        let (total, bound) = (&self.inner.shared.reply_bytes, self.inner.config.limits.reply_cache_bytes_max);
        let left = share_left(total, &host.reply_bytes, bound);
        let per_slot = slot_bytes(fore);
        let slots = slots_within(fore.requests_max, per_slot, left, bound);
        if slots.is_none_or(|slots| slots < fore.requests_max) {
            // Those who are silent for a lease make room for those who come, and those who have many slots.
            self.inner.shared.press();
            self.inner.shared.slots_short.store(true, Ordering::Release);
        }
        let slots = slots.ok_or(Status::Nospc)?;
        let taken = take_share(total, &host.reply_bytes, u64::from(slots) * per_slot, bound);
        if taken { Ok(slots) } else { Err(Status::Nospc) }
    }
}
