//! The gate and the queue, polled by hand: no executor, no clock.

use std::future::Future;
use std::num::NonZeroU64;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use crate::limits::{self, BURST_NS_DEFAULT, Entity, Limit, Limits, Path, Rates};
use crate::{Admission, Admit, Bounds, Busy, CLOSED_NS_MAX, Gate, Kind, Lapsed, Pass, Request};

/// Counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// A future with a waker of its own, and whether it was woken since it was last polled.
struct Task<F> {
    future: F,
    bell: Arc<Bell>,
}

impl<F: Future + Unpin> Task<F> {
    fn new(future: F) -> Self {
        Self { future, bell: Arc::default() }
    }

    fn poll(&mut self) -> Poll<F::Output> {
        self.bell.0.store(0, Ordering::Relaxed);
        let waker = Waker::from(self.bell.clone());
        pin!(&mut self.future).poll(&mut Context::from_waker(&waker))
    }

    fn is_woken(&self) -> bool {
        self.bell.0.load(Ordering::Relaxed) > 0
    }
}

fn request_of(client: u64) -> Request {
    Request { client, export: 1, bytes: 4096, kind: Kind::Write, held_ns: 0 }
}

fn admission_with(per_client: usize) -> Admission {
    let limits = limits::Core::new(&Limits::new(), 0);
    Admission::new(Gate::new(), Bounds { per_client, total: 100 }, limits, limits::IO_UNIT_BYTES_DEFAULT)
}

fn admit(admission: &Admission, client: u64, now_ns: u64) -> Task<Admit> {
    Task::new(admission.admit(&mut Path::none(), request_of(client), now_ns))
}

fn parked(admission: &Admission, client: u64) -> Task<Admit> {
    let mut task = admit(admission, client, 10);
    assert!(task.poll().is_pending());
    task
}

fn passed(task: &mut Task<Admit>) -> Pass {
    match task.poll() {
        Poll::Ready(Ok(pass)) => pass,
        other => panic!("not admitted: {other:?}"),
    }
}

#[test]
fn an_open_gate_admits_at_once_and_counts_the_pass() {
    let admission = admission_with(8);
    let pass = passed(&mut admit(&admission, 1, 0));
    assert_eq!(admission.gate().status().in_flight, 1);
    drop(pass);
    assert_eq!(admission.gate().status().in_flight, 0);
    assert_eq!(admission.parked_count(), 0);
}

#[test]
fn who_passes_at_once_overtakes_nobody() {
    let admission = admission_with(8);
    let pass = admission.pass_now(0).unwrap();
    assert_eq!(admission.gate().status().in_flight, 1);
    drop(pass);
    let epoch = admission.gate().close(0, 1_000).unwrap();
    assert!(admission.pass_now(1).is_none());
    let mut first = parked(&admission, 1);
    admission.gate().open(epoch, 2).unwrap();
    assert!(admission.pass_now(3).is_none(), "somebody was there before");
    drop(passed(&mut first));
    assert!(admission.pass_now(4).is_some());
}

#[test]
fn closing_drains_what_is_in_flight_and_wakes_the_drainer_once() {
    let gate = Gate::new();
    let (first, second) = (gate.try_enter(0).unwrap(), gate.try_enter(0).unwrap());
    let epoch = gate.close(0, 1_000).unwrap();
    let mut drained = Task::new(gate.drained(epoch));
    assert!(drained.poll().is_pending());
    assert!(!gate.status().is_drained());

    drop(first);
    assert!(!drained.is_woken(), "one is still in flight");
    drop(second);
    assert!(drained.is_woken());
    assert_eq!(drained.poll(), Poll::Ready(Ok(())));
    assert!(gate.status().is_drained());
    assert!(gate.try_enter(999).is_none());
    assert_eq!(gate.open(epoch, 999), Ok(()));
    assert!(gate.try_enter(999).is_some());
}

#[test]
fn a_gate_past_its_deadline_opens_itself_and_voids_the_closing() {
    let gate = Gate::new();
    let in_flight = gate.try_enter(0).unwrap();
    let epoch = gate.close(0, 1_000).unwrap();
    let (mut drained, mut enter) = (Task::new(gate.drained(epoch)), Task::new(gate.enter(500)));
    assert!(drained.poll().is_pending() && enter.poll().is_pending());

    assert!(!gate.tick(999));
    assert!(gate.tick(1_000));
    assert!(drained.is_woken() && enter.is_woken());
    assert_eq!(drained.poll(), Poll::Ready(Err(Lapsed)), "an empty gate is no proof once it opened");
    assert!(enter.poll().is_ready());
    assert_eq!(gate.verify(epoch, 1_000), Err(Lapsed));
    assert_eq!(gate.open(epoch, 1_000), Err(Lapsed));
    assert_eq!(gate.extend(epoch, 1_000, 2_000), Err(Lapsed));
    assert_eq!(gate.status().lapses, 1);
    drop(in_flight);
}

#[test]
fn a_later_closing_is_not_taken_for_the_lapsed_one() {
    let gate = Gate::new();
    let lapsed = gate.close(0, 1_000).unwrap();
    let current = gate.close(2_000, 3_000).unwrap();
    assert!(current > lapsed);
    assert_eq!(gate.verify(lapsed, 2_000), Err(Lapsed));
    assert_eq!(gate.open(lapsed, 2_000), Err(Lapsed));
    assert_eq!(gate.verify(current, 2_000), Ok(()));
    assert_eq!(gate.close(2_500, 9_000).unwrap_err().epoch, current);
}

#[test]
fn a_deadline_moves_but_never_beyond_the_bound() {
    let gate = Gate::new();
    let epoch = gate.close(5, u64::MAX).unwrap();
    assert_eq!(gate.status().deadline_ns, Some(5 + CLOSED_NS_MAX));
    gate.extend(epoch, 10, 20).unwrap();
    assert_eq!(gate.status().deadline_ns, Some(20));
    assert!(gate.try_enter(20).is_some(), "whoever comes after the deadline opens it himself");
}

#[test]
fn parked_requests_go_on_in_order_of_arrival_whatever_order_they_are_polled_in() {
    let admission = admission_with(8);
    let epoch = admission.gate().close(0, 1_000).unwrap();
    let mut tasks = [parked(&admission, 1), parked(&admission, 2), parked(&admission, 3)];
    assert_eq!(admission.parked().iter().map(|one| one.request.client).collect::<Vec<_>>(), [1, 2, 3]);

    admission.gate().open(epoch, 20).unwrap();
    assert!(tasks[0].is_woken());
    assert!(tasks[2].poll().is_pending(), "the third does not overtake");
    let mut late = parked(&admission, 4);
    let _first = passed(&mut tasks[0]);
    assert!(tasks[1].is_woken());
    let _second = passed(&mut tasks[1]);
    assert!(tasks[2].is_woken());
    let _third = passed(&mut tasks[2]);
    assert!(late.is_woken());
    let _fourth = passed(&mut late);
    assert_eq!((admission.parked_count(), admission.gate().status().in_flight), (0, 4));
}

#[test]
fn dropping_a_parked_future_leaves_the_queue_clean_and_passes_the_turn_on() {
    let admission = admission_with(8);
    let epoch = admission.gate().close(0, 1_000).unwrap();
    let (first, middle, mut last) = (parked(&admission, 1), parked(&admission, 1), parked(&admission, 2));
    drop(middle);
    assert!(!last.is_woken(), "it is not its turn");
    assert_eq!((admission.parked_count(), admission.parked_count_of(1)), (2, 1));

    admission.gate().open(epoch, 20).unwrap();
    assert!(first.is_woken());
    drop(first);
    assert!(last.is_woken(), "the one that was woken went away with the turn");
    let _pass = passed(&mut last);
    assert_eq!((admission.parked_count(), admission.parked_count_of(1)), (0, 0));
    assert_eq!(admission.gate().waiting_count(), 0);
}

#[test]
fn a_gate_that_closes_again_keeps_everybody_in_place() {
    let admission = admission_with(8);
    let gate = admission.gate();
    let epoch = gate.close(0, 1_000).unwrap();
    let (mut first, mut second) = (parked(&admission, 1), parked(&admission, 2));
    gate.open(epoch, 20).unwrap();
    let epoch = gate.close(20, 1_000).unwrap();
    assert!(first.poll().is_pending() && second.poll().is_pending());
    assert!(gate.status().is_drained());
    gate.open(epoch, 30).unwrap();
    assert!(first.is_woken() && !second.is_woken());
    let _pass = passed(&mut first);
    let _pass = passed(&mut second);
}

#[test]
fn a_client_at_its_bound_is_told_and_others_are_not() {
    let admission = admission_with(2);
    let _epoch = admission.gate().close(0, 1_000).unwrap();
    let (first, _second) = (parked(&admission, 1), parked(&admission, 1));
    let mut third = admit(&admission, 1, 10);
    assert!(matches!(third.poll(), Poll::Ready(Err(Busy))));
    let _other = parked(&admission, 2);
    drop(first);
    let _again = parked(&admission, 1);
    assert_eq!(admission.parked_count(), 3);
}

#[test]
fn a_task_that_moved_to_another_waker_is_woken_there() {
    let admission = admission_with(8);
    let epoch = admission.gate().close(0, 1_000).unwrap();
    let mut task = parked(&admission, 1);
    let old_bell = std::mem::take(&mut task.bell);
    assert!(task.poll().is_pending());
    admission.gate().open(epoch, 20).unwrap();
    assert!(task.is_woken());
    assert_eq!(old_bell.0.load(Ordering::Relaxed), 0);
    assert_eq!(admission.gate().waiting_count(), 0);
}

/// Admission where client 1 may have a request of 4096 bytes each second, and its path.
fn limited(per_client: usize) -> (Admission, Path) {
    let limits = Limits::new();
    let bytes = Rates { together: NonZeroU64::new(4096), ..Rates::default() };
    limits.set(Entity(1), None, Limit { bytes, ..Limit::default() }, 0).unwrap();
    let bounds = Bounds { per_client, total: 100 };
    let admission =
        Admission::new(Gate::new(), bounds, limits::Core::new(&limits, 0), limits::IO_UNIT_BYTES_DEFAULT);
    (admission, Path::new(&[Entity(1)]))
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn who_has_no_tokens_is_held_and_goes_on_when_they_have_come() {
    let (admission, mut path) = limited(8);
    let mut ask = |now_ns| Task::new(admission.admit(&mut path, request_of(1), now_ns));
    let _first = passed(&mut ask(0));
    let (mut second, mut third) = (ask(0), ask(0));
    assert!(second.poll().is_pending() && third.poll().is_pending());
    assert_eq!((admission.parked_count_of(1), admission.gate().status().in_flight), (2, 1));

    let epoch = admission.gate().close(SECOND / 2, 2 * SECOND).unwrap();
    admission.advance(SECOND + BURST_NS_DEFAULT);
    assert!(second.is_woken() && !third.is_woken());
    assert!(second.poll().is_pending(), "it is charged, and the gate is closed");
    assert_eq!(admission.parked_count_of(1), 2);
    admission.gate().open(epoch, SECOND + BURST_NS_DEFAULT).unwrap();
    assert!(passed(&mut second).charged().is_some());

    drop(third);
    assert_eq!((admission.parked_count(), admission.gate().waiting_count()), (0, 0));
}

#[test]
fn who_goes_away_with_its_tokens_leaves_them_to_the_next() {
    let (admission, mut path) = limited(8);
    let mut ask = |now_ns| Task::new(admission.admit(&mut path, request_of(1), now_ns));
    let _first = passed(&mut ask(0));
    let (second, mut third) = (ask(0), ask(0));
    admission.advance(SECOND + BURST_NS_DEFAULT);
    drop(second);
    assert_eq!(admission.next_deadline_ns(), Some(0));
    admission.advance(SECOND + BURST_NS_DEFAULT);
    let _third = passed(&mut third);
}

#[test]
fn a_client_that_waits_for_tokens_is_bounded_and_told_what_would_take_too_long() {
    let (admission, mut path) = limited(2);
    let mut ask = |bytes| Task::new(admission.admit(&mut path, Request { bytes, ..request_of(1) }, 0));
    let _first = passed(&mut ask(4096));
    let _held = [ask(1), ask(1)];
    assert!(matches!(ask(1).poll(), Poll::Ready(Err(Busy))));
    assert_eq!(admission.parked_count(), 2);

    let (admission, mut path) = limited(8);
    let mut ask = |bytes| Task::new(admission.admit(&mut path, Request { bytes, ..request_of(1) }, 0));
    let _first = passed(&mut ask(21 * 4096));
    assert!(matches!(ask(1).poll(), Poll::Ready(Err(Busy))));
}
