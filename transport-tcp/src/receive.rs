//! From bytes to messages: record marks, fragments, and where a record's bytes go.

use std::rc::Rc;

use buf::Chain;
use bytes::Bytes;
use wire::record::{Assembler, MARK_LEN, Mark, Need, RecordError};

use crate::{
    Connection, Received,
    connection::Phase,
    fault::Fault,
    limits::{COLLECT_STEP, FRAGMENTS_MAX, WINDOW_BYTES},
    share::Hold,
    stats::add,
    window::Window,
};

/// The receiving side of a connection.
pub(crate) struct Stream {
    pub(crate) connection: Rc<Connection>,
    pub(crate) window: Window,
    /// Bytes to ask for when a new record is expected: few when it will carry a payload.
    pub(crate) expected: usize,
}

impl Stream {
    pub(crate) fn new(connection: Rc<Connection>) -> Self {
        Self { connection, window: Window::new(), expected: WINDOW_BYTES }
    }

    /// The next message, however it was cut and wherever its bytes had to go.
    pub(crate) async fn next_message(&mut self) -> Result<Received, Fault> {
        loop {
            if self.connection.phase.get() != Phase::Open {
                return Err(Fault::Stopped);
            }
            let Some(mark) = self.window.bytes().first_chunk().copied().map(Mark::from_bytes) else {
                self.more_of_the_mark().await?;
                continue;
            };
            let length = mark.length as usize;
            if length > self.connection.shared.limits.record_max {
                return Err(RecordError::TooLong.into());
            }
            if !mark.last || MARK_LEN + length > WINDOW_BYTES {
                return self.long_record(mark).await;
            }
            let Some(head) = self.window.bytes().get(MARK_LEN..MARK_LEN + length) else {
                self.more(WINDOW_BYTES, false).await?;
                continue;
            };
            let head = Bytes::copy_from_slice(head);
            self.window.consume(MARK_LEN + length);
            self.connection.receiving.done();
            self.expected = WINDOW_BYTES;
            return Ok(Received::small(head));
        }
    }

    /// A record that does not fit the window or comes in fragments; its mark stands in the window.
    async fn long_record(&mut self, mark: Mark) -> Result<Received, Fault> {
        let length = mark.length as usize;
        let received = if !mark.last {
            self.collect_fragments().await?
        } else {
            self.window.consume(MARK_LEN);
            match self.find_payload(mark.length).await? {
                Some(place) => self.receive_placed(length, place).await?,
                None => self.collect_whole(length).await?,
            }
        };
        self.connection.receiving.done();
        Ok(received)
    }

    /// Receives a record of one fragment into heap memory.
    async fn collect_whole(&mut self, length: usize) -> Result<Received, Fault> {
        let hold = self.hold_for_collecting(length).await;
        let mut message = Vec::new();
        self.collect_exactly(length, &mut message).await?;
        self.expected = WINDOW_BYTES;
        Ok(Received { head: message.into(), payloads: Vec::new(), holds: vec![hold] })
    }

    /// Receives a record of several fragments into heap memory.
    async fn collect_fragments(&mut self) -> Result<Received, Fault> {
        let record_max = self.connection.shared.limits.record_max;
        let hold = self.hold_for_collecting(record_max).await;
        let limits = wire::record::Limits { record_max, fragments_max: FRAGMENTS_MAX };
        let (mut assembler, mut message) = (Assembler::new(limits), Vec::new());
        loop {
            match assembler.need() {
                Need::Mark(_) if self.window.is_empty() => self.more(WINDOW_BYTES, true).await?,
                Need::Mark(_) => {
                    let taken = assembler.feed_mark(self.window.bytes())?;
                    self.window.consume(taken);
                }
                Need::Body(left) => {
                    self.collect_exactly(left, &mut message).await?;
                    assembler.advance(left);
                }
                Need::Nothing => break,
            }
        }
        self.expected = WINDOW_BYTES;
        Ok(Received { head: message.into(), payloads: Vec::new(), holds: vec![hold] })
    }

    /// Waits until a record of up to `bytes` may be collected. All that it may come to hold is reserved at
    /// once: two that both held a part and waited for more would wait for ever. Reserving allocates nothing.
    pub(crate) async fn hold_for_collecting(&mut self, bytes: usize) -> Hold {
        let connection = &self.connection;
        add(&connection.shared.stats.collected, 1);
        connection.receiving.done();
        connection.shared.collect_share.take(bytes, connection.standing.get()).await
    }

    /// Appends exactly `count` bytes of the record to `message`.
    pub(crate) async fn collect_exactly(&mut self, count: usize, message: &mut Vec<u8>) -> Result<(), Fault> {
        let mut left = count - self.window.take(count, message);
        while left > 0 {
            // Never more than twice what arrived: a peer's announced length sizes nothing.
            let step = left.min(COLLECT_STEP).min(message.len().max(WINDOW_BYTES));
            let filled = message.len();
            message.resize(filled + step, 0);
            self.connection.receiving.wait(true);
            let result;
            (result, *message) =
                self.connection.socket.receive(std::mem::take(message), filled..filled + step).await;
            let count = self.arrived(result?)?;
            message.truncate(filled + count);
            left -= count;
        }
        Ok(())
    }

    /// Receives the rest of a chain, from its byte `filled` on.
    pub(crate) async fn fill_chain(&mut self, mut chain: Chain, mut filled: usize) -> Result<Chain, Fault> {
        while filled < chain.len() {
            self.connection.receiving.wait(true);
            let length = chain.len();
            let result;
            (result, chain) = self.connection.socket.receive(chain, filled..length).await;
            filled += self.arrived(result?)?;
        }
        Ok(chain)
    }

    /// Receives more of a begun record into the window.
    pub(crate) async fn more(&mut self, limit: usize, holds_memory: bool) -> Result<(), Fault> {
        self.connection.receiving.wait(holds_memory);
        let count = self.window.fill(&self.connection.socket, limit).await?;
        self.arrived(count).map(|_| ())
    }

    /// Receives more where a record may begin: the peer owes nothing while the window is empty.
    async fn more_of_the_mark(&mut self) -> Result<(), Fault> {
        if !self.window.is_empty() {
            return self.more(WINDOW_BYTES, false).await;
        }
        let count = self.window.fill(&self.connection.socket, self.expected).await?;
        if count == 0 {
            return Err(Fault::Closed);
        }
        add(&self.connection.shared.stats.bytes_in, count);
        Ok(())
    }

    /// Counts bytes of a begun record.
    fn arrived(&self, count: usize) -> Result<usize, Fault> {
        if count == 0 {
            let open = self.connection.phase.get() == Phase::Open;
            return Err(if open { Fault::Truncated } else { Fault::Stopped });
        }
        add(&self.connection.shared.stats.bytes_in, count);
        self.connection.receiving.moved(count);
        Ok(count)
    }
}
