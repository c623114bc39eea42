//! For how long bytes wait in the socket of a connection that is not read for a while: nobody tells when a byte came, so it
//! is noted from time to time how many had. Time is counted as long as the connection is not read: a peer that sends slowly
//! what is read is not held up.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    time::{Duration, Instant},
};

use transport::within;

use crate::Connection;

/// Unread time between two notes. A byte is taken to have come at most twice as much earlier than it did.
const NOTE_SPACING: Duration = Duration::from_millis(250);

/// Notes kept: for half a minute, which is longer than anybody is held.
const NOTES_MAX: usize = 128;

/// Time after which the service is told that a connection is not read: no lease is so short that it would matter before.
const UNREAD_TOLD: Duration = Duration::from_secs(1);

/// After how much unread time how many bytes of a stream had come, while it was not read to its end.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// What lies before the first note came then, or later.
    begun: Duration,
    /// By unread time and by position in the stream.
    notes: VecDeque<(Duration, u64)>,
}

impl Backlog {
    /// Whether the last note is long enough ago.
    fn is_due(&self, unread: Duration) -> bool {
        self.notes.back().is_none_or(|(noted, _)| unread.saturating_sub(*noted) >= NOTE_SPACING)
    }

    /// Notes that `position` bytes have come after so much unread time.
    fn note(&mut self, unread: Duration, position: u64) {
        let is_due = self.is_due(unread) && self.notes.len() < NOTES_MAX;
        match self.notes.back_mut() {
            Some((_, last)) if !is_due => *last = position,
            Some(_) => self.notes.push_back((unread, position)),
            None => {
                self.begun = unread;
                self.notes.push_back((unread, position));
            }
        }
    }

    /// The unread time before which the byte at `position` had not come; `None` if it came when the stream was being read.
    /// Positions only grow.
    fn since(&mut self, position: u64) -> Option<Duration> {
        while let Some((noted, _)) = self.notes.front().filter(|(_, come)| *come <= position) {
            self.begun = *noted;
            self.notes.pop_front();
        }
        (!self.notes.is_empty()).then_some(self.begun)
    }
}

/// As long as it exists the connection is not read by our choice.
struct Unread {
    connection: Rc<Connection>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        let connection = &self.connection;
        let now = connection.shared.shard.now();
        connection.note_backlog(now);
        connection.unread_time.set(connection.unread_time_by(now));
        connection.unread_since.set(None);
        if connection.unread_told.replace(false) {
            (connection.tell_unread)(false);
        }
    }
}

impl Connection {
    /// Waits for something else than the peer, of which nothing is read meanwhile. What need not be waited for costs nothing.
    pub(crate) async fn unread<T>(self: &Rc<Self>, waiting: impl Future<Output = T>) -> T {
        let (mut waiting, mut unread) = (pin!(waiting), None);
        poll_fn(|context| {
            let polled = waiting.as_mut().poll(context);
            if polled.is_pending() {
                unread.get_or_insert_with(|| self.leave_unread());
            }
            polled
        })
        .await
    }

    /// As [`within`]; time in which it is not read by our choice does not count.
    pub(crate) async fn within_read_time<F: Future>(&self, time: Duration, future: F) -> Option<F::Output> {
        let (shard, mut future, mut left) = (&self.shared.shard, pin!(future), time);
        let mut seen = self.unread_time_by(shard.now());
        loop {
            if let Some(output) = within(shard, left, future.as_mut()).await {
                return Some(output);
            }
            let unread = self.unread_time_by(shard.now());
            left = unread.saturating_sub(seen);
            if left.is_zero() {
                return None;
            }
            seen = unread;
        }
    }

    fn leave_unread(self: &Rc<Self>) -> Unread {
        let now = self.shared.shard.now();
        self.unread_since.set(Some(now));
        self.note_backlog(now);
        Unread { connection: Rc::clone(self) }
    }

    /// Has the service told when the connection has not been read for a while, and notes what has come.
    pub(crate) fn look_after_unread(&self, now: Instant) {
        let Some(since) = self.unread_since.get() else { return };
        if self.backlog.borrow().is_due(self.unread_time_by(now)) {
            self.note_backlog(now);
        }
        if now.saturating_duration_since(since) >= UNREAD_TOLD && !self.unread_told.replace(true) {
            (self.tell_unread)(true);
        }
    }

    /// For how long at most what begins at `position` of the stream has been here unread.
    pub(crate) fn unread_for(&self, position: u64) -> Duration {
        let since = self.backlog.borrow_mut().since(position);
        since.map_or(Duration::ZERO, |since| self.unread_time.get().saturating_sub(since))
    }

    /// For how long it has not been read in all.
    fn unread_time_by(&self, now: Instant) -> Duration {
        let going_on = self.unread_since.get().map(|since| now.saturating_duration_since(since));
        self.unread_time.get() + going_on.unwrap_or_default()
    }

    fn note_backlog(&self, now: Instant) {
        let position = self.received.get() + self.socket.bytes_waiting();
        self.backlog.borrow_mut().note(self.unread_time_by(now), position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_came_after_the_last_note_that_lacks_them() {
        let mut backlog = Backlog::default();
        let at = Duration::from_millis;
        assert_eq!(backlog.since(0), None);
        for (milliseconds, come) in [(0, 100), (100, 150), (300, 200), (1000, 200), (2000, 300)] {
            backlog.note(at(milliseconds), come);
        }
        assert_eq!(backlog.since(0), Some(at(0)));
        assert_eq!(backlog.since(149), Some(at(0)), "it had come soon after");
        assert_eq!(backlog.since(150), Some(at(0)));
        assert_eq!(backlog.since(200), Some(at(1000)));
        assert_eq!(backlog.since(299), Some(at(1000)));
        assert_eq!(backlog.since(300), None, "it came when all was read again");
        backlog.note(at(9000), 400);
        assert_eq!(backlog.since(350), Some(at(9000)), "what was before is forgotten");
    }

    #[test]
    fn a_stream_that_is_never_read_to_its_end_costs_no_more_memory() {
        let mut backlog = Backlog::default();
        for second in 0..1000 {
            backlog.note(Duration::from_secs(second), second);
        }
        assert_eq!(backlog.notes.len(), NOTES_MAX);
        assert_eq!(backlog.since(0), Some(Duration::ZERO));
    }
}
