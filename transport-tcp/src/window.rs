//! The small buffer through which marks and heads are received.

use std::io;

use crate::{limits::WINDOW_BYTES, socket::Socket};

/// Bytes received and not yet consumed, at most [`WINDOW_BYTES`].
pub(crate) struct Window {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Window {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; WINDOW_BYTES], start: 0, end: 0 }
    }

    /// What has arrived and is not consumed.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Whether everything that arrived is consumed.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Whether nothing more fits until something is consumed.
    pub(crate) fn is_full(&self) -> bool {
        self.end - self.start == WINDOW_BYTES
    }

    /// Forgets the first `count` bytes.
    pub(crate) fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.end - self.start, "only what arrived can be consumed");
        self.start += count;
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// Takes up to `count` of the first bytes.
    pub(crate) fn take(&mut self, count: usize, sink: &mut Vec<u8>) -> usize {
        let count = count.min(self.end - self.start);
        sink.extend_from_slice(&self.bytes()[..count]);
        self.consume(count);
        count
    }

    /// Receives at least one byte and at most `limit`, as far as there is room; 0 is the end of the stream.
    pub(crate) async fn fill(&mut self, socket: &Socket, limit: usize) -> io::Result<usize> {
        debug_assert!(!self.is_full(), "a full window cannot receive");
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let room = self.end..WINDOW_BYTES.min(self.end + limit.max(1));
        let buffer = std::mem::take(&mut self.buffer);
        let result;
        (result, self.buffer) = socket.receive(buffer, room).await;
        let count = result?;
        self.end += count;
        Ok(count)
    }
}
