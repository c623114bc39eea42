//! All entities: changed under a lock by who operates the server, read without one by the cores.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::bucket::Bucket;
use super::limit::{Entity, Limit, reservable};
use super::mailbox::{Mailbox, tell};
use super::pace::{AT_WORK_MIN, Pace, Report};
use super::path::{PATH_ENTITIES_MAX, Path};

/// The most cores that share one table: one bit each in the words of an entity.
pub const CORES_MAX: u32 = 64;

/// The most entities of a table: a hundred thousand and some room for those that come before others are gone.
pub const ENTITIES_MAX: usize = SLABS * SLAB;

/// Buckets come in slabs that never move, so that cores read them while others are added: 256 KiB each.
const SLAB: usize = 1024;
const SLABS: usize = 128;

/// The place of what does the work, whatever it is, which all compete for. It is no entity and has no limit.
pub(super) const WORKER: u32 = 0;

/// The structure of a table in which nothing was ever set; 0 is that of a path which has not been looked up.
const STRUCTURE_FIRST: u64 = 1;

/// Why entities stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// There is no such entity.
    Unknown(Entity),
    /// The entity is above itself.
    Circle,
    /// More entities in a row than [`PATH_ENTITIES_MAX`].
    TooDeep,
    /// [`ENTITIES_MAX`] entities exist.
    Full,
    /// Others stand below it.
    HasChildren,
    /// More would be reserved than nine tenths of what a scarce entity has.
    Overbooked(Entity),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(Entity(key)) => write!(formatter, "there is no entity {key:#x}"),
            Self::Circle => write!(formatter, "an entity cannot stand above itself"),
            Self::TooDeep => write!(formatter, "more than {PATH_ENTITIES_MAX} entities in a row"),
            Self::Full => write!(formatter, "{ENTITIES_MAX} entities exist already"),
            Self::Overbooked(Entity(key)) => {
                write!(formatter, "more would be reserved than nine tenths of what {key:#x} has")
            }
            Self::HasChildren => write!(formatter, "other entities stand below it"),
        }
    }
}

impl std::error::Error for Refusal {}

/// The entities of a server and their limits, shared by its cores. Clones are the same table.
#[derive(Clone, Debug)]
pub struct Limits(Arc<Table>);

/// What a mistake in this code would be, for the tests that show that it would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defect {
    /// Nobody is told that terms changed or tokens came back.
    LostWakeUp,
    /// Tokens of former terms are spent.
    SkippedGeneration,
}

#[derive(Debug)]
struct Table {
    #[cfg(test)]
    defect: Option<Defect>,
    is_paced: bool,
    epochs: Epochs,
    slabs: Box<[OnceLock<Box<[Bucket]>>]>,
    mailboxes: Box<[Mailbox]>,
    pace: Pace,
    directory: RwLock<Directory>,
}

/// Where an entity stands in the table, from when it was set to when it is removed: by this its usage is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seat {
    pub(super) place: u32,
    /// The state of the table when the entity was set.
    pub(super) born: u64,
}

/// What every request looks at; written by changes only.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Epochs {
    /// Counts changes of what paths are made of.
    structure: AtomicU64,
    /// Counts changes of anything.
    change: AtomicU64,
}

#[derive(Debug)]
struct Directory {
    entries: BTreeMap<Entity, Entry>,
    /// How many of them say how what all compete for is divided.
    dividing: usize,
    /// Places whose entities are gone.
    free: Vec<u32>,
    /// Places that were ever taken.
    taken: u32,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    place: u32,
    born: u64,
    parent: Option<Entity>,
    children: u32,
    limit: Limit,
}

impl Default for Directory {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), dividing: 0, free: Vec::new(), taken: WORKER + 1 }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

impl Limits {
    /// A table without entities.
    pub fn new() -> Self {
        Self::with_pace(false)
    }

    /// The same where what does the work is paced as soon as weights, tiers or reservations say how it is divided, so that they
    /// count where nobody has limited it. All cores must tell what is [done](super::Core::done): it is found out by that.
    pub fn paced() -> Self {
        Self::with_pace(true)
    }

    /// Whether it was made so.
    pub fn is_paced(&self) -> bool {
        self.0.is_paced
    }

    fn with_pace(is_paced: bool) -> Self {
        let epochs = Epochs { structure: AtomicU64::new(STRUCTURE_FIRST), change: AtomicU64::new(1) };
        Self(Arc::new(Table {
            #[cfg(test)]
            defect: None,
            is_paced,
            epochs,
            slabs: (0..SLABS).map(|_| OnceLock::new()).collect(),
            mailboxes: (0..CORES_MAX).map(|_| Mailbox::default()).collect(),
            pace: Pace::default(),
            directory: RwLock::default(),
        }))
    }

    /// Puts `limit` in force for `entity` below `parent`, which is new or changes at `now_ns`. Requests that wait for
    /// it are weighed again, on all cores.
    ///
    /// # Errors
    /// Nothing has changed where the parent is unknown or below the entity, or where there is no room.
    pub fn set(
        &self,
        entity: Entity,
        parent: Option<Entity>,
        limit: Limit,
        now_ns: u64,
    ) -> Result<(), Refusal> {
        let mut directory = self.write();
        directory.check_parent(entity, parent)?;
        directory.check_reserved(entity, &limit)?;
        let before = directory.entries.get(&entity).copied();
        let (place, born) = match before {
            Some(entry) => (entry.place, entry.born),
            // The count that it is put in force with, which only who holds the lock changes.
            None => (directory.take_place()?, self.change() + 1),
        };
        let children = before.map_or(0, |entry| entry.children);
        directory.entries.insert(entity, Entry { place, born, parent, children, limit });
        self.divide(&mut directory, before.map(|entry| entry.limit), Some(limit));
        directory.count_child(before.and_then(|entry| entry.parent), u32::wrapping_sub);
        directory.count_child(parent, u32::wrapping_add);
        let is_path_same = before.is_some_and(|before| {
            let of = |limit: &Limit| (limit.weight, limit.tier, limit.reserved.is_some());
            before.parent == parent && of(&before.limit) == of(&limit)
        });
        self.put_in_force(place, born, &limit, now_ns, !is_path_same);
        Ok(())
    }

    /// Forgets `entity`: what waited for it goes on.
    ///
    /// # Errors
    /// It is not there, or others stand below it.
    pub fn remove(&self, entity: Entity, now_ns: u64) -> Result<(), Refusal> {
        let mut directory = self.write();
        let entry = *directory.entries.get(&entity).ok_or(Refusal::Unknown(entity))?;
        if entry.children > 0 {
            return Err(Refusal::HasChildren);
        }
        directory.entries.remove(&entity);
        directory.count_child(entry.parent, u32::wrapping_sub);
        directory.free.push(entry.place);
        self.divide(&mut directory, Some(entry.limit), None);
        self.put_in_force(entry.place, entry.born, &Limit::default(), now_ns, true);
        Ok(())
    }

    /// Whether there ever was an entity. Until then nobody need look for what a request is charged to.
    pub fn has_been_set(&self) -> bool {
        self.structure() > STRUCTURE_FIRST
    }

    /// The limit in force for `entity`, and what stands above it.
    pub fn get(&self, entity: Entity) -> Option<(Limit, Option<Entity>)> {
        self.read().entries.get(&entity).map(|entry| (entry.limit, entry.parent))
    }

    /// All entities in the order of their keys.
    pub fn list(&self) -> Vec<(Entity, Limit, Option<Entity>)> {
        let directory = self.read();
        directory.entries.iter().map(|(entity, entry)| (*entity, entry.limit, entry.parent)).collect()
    }

    /// Where `entity` stands now.
    pub fn seat(&self, entity: Entity) -> Option<Seat> {
        self.read().entries.get(&entity).map(|entry| Seat { place: entry.place, born: entry.born })
    }

    /// Finds the places of `path` anew. What has no entity is passed over; so is what exceeds
    /// [`PATH_ENTITIES_MAX`].
    pub fn resolve(&self, path: &mut Path) {
        let directory = self.read();
        let mut found = Path::new(path.leaves());
        let own = path.leaves().first().and_then(|leaf| directory.entries.get(leaf));
        found.own = own.map(|entry| entry.place);
        let (mut weight, mut tier) = (None, None);
        for leaf in path.leaves() {
            let mut above = Some(*leaf);
            while let Some(entry) = above.and_then(|entity| directory.entries.get(&entity)) {
                if !found.add(entry.place) {
                    break;
                }
                // Whose weight or reservation counts is one entity, the first that has any.
                let Limit { weight: own, reserved, .. } = entry.limit;
                if found.tenant.is_none() && (own.is_some() || reserved.is_some()) {
                    (found.tenant, found.is_reserved) = (Some(entry.place), reserved.is_some());
                    weight = own;
                }
                tier = tier.or(entry.limit.tier);
                above = entry.parent;
            }
        }
        if directory.dividing > 0 {
            found.end_at(WORKER);
        }
        found.tenant = found.tenant.or(found.places().first().copied());
        found.weight = weight.unwrap_or(found.weight);
        found.tier = tier.unwrap_or(found.tier);
        // Under the lock: who changes the structure counts it before the lock is free.
        found.structure = self.structure();
        *path = found;
    }

    /// Has `bell` rung when something changed for what is parked on core `number`, which may sleep: it is to call
    /// [`Core::advance`](super::Core::advance). It is rung on the thread that made the change.
    pub fn set_bell(&self, number: u32, bell: Box<dyn Fn() + Send + Sync>) {
        self.mailbox(number).set_bell(bell);
    }

    /// Counts changes of what paths are made of.
    pub(super) fn structure(&self) -> u64 {
        self.0.epochs.structure.load(Ordering::Acquire)
    }

    /// Counts changes of anything.
    pub(super) fn change(&self) -> u64 {
        self.0.epochs.change.load(Ordering::Acquire)
    }

    /// The shared part of the entity at `place`, which a path has given.
    pub(super) fn bucket(&self, place: u32) -> &Bucket {
        let slab = self.0.slabs[place as usize / SLAB].get().expect("a place is given with its slab");
        &slab[place as usize % SLAB]
    }

    pub(super) fn mailbox(&self, number: u32) -> &Mailbox {
        &self.0.mailboxes[number as usize]
    }

    /// What a write costs beside a read now, see [`Cost::at`](super::limit::Cost::at).
    pub(super) fn write_cost(&self) -> u16 {
        self.0.pace.write_cost()
    }

    /// How many requests may be at work on core `number` whatever the rate is, protected ones or others. Beside protected ones it
    /// is one of all cores, of the first on which somebody waits.
    pub(super) fn at_work_min(&self, is_protected: bool, number: u32) -> u32 {
        if is_protected || !self.0.pace.is_guarded() {
            return AT_WORK_MIN;
        }
        let waiting = self.bucket(WORKER).waiting();
        u32::from(waiting == 0 || waiting.trailing_zeros() == number)
    }

    /// Takes over what a core has seen of the work that was done. Those who wait look again where much more can be done.
    pub(super) fn tell(&self, report: &mut Report, now_ns: u64) {
        let is_wanted = self.bucket(WORKER).waiting() != 0;
        if let Some(rate) = self.0.pace.tell(report, is_wanted, now_ns)
            && self.bucket(WORKER).pace(rate, now_ns)
        {
            self.notify(WORKER, None);
        }
    }

    /// Tells the cores that have requests parked at `place`, but not core `except`.
    pub(super) fn notify(&self, place: u32, except: Option<u32>) {
        if !self.has(Defect::LostWakeUp) {
            tell(self.bucket(place), &self.0.mailboxes, place, except);
        }
    }

    /// Whether the table was made with `defect`, which only tests do.
    #[cfg(not(test))]
    pub(super) const fn has(&self, _defect: Defect) -> bool {
        false
    }

    /// Whether the table was made with `defect`.
    #[cfg(test)]
    pub(super) fn has(&self, defect: Defect) -> bool {
        self.0.defect == Some(defect)
    }

    /// A table that makes a mistake.
    #[cfg(test)]
    pub(super) fn with_defect(defect: Defect) -> Self {
        let mut limits = Self::new();
        Arc::get_mut(&mut limits.0).expect("nobody else has it yet").defect = Some(defect);
        limits
    }

    /// Where weights, tiers or reservations begin to be, what all compete for is paced, so that they count though nobody has
    /// limited it; where they cease to be it is not. Comes before the paths change.
    fn divide(&self, directory: &mut Directory, before: Option<Limit>, after: Option<Limit>) {
        let divides =
            |limit: Option<Limit>| usize::from(self.0.is_paced && limit.is_some_and(|limit| limit.divides()));
        let dividing = directory.dividing;
        directory.dividing = dividing + divides(after) - divides(before);
        if (dividing > 0) != (directory.dividing > 0) {
            self.ready(WORKER);
            let rate = (directory.dividing > 0).then(|| self.0.pace.rate());
            self.bucket(WORKER).bound_work(rate);
        }
    }

    fn ready(&self, place: u32) {
        self.0.slabs[place as usize / SLAB].get_or_init(|| (0..SLAB).map(|_| Bucket::default()).collect());
    }

    fn put_in_force(&self, place: u32, born: u64, limit: &Limit, now_ns: u64, is_structure: bool) {
        self.ready(place);
        self.bucket(place).bear(born);
        self.bucket(place).change(limit, now_ns);
        if is_structure {
            self.0.epochs.structure.fetch_add(1, Ordering::SeqCst);
        }
        self.0.epochs.change.fetch_add(1, Ordering::SeqCst);
        self.notify(place, None);
        if is_structure {
            self.notify(WORKER, None);
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Directory> {
        self.0.directory.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Directory> {
        self.0.directory.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Directory {
    fn check_parent(&self, entity: Entity, parent: Option<Entity>) -> Result<(), Refusal> {
        let mut above = parent;
        for _ in 1..PATH_ENTITIES_MAX {
            let Some(one) = above else { return Ok(()) };
            if one == entity {
                return Err(Refusal::Circle);
            }
            above = self.entries.get(&one).ok_or(Refusal::Unknown(one))?.parent;
        }
        if above.is_none() { Ok(()) } else { Err(Refusal::TooDeep) }
    }

    /// What is reserved for all must be there.
    fn check_reserved(&self, entity: Entity, limit: &Limit) -> Result<(), Refusal> {
        if !limit.scarce && limit.reserved.is_none() {
            return Ok(());
        }
        let others = self.entries.iter().filter(|(other, _)| **other != entity);
        let all = || others.clone().map(|(other, entry)| (*other, &entry.limit)).chain([(entity, limit)]);
        let reserved: u128 =
            all().filter_map(|(_, limit)| limit.reserved).map(|rate| u128::from(rate.get())).sum();
        let is_short = |limit: &Limit| {
            let rate = limit.bytes.together.filter(|_| limit.scarce);
            rate.is_some_and(|rate| reserved > reservable(rate.get()).into())
        };
        all()
            .find(|(_, limit)| is_short(limit))
            .map_or(Ok(()), |(scarce, _)| Err(Refusal::Overbooked(scarce)))
    }

    fn take_place(&mut self) -> Result<u32, Refusal> {
        if let Some(place) = self.free.pop() {
            return Ok(place);
        }
        if self.taken as usize == ENTITIES_MAX {
            return Err(Refusal::Full);
        }
        self.taken += 1;
        Ok(self.taken - 1)
    }

    fn count_child(&mut self, parent: Option<Entity>, count: fn(u32, u32) -> u32) {
        if let Some(entry) = parent.and_then(|parent| self.entries.get_mut(&parent)) {
            entry.children = count(entry.children, 1);
        }
    }
}
