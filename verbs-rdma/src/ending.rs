//! How connections end.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use rdma_sys::{ibv_post_send, ibv_send_flags, ibv_send_wr, ibv_wr_opcode, rdma_disconnect};
use verbs::{Completion, CompletionKind, DeviceId, Event, EventKind, PairId, Status};

use crate::core::Core;
use crate::failure::{Failure, check_returned};
use crate::pair::{Ending, Pair, Stage};
use crate::wait::Alarm;

/// The number of the last work of a queue pair, which its owner does not know of.
pub(crate) const LAST_WORK: u64 = u64::MAX;

/// How long an adapter may take to tell that a queue pair takes no more receives. Not every driver ever tells.
const LAST_RECEIVE: Duration = Duration::from_secs(1);

impl Core {
    /// Ends a connection.
    pub(crate) fn disconnect(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        if pair.ending.is_some() {
            return;
        }
        let gone = pair.device.is_some_and(|device| self.devices[device].gone);
        if !matches!(pair.stage, Stage::Accepted | Stage::Established) {
            // Nothing was ever received.
            pair.receives_ended = true;
        }
        let mut works_ended = true;
        if !pair.connection.queue_pair().is_null() {
            // SAFETY: the identifier is there. When it fails the peer has gone already.
            unsafe { rdma_disconnect(pair.connection.id()) };
            pair.connection.fail_queue_pair();
            works_ended = gone || post_last(pair).is_err();
        }
        pair.ending = Some(Ending { works_ended: false, latest: Instant::now() + LAST_RECEIVE });
        self.ending.push(id);
        if works_ended {
            self.works_ended(id);
        }
        self.set_alarm();
    }

    /// No more completions of works come.
    pub(crate) fn works_ended(&mut self, id: PairId) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        let Some(ending) = pair.ending.as_mut() else { return };
        ending.works_ended = true;
        if pair.device.is_some_and(|device| self.devices[device].gone) {
            pair.receives_ended = true;
        }
    }

    /// Tells that these pairs have ended: they were drained before the completions of receives were all taken.
    ///
    /// Works that have no completion, since the adapter is gone or has taken only some of them, are first told to be given up.
    pub(crate) fn tell_ended(&mut self, drained: &[PairId]) {
        for &id in drained {
            let Some(pair) = self.pairs.get_mut(&id) else { continue };
            let device = DeviceId(pair.device.unwrap_or(0) as u32);
            if pair.outstanding.is_empty() && pair.unposted.is_empty() {
                let mut event = Event::new(EventKind::Ended);
                (event.pair, event.device) = (id, device);
                self.ready.push_back(event);
                self.ending.retain(|&ending| ending != id);
            } else {
                pair.connection.end_queue_pair();
                // What the adapter tells of it from now on is told already.
                if let Some(device) = pair.device {
                    self.devices[device].forget_number(pair.number, id);
                }
                let left = pair.outstanding.drain(..).map(|(work, _)| work).chain(pair.unposted.drain(..));
                self.given_up.extend(left.map(|work| given_up(device, id, work)));
            }
        }
    }

    /// Has the descriptor tell when there is something that is not waited for elsewhere.
    pub(crate) fn set_alarm(&mut self) {
        if self.ready.is_empty() && self.ending.is_empty() && !self.wait.is_set() {
            return;
        }
        let now = Instant::now();
        let pairs = || self.ending.iter().filter_map(|id| self.pairs.get(id));
        let alarm = if !self.ready.is_empty() || pairs().any(|pair| pair.is_drained(now)) {
            Alarm::Now
        } else {
            let waits =
                |pair: &Pair| pair.ending.filter(|ending| ending.works_ended).map(|ending| ending.latest);
            pairs().filter_map(waits).min().map_or(Alarm::Off, Alarm::At)
        };
        self.wait.set(alarm);
    }

    /// Forgets a pair. Its queue pair ends here, if it has not ended before.
    pub(crate) fn destroy(&mut self, id: PairId) {
        let Some(pair) = self.pairs.remove(&id) else { return };
        self.forget_number(id, &pair);
        self.ending.retain(|&ending| ending != id);
        self.ready.retain(|event| event.pair != id);
        self.set_alarm();
    }
}

/// Asks for one last work, whose completion comes after those of all others.
fn post_last(pair: &Pair) -> Result<(), Failure> {
    // SAFETY: all fields are numbers, of which 0 is one, or pointers, which may be null here.
    let mut work: ibv_send_wr = unsafe { MaybeUninit::zeroed().assume_init() };
    work.wr_id = LAST_WORK;
    work.opcode = ibv_wr_opcode::IBV_WR_SEND;
    work.send_flags = ibv_send_flags::IBV_SEND_SIGNALED.0;
    let mut failed = std::ptr::null_mut();
    // SAFETY: the queue pair is there, and the work valid for the call; it has no memory.
    let outcome = unsafe { ibv_post_send(pair.connection.queue_pair(), &raw mut work, &raw mut failed) };
    check_returned("ibv_post_send", outcome)
}

/// What is told of a work that no completion comes of any more.
fn given_up(device: DeviceId, pair: PairId, id: u64) -> Completion {
    Completion { id, pair, status: Status::FLUSHED, kind: CompletionKind::Work, device, bytes: 0 }
}
