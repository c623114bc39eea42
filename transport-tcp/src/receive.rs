//! From bytes to messages: record marks, and where a record's bytes go.

use std::rc::Rc;

use bytes::BytesMut;
use wire::record::{MARK_LEN, Mark, RecordError};

use crate::{
    Connection, Received,
    connection::Phase,
    fault::Fault,
    limits::{BULK_MIN, COLLECT_STEP, PAYLOAD_MIN},
    share::Hold,
    source::Source,
    stats::add,
    window::Window,
};

/// The receiving side of a connection.
pub(crate) struct Stream {
    pub(crate) connection: Rc<Connection>,
    pub(crate) window: Window,
    pub(crate) source: Source,
    /// Where in the stream the last record begins.
    pub(crate) record_at: u64,
}

impl Stream {
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        let source = Source::new(&connection.socket);
        Self { connection, window: Window::default(), source, record_at: 0 }
    }

    /// The next message, however it was cut and wherever its bytes had to go.
    pub(crate) async fn next_message(&mut self) -> Result<Received, Fault> {
        loop {
            if self.connection.phase.get() != Phase::Open {
                return Err(Fault::Stopped);
            }
            let Some(mark) = self.window.prefix(MARK_LEN).first_chunk().copied().map(Mark::from_bytes) else {
                self.more_of_the_mark().await?;
                continue;
            };
            self.record_at = self.connection.received.get() - self.window.len() as u64;
            let length = mark.length as usize;
            if length > self.connection.shared.limits.record_max {
                return Err(RecordError::TooLong.into());
            }
            if !mark.last || length >= BULK_MIN {
                return self.long_record(mark).await;
            }
            let Some(record) = self.window.prefix(MARK_LEN + length).get(MARK_LEN..MARK_LEN + length) else {
                let missing = MARK_LEN + length - self.window.len();
                self.more(missing, false).await?;
                continue;
            };
            self.source.note_small(&self.connection.shared.stats);
            let received = if length > PAYLOAD_MIN {
                self.window.consume(MARK_LEN);
                self.whole_record(length, Caught::Short).await?
            } else {
                let mut head = rpc::take_head(length);
                head.extend_from_slice(record);
                self.window.consume(MARK_LEN + length);
                Received::small(head.freeze())
            };
            self.connection.receiving.done();
            return Ok(received);
        }
    }

    /// A record that is not received through the common buffers; its mark stands in the window.
    async fn long_record(&mut self, mark: Mark) -> Result<Received, Fault> {
        let caught = if self.expect_bulk().await { Caught::First } else { Caught::Steady };
        let received = if mark.last {
            self.window.consume(MARK_LEN);
            self.whole_record(mark.length as usize, caught).await?
        } else {
            self.fragments(caught).await?
        };
        self.connection.receiving.done();
        Ok(received)
    }

    /// Waits until a record of up to `bytes` may be collected. All that it may come to hold is reserved at
    /// once: two that both held a part and waited for more would wait for ever. Reserving allocates nothing.
    pub(crate) async fn hold_for_collecting(&mut self, bytes: usize) -> Hold {
        self.window.settle();
        let connection = &self.connection;
        add(&connection.shared.stats.collected, 1);
        connection.receiving.done();
        connection.unread(connection.shared.collect_share.take(bytes, connection.standing.get())).await
    }

    /// Appends exactly `count` bytes of the record to `message`; only when the common buffers are left.
    pub(crate) async fn collect_exactly(
        &mut self,
        count: usize,
        message: &mut BytesMut,
    ) -> Result<(), Fault> {
        let mut left = count - self.window.take(count, message);
        while left > 0 {
            // Never more than twice what arrived: a peer's announced length sizes nothing.
            let step = left.min(COLLECT_STEP).min(message.len().max(BULK_MIN));
            let filled = message.len();
            message.resize(filled + step, 0);
            self.connection.receiving.wait(self.connection.shared.shard.now(), true);
            let result;
            (result, *message) =
                self.connection.socket.receive(std::mem::take(message), filled..filled + step).await;
            let count = self.arrived(result?)?;
            message.truncate(filled + count);
            left -= count;
        }
        Ok(())
    }

    /// Receives more where a record may begin: the peer owes nothing while the window is empty.
    async fn more_of_the_mark(&mut self) -> Result<(), Fault> {
        let wanted = self.source.forecast().head;
        if !self.window.is_empty() {
            return self.more(wanted.saturating_sub(self.window.len()), false).await;
        }
        let loan = self.receive(wanted).await?;
        if loan.is_empty() {
            return Err(Fault::Closed);
        }
        self.connection.count_received(loan.len());
        self.window.push(loan);
        Ok(())
    }

    /// Counts bytes of a begun record.
    pub(crate) fn arrived(&self, count: usize) -> Result<usize, Fault> {
        if count == 0 {
            let open = self.connection.phase.get() == Phase::Open;
            return Err(if open { Fault::Truncated } else { Fault::Stopped });
        }
        self.connection.count_received(count);
        self.connection.receiving.moved(count);
        Ok(count)
    }
}

/// Why payload bytes came together with a head and had to be copied to their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caught {
    /// The record is short: one copy costs less than a request of its own.
    Short,
    /// The connection was receiving small calls.
    First,
    /// The head was expected to be longer.
    Steady,
}
