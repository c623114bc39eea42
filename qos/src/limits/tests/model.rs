//! What cores share, in all orders in which their steps can meet: nothing is granted twice, and nobody who waits is
//! forgotten. The same code as on the processor's words runs on the model checker's.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::{AcqRel, Acquire, Release, SeqCst};

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, fence};
use loom::thread;

use super::world::{bytes_per_second, read_of};
use crate::limits::Limit;
use crate::limits::bucket::Bucket;
use crate::limits::local::Local;
use crate::limits::mailbox::{Mailbox, tell};
use crate::limits::wheel::Wheel;
use crate::limits::word::Word;

impl Word for AtomicU64 {
    fn load(&self) -> u64 {
        self.load(Acquire)
    }

    fn store(&self, value: u64) {
        self.store(value, Release);
    }

    fn add(&self, value: u64) -> u64 {
        self.fetch_add(value, AcqRel)
    }

    fn set_bits(&self, bits: u64) -> u64 {
        self.fetch_or(bits, AcqRel)
    }

    fn clear_bits(&self, bits: u64) -> u64 {
        self.fetch_and(!bits, AcqRel)
    }

    fn swap(&self, value: u64) -> u64 {
        self.swap(value, AcqRel)
    }

    fn update(&self, next: impl Fn(u64) -> u64) -> u64 {
        self.fetch_update(AcqRel, Acquire, |before| Some(next(before))).expect("the closure never declines")
    }

    fn settle() {
        fence(SeqCst);
    }
}

/// The meter of bytes, reads and writes together.
const TOGETHER: usize = 2;

/// The time in these tests, in nanoseconds.
const NOW_NS: u64 = 1_000_000_000;

/// How long a request of these tests lasts at the rate before a change.
const LENGTH_NS: u64 = 10_000_000;

struct Shared {
    bucket: Bucket<AtomicU64>,
    mailboxes: [Mailbox<AtomicU64>; 2],
}

fn limit(rate: u64) -> Limit {
    Limit { burst_ns: 0, ..bytes_per_second(rate) }
}

/// An entity with a rate of a hundred megabytes per second and no burst.
fn shared() -> Arc<Shared> {
    let shared = Shared { bucket: Bucket::default(), mailboxes: [Mailbox::default(), Mailbox::default()] };
    shared.bucket.change(&limit(100_000_000), NOW_NS);
    Arc::new(shared)
}

/// A core's part of the entity, up to date.
fn local(shared: &Shared) -> Local {
    let mut local = Local::new(Wheel::new().create(()));
    local.refresh(&shared.bucket, 1);
    local
}

/// Runs `check` in all orders, with up to three switches of thread that nothing forced.
fn model(check: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(check);
}

#[test]
fn no_two_cores_get_the_same_tokens() {
    model(|| {
        let shared = shared();
        let takers: Vec<_> = (0..2)
            .map(|number| {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut local = local(&shared);
                    let ready_ns = local.take(&shared.bucket, number, read_of(1_000_000), NOW_NS);
                    if number == 0 {
                        local.return_all(&shared.bucket, number);
                    }
                    ready_ns
                })
            })
            .collect();
        let starts: Vec<u64> = takers.into_iter().map(|taker| taker.join().unwrap()).collect();
        let end_ns = shared.bucket.earliest_ns(TOGETHER, NOW_NS);
        // What came back is free again, and what did not is not.
        assert!((LENGTH_NS..LENGTH_NS + 3).contains(&(end_ns - NOW_NS)), "{starts:?} {end_ns}");
        assert!(starts.contains(&NOW_NS), "{starts:?}");
    });
}

#[test]
fn tokens_of_old_terms_are_not_taken_for_new_ones() {
    for rate in [10_000_000, 1_000_000_000] {
        model(move || {
            let shared = shared();
            let taker = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let mut local = local(&shared);
                    local.take(&shared.bucket, 0, read_of(1_000_000), NOW_NS);
                    let is_current = local.is_current(&shared.bucket);
                    local.settle(NOW_NS);
                    (is_current, local.affords(read_of(1_000_000)))
                })
            };
            shared.bucket.change(&limit(rate), NOW_NS);
            let (is_current, is_paid) = taker.join().unwrap();
            let ahead_ns = shared.bucket.earliest_ns(TOGETHER, NOW_NS) - NOW_NS;
            let new_length_ns = 1_000_000_000_000_000 / rate;
            // Whatever was in the way of whom: nobody waits longer than for one request at the lower price.
            assert!(ahead_ns <= LENGTH_NS.max(new_length_ns) + 2, "{ahead_ns}");
            // Who has tokens and finds the terms to be his own has paid the price of these terms or the one before.
            if is_current && is_paid {
                assert!(ahead_ns + 2 >= LENGTH_NS.min(new_length_ns), "{ahead_ns}");
            }
        });
    }
}

/// Whether the model checker finds that `check` does not hold.
fn is_refuted(check: impl Fn()) -> bool {
    catch_unwind(AssertUnwindSafe(check)).is_err()
}

/// A core parks somebody while the terms change: it has the new terms, sees that it has not, or is told. `is_looking`:
/// whether it looks again once it has said that it waits.
fn check_parking_beside_a_change(is_looking: bool) {
    model(move || {
        let shared = shared();
        let parker = {
            let shared = shared.clone();
            thread::spawn(move || {
                let local = local(&shared);
                let is_current = local.start_waiting(&shared.bucket, 0);
                (local, is_looking && !is_current)
            })
        };
        shared.bucket.change(&limit(1_000_000_000), NOW_NS);
        tell(&shared.bucket, &shared.mailboxes, 5, None);
        let (local, has_seen) = parker.join().unwrap();
        let is_told = shared.mailboxes[0].take() != 0;
        assert!(has_seen || is_told || local.is_current(&shared.bucket), "it waits for what is gone");
    });
}

#[test]
fn who_parks_while_terms_change_is_not_forgotten() {
    check_parking_beside_a_change(true);
    assert!(is_refuted(|| check_parking_beside_a_change(false)));
}

/// A core gives tokens back while another parks somebody behind them: that one finds them, or is told.
fn check_parking_beside_a_return(is_waiting_said_first: bool) {
    model(move || {
        let shared = shared();
        let mut giver = local(&shared);
        giver.take(&shared.bucket, 1, read_of(1_000_000), NOW_NS);
        let parker = {
            let shared = shared.clone();
            thread::spawn(move || {
                let mut local = local(&shared);
                if is_waiting_said_first {
                    local.start_waiting(&shared.bucket, 0);
                }
                let ready_ns = local.take(&shared.bucket, 0, read_of(1_000_000), NOW_NS);
                local.start_waiting(&shared.bucket, 0);
                ready_ns
            })
        };
        giver.return_all(&shared.bucket, 1);
        tell(&shared.bucket, &shared.mailboxes, 5, Some(1));
        let ready_ns = parker.join().unwrap();
        let is_told = shared.mailboxes[0].take() != 0;
        assert!(ready_ns <= NOW_NS + 1 || is_told, "it waits behind nobody");
    });
}

#[test]
fn who_parks_while_tokens_come_back_is_not_forgotten() {
    check_parking_beside_a_return(true);
    assert!(is_refuted(|| check_parking_beside_a_return(false)));
}

#[test]
fn a_letter_that_is_not_taken_has_rung() {
    model(|| {
        let mailbox = Arc::new(Mailbox::<AtomicU64>::default());
        let rings = Arc::new(AtomicU64::new(0));
        let bell = rings.clone();
        mailbox.set_bell(Box::new(move || {
            bell.add(1);
        }));
        let posters: Vec<_> = (0..2)
            .map(|place| {
                let mailbox = mailbox.clone();
                thread::spawn(move || mailbox.post(place))
            })
            .collect();
        // As a core does: it hears the bell, then takes the letters.
        rings.swap(0, AcqRel);
        let taken = mailbox.take();
        posters.into_iter().for_each(|poster| poster.join().unwrap());
        let has_rung = rings.load(Acquire) > 0;
        assert!(has_rung || !mailbox.has_letters());
        assert_eq!(taken | mailbox.take(), 0b11, "no letter is lost");
    });
}
