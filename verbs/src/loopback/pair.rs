//! One end of a connection, and the works it was asked for.

use std::collections::VecDeque;

use super::port::PortId;
use crate::{Completion, CompletionKind, DeviceId, PairId, RequestId, Status, Work, WorkKind};

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was asked for, and not answered.
    Asked(RequestId),
    /// With this pair at the other end, of this adapter.
    Connected(PairId, PortId),
    /// It was refused, ended or broken.
    Over,
}

/// A work that was posted and whose end has not been told.
struct Posted {
    sequence: u64,
    work: Work,
    /// Not to be done yet.
    is_held: bool,
    /// How it ended.
    outcome: Option<Status>,
}

/// One end of a connection.
pub(super) struct Pair {
    /// The adapter it belongs to.
    pub(super) owner: PortId,
    pub(super) stage: Stage,
    /// The owner has asked for its end.
    pub(super) is_ending: bool,
    /// Completions that the owner has not taken.
    pub(super) untold: usize,
    /// In the order of posting.
    works: VecDeque<Posted>,
    /// Works at the front that have ended, and were told if they had to be: their place is still taken.
    settled: usize,
    next_sequence: u64,
}

impl Pair {
    pub(super) fn new(owner: PortId, stage: Stage) -> Self {
        Self {
            owner,
            stage,
            is_ending: false,
            untold: 0,
            works: VecDeque::new(),
            settled: 0,
            next_sequence: 0,
        }
    }

    /// Works whose end the owner cannot know of.
    pub(super) fn outstanding(&self) -> usize {
        self.works.len()
    }

    /// Reads among them.
    pub(super) fn reads_outstanding(&self) -> usize {
        self.works.iter().filter(|posted| posted.work.kind == WorkKind::Read).count()
    }

    /// Puts a work behind the others, and returns which it is.
    pub(super) fn push(&mut self, work: Work, is_held: bool) -> u64 {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        self.works.push_back(Posted { sequence, work, is_held, outcome: None });
        sequence
    }

    /// Has a work done that was held.
    pub(super) fn let_go(&mut self, sequence: u64) {
        if let Some(posted) = self.works.iter_mut().find(|posted| posted.sequence == sequence) {
            posted.is_held = false;
        }
    }

    /// The next work to do: in order, but for reads that wait, which sends and writes overtake.
    pub(super) fn due(&self) -> Option<(u64, Work)> {
        let mut waiting = self.works.range(self.settled..).filter(|posted| posted.outcome.is_none());
        let first = waiting.next()?;
        let due = if first.is_held && first.work.kind == WorkKind::Read {
            waiting.find(|posted| posted.work.kind != WorkKind::Read)?
        } else {
            first
        };
        (!due.is_held).then_some((due.sequence, due.work))
    }

    /// Notes how a work ended.
    pub(super) fn end(&mut self, sequence: u64, status: Status) {
        if let Some(posted) = self.works.iter_mut().find(|posted| posted.sequence == sequence) {
            posted.outcome = Some(status);
        }
    }

    /// Ends all works that are not told to have succeeded: the oldest with a status, those behind it flushed. One that has
    /// failed keeps its status.
    pub(super) fn flush(&mut self, oldest: Status) {
        let mut status = oldest;
        for posted in self.works.range_mut(self.settled..) {
            if posted.outcome.is_none_or(Status::is_success) {
                posted.outcome = Some(status);
            }
            status = Status::FLUSHED;
        }
    }

    /// Settles the oldest work that has ended and is not settled; its completion, if it has one, and which it is.
    pub(super) fn settle(&mut self, id: PairId) -> Option<(Option<Completion>, u64)> {
        let posted = self.works.get(self.settled)?;
        let status = posted.outcome?;
        self.settled += 1;
        let completion = Completion {
            id: posted.work.id,
            pair: id,
            status,
            kind: CompletionKind::Work,
            device: DeviceId(0),
            bytes: 0,
        };
        let is_told = posted.work.signaled || !status.is_success();
        Some((is_told.then_some(completion), posted.sequence))
    }

    /// The owner knows that this work, and all before it, have ended: their places are free.
    pub(super) fn told(&mut self, sequence: u64) {
        while self.works.front().is_some_and(|posted| posted.sequence <= sequence) {
            self.works.pop_front();
            self.settled -= 1;
        }
    }

    /// Whether its end can be told now. That is so once: nothing can be asked of it any more, so that nothing else is told.
    pub(super) fn is_at_end(&self) -> bool {
        self.is_ending && self.untold == 0
    }
}
