//! Whether calls are traced at all.
//!
//! Traces go by the spans of the crate `tracing`: the operations open one per traced call, and storage adds what it does
//! for it as children of the current one. Where nobody records traces, all of that costs the read of one word.

use std::sync::atomic::{AtomicBool, Ordering};

/// Written once when the process starts, so that every core has it in its cache for good.
static RECORDED: AtomicBool = AtomicBool::new(false);

/// Whether somebody records traces.
pub fn is_recorded() -> bool {
    RECORDED.load(Ordering::Relaxed)
}

/// Says whether somebody records traces, for the whole process.
pub fn record(recorded: bool) {
    RECORDED.store(recorded, Ordering::Relaxed);
}
