//! The loop of a shard.
//!
//! A turn: fire timers, take in what other threads left, run ready tasks, last those that take up what the others have
//! left, then enter the ring once: submit all that the tasks queued, and reap all that has completed. Completions only
//! make tasks ready; nothing of theirs runs while completions are taken in.

use std::io;
use std::time::{Duration, Instant};

use crate::port::Counters;
use crate::remote::Control;
use crate::shard::Shard;

/// Task runs in one turn, so that a crowd of ready tasks cannot keep the ring waiting.
const POLLS_PER_TURN: usize = 512;

/// Jobs and wake-ups taken from other threads in one turn, for the same reason.
const ARRIVALS_PER_TURN: usize = 512;

/// Completions per turn up to which there is no waiting for company: with few calls outstanding it only adds delay.
const COMPANY_MIN: u32 = 2;

/// Most completions waited for at once.
const WANT_MAX: u32 = 64;

/// Longest wait while waiting for more than one completion: some kernels have waited for all of them.
const COMPANY_WAIT_MAX: Duration = Duration::from_millis(1);

/// Weight of the past in the average of completions per turn: 7/8.
const AVERAGE_SHIFT: u32 = 3;

/// Fixed point of that average.
const AVERAGE_UNIT: u32 = 256;

/// The moving average by which a shard decides how many completions to wait for.
#[derive(Default)]
struct Company {
    average: u32,
}

impl Company {
    fn note(&mut self, completions: usize) {
        let now = u32::try_from(completions).unwrap_or(u32::MAX).min(WANT_MAX * 4) * AVERAGE_UNIT;
        self.average = self.average - (self.average >> AVERAGE_SHIFT) + (now >> AVERAGE_SHIFT);
    }

    /// Completions worth waiting for when so many operations are in flight.
    fn want(&self, in_flight: usize) -> u32 {
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        let usual = (self.average / AVERAGE_UNIT).min(WANT_MAX).min(in_flight);
        if usual > COMPANY_MIN { usual } else { 1 }
    }
}

/// Runs a shard until it is stopped and drained, or until the time for draining is over.
pub(crate) fn run(shard: &Shard, control: &Control, min_wait_us: u32) -> io::Result<()> {
    let inner = &shard.0;
    let counters = &inner.port.counters;
    let mut company = Company::default();
    loop {
        let now = inner.timers.advance();
        let mut end = None;
        if let Some(deadline) = control.deadline() {
            if !inner.stopping.replace(true) {
                inner.stop.notify_all();
            }
            end = Some(deadline);
        }
        take_arrivals(shard);
        let polls = inner.executor.run(POLLS_PER_TURN);
        shard.retire_personalities();
        inner.receiving.buffers.iter().for_each(|buffers| buffers.publish());
        if let Some(deadline) = end
            && !inner.executor.has_ready()
            && (inner.work.get() == 0 || now >= deadline)
        {
            if inner.work.get() > 0 {
                tracing::warn!(
                    shard = shard.index(),
                    work = inner.work.get(),
                    "stopped before all work was done"
                );
            }
            return Ok(());
        }
        let sleeps = !inner.executor.has_ready() && inner.port.prepare_sleep();
        let completed = if sleeps {
            Counters::add(&counters.waits, 1);
            wait(shard, &company, min_wait_us, end)
        } else {
            inner.driver.turn(0, 0, None)
        };
        inner.port.awake();
        let completed = completed?;
        company.note(completed);
        Counters::add(&counters.turns, 1);
        Counters::add(&counters.polls, polls as u64);
        Counters::add(&counters.completions, completed as u64);
        counters.in_flight.store(inner.driver.in_flight() as u64, std::sync::atomic::Ordering::Relaxed);
        counters.tasks.store(inner.executor.tasks() as u64, std::sync::atomic::Ordering::Relaxed);
    }
}

/// Waits in the ring, at most until the next timer or the end of draining.
fn wait(shard: &Shard, company: &Company, min_wait_us: u32, end: Option<Instant>) -> io::Result<usize> {
    let inner = &shard.0;
    let want = if min_wait_us > 0 { company.want(inner.driver.in_flight()) } else { 1 };
    let wake = [inner.timers.next(), end].into_iter().flatten().min();
    let mut timeout = wake.map(|wake| wake.saturating_duration_since(Instant::now()));
    if want > 1 {
        timeout = Some(timeout.map_or(COMPANY_WAIT_MAX, |timeout| timeout.min(COMPANY_WAIT_MAX)));
        return inner.driver.turn(want, min_wait_us, timeout);
    }
    inner.driver.turn(1, 0, timeout)
}

/// Takes in what other threads have left.
fn take_arrivals(shard: &Shard) {
    let port = &shard.0.port;
    for _ in 0..ARRIVALS_PER_TURN {
        let Some(task) = port.wakes.pop() else { break };
        shard.0.executor.admit(task);
    }
    for _ in 0..ARRIVALS_PER_TURN {
        let Some(job) = port.jobs.pop() else { break };
        job(shard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_is_waited_for_only_where_it_is_usual() {
        let mut company = Company::default();
        assert_eq!(company.want(1000), 1);
        (0..100).for_each(|_| company.note(16));
        assert!((15..=16).contains(&company.want(1000)), "{}", company.want(1000));
        assert_eq!(company.want(4), 4);
        assert_eq!(company.want(2), 1);
        (0..100).for_each(|_| company.note(1));
        assert_eq!(company.want(1000), 1);
    }
}
