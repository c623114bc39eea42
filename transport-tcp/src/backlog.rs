//! Since when bytes wait in the socket of a connection that is not read for a while: nobody tells when a byte came, so it
//! is noted from time to time how many had.

use std::{
    collections::VecDeque,
    rc::Rc,
    time::{Duration, Instant},
};

use crate::Connection;

/// Between two notes. A byte is taken to have come at most twice as much earlier than it did.
const NOTE_SPACING: Duration = Duration::from_millis(250);

/// Notes kept: for half a minute, which is longer than anybody is held.
const NOTES_MAX: usize = 128;

/// Time after which the service is told that a connection is not read: no lease is so short that it would matter before.
const UNREAD_TOLD: Duration = Duration::from_secs(1);

/// When how many bytes of a stream had come, while it was not read to its end.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// What lies before the first note came then, or later.
    begun: Option<Instant>,
    /// By time and by position in the stream.
    notes: VecDeque<(Instant, u64)>,
}

impl Backlog {
    /// Notes that `position` bytes have come by `now`.
    fn note(&mut self, now: Instant, position: u64) {
        let is_full = self.notes.len() >= NOTES_MAX;
        match self.notes.back_mut() {
            Some((noted, last)) if is_full || now.saturating_duration_since(*noted) < NOTE_SPACING => {
                *last = position;
            }
            Some(_) => self.notes.push_back((now, position)),
            None => {
                self.begun = Some(now);
                self.notes.push_back((now, position));
            }
        }
    }

    /// A time before which the byte at `position` had not come; `None` if it came when the stream was being read. Positions
    /// only grow.
    fn since(&mut self, position: u64) -> Option<Instant> {
        while let Some((noted, _)) = self.notes.front().filter(|(_, come)| *come <= position) {
            self.begun = Some(*noted);
            self.notes.pop_front();
        }
        self.begun.filter(|_| !self.notes.is_empty())
    }
}

/// As long as it exists the connection is not read by our choice.
pub(crate) struct Unread {
    connection: Rc<Connection>,
}

impl Drop for Unread {
    fn drop(&mut self) {
        let connection = &self.connection;
        connection.note_backlog();
        connection.unread_since.set(None);
        if connection.unread_told.replace(false) {
            (connection.tell_unread)(false);
        }
    }
}

impl Connection {
    /// Says that nothing is read for now.
    pub(crate) fn leave_unread(self: &Rc<Self>) -> Unread {
        self.unread_since.set(Some(self.shared.shard.now()));
        self.note_backlog();
        Unread { connection: Rc::clone(self) }
    }

    /// Has the service told when the connection has not been read for a while, and notes what has come.
    pub(crate) fn look_after_unread(&self, now: Instant) {
        let Some(since) = self.unread_since.get() else { return };
        self.note_backlog();
        if now.saturating_duration_since(since) >= UNREAD_TOLD && !self.unread_told.replace(true) {
            (self.tell_unread)(true);
        }
    }

    /// For how long at most what begins at `position` of the stream has been here unread.
    pub(crate) fn unread_for(&self, position: u64) -> Duration {
        let since = self.backlog.borrow_mut().since(position);
        since.map_or(Duration::ZERO, |since| self.shared.shard.now().saturating_duration_since(since))
    }

    fn note_backlog(&self) {
        let position = self.received.get() + self.socket.bytes_waiting();
        self.backlog.borrow_mut().note(self.shared.shard.now(), position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_came_after_the_last_note_that_lacks_them() {
        let mut backlog = Backlog::default();
        let begun = Instant::now();
        let at = |milliseconds| begun + Duration::from_millis(milliseconds);
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
        let begun = Instant::now();
        for second in 0..1000 {
            backlog.note(begun + Duration::from_secs(second), second);
        }
        assert_eq!(backlog.notes.len(), NOTES_MAX);
        assert_eq!(backlog.since(0), Some(begun));
    }
}
