//! The words that cores share.

pub(super) use std::sync::atomic::{AtomicU64, Ordering};
