//! The duplicate request cache of NFSv3's procedures that must not be executed twice (RFC 1813 §4.5): a call that comes
//! again, over whatever connection, gets the first reply.
//!
//! Shared by all cores and striped by call. What one address may have is bounded, so that nobody pushes out others' replies by
//! being busy: an address has at most half of each stripe, and where a stripe is full, who has most of it gives. Less than
//! that is too little for a client with several connections: until one that was cut is made anew, thousands of calls go over
//! the others.

use std::future::Future;
use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, MutexGuard};
use std::task::{Context, Poll};

use crate::answer::Awaited;
use crate::config::Limits;
use crate::duplicate_table::{CallTable, Found};
use crate::stripes::{KeyedHash, STRIPES, Stripes};

/// What makes a call the same as another. The source port is no part of it: a call that is sent again over a new
/// connection comes from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey {
    /// Source address. An IPv4 address counts as the same when it is mapped into IPv6.
    pub address: IpAddr,
    /// The RPC transaction id.
    pub xid: u32,
    /// The NFSv3 procedure.
    pub procedure: u32,
    /// Hash of who calls and of the arguments, under a key that no peer knows, so that nobody gets a reply to anything but
    /// the very same call.
    pub fingerprint: u64,
    /// Bytes of what was hashed.
    pub length_bytes: u32,
}

/// What a call is.
#[derive(Debug)]
pub enum CallBegin {
    /// A new one, to be executed.
    Execute(CallClaim),
    /// One that was executed; this was the reply.
    Replay(Vec<u8>),
    /// One that is being executed.
    InProgress(FirstReply),
    /// The same, and enough others wait for the reply already: no reply is owed to this one.
    Discard,
}

/// The obligation to execute a call and say what the reply was. Dropped without that, the call counts as never executed.
#[must_use = "a call that is dropped here is executed again when it is sent again"]
pub struct CallClaim {
    calls: Arc<Calls>,
    /// Absent when there is no room to remember the call.
    key: Option<CallKey>,
}

/// Resolves to the reply of the call's first transmission, or to `None` when that was given up: then the call is to be
/// begun again.
#[must_use = "whoever sent the call again waits for the reply"]
#[derive(Debug)]
pub struct FirstReply {
    answer: Awaited<Vec<u8>>,
}

metric::metrics! {
    /// How the cache has done.
    pub struct DuplicateCounts {
        /// Calls remembered now, those in progress included.
        pub calls: Gauge,
        /// Bytes of the replies remembered now.
        pub reply_bytes: Gauge,
        /// Calls that were new.
        pub executed: Counter,
        /// Calls that came again and were answered with the first reply.
        pub replayed: Counter,
        /// Calls that came again and waited for the first reply.
        pub joined: Counter,
        /// Calls that came again and were dropped because enough others waited.
        pub discarded: Counter,
        /// Replies forgotten before their time for lack of room.
        pub evicted: Counter,
        /// Calls executed without being remembered for lack of room, all that is there being in progress.
        pub unremembered: Counter,
        /// Replies too long to be kept.
        pub too_long: Counter,
    }
}

/// The cache; cloning it clones a reference.
#[derive(Clone)]
pub struct DuplicateRequests {
    calls: Arc<Calls>,
}

struct Calls {
    hash: KeyedHash,
    stripes: Stripes<CallTable>,
}

impl DuplicateRequests {
    pub(crate) fn new(hash: KeyedHash, limits: &Limits) -> Self {
        let stripes = Stripes::new(|_| CallTable::new(hash, limits));
        Self { calls: Arc::new(Calls { hash, stripes }) }
    }

    /// The fingerprint of a call: of who calls and of the arguments.
    pub fn fingerprint(&self, call: &impl Hash) -> u64 {
        self.calls.hash.hash_one(call)
    }

    /// Says what is to be done with a call.
    pub fn begin(&self, call: CallKey, now: u64) -> CallBegin {
        let key = CallKey { address: call.address.to_canonical(), ..call };
        let found = self.calls.lock(&key).begin(&key, now);
        match found {
            Found::New { remembered } => {
                let key = remembered.then_some(key);
                CallBegin::Execute(CallClaim { calls: Arc::clone(&self.calls), key })
            }
            Found::Kept(reply) => CallBegin::Replay(reply),
            Found::InProgress(answer) => CallBegin::InProgress(FirstReply { answer }),
            Found::Crowded => CallBegin::Discard,
        }
    }

    /// How it has done. Takes each stripe's lock for a moment; of different stripes the moments differ.
    pub fn counts(&self) -> DuplicateCounts {
        (0..STRIPES).map(|stripe| self.calls.stripes.lock(stripe).counts()).sum()
    }

    /// Forgets what is past its time, of those too who do not call any more.
    pub(crate) fn sweep(&self, now: u64) {
        (0..STRIPES).for_each(|stripe| self.calls.stripes.lock(stripe).expire_all(now));
    }

    /// Whether a call is known.
    #[cfg(test)]
    pub(crate) fn has(&self, key: &CallKey) -> bool {
        self.calls.lock(key).has(key)
    }

    /// Bytes that the tables have from the heap, each stripe's sums having been checked.
    #[cfg(test)]
    pub(crate) fn heap_bytes(&self) -> usize {
        (0..STRIPES).map(|stripe| self.calls.stripes.lock(stripe).heap_bytes()).sum()
    }

    /// How often locks were taken.
    pub(crate) fn taken(&self) -> u64 {
        self.calls.stripes.taken()
    }
}

impl Calls {
    fn lock(&self, key: &CallKey) -> MutexGuard<'_, CallTable> {
        self.stripes.lock(self.hash.stripe(key))
    }
}

impl CallClaim {
    /// The call was executed and this is the reply.
    pub fn complete(mut self, reply: &[u8], now: u64) {
        let Some(key) = self.key.take() else { return };
        let waiting = self.calls.lock(&key).end(&key, Some(reply), now);
        waiting.into_iter().for_each(|giver| giver.give(reply.to_vec()));
    }
}

impl Drop for CallClaim {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            // Those who wait hear of it when this is dropped, the lock having been given back.
            let waiting = self.calls.lock(&key).end(&key, None, 0);
            drop(waiting);
        }
    }
}

impl std::fmt::Debug for CallClaim {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "claim of {:?}", self.key)
    }
}

impl std::fmt::Debug for DuplicateRequests {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DuplicateRequests").finish_non_exhaustive()
    }
}

impl Future for FirstReply {
    type Output = Option<Vec<u8>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        Pin::new(&mut self.answer).poll(context)
    }
}
