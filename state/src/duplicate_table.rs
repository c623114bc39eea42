//! One stripe of the duplicate request cache.

use std::cmp::Reverse;
use std::collections::{BTreeSet, VecDeque};

use wire::origin::origin;

use crate::answer::{Awaited, Giver, answer};
use crate::config::Limits;
use crate::duplicate::{CallKey, DuplicateCounts};
use crate::stripes::{KeyedHash, KeyedMap, STRIPES};

/// Retransmissions that wait for the reply of one call in progress. A client sends the next one when it has lost the
/// connection of the last, so more are of no use to it.
const WAITING_MAX: usize = 4;

/// Bytes that a remembered call takes besides its reply: its places in the tables, which may be half empty, and the
/// record of a source address that has no other. As resident memory grew with calls of ten thousand addresses, one each,
/// rounded up: the allocator keeps more than it is asked for.
pub(crate) const CALL_BYTES: u64 = 1088;

pub(crate) struct CallTable {
    calls_max: usize,
    reply_bytes_max: usize,
    kept_ns: u64,
    calls: KeyedMap<CallKey, Call>,
    origins: KeyedMap<u128, Origin>,
    /// Those of which replies are kept; the last has most.
    ranks: BTreeSet<Rank>,
    counts: DuplicateCounts,
}

/// What is known of a call.
pub(crate) enum Found {
    /// Nothing. It is to be executed, and if `remembered` to be [ended](CallTable::end).
    New { remembered: bool },
    /// Its reply.
    Kept(Vec<u8>),
    /// It is in progress; its reply will come here.
    InProgress(Awaited<Vec<u8>>),
    /// It is in progress, and enough others wait.
    Crowded,
}

enum Call {
    /// With those who wait for its reply.
    InProgress(Vec<Giver<Vec<u8>>>),
    /// The reply of one that was executed.
    Kept(Box<[u8]>),
}

/// The calls of one source address.
#[derive(Default)]
struct Origin {
    calls: usize,
    /// When each of those that were executed was, oldest first.
    kept: VecDeque<(u64, CallKey)>,
}

/// Number of replies kept; of those who have as many, who has the oldest comes last. And whose they are.
type Rank = (usize, Reverse<u64>, u128);

impl CallTable {
    pub(crate) fn new(hash: KeyedHash, limits: &Limits) -> Self {
        Self {
            calls_max: (limits.duplicates_max as usize / STRIPES).max(2),
            reply_bytes_max: limits.duplicate_reply_bytes_max as usize,
            kept_ns: limits.duplicate_kept_ns,
            calls: KeyedMap::with_hasher(hash),
            origins: KeyedMap::with_hasher(hash),
            ranks: BTreeSet::new(),
            counts: DuplicateCounts::default(),
        }
    }

    pub(crate) fn counts(&self) -> DuplicateCounts {
        DuplicateCounts { calls: self.calls.len() as u64, ..self.counts }
    }

    /// Looks for a call, and notes it when it is new.
    pub(crate) fn begin(&mut self, key: &CallKey, now: u64) -> Found {
        let origin = origin(key.address);
        self.expire(origin, now);
        match self.calls.get_mut(key) {
            Some(Call::Kept(reply)) => {
                self.counts.replayed += 1;
                Found::Kept(reply.to_vec())
            }
            Some(Call::InProgress(waiting)) => {
                waiting.retain(Giver::is_awaited);
                if waiting.len() == WAITING_MAX {
                    self.counts.discarded += 1;
                    return Found::Crowded;
                }
                self.counts.joined += 1;
                let (giver, answer) = answer();
                waiting.push(giver);
                Found::InProgress(answer)
            }
            None => {
                self.counts.executed += 1;
                let remembered = self.make_room(origin);
                if remembered {
                    self.origins.entry(origin).or_default().calls += 1;
                    self.calls.insert(*key, Call::InProgress(Vec::new()));
                } else {
                    self.counts.unremembered += 1;
                }
                Found::New { remembered }
            }
        }
    }

    /// Ends a call in progress, with its reply or as if it had never been executed. Those who wait for it are to be told.
    pub(crate) fn end(&mut self, key: &CallKey, reply: Option<&[u8]>, now: u64) -> Vec<Giver<Vec<u8>>> {
        let kept = reply.filter(|reply| reply.len() <= self.reply_bytes_max);
        self.counts.too_long += u64::from(kept.is_none() && reply.is_some());
        let ended = if let Some(reply) = kept {
            self.counts.reply_bytes += reply.len() as u64;
            self.change(origin(key.address), |own| own.kept.push_back((now, *key)));
            self.calls.insert(*key, Call::Kept(reply.into()))
        } else {
            self.change(origin(key.address), |own| own.calls -= 1);
            self.calls.remove(key)
        };
        match ended {
            Some(Call::InProgress(waiting)) => waiting,
            _ => unreachable!("a call in progress stays until its claim ends"),
        }
    }

    /// Forgets the replies that are past their time, of those too who do not call any more.
    pub(crate) fn expire_all(&mut self, now: u64) {
        let due = self.origins.iter().filter(|(_, own)| own.has_expired(now, self.kept_ns));
        for origin in due.map(|(origin, _)| *origin).collect::<Vec<_>>() {
            self.expire(origin, now);
        }
    }

    fn expire(&mut self, origin: u128, now: u64) {
        while self.origins.get(&origin).is_some_and(|own| own.has_expired(now, self.kept_ns)) {
            self.forget_oldest(origin);
        }
    }

    /// Sees to it that there is room for one more call of `origin`.
    fn make_room(&mut self, origin: u128) -> bool {
        let own = self.origins.get(&origin).map_or(0, |own| own.calls);
        let gives = if own >= self.calls_max / 2 {
            Some(origin)
        } else if self.calls.len() >= self.calls_max {
            self.ranks.last().map(|(_, _, most)| *most)
        } else {
            return true;
        };
        let evicted = gives.is_some_and(|gives| self.forget_oldest(gives));
        self.counts.evicted += u64::from(evicted);
        evicted
    }

    /// Forgets the oldest reply of this source address, if any is kept.
    fn forget_oldest(&mut self, origin: u128) -> bool {
        let mut oldest = None;
        self.change(origin, |own| {
            oldest = own.kept.pop_front();
            own.calls -= usize::from(oldest.is_some());
            if own.kept.len() < own.kept.capacity() / 4 {
                // Who once had many does not hold their room.
                own.kept.shrink_to(own.kept.capacity() / 2);
            }
        });
        let Some((_, key)) = oldest else { return false };
        let Some(Call::Kept(reply)) = self.calls.remove(&key) else {
            unreachable!("a reply that is kept is in the table");
        };
        self.counts.reply_bytes -= reply.len() as u64;
        true
    }

    fn change(&mut self, origin: u128, change: impl FnOnce(&mut Origin)) {
        let own = self.origins.entry(origin).or_default();
        own.rank(origin).map(|rank| self.ranks.remove(&rank));
        change(own);
        own.rank(origin).map(|rank| self.ranks.insert(rank));
        if own.calls == 0 {
            self.origins.remove(&origin);
        }
    }
}

impl Origin {
    fn has_expired(&self, now: u64, kept_ns: u64) -> bool {
        self.kept.front().is_some_and(|(at, _)| now.saturating_sub(*at) >= kept_ns)
    }

    fn rank(&self, origin: u128) -> Option<Rank> {
        self.kept.front().map(|(at, _)| (self.kept.len(), Reverse(*at), origin))
    }
}

#[cfg(test)]
impl CallTable {
    /// Whether a call is known.
    pub(crate) fn has(&self, key: &CallKey) -> bool {
        self.calls.contains_key(key)
    }

    /// Bytes it has from the heap, its sums having been checked.
    pub(crate) fn heap_bytes(&self) -> usize {
        let origins = self.origins.values();
        let (calls, kept) = origins.fold((0, 0), |sum, own| (sum.0 + own.calls, sum.1 + own.kept.len()));
        let replies = self.calls.values().filter_map(|call| match call {
            Call::Kept(reply) => Some(reply.len()),
            Call::InProgress(_) => None,
        });
        let (replies, reply_bytes) = replies.fold((0, 0), |sum, bytes| (sum.0 + 1, sum.1 + bytes));
        assert_eq!((calls, kept), (self.calls.len(), replies));
        assert_eq!(reply_bytes as u64, self.counts.reply_bytes);
        let ranks: BTreeSet<_> = self.origins.iter().filter_map(|(origin, own)| own.rank(*origin)).collect();
        assert_eq!(ranks, self.ranks);
        // A map keeps an eighth of its places free and has a byte more for each, a set's nodes are half full at least, and
        // an allocation has 16 bytes of its own.
        let map = |capacity: usize, entry: usize| (capacity * 8 / 7).next_power_of_two() * (entry + 1);
        let queue = |own: &Origin| own.kept.capacity() * size_of::<(u64, CallKey)>() + 16;
        map(self.calls.capacity(), size_of::<(CallKey, Call)>())
            + map(self.origins.capacity(), size_of::<(u128, Origin)>())
            + self.origins.values().map(queue).sum::<usize>()
            + self.ranks.len() * 2 * size_of::<Rank>()
            + reply_bytes
            + replies * 16
    }
}
