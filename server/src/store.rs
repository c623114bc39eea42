//! What is on stable storage besides files: client records and limits, in redb, on a thread of its own.
//!
//! Operations that are queued while a transaction is being committed go together into the next one, so a
//! thousand clients that come back after a restart cost a few syncs and not a thousand.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use redb::{
    Database, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, Table,
    TableDefinition, WriteTransaction,
};
use state::{ClientRecord, Completion, Store, StoreError, StoreOperation, StoreResult};
use wire::nfs4::Verifier;

use crate::fatal::Fatal;

/// Records by the client's own name.
const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("clients");

/// Limits by the key of whom they are for, in a form that is not known here.
const LIMITS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("limits");

/// The generation of the limits: how often they have been changed.
const GENERATION: TableDefinition<'_, (), u64> = TableDefinition::new("limits_generation");

/// The form of a client's record.
const RECORD_VERSION: u8 = 1;

/// Operations that may wait for the thread: several for each client there can be. Beyond, an operation fails
/// and its client tries again.
const QUEUE_MAX: usize = 16 * 1024;

/// Operations in one transaction, so that the first does not wait long for the last.
const BATCH_MAX: usize = 1024;

/// Memory for redb's cache; records are few and small.
const CACHE_BYTES: usize = 1 << 20;

/// When a transaction is on stable storage: before its commit returns, but for the build that the test of power cuts
/// must catch.
const DURABILITY: Durability =
    if cfg!(feature = "skip-sync-for-tests") { Durability::None } else { Durability::Immediate };

/// One change of what is stored.
#[derive(Debug)]
enum Change {
    Client(StoreOperation),
    Limit(LimitChange),
}

/// Limits that are new, others than before, or gone; all of them or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// By key; `None` where there is no limit any more.
    pub records: Vec<(u128, Option<Vec<u8>>)>,
    /// The generation that begins with it.
    pub generation: u64,
}

/// All limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitRecords {
    /// Of the last change.
    pub generation: u64,
    /// By key.
    pub records: Vec<(u128, Vec<u8>)>,
}

type Queued = (Change, Completion);

/// The records. Dropping it waits for what was submitted.
pub struct RecordStore {
    queue: Option<SyncSender<Queued>>,
    loaded: Mutex<Option<Vec<ClientRecord>>>,
    limits: LimitRecords,
    thread: Option<JoinHandle<()>>,
}

impl RecordStore {
    /// Opens the file, or makes it, and reads all records.
    ///
    /// # Errors
    /// When the file is damaged or cannot be written.
    pub fn open(file: &Path) -> Result<Self, Fatal> {
        let damaged = |error: String| {
            Fatal::new(
                format!("the records of clients and limits in {} cannot be used: {error}", file.display()),
                "free some space or restore the file; or move it away, then clients lose what they had locked, and all \
                 limits are gone",
            )
        };
        make(file).map_err(|error| damaged(error.to_string()))?;
        let database = open_database(file).map_err(|error| damaged(error.0))?;
        let loaded = load(&database).map_err(|error| damaged(error.0))?;
        let limits = load_limits(&database).map_err(|error| damaged(error.0))?;
        let (queue, changes) = sync_channel(QUEUE_MAX);
        let file = file.to_owned();
        let thread = std::thread::Builder::new()
            .name("records".into())
            .spawn(move || run(&file, database, &changes))
            .map_err(|error| {
                Fatal::new(format!("no thread for client records: {error}"), "raise the limit on tasks")
            })?;
        Ok(Self { queue: Some(queue), loaded: Mutex::new(Some(loaded)), limits, thread: Some(thread) })
    }

    /// The limits as they were when the file was opened.
    pub fn limits(&self) -> &LimitRecords {
        &self.limits
    }

    /// Begins to store limits; never blocks. `done` is called when they are on stable storage, or it has failed.
    pub fn submit_limit(&self, change: LimitChange, done: Completion) {
        self.queue(Change::Limit(change), done);
    }

    fn queue(&self, change: Change, done: Completion) {
        let queue = self.queue.as_ref().expect("the queue is there until the store is dropped");
        match queue.try_send((change, done)) {
            Ok(()) => {}
            Err(TrySendError::Full((_, done))) => done(Err(StoreError("too many changes wait".into()))),
            Err(TrySendError::Disconnected((_, done))) => {
                done(Err(StoreError("the thread has ended".into())))
            }
        }
    }
}

impl Store for RecordStore {
    fn load(&self) -> Result<Vec<ClientRecord>, StoreError> {
        let loaded = self.loaded.lock().map_err(|_| StoreError("a reader panicked".into()))?.take();
        loaded.ok_or_else(|| StoreError("the records are read once".into()))
    }

    fn submit(&self, operation: StoreOperation, done: Completion) {
        self.queue(Change::Client(operation), done);
    }
}

impl Drop for RecordStore {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported there.
            let _ = thread.join();
        }
    }
}

/// Makes the file if it is not there, for its owner alone (the server's own mask is open), and its name durable.
fn make(path: &Path) -> std::io::Result<()> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

fn open_database(file: &Path) -> Result<Database, StoreError> {
    redb::Builder::new().set_cache_size(CACHE_BYTES).create(file).map_err(failed)
}

fn run(file: &Path, database: Database, changes: &Receiver<Queued>) {
    let mut open = Some(database);
    while let Ok(first) = changes.recv() {
        let batch: Vec<Queued> =
            std::iter::once(first).chain(changes.try_iter().take(BATCH_MAX - 1)).collect();
        let outcome = write(file, &mut open, batch.iter().map(|(change, _)| change));
        if let Err(error) = &outcome {
            tracing::error!(changes = batch.len(), "{error}");
        }
        for (_, done) in batch {
            done(outcome.clone());
        }
    }
}

/// Commits to the open database. After a failure (a full file system, for instance) redb refuses everything until it is
/// opened anew, so that is what the next one does.
fn write<'a>(
    file: &Path,
    open: &mut Option<Database>,
    changes: impl Iterator<Item = &'a Change>,
) -> StoreResult {
    let database = match open.take() {
        Some(database) => database,
        None => open_database(file)?,
    };
    commit(&database, changes)?;
    *open = Some(database);
    Ok(())
}

/// All of `changes` in one transaction, on stable storage when it returns.
fn commit<'a>(database: &Database, changes: impl Iterator<Item = &'a Change>) -> StoreResult {
    let mut transaction = database.begin_write().map_err(failed)?;
    transaction.set_durability(DURABILITY).map_err(failed)?;
    {
        let mut clients = transaction.open_table(RECORDS).map_err(failed)?;
        for change in changes {
            match change {
                Change::Client(operation) => apply(&mut clients, operation)?,
                Change::Limit(change) => apply_limit(&transaction, change)?,
            }
        }
    }
    transaction.commit().map_err(failed)
}

fn apply_limit(transaction: &WriteTransaction, change: &LimitChange) -> StoreResult {
    let mut limits = transaction.open_table(LIMITS).map_err(failed)?;
    for (key, record) in &change.records {
        match record {
            Some(record) => limits.insert(key, &record[..]).map_err(failed)?,
            None => limits.remove(key).map_err(failed)?,
        };
    }
    let mut generation = transaction.open_table(GENERATION).map_err(failed)?;
    generation.insert((), change.generation).map_err(failed)?;
    Ok(())
}

fn apply(table: &mut Table<'_, &[u8], &[u8]>, operation: &StoreOperation) -> StoreResult {
    match operation {
        StoreOperation::Put(record) => {
            table.insert(&record.owner[..], &encode(record)[..]).map_err(failed)?;
        }
        StoreOperation::Remove { owner } => {
            table.remove(&owner[..]).map_err(failed)?;
        }
        StoreOperation::RemoveBefore { epoch } => {
            let stays = |owner: &[u8], value: &[u8]| {
                decode(owner, value).is_some_and(|record| record.epoch >= *epoch)
            };
            table.retain(|owner, value| stays(owner, value)).map_err(failed)?;
        }
    }
    Ok(())
}

fn load(database: &Database) -> Result<Vec<ClientRecord>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let Some(table) = table(&transaction, RECORDS)? else { return Ok(Vec::new()) };
    let mut records = Vec::new();
    for entry in table.iter().map_err(failed)? {
        let (owner, value) = entry.map_err(failed)?;
        let record = decode(owner.value(), value.value())
            .ok_or_else(|| StoreError("a record has a form that this release does not know".into()))?;
        records.push(record);
    }
    Ok(records)
}

fn load_limits(database: &Database) -> Result<LimitRecords, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let mut limits = LimitRecords::default();
    if let Some(table) = table(&transaction, GENERATION)? {
        limits.generation = table.get(()).map_err(failed)?.map_or(0, |generation| generation.value());
    }
    if let Some(table) = table(&transaction, LIMITS)? {
        for entry in table.iter().map_err(failed)? {
            let (key, record) = entry.map_err(failed)?;
            limits.records.push((key.value(), record.value().to_vec()));
        }
    }
    Ok(limits)
}

/// A table, if anything was ever written to it.
fn table<K: redb::Key, V: redb::Value>(
    transaction: &ReadTransaction,
    definition: TableDefinition<'_, K, V>,
) -> Result<Option<ReadOnlyTable<K, V>>, StoreError> {
    match transaction.open_table(definition) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        table => table.map(Some).map_err(failed),
    }
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError(error.to_string())
}

/// Version, reclaimable, epoch, verifier, principal.
fn encode(record: &ClientRecord) -> Vec<u8> {
    let mut bytes = vec![RECORD_VERSION, u8::from(record.reclaimable)];
    bytes.extend(record.epoch.to_be_bytes());
    bytes.extend(record.verifier.0);
    bytes.extend(&record.principal);
    bytes
}

fn decode(owner: &[u8], value: &[u8]) -> Option<ClientRecord> {
    let (&version, rest) = value.split_first()?;
    let (&reclaimable, rest) = rest.split_first()?;
    let (epoch, rest) = rest.split_first_chunk()?;
    let (verifier, principal) = rest.split_first_chunk()?;
    (version == RECORD_VERSION && reclaimable <= 1).then(|| ClientRecord {
        owner: owner.to_vec(),
        verifier: Verifier(*verifier),
        principal: principal.to_vec(),
        epoch: u32::from_be_bytes(*epoch),
        reclaimable: reclaimable == 1,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::testing::Scratch;

    fn record(number: u32, epoch: u32) -> ClientRecord {
        ClientRecord {
            owner: number.to_be_bytes().to_vec(),
            verifier: Verifier([7; 8]),
            principal: b"sys:0".to_vec(),
            epoch,
            reclaimable: number.is_multiple_of(2),
        }
    }

    /// Submits all of it and waits until all of it is acknowledged.
    fn submit(store: &RecordStore, operations: impl IntoIterator<Item = StoreOperation>) {
        let (acknowledge, acknowledged) = channel();
        for operation in operations {
            let acknowledge = acknowledge.clone();
            store.submit(operation, Box::new(move |outcome| acknowledge.send(outcome).unwrap()));
        }
        drop(acknowledge);
        acknowledged.iter().for_each(|outcome| outcome.unwrap());
    }

    /// What a server that starts now would find: the file as it is on disk at this moment, the store still open.
    fn after_a_crash(scratch: &Scratch, file: &Path) -> Vec<ClientRecord> {
        let copy: PathBuf = scratch.path().join("copy.redb");
        std::fs::copy(file, &copy).unwrap();
        RecordStore::open(&copy).unwrap().load().unwrap()
    }

    #[test]
    fn what_was_acknowledged_survives_a_crash() {
        let scratch = Scratch::new();
        let file = scratch.path().join("state.redb");
        let store = RecordStore::open(&file).unwrap();
        assert_eq!(store.load().unwrap(), []);
        submit(&store, (0..100).map(|number| StoreOperation::Put(record(number, 1))));
        assert_eq!(
            after_a_crash(&scratch, &file),
            (0..100).map(|number| record(number, 1)).collect::<Vec<_>>()
        );
        submit(
            &store,
            [StoreOperation::Put(record(3, 2)), StoreOperation::Remove { owner: record(4, 1).owner }],
        );
        let found = after_a_crash(&scratch, &file);
        assert_eq!((found.len(), found[3].epoch), (99, 2));
        submit(&store, [StoreOperation::RemoveBefore { epoch: 2 }]);
        assert_eq!(after_a_crash(&scratch, &file), [record(3, 2)]);
    }

    #[test]
    fn limits_survive_a_crash_with_their_generation() {
        let scratch = Scratch::new();
        let file = scratch.path().join("state.redb");
        let store = RecordStore::open(&file).unwrap();
        assert_eq!(store.limits(), &LimitRecords::default());
        let (acknowledge, acknowledged) = channel();
        let change = |records: &[(u128, Option<&str>)], generation| {
            let acknowledge = acknowledge.clone();
            let done = Box::new(move |outcome: StoreResult| acknowledge.send(outcome).unwrap());
            let bytes = |record: Option<&str>| record.map(|record| record.as_bytes().to_vec());
            let records = records.iter().map(|(key, record)| (*key, bytes(*record))).collect();
            store.submit_limit(LimitChange { records, generation }, done);
        };
        change(&[(u128::MAX, Some("much")), (9, Some("nothing"))], 1);
        change(&[(7, Some("little"))], 2);
        change(&[(7, Some("less"))], 3);
        change(&[(9, None)], 4);
        change(&[], 5);
        submit(&store, [StoreOperation::Put(record(1, 1))]);
        (0..5).for_each(|_| acknowledged.recv().unwrap().unwrap());
        let copy = scratch.path().join("copy.redb");
        std::fs::copy(&file, &copy).unwrap();
        let after = RecordStore::open(&copy).unwrap();
        let records = vec![(7, b"less".to_vec()), (u128::MAX, b"much".to_vec())];
        assert_eq!(after.limits(), &LimitRecords { generation: 5, records });
        assert_eq!(after.load().unwrap(), [record(1, 1)]);
    }

    #[test]
    fn order_is_kept_within_a_batch() {
        let scratch = Scratch::new();
        let file = scratch.path().join("state.redb");
        let store = RecordStore::open(&file).unwrap();
        let one = record(1, 1);
        submit(
            &store,
            [
                StoreOperation::Put(one.clone()),
                StoreOperation::Remove { owner: one.owner.clone() },
                StoreOperation::Put(ClientRecord { epoch: 5, ..one.clone() }),
            ],
        );
        drop(store);
        assert_eq!(RecordStore::open(&file).unwrap().load().unwrap(), [ClientRecord { epoch: 5, ..one }]);
    }

    #[test]
    fn the_file_is_its_owners_alone() {
        let scratch = Scratch::new();
        let file = scratch.path().join("state.redb");
        let mode = || std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        // As an earlier release left it.
        drop(RecordStore::open(&file).unwrap());
        std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
        drop(RecordStore::open(&file).unwrap());
        assert_eq!(mode(), 0o600);
        std::fs::remove_file(&file).unwrap();
        drop(RecordStore::open(&file).unwrap());
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn damage_is_refused_with_a_remedy() {
        let scratch = Scratch::new();
        let file = scratch.path().join("state.redb");
        std::fs::write(&file, b"not a database, and long enough to be looked at as one").unwrap();
        let message = RecordStore::open(&file).err().unwrap().to_string();
        assert!(message.contains("cannot be used") && message.contains("move it away"), "{message}");
    }
}
