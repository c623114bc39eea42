//! Completions.

use std::mem::MaybeUninit;
use std::time::Instant;

use rdma_sys::{ibv_poll_cq, ibv_wc};
use verbs::{Completion, CompletionKind, PairId, Status};

use crate::core::Core;
use crate::ending::LAST_WORK;

/// Completions that are taken with one call of the adapter's.
const BATCH: usize = 32;

impl Core {
    /// Takes completions, and returns how many. When there is still room every queue was seen empty.
    pub(crate) fn completions(&mut self, into: &mut [MaybeUninit<Completion>]) -> usize {
        let drained = self.drained();
        let mut filled = self.take_given_up(into);
        self.turn = self.turn.wrapping_add(1);
        let (turn, count) = (self.turn, self.devices.len());
        let mut emptied = 0_u64;
        for step in 0..count {
            let device = (turn / 2 + step) % count;
            // Works and receives come first in turn, too.
            for half in [turn % 2, 1 - turn % 2] {
                let kind = if half == 0 { CompletionKind::Work } else { CompletionKind::Receive };
                let empty = self.poll(device, kind, into, &mut filled);
                if empty && kind == CompletionKind::Receive {
                    emptied |= 1 << device;
                }
            }
        }
        if !drained.is_empty() && self.given_up.is_empty() {
            let is_over = |id: &PairId| {
                self.pairs
                    .get(id)
                    .is_some_and(|pair| pair.device.is_none_or(|device| emptied & 1 << device != 0))
            };
            let over: Vec<PairId> = drained.into_iter().filter(is_over).collect();
            self.tell_ended(&over);
        }
        self.set_alarm();
        filled
    }

    /// Pairs that have ended but for completions of receives that are there.
    fn drained(&self) -> Vec<PairId> {
        if self.ending.is_empty() {
            return Vec::new();
        }
        let now = Instant::now();
        let is_drained = |id: &PairId| self.pairs.get(id).is_some_and(|pair| pair.is_drained(now));
        self.ending.iter().copied().filter(is_drained).collect()
    }

    fn take_given_up(&mut self, into: &mut [MaybeUninit<Completion>]) -> usize {
        let count = self.given_up.len().min(into.len());
        for (place, completion) in into.iter_mut().zip(self.given_up.drain(..count)) {
            place.write(completion);
        }
        count
    }

    /// Takes completions of one queue until there is no more room, or none is left: then it returns true.
    fn poll(
        &mut self,
        device: usize,
        kind: CompletionKind,
        into: &mut [MaybeUninit<Completion>],
        filled: &mut usize,
    ) -> bool {
        let mut batch = [const { MaybeUninit::<ibv_wc>::uninit() }; BATCH];
        while *filled < into.len() {
            let room = (into.len() - *filled).min(BATCH);
            let queue = match kind {
                CompletionKind::Work => &self.devices[device].of_works,
                CompletionKind::Receive => &self.devices[device].of_receives,
            };
            // SAFETY: the queue is there, and there is room for so many.
            let count = unsafe { ibv_poll_cq(queue.get(), room as i32, batch.as_mut_ptr().cast()) };
            let count = usize::try_from(count).unwrap_or(0);
            for told in &batch[..count] {
                // SAFETY: the call has filled as many as it said.
                let told = unsafe { told.assume_init_ref() };
                if let Some(completion) = self.completed(device, kind, told) {
                    into[*filled].write(completion);
                    *filled += 1;
                }
            }
            if count < room {
                return true;
            }
        }
        false
    }

    /// What is told of a completion: nothing of a pair's last work, and of a work whose pair was destroyed.
    fn completed(&mut self, device: usize, kind: CompletionKind, told: &ibv_wc) -> Option<Completion> {
        let device = &self.devices[device];
        let (number, status) = (device.id, Status(told.status));
        let id = device.pairs.get(&told.qp_num).copied();
        let bytes = if kind == CompletionKind::Receive && status.is_success() { told.byte_len } else { 0 };
        let pair = id.unwrap_or_default();
        let completion = Completion { id: told.wr_id, pair, status, kind, device: number, bytes };
        if kind == CompletionKind::Work {
            let owner = self.pairs.get_mut(&id?)?;
            if told.wr_id == LAST_WORK {
                owner.take_off_all();
                self.works_ended(pair);
                return None;
            }
            owner.take_off(told.wr_id, status.is_success());
        }
        if !status.is_success() {
            self.broken(pair, -libc::EIO);
        }
        Some(completion)
    }
}
