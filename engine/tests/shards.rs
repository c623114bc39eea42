//! Tasks, timers, shards and helper threads.

use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use engine::sync::{Notify, Semaphore, cross};
use engine::{Engine, EngineConfig, HelperError, Shard, block_on};
use rustix::thread::sched_getaffinity;

const DRAIN: Duration = Duration::from_secs(10);

fn two_shards() -> EngineConfig {
    EngineConfig { shards: Some(2), ..EngineConfig::small() }
}

#[test]
fn timers_fire_in_order() {
    let order = block_on(EngineConfig::small(), |shard| async move {
        let order = Rc::new(RefCell::new(Vec::new()));
        let start = shard.now();
        let tasks: Vec<_> = [30_u64, 10, 20, 10]
            .into_iter()
            .map(|millis| {
                let (order, shard) = (order.clone(), shard.clone());
                let sleep = shard.sleep(Duration::from_millis(millis));
                shard.clone().spawn(async move {
                    sleep.await;
                    assert!(shard.now() >= start + Duration::from_millis(millis));
                    order.borrow_mut().push(millis);
                })
            })
            .collect();
        drop(shard.sleep(Duration::from_secs(3600)));
        for task in tasks {
            task.await.unwrap();
        }
        order.take()
    });
    assert_eq!(order.unwrap(), [10, 10, 20, 30]);
}

#[test]
fn started_tasks_run_at_once_and_wake_nobody_else() {
    let told = block_on(EngineConfig::small(), |shard| async move {
        let told = Rc::new(RefCell::new(Vec::new()));
        let tell = |word: &'static str| {
            let told = told.clone();
            move || told.borrow_mut().push(word)
        };
        let before = tasks_after_a_turn(&shard).await;
        // One that keeps its waker beyond its end, so that it is woken when another may sit in its place.
        let kept: Rc<RefCell<Option<Waker>>> = Rc::default();
        let (keeper, first) = (kept.clone(), tell("first"));
        shard.start_detached(|| async move {
            let waker = poll_fn(|context| Poll::Ready(context.waker().clone())).await;
            keeper.replace(Some(waker));
            first();
        });
        // One that waits, one that is started by another, and one that just ends.
        let notify = Rc::new(Notify::new());
        let (waits, begun, ended) = (notify.clone(), tell("begun"), tell("ended"));
        shard.start_detached(|| async move {
            begun();
            waits.notified().await;
            ended();
        });
        let (inside, outer, inner) = (shard.clone(), tell("outer"), tell("inner"));
        shard.start_detached(|| async move {
            inside.start_detached(|| async move { inner() });
            outer();
        });
        let last = tell("last");
        shard.start_detached(|| async move { last() });
        told.borrow_mut().push("here");
        kept.take().expect("it was kept").wake();
        assert_eq!(tasks_after_a_turn(&shard).await, before + 1, "one waits");
        notify.notify_all();
        assert_eq!(tasks_after_a_turn(&shard).await, before);
        told.take()
    });
    assert_eq!(told.unwrap(), ["first", "begun", "inner", "outer", "last", "here", "ended"]);
}

/// Tasks that are left when all that are ready have run.
async fn tasks_after_a_turn(shard: &Shard) -> u64 {
    let turns = shard.stats().turns;
    while shard.stats().turns < turns + 2 {
        shard.yield_now().await;
    }
    shard.stats().tasks
}

#[test]
fn late_tasks_run_once_a_turn_when_the_others_have() {
    let told = block_on(EngineConfig::small(), |shard| async move {
        let told = Rc::new(RefCell::new(Vec::new()));
        let (late, early, inside) = (told.clone(), told.clone(), shard.clone());
        shard.spawn_late(async move {
            late.borrow_mut().push("late");
            inside.yield_now().await;
            late.borrow_mut().push("late again");
        });
        shard.spawn_detached(async move { early.borrow_mut().push("woken later") });
        tasks_after_a_turn(&shard).await;
        told.take()
    });
    assert_eq!(told.unwrap(), ["woken later", "late", "late again"]);
}

#[test]
fn started_tasks_count_in_the_turn() {
    let turns = block_on(EngineConfig::small(), |shard| async move {
        let before = shard.stats().turns;
        for _ in 0..10 {
            // More than a turn's worth, as of connections that all had full bursts of calls.
            (0..1_000).for_each(|_| shard.start_detached(|| async {}));
            shard.yield_now().await;
        }
        shard.stats().turns - before
    });
    assert!(turns.unwrap() >= 10, "the ring is entered in between");
}

#[test]
fn calls_wake_a_sleeping_shard() {
    let engine = Engine::start(two_shards(), |shard| async move {
        if shard.index() == 1 {
            return shard.shutting_down().await;
        }
        for round in 0..200 {
            let waits = shard.remote().stats(1).waits;
            let answer =
                shard.remote().call_on(1, move |there| async move { (there.index(), round + 1) }).await;
            assert_eq!(answer, Ok((1, round + 1)));
            // Every other round finds the other shard asleep, the others find it busy or about to sleep.
            while round % 2 == 0 && shard.remote().stats(1).waits == waits {
                shard.yield_now().await;
            }
        }
        shard.remote().shut_down(DRAIN);
    });
    engine.unwrap().join().unwrap();
}

#[test]
fn mailboxes_carry_everything_in_order() {
    const COUNT: u32 = 20_000;
    let mailbox = cross::Mailbox::<u32>::new(2, 16);
    let engine = Engine::start(two_shards(), move |shard| {
        let mailbox = mailbox.clone();
        async move {
            let mut receiver = mailbox.receiver(shard.index()).unwrap();
            assert!(mailbox.receiver(shard.index()).is_none());
            if shard.index() == 0 {
                for number in 0..COUNT {
                    mailbox.to(1).send(number).await.unwrap();
                }
                assert_eq!(receiver.recv().await, Some(COUNT));
                shard.remote().shut_down(DRAIN);
            } else {
                for number in 0..COUNT {
                    assert_eq!(receiver.recv().await, Some(number));
                }
                mailbox.to(0).send(COUNT).await.unwrap();
                shard.shutting_down().await;
            }
        }
    });
    engine.unwrap().join().unwrap();
}

/// A door that jobs wait at.
#[derive(Default)]
struct Door {
    open: Mutex<bool>,
    opened: Condvar,
}

impl Door {
    fn pass(&self) {
        let open = self.open.lock().unwrap();
        drop(self.opened.wait_while(open, |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

#[test]
fn a_hung_cap_stops_only_itself() {
    block_on(EngineConfig { helper_threads: 3, ..EngineConfig::small() }, |shard| async move {
        let helpers = shard.helpers().clone();
        let (hung, healthy) = (helpers.cap(2, 1).unwrap(), helpers.cap(1, 8).unwrap());
        let door = Arc::new(Door::default());
        let stuck: Vec<_> = (0..3)
            .map(|number| {
                let door = door.clone();
                helpers.run(&hung, move || {
                    door.pass();
                    number
                })
            })
            .collect();
        assert_eq!(hung.load(), (2, 1));
        assert_eq!(helpers.run(&hung, || ()).await, Err(HelperError::Busy));
        for number in 0..50 {
            assert_eq!(helpers.run(&healthy, move || number).await, Ok(number));
        }
        let lost = helpers.run(&healthy, || -> () { panic!("a job may panic") });
        assert_eq!(lost.await, Err(HelperError::Lost));
        assert!(helpers.threads() <= 3);
        door.open();
        let mut numbers = Vec::new();
        for job in stuck {
            numbers.push(job.await.unwrap());
        }
        assert_eq!(numbers, [0, 1, 2]);
        assert_eq!(helpers.run(&healthy, || 7).await, Ok(7), "a cap survives a panic");
    })
    .unwrap();
}

#[test]
fn shutdown_waits_for_work_and_only_for_work() {
    let finished = Arc::new(AtomicUsize::new(0));
    let seen = finished.clone();
    let engine = Engine::start(two_shards(), move |shard| {
        let finished = finished.clone();
        async move {
            let (work, worker) = (shard.work(), shard.clone());
            shard.spawn(async move {
                worker.shutting_down().await;
                for _ in 0..100 {
                    worker.yield_now().await;
                }
                worker.sleep(Duration::from_millis(5)).await;
                finished.fetch_add(1, Ordering::Relaxed);
                drop(work);
            });
            shard.spawn(std::future::pending::<()>());
        }
    })
    .unwrap();
    engine.shut_down(DRAIN);
    engine.join().unwrap();
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[test]
fn shutdown_has_an_end() {
    let engine = Engine::start(two_shards(), |_shard| std::future::pending()).unwrap();
    engine.shut_down(Duration::from_millis(20));
    engine.join().unwrap();
}

#[test]
fn a_panic_stops_the_whole_engine() {
    let engine = Engine::start(two_shards(), |shard| async move {
        if shard.index() == 1 {
            panic!("a broken invariant");
        }
        shard.shutting_down().await;
    });
    assert!(engine.unwrap().join().is_err());
}

#[test]
fn local_waiting_works_across_tasks() {
    block_on(EngineConfig::small(), |shard| async move {
        let (semaphore, notify) = (Semaphore::new(2), Rc::new(Notify::new()));
        let most = Rc::new(RefCell::new((0, 0)));
        let tasks: Vec<_> = (0..20)
            .map(|_| {
                let (semaphore, notify, most, shard) =
                    (semaphore.clone(), notify.clone(), most.clone(), shard.clone());
                shard.clone().spawn(async move {
                    notify.notified().await;
                    let _permit = semaphore.acquire().await;
                    let running = {
                        let mut most = most.borrow_mut();
                        most.0 += 1;
                        most.1 = most.1.max(most.0);
                        most.0
                    };
                    assert!(running <= 2);
                    shard.yield_now().await;
                    most.borrow_mut().0 -= 1;
                })
            })
            .collect();
        shard.yield_now().await;
        notify.notify_all();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*most.borrow(), (0, 2));
    })
    .unwrap();
}

#[test]
fn a_helper_thread_is_not_kept_on_the_core_of_the_shard_that_starts_it() {
    let allowed = sched_getaffinity(None).unwrap();
    let config = EngineConfig { pin: true, ..EngineConfig::small() };
    let (own, helpers) = block_on(config, |shard| async move {
        let cap = shard.helpers().cap(1, 1).unwrap();
        let helper = shard.helpers().run(&cap, || sched_getaffinity(None).unwrap()).await;
        (sched_getaffinity(None).unwrap(), helper.unwrap())
    })
    .unwrap();
    assert_eq!(own.count(), 1, "the shard is pinned");
    assert_eq!(helpers, allowed);
}
