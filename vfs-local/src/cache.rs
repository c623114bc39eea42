//! Open objects by handle, one bounded cache per core.
//!
//! Only its own core adds to a cache and looks things up in it; others come to take an object out when its last
//! name goes, so the lock is free but for that.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vfs::NodeHandle;

use crate::object::Object;

/// The caches of all cores.
#[derive(Debug)]
pub struct Caches {
    cores: Box<[Mutex<Cache>]>,
    /// Counts last names that went. An object found before one went is not cached after it: it may be the one.
    removals: AtomicU64,
}

/// What a finder of an object must show to have it cached.
#[derive(Clone, Copy, Debug)]
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
    }

    fn core(&self, core: usize) -> MutexGuard<'_, Cache> {
        self.cores[core].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Second chance: a hand goes round, spares once what was used since it last came by, and takes the next.
#[derive(Debug)]
struct Cache {
    objects_max: usize,
    places: HashMap<NodeHandle, usize>,
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
    hand: usize,
}

#[derive(Debug)]
struct Slot {
    object: Arc<Object>,
    used: bool,
}

impl Cache {
    fn new(objects_max: usize) -> Self {
        Self {
            objects_max: objects_max.max(1),
            places: HashMap::new(),
            slots: Vec::new(),
            free: Vec::new(),
            hand: 0,
        }
    }

    fn get(&mut self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let place = *self.places.get(handle)?;
        let slot = self.slots[place].as_mut()?;
        slot.used = true;
        Some(Arc::clone(&slot.object))
    }

    fn insert(&mut self, object: Arc<Object>) -> Option<Arc<Object>> {
        let (place, evicted) = self.place();
        self.places.insert(*object.handle(), place);
        self.slots[place] = Some(Slot { object, used: false });
        evicted
    }

    fn remove(&mut self, handle: &NodeHandle) -> Option<Arc<Object>> {
        let place = self.places.remove(handle)?;
        self.free.push(place);
        self.slots[place].take().map(|slot| slot.object)
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
            match &mut self.slots[place] {
                Some(slot) if slot.used => slot.used = false,
                Some(_) => {
                    let evicted = self.slots[place].take().map(|slot| slot.object);
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
