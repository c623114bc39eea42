//! A queue pair and the way of its connection.

use std::collections::VecDeque;
use std::time::Instant;

use crate::connection::Connection;

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Asked for, and the peer has not answered.
    Asked,
    /// Accepted; the peer may send, and has not said that it is ready.
    Accepted,
    /// Both sides are ready.
    Established,
    /// Asked for, and not to be had.
    Refused,
}

/// What has still to come before a queue pair has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// The completion that comes after those of all works has come, or there is none.
    pub(crate) works_ended: bool,
    /// By then the adapter has told of the last receive if it ever does.
    pub(crate) latest: Instant,
}

/// One end of a connection.
pub(crate) struct Pair {
    pub(crate) connection: Connection,
    /// Its adapter's place among the core's; there is one as soon as there is a queue pair.
    pub(crate) device: Option<usize>,
    /// By which the adapter knows its queue pair.
    pub(crate) number: u32,
    pub(crate) stage: Stage,
    /// Reads that may be outstanding at the side that bears them.
    pub(crate) reads_max: u8,
    /// What the peer is told when the way to it is known.
    pub(crate) private: Vec<u8>,
    /// Works that have not ended, in their order, and whether a completion is wanted.
    pub(crate) outstanding: VecDeque<(u64, bool)>,
    /// Works of a list that the adapter did not take as a whole.
    pub(crate) unposted: Vec<u64>,
    /// The end of the connection was told, or is asked for by who would be told.
    pub(crate) broken: bool,
    /// The adapter has told that no more receives are taken.
    pub(crate) receives_ended: bool,
    pub(crate) ending: Option<Ending>,
}

impl Pair {
    /// With nothing asked of it.
    pub(crate) fn new(connection: Connection, stage: Stage, reads_max: u8, private: &[u8]) -> Self {
        Self {
            connection,
            device: None,
            number: 0,
            stage,
            reads_max,
            private: private.to_vec(),
            outstanding: VecDeque::new(),
            unposted: Vec::new(),
            broken: false,
            receives_ended: false,
            ending: None,
        }
    }

    /// Whether works can be asked of it.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Accepted | Stage::Established) && !self.broken && self.ending.is_none()
    }

    /// Whether nothing more comes but completions of receives that are there already.
    pub(crate) fn is_drained(&self, now: Instant) -> bool {
        let over = |ending: Ending| ending.works_ended && (self.receives_ended || now >= ending.latest);
        self.ending.is_some_and(over)
    }

    /// Has as many works as `count`, up to the one with this number, be none that the adapter has.
    pub(crate) fn untake(&mut self, last: u64, count: usize) {
        let end = self.outstanding.iter().position(|(id, _)| *id == last).map_or(0, |at| at + 1);
        let not_taken = self.outstanding.drain(end.saturating_sub(count)..end);
        self.unposted.extend(not_taken.map(|(id, _)| id));
    }

    /// Takes off what ended with a completion of this number. Those before it wanted none, or were not taken.
    pub(crate) fn take_off(&mut self, id: u64, success: bool) {
        while let Some((first, signaled)) = self.outstanding.pop_front() {
            if first == id && (signaled || !success) {
                break;
            }
            if signaled {
                self.unposted.push(first);
            }
        }
    }

    /// No further completion comes: what wanted one was not taken.
    pub(crate) fn take_off_all(&mut self) {
        let left = self.outstanding.drain(..).filter(|(_, signaled)| *signaled);
        self.unposted.extend(left.map(|(id, _)| id));
    }
}
