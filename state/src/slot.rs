//! One slot of a session's reply cache (RFC 8881 §2.10.6.1): a word that says who owns the reply, and the
//! reply.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::stripes::lock;

/// The low half of the word is the sequence id of the last request.
const SEQUENCE_MASK: u64 = u32::MAX as u64;
/// A request of that sequence id runs; only its claim touches the reply.
const BUSY: u64 = 1 << 32;
/// A request of that sequence id was accepted on this slot.
const USED: u64 = 1 << 33;
/// Its reply is kept.
const CACHED: u64 = 1 << 34;
/// The slot was given up; a client that is granted it again may go on or start at 1.
const RETIRED: u64 = 1 << 35;

/// What a request finds at its slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SlotBegin {
    /// It is new, and the slot is the caller's until [`Slot::complete`].
    Execute,
    /// It was executed; this was the reply.
    Replay(Vec<u8>),
    /// It was executed; the reply was not kept.
    Uncached,
    /// It still runs.
    Busy,
    /// Neither the next nor the last (RFC 8881 §18.46.3).
    Misordered,
    /// The sequence id of the last request on a different request.
    FalseRetry,
    /// The slot is not granted any more.
    NotGranted,
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    word: AtomicU64,
    fingerprint: AtomicU64,
    /// Generation of the target that the last reply told (see `Session::begin`).
    told: AtomicU32,
    /// Touched by the claim's holder and by retries of a completed request: nobody waits in the usual course.
    reply: Mutex<Vec<u8>>,
}

impl Slot {
    /// Takes the slot for a request. `granted`: whether new requests may use it; `fingerprint`: 0 if unknown.
    pub(crate) fn begin(&self, sequence: u32, fingerprint: u64, granted: bool) -> SlotBegin {
        loop {
            let word = self.word.load(Ordering::Acquire);
            let last = word as u32;
            let restarted = word & RETIRED != 0 && sequence == 1;
            if !restarted && sequence == last {
                match self.retry(word, fingerprint) {
                    Some(outcome) => return outcome,
                    // The next request came while the reply was being read.
                    None => continue,
                }
            }
            let is_next = restarted || sequence == last.wrapping_add(1);
            // The client got no reply to the last request yet, so it cannot know to use the next sequence id.
            if !is_next || word & BUSY != 0 {
                return SlotBegin::Misordered;
            }
            if !granted {
                return SlotBegin::NotGranted;
            }
            let taken = u64::from(sequence) | BUSY | USED;
            if self.word.compare_exchange(word, taken, Ordering::SeqCst, Ordering::Acquire).is_ok() {
                self.fingerprint.store(fingerprint, Ordering::Relaxed);
                return SlotBegin::Execute;
            }
        }
    }

    fn retry(&self, word: u64, fingerprint: u64) -> Option<SlotBegin> {
        if word & USED == 0 {
            // RFC 8881 §18.36.4: a fresh slot holds NFS4ERR_SEQ_MISORDERED as the reply of sequence id 0.
            return Some(SlotBegin::Misordered);
        }
        if word & BUSY != 0 {
            return Some(SlotBegin::Busy);
        }
        let first = self.fingerprint.load(Ordering::Relaxed);
        let reply = if word & CACHED == 0 { None } else { Some(lock(&self.reply).clone()) };
        if self.word.load(Ordering::Acquire) != word {
            return None;
        }
        if first != 0 && fingerprint != 0 && first != fingerprint {
            return Some(SlotBegin::FalseRetry);
        }
        Some(reply.map_or(SlotBegin::Uncached, SlotBegin::Replay))
    }

    /// Undoes a [`SlotBegin::Execute`] before anything was executed.
    pub(crate) fn withdraw(&self, sequence: u32) {
        // Whatever was cached was given up by the client when it used the next sequence id.
        let word = u64::from(sequence.wrapping_sub(1)) | if sequence == 1 { 0 } else { USED };
        self.word.store(word, Ordering::Release);
    }

    /// Ends the request whose claim the caller holds; `reply` is kept for retries.
    pub(crate) fn complete(&self, sequence: u32, reply: Option<&[u8]>, told: u32) {
        let mut word = u64::from(sequence) | USED;
        if let Some(bytes) = reply {
            let mut kept = lock(&self.reply);
            kept.clear();
            kept.extend_from_slice(bytes);
            word |= CACHED;
        }
        self.told.store(told, Ordering::Relaxed);
        self.word.store(word, Ordering::SeqCst);
    }

    /// Generation of the target that the last completed request's reply carried.
    pub(crate) fn told(&self) -> u32 {
        self.told.load(Ordering::Relaxed)
    }

    pub(crate) fn is_busy(&self) -> bool {
        self.word.load(Ordering::SeqCst) & BUSY != 0
    }

    /// Gives the slot up and frees its reply, unless a request runs on it.
    pub(crate) fn retire(&self) -> bool {
        // Held throughout, so that a request that takes the slot right after cannot lose its reply here.
        let mut reply = lock(&self.reply);
        let retired = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & BUSY == 0).then_some((word & SEQUENCE_MASK) | RETIRED)
        });
        if retired.is_ok() {
            *reply = Vec::new();
        }
        retired.is_ok()
    }
}
