//! The change attribute.
//!
//! Where the kernel hands out a distinct ctime for every change that somebody has looked at (multigrain time
//! stamps), ctime is the change attribute. Elsewhere ctime comes from a clock that stands still for a tick of
//! some milliseconds, and changes within one tick would look alike. There, a table counts the changes within a
//! tick, and the rule is, for an object whose ctime is `c`:
//!
//! - until the clock has passed `c` by [`OPEN_TICKS`] ticks, the value is `c` plus the changes counted at `c`;
//! - from then on it is that same value while the table remembers it, else `c` plus a tick less 1 ns, which no
//!   count reaches.
//!
//! So a value never repeats for different contents and never goes back, over a restart too: an entry that is
//! forgotten makes the value larger, and whatever is changed after a value became final gets a ctime beyond it.
//! (Two ticks and not one, because a kernel may hand out fine stamps between the coarse ones.) Only a clock that
//! is set back can make it go back, further than [`carry`] bridges; the operator's guide says so.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::time::{ClockId, clock_getres, clock_gettime};
use vfs::{Result, Time};

/// Ticks after which nothing can get the same ctime any more.
const OPEN_TICKS: i64 = 2;

/// Parts of the table, each with a lock of its own, so that cores rarely meet.
const STRIPES: usize = 64;

/// Entries of a stripe beyond which those whose ticks are over are thrown out.
const STRIPE_ENTRIES_SOFT: usize = 1024;

/// Entries of a stripe at most. An entry is open for some milliseconds only, in which no machine changes this
/// many objects; the bound keeps a clock that stands still from eating the memory.
const STRIPE_ENTRIES_MAX: usize = 16 * 1024;

/// An object within everything that is exported: device and inode number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}

impl FileKey {
    /// Which of so many places is this object's. Those of one number on many file systems, as all their roots are, have
    /// different ones.
    pub fn place(self, places: usize) -> usize {
        let spread = (self.inode ^ self.device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (spread >> 32) as usize % places
    }
}

/// The count of changes at one ctime.
#[derive(Clone, Copy, Debug)]
struct Entry {
    ctime_ns: i64,
    count: i64,
}

/// Counts changes within a tick of the clock.
#[derive(Debug)]
pub struct ChangeTable {
    stripes: Box<[Mutex<Stripe>]>,
}

#[derive(Debug, Default)]
struct Stripe {
    entries: HashMap<FileKey, Entry>,
    locks_taken: u64,
}

impl Default for ChangeTable {
    fn default() -> Self {
        Self { stripes: (0..STRIPES).map(|_| Mutex::default()).collect() }
    }
}

impl ChangeTable {
    /// Notes a change by this server that left `key` with `ctime`, on a file system with time stamps of
    /// `tick_ns`.
    pub fn changed(&self, key: FileKey, ctime: Time, tick_ns: i64) {
        let mut stripe = self.stripe(key);
        note(&mut stripe.entries, key, nanoseconds(ctime), tick_ns, coarse_now_ns());
    }

    /// Looks at `key` with `look` and gives the change attribute for what it saw. The table cannot change for
    /// this object between the two, so a value is never newer than what was seen.
    pub fn value<T>(
        &self,
        key: FileKey,
        tick_ns: i64,
        look: impl FnOnce() -> Result<(T, Time)>,
    ) -> Result<(T, u64)> {
        let mut stripe = self.stripe(key);
        let (seen, ctime) = look()?;
        let value_ns = value(&mut stripe.entries, key, nanoseconds(ctime), tick_ns, coarse_now_ns());
        Ok((seen, encode_ns(value_ns)))
    }

    /// How often a lock was taken.
    pub fn locks_taken(&self) -> u64 {
        self.stripes.iter().map(|stripe| sound(stripe).locks_taken).sum()
    }

    fn stripe(&self, key: FileKey) -> MutexGuard<'_, Stripe> {
        let mut stripe = sound(&self.stripes[key.place(STRIPES)]);
        stripe.locks_taken += 1;
        stripe
    }
}

/// Each change to a stripe is complete in itself, so one left by a panic is sound.
fn sound(stripe: &Mutex<Stripe>) -> MutexGuard<'_, Stripe> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

/// ctime as a change attribute: seconds above, nanoseconds below, so that it grows with time.
pub fn encode(ctime: Time) -> u64 {
    ((ctime.seconds as u64) << 30) | u64::from(ctime.nanoseconds)
}

/// The tick of the clock that coarse time stamps come from, in nanoseconds.
pub fn coarse_tick_ns() -> i64 {
    let tick = clock_getres(ClockId::RealtimeCoarse);
    (tick.tv_sec * 1_000_000_000 + tick.tv_nsec).max(1)
}

fn coarse_now_ns() -> i64 {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

fn nanoseconds(time: Time) -> i64 {
    time.seconds.saturating_mul(1_000_000_000).saturating_add(i64::from(time.nanoseconds))
}

fn encode_ns(value_ns: i64) -> u64 {
    encode(Time {
        seconds: value_ns.div_euclid(1_000_000_000),
        nanoseconds: value_ns.rem_euclid(1_000_000_000) as u32,
    })
}

fn note(stripe: &mut HashMap<FileKey, Entry>, key: FileKey, ctime_ns: i64, tick_ns: i64, now_ns: i64) {
    if let Some(entry) = stripe.get_mut(&key) {
        *entry = match *entry {
            Entry { ctime_ns: known_ns, count } if known_ns == ctime_ns => {
                Entry { ctime_ns, count: (count + 1).min(tick_ns - 2) }
            }
            older => carry(older, ctime_ns, tick_ns),
        };
        return;
    }
    make_room(stripe, tick_ns, now_ns);
    stripe.insert(key, Entry { ctime_ns, count: 0 });
}

fn value(
    stripe: &mut HashMap<FileKey, Entry>,
    key: FileKey,
    ctime_ns: i64,
    tick_ns: i64,
    now_ns: i64,
) -> i64 {
    let entry = stripe.get(&key).copied();
    if let Some(entry) = entry
        && entry.ctime_ns == ctime_ns
    {
        return ctime_ns + entry.count;
    }
    if is_over(ctime_ns, tick_ns, now_ns) {
        return ctime_ns.saturating_add(tick_ns - 1);
    }
    if entry.is_none() {
        make_room(stripe, tick_ns, now_ns);
    }
    let fresh = entry.map_or(Entry { ctime_ns, count: 0 }, |older| carry(older, ctime_ns, tick_ns));
    stripe.insert(key, fresh);
    fresh.ctime_ns + fresh.count
}

/// The entry for a new ctime after `older`: beyond everything that was said of the old one, as long as that is
/// less than a tick away (fine stamps close together, a clock that was nudged back).
fn carry(older: Entry, ctime_ns: i64, tick_ns: i64) -> Entry {
    let lead = older.ctime_ns.saturating_add(older.count + 1).saturating_sub(ctime_ns);
    let count = if (0..tick_ns - 1).contains(&lead) { lead } else { 0 };
    Entry { ctime_ns, count }
}

/// Whether nothing can get the ctime `ctime_ns` any more.
fn is_over(ctime_ns: i64, tick_ns: i64, now_ns: i64) -> bool {
    now_ns.saturating_sub(ctime_ns) >= OPEN_TICKS * tick_ns
}

fn make_room(stripe: &mut HashMap<FileKey, Entry>, tick_ns: i64, now_ns: i64) {
    if stripe.len() < STRIPE_ENTRIES_SOFT {
        return;
    }
    stripe.retain(|_, entry| !is_over(entry.ctime_ns, tick_ns, now_ns));
    if stripe.len() < STRIPE_ENTRIES_MAX {
        return;
    }
    if let Some(oldest) = stripe.iter().min_by_key(|(_, entry)| entry.ctime_ns).map(|(key, _)| *key) {
        stripe.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: i64 = 4_000_000;
    const KEY: FileKey = FileKey { device: 1, inode: 2 };

    #[test]
    fn changes_within_a_tick_differ() {
        let mut stripe = HashMap::new();
        let first = value(&mut stripe, KEY, 100 * TICK, TICK, 100 * TICK);
        note(&mut stripe, KEY, 100 * TICK, TICK, 100 * TICK);
        let second = value(&mut stripe, KEY, 100 * TICK, TICK, 100 * TICK);
        assert!(second > first);
    }

    #[test]
    fn forgetting_never_goes_back_and_the_next_tick_is_beyond() {
        let mut stripe = HashMap::new();
        value(&mut stripe, KEY, 100 * TICK, TICK, 100 * TICK);
        for _ in 0..50 {
            note(&mut stripe, KEY, 100 * TICK, TICK, 100 * TICK);
        }
        let counted = value(&mut stripe, KEY, 100 * TICK, TICK, 103 * TICK);
        let forgotten = value(&mut HashMap::new(), KEY, 100 * TICK, TICK, 103 * TICK);
        assert!(forgotten >= counted);
        let next = value(&mut HashMap::new(), KEY, 103 * TICK, TICK, 103 * TICK);
        assert!(next > forgotten);
    }

    #[test]
    fn fine_stamps_between_coarse_ones_stay_in_order() {
        let mut stripe = HashMap::new();
        let mut last = 0;
        let mut ctime_ns = 100 * TICK;
        for step in 0..5_000 {
            // Sometimes the stamp moves by less than the changes counted at it.
            if step % 7 == 0 {
                ctime_ns += 3;
            }
            note(&mut stripe, KEY, ctime_ns, TICK, 100 * TICK);
            let now = value(&mut stripe, KEY, ctime_ns, TICK, 100 * TICK);
            assert!(now > last, "step {step}: {now} after {last}");
            last = now;
        }
    }

    #[test]
    fn room_is_made_from_ended_ticks_only() {
        let mut stripe = HashMap::new();
        for inode in 0..STRIPE_ENTRIES_SOFT as u64 {
            note(&mut stripe, FileKey { device: 1, inode }, 100 * TICK, TICK, 100 * TICK);
        }
        note(&mut stripe, FileKey { device: 2, inode: 0 }, 101 * TICK, TICK, 101 * TICK);
        assert_eq!(stripe.len(), STRIPE_ENTRIES_SOFT + 1, "all ticks are open");
        note(&mut stripe, FileKey { device: 2, inode: 1 }, 102 * TICK, TICK, 102 * TICK);
        assert_eq!(stripe.len(), 2, "the first tick is over");
    }

    #[test]
    fn encoding_keeps_the_order() {
        let times = [(0, 0), (0, 999_999_999), (1, 0), (1_700_000_000, 5)];
        let values = times.map(|(seconds, nanoseconds)| encode(Time { seconds, nanoseconds }));
        assert!(values.is_sorted_by(|earlier, later| earlier < later));
    }
}
