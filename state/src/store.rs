//! What must outlive the process: which clients may reclaim after a restart.

use std::collections::BTreeMap;
use std::sync::Mutex;

use wire::nfs4::Verifier;

use crate::stripes::lock;

/// What is kept of a confirmed client (RFC 8881 §8.4.2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRecord {
    /// The name the client gives itself (`co_ownerid`); the record's key.
    pub owner: Vec<u8>,
    /// Which incarnation of the client (`co_verifier`). Another one has no locks to reclaim.
    pub verifier: Verifier,
    /// Who established the client id, as the caller of [`State`](crate::State) encodes it.
    pub principal: Vec<u8>,
    /// Start of the server in which the record was written.
    pub epoch: u32,
    /// Whether the client may reclaim after a restart: it has said RECLAIM_COMPLETE in `epoch`, so all that
    /// it holds was granted or reclaimed then (RFC 8881 §8.4.3 has the cases that this avoids).
    pub reclaimable: bool,
}

/// One change of the stored records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Writes the record, in place of an earlier one of the same owner.
    Put(ClientRecord),
    /// Removes the owner's record if there is one.
    Remove {
        /// The record's key.
        owner: Vec<u8>,
    },
    /// Removes every record of an earlier epoch: the grace period is over.
    RemoveBefore {
        /// The first epoch that stays.
        epoch: u32,
    },
}

/// Why the store could not do it. The text is for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("client record store: {0}")]
pub struct StoreError(pub String);

/// Outcome of a [`StoreOperation`].
pub type StoreResult = Result<(), StoreError>;

/// Called once, when the operation is on stable storage or has failed.
pub type Completion = Box<dyn FnOnce(StoreResult) + Send>;

/// Keeps client records on stable storage.
pub trait Store: Send + Sync {
    /// All records. Called once, before the first request.
    ///
    /// # Errors
    ///
    /// When the records cannot be read. Serving without them would deny clients their reclaim.
    fn load(&self) -> Result<Vec<ClientRecord>, StoreError>;

    /// Starts `operation`; never blocks. Operations take effect in the order in which they are submitted.
    /// `done` may be called inside the call and on any thread; it takes no lock of [`State`](crate::State)'s
    /// tables. An implementation that drops `done` uncalled has failed the operation.
    fn submit(&self, operation: StoreOperation, done: Completion);
}

/// Records in memory only: for `store = "memory"`, where the exported data does not outlive the process
/// either, and for simulation, where it plays the disk. Records are lost when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    records: Mutex<BTreeMap<Vec<u8>, ClientRecord>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Vec<ClientRecord>, StoreError> {
        Ok(lock(&self.records).values().cloned().collect())
    }

    fn submit(&self, operation: StoreOperation, done: Completion) {
        {
            let mut records = lock(&self.records);
            match operation {
                StoreOperation::Put(record) => {
                    records.insert(record.owner.clone(), record);
                }
                StoreOperation::Remove { owner } => {
                    records.remove(&owner);
                }
                StoreOperation::RemoveBefore { epoch } => records.retain(|_, record| record.epoch >= epoch),
            }
        }
        done(Ok(()));
    }
}
