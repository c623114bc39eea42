//! One stripe of the files: opens, locks and what is left of revoked ones.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use wire::nfs4::{ClientId, Stateid, Status};

use crate::client::Client;
use crate::effects::LockNotice;
use crate::file_key::FileKey;
use crate::host::give_back;
use crate::lease::Standing;
use crate::lock_ranges::LockRanges;
use crate::lock_wait::Waiters;
use crate::open::OpenFiles;
use crate::owner::StateOwner;
use crate::share::{Access, Combinations, Denial, Deny, ShareCounts};
use crate::state::Shared;
use crate::stateid::{StateKind, StateName, check_seqid, next_seqid};
use crate::stripes::{KeyedHash, KeyedMap};

pub(crate) struct FileTable<F> {
    stripe: usize,
    hash: KeyedHash,
    pub(crate) shared: Arc<Shared>,
    next_counter: u64,
    pub(crate) files: KeyedMap<FileKey, FileEntry>,
    pub(crate) opens: KeyedMap<u64, OpenState<F>>,
    pub(crate) locks: KeyedMap<u64, LockState>,
    /// Stateids that name revoked state until they are freed (RFC 8881 §8.2.4).
    pub(crate) revoked: KeyedMap<u64, Revoked>,
    by_client: KeyedMap<ClientId, HashSet<u64, KeyedHash>>,
    /// Opens that are gone while I/O under them went on; as many as there were requests in progress, at most.
    ending: KeyedMap<FileKey, Vec<Ending<F>>>,
    /// Files with blocked lock requests.
    pub(crate) waiting: HashSet<FileKey, KeyedHash>,
}

/// A file that somebody has open or is about to open.
pub(crate) struct FileEntry {
    pub(crate) opens: KeyedMap<StateOwner, u64>,
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) shares: ShareCounts,
    pub(crate) lock_states: KeyedMap<(StateOwner, u64), u64>,
    pub(crate) ranges: LockRanges<StateOwner>,
    pub(crate) waiters: Waiters,
}

/// An open between its check and its effect; counts as an open for others.
pub(crate) struct Reservation {
    pub(crate) counter: u64,
    pub(crate) owner: StateOwner,
    pub(crate) access: Access,
    pub(crate) deny: Deny,
    pub(crate) _denial: Option<Denial>,
}

/// One open-owner's open of one file.
pub(crate) struct OpenState<F> {
    pub(crate) file: FileKey,
    pub(crate) owner: StateOwner,
    pub(crate) seqid: u32,
    pub(crate) combinations: Combinations,
    denial: Option<Denial>,
    /// Held besides by I/O in flight alone, so that what is closed here is closed when that has ended.
    pub(crate) files: Arc<OpenFiles<F>>,
    /// What `files` were before they changed, where I/O that began with them may still go on.
    earlier: Vec<Weak<OpenFiles<F>>>,
    /// Changes whenever a grant may no longer hold, be it of the open's stateid or of its locks' stateids.
    pub(crate) generation: Arc<AtomicU64>,
    pub(crate) locks: Vec<u64>,
}

/// One lock-owner's locks through one open.
pub(crate) struct LockState {
    pub(crate) file: FileKey,
    pub(crate) owner: StateOwner,
    pub(crate) open: u64,
    pub(crate) seqid: u32,
}

/// An open that is gone, while I/O under it may still reach the file.
struct Ending<F> {
    client: ClientId,
    /// What the open did and denied.
    held: (u8, u8),
    _denial: Option<Denial>,
    io: Weak<OpenFiles<F>>,
}

/// A stateid whose state was revoked.
pub(crate) struct Revoked {
    pub(crate) client: Arc<Client>,
    pub(crate) kind: StateKind,
    pub(crate) by_admin: bool,
}

impl<F> OpenState<F> {
    /// An open that allows nothing yet.
    pub(crate) fn new(file: FileKey, owner: StateOwner, files: OpenFiles<F>) -> Self {
        Self {
            file,
            owner,
            seqid: 0,
            combinations: Combinations::default(),
            denial: None,
            files: Arc::new(files),
            earlier: Vec::new(),
            generation: Arc::new(AtomicU64::new(0)),
            locks: Vec::new(),
        }
    }

    /// Ends all grants under this open and its locks.
    pub(crate) fn bump(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }
}

impl<F: Clone> OpenState<F> {
    /// The open files, to be changed. I/O in flight keeps those it began with.
    pub(crate) fn change_files(&mut self) -> &mut OpenFiles<F> {
        let before = Arc::downgrade(&self.files);
        let files = Arc::make_mut(&mut self.files);
        self.earlier.retain(is_in_flight);
        if is_in_flight(&before) {
            self.earlier.push(before);
        }
        files
    }
}

/// Whether I/O goes on with these open files, which no open has any more. Once there is none, none can begin.
fn is_in_flight<F>(files: &Weak<OpenFiles<F>>) -> bool {
    files.strong_count() > 0
}

impl FileEntry {
    fn is_idle(&self) -> bool {
        self.opens.is_empty() && self.reservations.is_empty()
    }
}

impl<F> FileTable<F> {
    pub(crate) fn new(stripe: usize, hash: KeyedHash, shared: &Arc<Shared>) -> Self {
        Self {
            stripe,
            hash,
            shared: Arc::clone(shared),
            next_counter: 1,
            files: KeyedMap::with_hasher(hash),
            opens: KeyedMap::with_hasher(hash),
            locks: KeyedMap::with_hasher(hash),
            revoked: KeyedMap::with_hasher(hash),
            by_client: KeyedMap::with_hasher(hash),
            ending: KeyedMap::with_hasher(hash),
            waiting: HashSet::with_hasher(hash),
        }
    }

    pub(crate) fn next_counter(&mut self) -> u64 {
        self.next_counter += 1;
        self.next_counter
    }

    pub(crate) fn stateid(&self, kind: StateKind, counter: u64, seqid: u32) -> Stateid {
        let name = StateName { kind, stripe: self.stripe, counter };
        name.to_stateid(self.shared.config.epoch, seqid)
    }

    /// The file's entry, made if need be.
    pub(crate) fn entry(&mut self, file: &FileKey) -> &mut FileEntry {
        let hash = self.hash;
        self.files.entry(*file).or_insert_with(|| FileEntry {
            opens: KeyedMap::with_hasher(hash),
            reservations: Vec::new(),
            shares: ShareCounts::default(),
            lock_states: KeyedMap::with_hasher(hash),
            ranges: LockRanges::default(),
            waiters: Waiters::default(),
        })
    }

    /// Drops the file's entry if nobody has the file open.
    pub(crate) fn drop_if_idle(&mut self, file: &FileKey) {
        if self.files.get(file).is_some_and(FileEntry::is_idle) {
            self.files.remove(file);
            self.waiting.remove(file);
        }
    }

    pub(crate) fn index_open(&mut self, client: ClientId, counter: u64) {
        let hash = self.hash;
        self.by_client.entry(client).or_insert_with(|| HashSet::with_hasher(hash)).insert(counter);
    }

    pub(crate) fn opens_of(&self, client: ClientId) -> Vec<u64> {
        self.by_client.get(&client).into_iter().flatten().copied().collect()
    }

    /// Validates a stateid in the order of RFC 8881 §8.2.4 and says what it names. `file` is absent for
    /// TEST_STATEID and FREE_STATEID.
    pub(crate) fn find(
        &self,
        stateid: &Stateid,
        client: &Client,
        file: Option<&FileKey>,
    ) -> Result<StateName, Status> {
        let name = StateName::parse(stateid, self.shared.config.epoch)?;
        let named = match name.kind {
            StateKind::Open => {
                self.opens.get(&name.counter).map(|open| (&open.file, &open.owner, open.seqid))
            }
            StateKind::Lock => {
                self.locks.get(&name.counter).map(|locks| (&locks.file, &locks.owner, locks.seqid))
            }
        };
        let Some((named_file, owner, seqid)) = named.filter(|_| name.stripe == self.stripe) else {
            return Err(self.revoked_status(&name, client));
        };
        if file.is_some_and(|file| file != named_file) || owner.client().id() != client.id() {
            return Err(Status::BadStateid);
        }
        check_standing(owner.client())?;
        check_seqid(stateid.seqid, seqid)?;
        Ok(name)
    }

    fn revoked_status(&self, name: &StateName, client: &Client) -> Status {
        match self.revoked.get(&name.counter) {
            Some(revoked) if revoked.client.id() == client.id() && revoked.kind == name.kind => {
                if revoked.by_admin { Status::AdminRevoked } else { Status::Expired }
            }
            _ => Status::BadStateid,
        }
    }

    /// Changes what an open does and denies: its new stateid.
    pub(crate) fn set_combinations(&mut self, counter: u64, combinations: Combinations) -> Stateid {
        let open = self.opens.get_mut(&counter).expect("the caller has found the open in this table");
        let (before, after) = (open.combinations.union(), combinations.union());
        open.combinations = combinations;
        // Counted anew before the old one goes, so that the count does not fall in between.
        open.denial = Denial::of(after, &self.shared);
        open.seqid = next_seqid(open.seqid);
        open.bump();
        let seqid = open.seqid;
        let entry = self.files.get_mut(&open.file).expect("an open has a file entry");
        entry.shares.remove(before);
        entry.shares.add(after);
        self.stateid(StateKind::Open, counter, seqid)
    }

    /// Takes an open out of the table with all of its locks. With `revoke`, its stateids stay as names of
    /// revoked state.
    pub(crate) fn remove_open(&mut self, counter: u64, now: u64, revoke: Option<Standing>) -> Removed<F>
    where
        F: Clone,
    {
        let open = self.opens.remove(&counter).expect("the caller has found the open in this table");
        open.bump();
        let client = Arc::clone(open.owner.client());
        if let Some(opens) = self.by_client.get_mut(&client.id()) {
            opens.remove(&counter);
            if opens.is_empty() {
                self.by_client.remove(&client.id());
            }
        }
        for lock in &open.locks {
            self.remove_lock_state(*lock);
            self.leave_revoked(*lock, StateKind::Lock, &client, revoke);
        }
        self.leave_revoked(counter, StateKind::Open, &client, revoke);
        let entry = self.files.get_mut(&open.file).expect("an open has a file entry");
        entry.opens.remove(&open.owner);
        entry.shares.remove(open.combinations.union());
        let has_waiters = !entry.waiters.is_empty();
        if has_waiters && !entry.opens.keys().any(|owner| owner.client().id() == client.id()) {
            entry.waiters.forget_client(client.id());
        }
        let notices = self.released(&open.file, now);
        self.drop_if_idle(&open.file);
        Removed { files: self.end_open(open), notices }
    }

    /// The open files of an open that is gone. What I/O is in flight stays in others' way.
    fn end_open(&mut self, open: OpenState<F>) -> OpenFiles<F>
    where
        F: Clone,
    {
        let last = Arc::downgrade(&open.files);
        let files = Arc::unwrap_or_clone(open.files);
        let (client, held) = (open.owner.client().id(), open.combinations.union());
        for io in open.earlier.into_iter().chain([last]).filter(is_in_flight) {
            let _denial = Denial::of(held, &self.shared);
            self.ending.entry(open.file).or_default().push(Ending { client, held, _denial, io });
        }
        // Until here it counted itself.
        drop(open.denial);
        files
    }

    /// Whether anything may be granted that I/O of others' opens that are gone could still reach: of those opens only
    /// what `concerns` says of what they did and denied. The I/O ends by itself, or hangs with its file system, where
    /// a grant would be of no use either.
    ///
    /// # Errors
    ///
    /// NFS4ERR_DELAY.
    pub(crate) fn check_ending(
        &self,
        file: &FileKey,
        client: Option<ClientId>,
        concerns: impl Fn((u8, u8)) -> bool,
    ) -> Result<(), Status> {
        let mut endings = self.ending.get(file).into_iter().flatten();
        let in_way = endings
            .any(|ending| Some(ending.client) != client && concerns(ending.held) && is_in_flight(&ending.io));
        if in_way { Err(Status::Delay) } else { Ok(()) }
    }

    /// Forgets opens that are gone where no I/O goes on any more.
    pub(crate) fn forget_ended(&mut self) {
        self.ending.retain(|_, endings| {
            endings.retain(|ending| is_in_flight(&ending.io));
            !endings.is_empty()
        });
    }

    /// How many in this table deny something.
    #[cfg(test)]
    pub(crate) fn denials(&self) -> usize {
        let opens = self.opens.values().map(|open| open.combinations.union().1);
        let reservations = self.files.values().flat_map(|entry| &entry.reservations);
        let endings = self.ending.values().flatten().map(|ending| ending.held.1);
        let all = opens.chain(reservations.map(|reservation| reservation.deny as u8)).chain(endings);
        all.filter(|deny| *deny != 0).count()
    }

    /// Takes a lock stateid and the ranges of its owner out of the table. POSIX closes all of an owner's
    /// locks on a file with any of its opens.
    fn remove_lock_state(&mut self, counter: u64) {
        let locks = self.locks.remove(&counter).expect("an open lists its lock stateids");
        let entry = self.files.get_mut(&locks.file).expect("a lock stateid has a file entry");
        entry.lock_states.remove(&(locks.owner.clone(), locks.open));
        let ranges = entry.ranges.clear_all(&locks.owner);
        self.uncount_locks(locks.owner.client(), ranges);
    }

    /// Keeps a removed stateid as the name of revoked state, or takes it off its client's count.
    fn leave_revoked(
        &mut self,
        counter: u64,
        kind: StateKind,
        client: &Arc<Client>,
        revoke: Option<Standing>,
    ) {
        let by_admin = match revoke {
            Some(Standing::Expired) => false,
            Some(Standing::Revoked) => true,
            _ => return self.uncount(kind, client),
        };
        let unfreed = if by_admin { &client.revoked_admin } else { &client.revoked_expired };
        unfreed.fetch_add(1, Ordering::AcqRel);
        self.revoked.insert(counter, Revoked { client: Arc::clone(client), kind, by_admin });
    }

    /// Takes one stateid off the counts.
    pub(crate) fn uncount(&self, kind: StateKind, client: &Client) {
        match kind {
            StateKind::Open => {
                client.opens.fetch_sub(1, Ordering::AcqRel);
                give_back(&self.shared.opens, &client.host().opens, 1);
            }
            StateKind::Lock => self.uncount_locks(client, 1),
        }
    }

    pub(crate) fn count_locks(&self, client: &Client, count: usize) {
        client.locks.fetch_add(count as u32, Ordering::AcqRel);
        client.host().locks.fetch_add(count as u64, Ordering::AcqRel);
        self.shared.locks.fetch_add(count as u64, Ordering::AcqRel);
    }

    pub(crate) fn uncount_locks(&self, client: &Client, count: usize) {
        client.locks.fetch_sub(count as u32, Ordering::AcqRel);
        give_back(&self.shared.locks, &client.host().locks, count as u64);
    }

    /// Ranges of the file may have become free: who is to be told.
    pub(crate) fn released(&mut self, file: &FileKey, now: u64) -> Vec<LockNotice> {
        let turn_ns = self.shared.config.limits.waiter_turn_ns;
        let Some(entry) = self.files.get_mut(file).filter(|entry| !entry.waiters.is_empty()) else {
            return Vec::new();
        };
        let notices = entry.waiters.released(&entry.ranges, file, now, turn_ns);
        if entry.waiters.is_empty() {
            self.waiting.remove(file);
        }
        notices
    }
}

/// What is left of an open that was removed.
pub(crate) struct Removed<F> {
    pub(crate) files: OpenFiles<F>,
    pub(crate) notices: Vec<LockNotice>,
}

/// What a client whose state does not count any more gets to hear.
pub(crate) fn check_standing(client: &Client) -> Result<(), Status> {
    match client.standing() {
        Standing::Live => Ok(()),
        Standing::Expired => Err(Status::Expired),
        Standing::Revoked => Err(Status::AdminRevoked),
        Standing::Gone => Err(Status::BadStateid),
    }
}
