//! LOCK, LOCKT and LOCKU (RFC 8881 §18.10 to §18.12, §9).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use wire::nfs4::{ClientId, Stateid, Status};

use crate::client::Client;
use crate::file_key::FileKey;
use crate::file_table::{FileEntry, FileTable, LockState};
use crate::host::share_left;
pub use crate::lock_ranges::{LockKind, LockRange};
use crate::open_change::find_open;
use crate::owner::StateOwner;
use crate::revoke::Obstacle;
use crate::share::Access;
use crate::state::State;
use crate::stateid::{StateKind, next_seqid};

/// Who locks (`locker4`).
#[derive(Clone, Copy, Debug)]
pub enum Locker<'a> {
    /// A lock-owner that may have no lock stateid for this open yet.
    Open {
        /// The open.
        stateid: Stateid,
        /// Name of the lock-owner within its client.
        owner: &'a [u8],
    },
    /// A lock-owner by its lock stateid.
    Lock {
        /// The lock stateid.
        stateid: Stateid,
    },
}

/// What LOCK asks.
#[derive(Clone, Copy, Debug)]
pub struct LockRequest<'a> {
    /// The file.
    pub file: FileKey,
    /// Who.
    pub locker: Locker<'a>,
    /// Reading or writing.
    pub kind: LockKind,
    /// READW_LT or WRITEW_LT: if denied, the client wants to be told when to try again.
    pub blocking: bool,
    /// Which bytes.
    pub range: LockRange,
    /// The lock was held before the restart.
    pub reclaim: bool,
}

/// The lock that stands in the way (`LOCK4denied`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockDenied {
    /// Its range.
    pub range: LockRange,
    /// Its kind.
    pub kind: LockKind,
    /// Whose it is.
    pub client: ClientId,
    /// The lock-owner's name within the client.
    pub owner: Vec<u8>,
}

/// Why a lock is not granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockRefusal {
    /// NFS4ERR_DENIED.
    Denied(LockDenied),
    /// Another error.
    Status(Status),
}

impl From<Status> for LockRefusal {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

impl<F: Clone + Send + Sync> State<F> {
    /// LOCK: the lock stateid.
    ///
    /// # Errors
    ///
    /// NFS4ERR_DENIED with the lock in the way, for a reclaim NFS4ERR_RECLAIM_CONFLICT; NFS4ERR_GRACE,
    /// NFS4ERR_NO_GRACE, NFS4ERR_RECLAIM_BAD; NFS4ERR_OPENMODE when the open does not allow I/O of that kind;
    /// NFS4ERR_DELAY at a bound and while an expired client is put aside; the errors of stateids.
    pub fn lock(
        &self,
        client: &Arc<Client>,
        asked: &LockRequest<'_>,
        now: u64,
    ) -> Result<Stateid, LockRefusal> {
        if asked.reclaim {
            self.check_reclaim(client)?;
        } else {
            self.check_new_state(client)?;
        }
        let granted = self.displacing(now, || self.try_lock(client, asked, now))?;
        granted.map_err(LockRefusal::Denied)
    }

    /// LOCKT: whether [`lock`](State::lock) of this owner would be denied.
    ///
    /// # Errors
    ///
    /// NFS4ERR_DENIED with the lock in the way; NFS4ERR_GRACE; NFS4ERR_DELAY while an expired client is put
    /// aside.
    pub fn test_lock(
        &self,
        client: &Arc<Client>,
        file: &FileKey,
        owner: &[u8],
        kind: LockKind,
        range: LockRange,
        now: u64,
    ) -> Result<(), LockRefusal> {
        if self.is_in_grace() {
            return Err(Status::Grace.into());
        }
        let owner = StateOwner::new(client, owner);
        let free = self.displacing(now, || {
            let table = self.inner.files.lock(self.inner.hash.stripe(file));
            let Some(entry) = table.files.get(file) else { return Ok(Ok(())) };
            self.check_ranges(entry, client, &owner, kind, range, now)
        })?;
        free.map_err(LockRefusal::Denied)
    }

    /// LOCKU: the lock stateid. Bytes that were not locked are no error (POSIX).
    ///
    /// # Errors
    ///
    /// The errors of stateids.
    pub fn unlock(
        &self,
        client: &Client,
        file: &FileKey,
        stateid: &Stateid,
        range: LockRange,
        now: u64,
    ) -> Result<Stateid, Status> {
        let (unlocked, notices) = {
            let mut table = self.inner.files.lock(self.inner.hash.stripe(file));
            let name = table.find(stateid, client, Some(file))?;
            if name.kind != StateKind::Lock {
                return Err(Status::BadStateid);
            }
            let owner = table.locks.get(&name.counter).expect("found just now").owner.clone();
            let entry = table.entry(file);
            let before = entry.ranges.len();
            entry.ranges.clear(&owner, range);
            let after = entry.ranges.len();
            // Always allowed, even where it cuts a range in two at the bound.
            count_ranges(&table, client, before, after);
            let unlocked = bump_locks(&mut table, name.counter);
            (unlocked, table.released(file, now))
        };
        self.inner.effects.add(notices, Vec::new());
        Ok(unlocked)
    }

    fn try_lock(
        &self,
        client: &Arc<Client>,
        asked: &LockRequest<'_>,
        now: u64,
    ) -> Result<Result<Stateid, LockDenied>, Obstacle> {
        let (file, kind, range) = (&asked.file, asked.kind, asked.range);
        let mut table = self.inner.files.lock(self.inner.hash.stripe(file));
        let (open, owner, existing) = resolve(&table, client, asked)?;
        let held = table.opens.get(&open).map_or(0, |open| open.combinations.union().0);
        let needed = if kind == LockKind::Read { Access::Read } else { Access::Write } as u8;
        if held & needed == 0 {
            return Err(Status::Openmode.into());
        }
        let limits = &self.inner.config.limits;
        let entry = table.files.get_mut(file).expect("an open has a file entry");
        let free = match self.check_ranges(entry, client, &owner, kind, range, now)? {
            Ok(()) if asked.blocking => turn_of_another(entry, &owner, kind, range, now),
            free => free,
        };
        if let Err(denied) = free {
            if asked.reclaim {
                return Err(Status::ReclaimConflict.into());
            }
            if asked.blocking {
                let expires_at = now.saturating_add(self.inner.config.lease_ns);
                entry.waiters.enqueue(&owner, kind, range, expires_at, &self.inner.shared);
                table.waiting.insert(*file);
            } else {
                // RFC 8881 §9.6: a non-blocking request is the client's way to say that it stops waiting.
                entry.waiters.forget(&owner, range);
            }
            return Ok(Err(denied));
        }
        table.check_ending(file, Some(client.id()), |_| true)?;
        let entry = table.files.get_mut(file).expect("an open has a file entry");
        // One more range, and a second one where a range of the other kind is cut in two, and the stateid.
        let in_client = client.locks.load(Ordering::Acquire);
        if entry.ranges.len() + 2 > limits.locks_per_file_max as usize
            || in_client + 3 > limits.locks_per_client_max
        {
            return Err(Status::Delay.into());
        }
        if share_left(&self.inner.shared.locks, &client.host().locks, limits.locks_max) < 3 {
            self.inner.shared.press();
            return Err(Status::Delay.into());
        }
        entry.waiters.forget(&owner, range);
        let before = entry.ranges.len();
        entry.ranges.set(&owner, kind, range);
        let after = entry.ranges.len();
        count_ranges(&table, client, before, after);
        let counter = existing.unwrap_or_else(|| add_lock_state(&mut table, file, &owner, open));
        let stateid = bump_locks(&mut table, counter);
        // A write lock turned into a read lock lets readers in.
        let notices = if kind == LockKind::Read { table.released(file, now) } else { Vec::new() };
        drop(table);
        self.inner.effects.add(notices, Vec::new());
        Ok(Ok(stateid))
    }

    /// Whether the range is free for the owner: locks of clients that may be displaced make an obstacle, of
    /// others a denial.
    fn check_ranges(
        &self,
        entry: &FileEntry,
        client: &Client,
        owner: &StateOwner,
        kind: LockKind,
        range: LockRange,
        now: u64,
    ) -> Result<Result<(), LockDenied>, Obstacle> {
        let firm = entry.ranges.conflicts(owner, kind, range).find(|held| {
            held.owner.client().id() == client.id() || !self.may_displace(held.owner.client(), now)
        });
        if let Some(held) = firm {
            return Ok(Err(denied(&held.owner, held.kind, held.range)));
        }
        let mut holders =
            entry.ranges.conflicts(owner, kind, range).map(|held| held.owner.client()).peekable();
        if holders.peek().is_none() {
            return Ok(Ok(()));
        }
        Err(self.obstacle(Some(client.id()), holders, Status::Delay, now))
    }
}

/// The open, the owner and the lock stateid, if there is one, of a LOCK.
fn resolve<F>(
    table: &FileTable<F>,
    client: &Arc<Client>,
    asked: &LockRequest<'_>,
) -> Result<(u64, StateOwner, Option<u64>), Status> {
    match asked.locker {
        Locker::Open { stateid, owner } => {
            let open = find_open(table, &stateid, client, &asked.file)?;
            let key = (StateOwner::new(client, owner), open);
            let existing =
                table.files.get(&asked.file).and_then(|entry| entry.lock_states.get(&key)).copied();
            Ok((open, key.0, existing))
        }
        Locker::Lock { stateid } => {
            let name = table.find(&stateid, client, Some(&asked.file))?;
            let locks = table.locks.get(&name.counter).filter(|_| name.kind == StateKind::Lock);
            let locks = locks.ok_or(Status::BadStateid)?;
            Ok((locks.open, locks.owner.clone(), Some(name.counter)))
        }
    }
}

fn turn_of_another(
    entry: &FileEntry,
    owner: &StateOwner,
    kind: LockKind,
    range: LockRange,
    now: u64,
) -> Result<(), LockDenied> {
    match entry.waiters.before(owner, kind, range, now) {
        Some(waiter) => Err(denied(&waiter.owner, waiter.kind, waiter.range)),
        None => Ok(()),
    }
}

fn denied(owner: &StateOwner, kind: LockKind, range: LockRange) -> LockDenied {
    LockDenied { range, kind, client: owner.client().id(), owner: owner.name().to_vec() }
}

fn add_lock_state<F>(table: &mut FileTable<F>, file: &FileKey, owner: &StateOwner, open: u64) -> u64 {
    let counter = table.next_counter();
    table.count_locks(owner.client(), 1);
    table.entry(file).lock_states.insert((owner.clone(), open), counter);
    table.locks.insert(counter, LockState { file: *file, owner: owner.clone(), open, seqid: 0 });
    table.opens.get_mut(&open).expect("the lock's open was resolved in this table").locks.push(counter);
    counter
}

/// Moves a lock stateid on; grants that were made for the old one end.
fn bump_locks<F>(table: &mut FileTable<F>, counter: u64) -> Stateid {
    let locks = table.locks.get_mut(&counter).expect("the lock stateid was resolved in this table");
    locks.seqid = next_seqid(locks.seqid);
    let (seqid, open) = (locks.seqid, locks.open);
    if let Some(open) = table.opens.get(&open) {
        open.bump();
    }
    table.stateid(StateKind::Lock, counter, seqid)
}

/// Takes a change of the number of a client's ranges into its counts.
fn count_ranges<F>(table: &FileTable<F>, client: &Client, before: usize, after: usize) {
    if after >= before {
        table.count_locks(client, after - before);
    } else {
        table.uncount_locks(client, before - after);
    }
}
