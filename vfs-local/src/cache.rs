//! Open objects by handle, one bounded cache per core.
//!
//! Only its own core adds to a cache and looks things up in it; others come to take an object out when its last
//! name goes, so the lock is free but for that. What a core has used lately it finds without the lock, see [`Recent`].

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use vfs::NodeHandle;

use crate::object::Object;

/// The caches of all cores.
#[derive(Debug)]
pub struct Caches {
    cores: Box<[Mutex<Cache>]>,
    /// Counts last names that went, each before it is taken out of the caches and after. An object found before one went
    /// is not cached after it: it may be the one.
    removals: AtomicU64,
}

/// What a finder of an object must show to have it cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

impl Caches {
    /// Caches of at most `objects_max` each for `cores` cores.
    pub fn new(cores: usize, objects_max: usize) -> Self {
        Self {
            cores: (0..cores).map(|_| Mutex::new(Cache::new(objects_max))).collect(),
            removals: AtomicU64::new(0),
        }
    }

    /// To be taken before an object is looked for.
    pub fn epoch(&self) -> Epoch {
        Epoch(self.removals.load(Ordering::SeqCst))
    }

    /// The object of this name, if `core` has it open.
    pub fn get(&self, core: usize, handle: &NodeHandle) -> Option<Arc<Object>> {
        self.core(core).get(handle)
    }

    /// Keeps `object` for `core`, or answers the one it already has open.
    pub fn keep(&self, core: usize, object: Arc<Object>, epoch: Epoch) -> Arc<Object> {
        let mut cache = self.core(core);
        if let Some(known) = cache.get(object.handle()) {
            return known;
        }
        if object.named() && self.removals.load(Ordering::SeqCst) == epoch.0 {
            let evicted = cache.insert(Arc::clone(&object));
            drop(cache);
            // Closing may be work; it is done without the lock.
            drop(evicted);
        }
        object
    }

    /// Closes the object of this name on every core.
    pub fn forget(&self, handle: &NodeHandle) {
        self.removals.fetch_add(1, Ordering::SeqCst);
        for core in &self.cores {
            let taken = core.lock().unwrap_or_else(PoisonError::into_inner).remove(handle);
            drop(taken);
        }
        self.removals.fetch_add(1, Ordering::SeqCst);
    }

    /// How often a core's cache was locked by its own core.
    pub fn locks_taken(&self) -> u64 {
        let taken = |core: &Mutex<Cache>| core.lock().unwrap_or_else(PoisonError::into_inner).locks_taken;
        self.cores.iter().map(taken).sum()
    }

    fn core(&self, core: usize) -> MutexGuard<'_, Cache> {
        let mut cache = self.cores[core].lock().unwrap_or_else(PoisonError::into_inner);
        cache.locks_taken += 1;
        cache
    }
}

/// Objects that one core remembers without a lock: as many as a busy client works with at one time.
const RECENT: usize = 1024;

/// Objects that one core has found open lately, for that core alone. It keeps none open, and what it remembers counts only
/// as long as no last name has gone anywhere.
#[derive(Debug)]
pub struct Recent {
    places: RefCell<Box<[Remembered]>>,
}

/// An object, and since when it is remembered.
type Remembered = Option<(Epoch, Weak<Object>)>;

impl Default for Recent {
    fn default() -> Self {
        Self { places: RefCell::new(vec![None; RECENT].into_boxed_slice()) }
    }
}

impl Recent {
    /// The object of this name, if the core has used it lately. The epoch is the present one.
    pub fn get(&self, handle: &NodeHandle, epoch: Epoch) -> Option<Arc<Object>> {
        let places = self.places.borrow();
        let (then, object) = places[place_of(handle)].as_ref()?;
        let object = if *then == epoch { object.upgrade()? } else { return None };
        if object.handle() != handle {
            return None;
        }
        object.note_use();
        Some(object)
    }

    /// Remembers an object that was found open after `epoch` was taken: a last name that went in between, or is going, is
    /// counted once more behind that.
    pub fn note(&self, object: &Arc<Object>, epoch: Epoch) {
        self.places.borrow_mut()[place_of(object.handle())] = Some((epoch, Arc::downgrade(object)));
    }
}

/// Where a name is remembered. Names that meet there only displace each other.
fn place_of(handle: &NodeHandle) -> usize {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = handle.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, mix);
    (hash ^ (hash >> 32)) as usize % RECENT
}

/// Second chance: a hand goes round, spares once what was used since it last came by, and takes the next.
#[derive(Debug)]
struct Cache {
    objects_max: usize,
    places: HashMap<NodeHandle, usize>,
    slots: Vec<Option<Arc<Object>>>,
    free: Vec<usize>,
    hand: usize,
    /// How often its own core has locked it.
    locks_taken: u64,
}

impl Cache {
    fn new(objects_max: usize) -> Self {
        Self {
            objects_max: objects_max.max(1),
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
            locks_taken: 0,
        }
    }

    fn get(&mut self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let place = *self.places.get(handle)?;
        let object = self.slots[place].as_ref()?;
        object.note_use();
        Some(Arc::clone(object))
    }

    fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let (place, evicted) = self.place();
        self.places.insert(*object.handle(), place);
        object.forget_use();
        self.slots[place] = Some(object);
        evicted
    }

    fn remove(&mut self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let place = self.places.remove(handle)?;
        self.free.push(place);
        self.slots[place].take()
    }

    /// An empty slot, and what had to go for it.
    fn place(&mut self) -> (usize, Option<Arc<Object>>) {
        if let Some(place) = self.free.pop() {
            return (place, None);
        }
        if self.slots.len() < self.objects_max {
            self.slots.push(None);
            return (self.slots.len() - 1, None);
        }
        loop {
            let place = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            match &self.slots[place] {
                Some(object) if object.forget_use() => {}
                Some(_) => {
                    let evicted = self.slots[place].take();
                    if let Some(object) = &evicted {
                        self.places.remove(object.handle());
                    }
                    return (place, evicted);
                }
                None => unreachable!("an empty slot is in the free list"),
            }
        }
    }
}
