//! What the caller has to do after the tables have changed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use wire::nfs4::ClientId;

use crate::file_key::FileKey;
use crate::open::OpenFiles;
use crate::session::Session;
use crate::stripes::lock;

/// A blocked lock request that may now succeed: what CB_NOTIFY_LOCK says (RFC 8881 §20.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockNotice {
    /// Whom to tell.
    pub client: ClientId,
    /// The lock-owner's name within the client.
    pub owner: Vec<u8>,
    /// The file.
    pub file: FileKey,
}

/// What has piled up since the last collection.
#[derive(Debug)]
pub struct Effects<F> {
    /// Callbacks to send. Hints: clients poll as well.
    pub notices: Vec<LockNotice>,
    /// Open files that no state needs any more, to be dropped outside of the tables' locks.
    pub files: Vec<OpenFiles<F>>,
    /// Sessions that have more slots than their target: what CB_RECALL_SLOT says (RFC 8881 §20.8). Hints: replies tell
    /// the target as well.
    pub recalls: Vec<Arc<Session>>,
}

type Pile<F> = (VecDeque<LockNotice>, Vec<OpenFiles<F>>);

/// The pile. Files are as many as there were opens, notices are bounded.
pub(crate) struct EffectPile<F> {
    pending: AtomicBool,
    pile: Mutex<Pile<F>>,
    notices_max: usize,
    /// How often the lock was taken.
    locks_taken: AtomicU64,
}

impl<F> EffectPile<F> {
    pub(crate) fn new(notices_max: usize) -> Self {
        let pile = Mutex::new((VecDeque::new(), Vec::new()));
        Self { pending: AtomicBool::new(false), pile, notices_max, locks_taken: AtomicU64::new(0) }
    }

    pub(crate) fn add(&self, notices: Vec<LockNotice>, files: Vec<OpenFiles<F>>) {
        if notices.is_empty() && files.is_empty() {
            return;
        }
        let mut pile = self.lock();
        pile.0.extend(notices);
        let excess = pile.0.len().saturating_sub(self.notices_max);
        pile.0.drain(..excess);
        pile.1.extend(files);
        self.pending.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Pile<F>> {
        self.locks_taken.fetch_add(1, Ordering::Relaxed);
        lock(&self.pile)
    }

    /// How often the lock was taken.
    pub(crate) fn taken(&self) -> u64 {
        self.locks_taken.load(Ordering::Relaxed)
    }

    /// Takes everything; costs one load when there is nothing.
    pub(crate) fn take(&self) -> Effects<F> {
        if !self.pending.load(Ordering::Acquire) {
            return Effects { notices: Vec::new(), files: Vec::new(), recalls: Vec::new() };
        }
        let mut pile = self.lock();
        self.pending.store(false, Ordering::Release);
        let (notices, files) = std::mem::take(&mut *pile);
        Effects { notices: notices.into(), files, recalls: Vec::new() }
    }
}
