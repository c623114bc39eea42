//! An allocator that counts what the server's shards ask of it.
//!
//! UNSAFETY: an allocator is an unsafe trait. This one hands every call to the system's allocator as it came, and counts
//! in thread-locals and atomics that allocate nothing themselves.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Allocations are counted by size up to each of these, and beyond.
pub const SIZES_UP_TO: [usize; 5] = [64, 256, 1 << 10, 4 << 10, 64 << 10];

const SIZES: usize = SIZES_UP_TO.len() + 1;

/// Frames of the tree that tell one call site from another.
const FRAMES_SHOWN: usize = 5;

static COUNTING: AtomicBool = AtomicBool::new(false);
static TRACING: AtomicBool = AtomicBool::new(false);
static COUNTS: [AtomicU64; SIZES] = [const { AtomicU64::new(0) }; SIZES];
static SITES: Mutex<Option<HashMap<String, u64>>> = Mutex::new(None);

thread_local! {
    /// Whether this thread's allocations count.
    static COUNTED: Cell<bool> = const { Cell::new(false) };
}

/// Counts, and hands on to the system's allocator.
pub struct Counting;

// SAFETY: every call goes to `System` unchanged, whose promises these are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        note(bytes);
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of the same call.
        unsafe { System.dealloc(block, layout) }
    }
}

fn note(bytes: usize) {
    if !COUNTING.load(Ordering::Relaxed) || !COUNTED.try_with(Cell::get).unwrap_or(false) {
        return;
    }
    let size = SIZES_UP_TO.iter().position(|up_to| bytes <= *up_to).unwrap_or(SIZES - 1);
    COUNTS[size].fetch_add(1, Ordering::Relaxed);
    if TRACING.load(Ordering::Relaxed) {
        // What looking costs is not what is looked for.
        COUNTED.set(false);
        note_site(bytes);
        COUNTED.set(true);
    }
}

fn note_site(bytes: usize) {
    let site = format!("{bytes:>7} B{}", frames(&Backtrace::force_capture().to_string()));
    let mut sites = SITES.lock().unwrap_or_else(PoisonError::into_inner);
    *sites.get_or_insert_default().entry(site).or_default() += 1;
}

/// The innermost lines of the tree's own sources in a printed backtrace, innermost first.
fn frames(backtrace: &str) -> String {
    let root = testkit::root();
    let root = root.to_string_lossy();
    let places = backtrace.lines().filter_map(|line| {
        let place = line.trim().strip_prefix("at ")?;
        let place = place.strip_prefix("./").or_else(|| place.strip_prefix(&*root)).unwrap_or(place);
        let place = place.trim_start_matches('/');
        let is_ours = testkit::members().iter().any(|member| place.starts_with(&format!("{member}/src/")));
        is_ours.then(|| place.to_owned())
    });
    places.take(FRAMES_SHOWN).map(|place| format!("\n            {place}")).collect()
}

/// The calling thread is one of the server's: its allocations count from now on.
pub fn count_this_thread() {
    COUNTED.set(true);
}

/// Allocations by size, and where they were made if that was asked for.
pub struct Counted {
    /// As many as [`SIZES_UP_TO`], and one for what is larger.
    pub by_size: [u64; SIZES],
    /// Call sites, most frequent first.
    pub sites: Vec<(String, u64)>,
}

/// Begins to count; with `sites` also where from, which is slow.
pub fn begin(sites: bool) {
    COUNTS.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    *SITES.lock().unwrap_or_else(PoisonError::into_inner) = None;
    TRACING.store(sites, Ordering::Relaxed);
    COUNTING.store(true, Ordering::Relaxed);
}

/// Ends counting.
pub fn end() -> Counted {
    COUNTING.store(false, Ordering::Relaxed);
    let sites = SITES.lock().unwrap_or_else(PoisonError::into_inner).take();
    let mut sites: Vec<_> = sites.into_iter().flatten().collect();
    sites.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Counted { by_size: std::array::from_fn(|size| COUNTS[size].load(Ordering::Relaxed)), sites }
}
