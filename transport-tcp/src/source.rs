//! How bytes come in: into the core's common buffers while the calls are small, straight to where they stay while they
//! are not.

use std::{io, os::fd::OwnedFd, rc::Rc, time::Duration};

use buf::Chain;
use engine::{Loan, Receives};

use crate::{
    connection::Phase,
    fault::Fault,
    limits::{
        BURST_BYTES, FAST, HEAD_FIRST, HEAD_FORECAST_MAX, RECEIVE_STEP_MAX, RECEIVE_STEP_MIN, SMALL_RUN,
    },
    receive::Stream,
    socket::Socket,
    stats::{Stats, add},
};

/// How a connection receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Whatever comes, into the common buffers: many calls with one request.
    Small,
    /// Exactly what is asked for: a head, then the rest of the record where it belongs.
    Bulk,
}

/// Where the bytes of one connection come from.
pub(crate) struct Source {
    mode: Mode,
    many: Receives<Rc<OwnedFd>>,
    /// Requests for [`Mode::Small`] that are counted.
    counted: u64,
    /// Whether the next of them is not one again for want of anything.
    anew: bool,
    /// Small calls since the last that was not.
    small_run: u32,
    forecast: Forecast,
    pace: Pace,
}

/// What the next record with a payload is expected to look like, marks included: like the last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forecast {
    /// Bytes before the first payload.
    pub(crate) head: usize,
    /// Bytes behind the last payload.
    pub(crate) tail: usize,
}

/// How much to wait for at once. A fast peer costs few requests; a slow one is seen to move.
struct Pace {
    step: usize,
}

impl Source {
    pub(crate) fn new(socket: &Socket) -> Self {
        Self {
            mode: Mode::Small,
            many: socket.receive_many(BURST_BYTES),
            counted: 0,
            anew: true,
            small_run: 0,
            forecast: Forecast { head: HEAD_FIRST, tail: 0 },
            pace: Pace { step: RECEIVE_STEP_MIN },
        }
    }

    /// What the next record with a payload is expected to look like.
    pub(crate) fn forecast(&self) -> Forecast {
        self.forecast
    }

    /// A record looked like this.
    pub(crate) fn learn(&mut self, seen: Forecast) {
        self.forecast =
            Forecast { head: seen.head.min(HEAD_FORECAST_MAX), tail: seen.tail.min(HEAD_FORECAST_MAX) };
    }

    /// A small call came.
    pub(crate) fn note_small(&mut self, stats: &Stats) {
        self.small_run = self.small_run.saturating_add(1);
        if self.mode == Mode::Bulk && self.small_run >= SMALL_RUN {
            self.mode = Mode::Small;
            add(&stats.switches_to_small, 1);
        }
    }

    /// Receives at least one byte, and at most `wanted` unless the calls are small; no bytes are the end of the stream.
    async fn receive(&mut self, socket: &Socket, wanted: usize, stats: &Stats) -> io::Result<Loan> {
        if self.mode == Mode::Bulk {
            return socket.receive_loan(wanted).await;
        }
        loop {
            let received = self.many.next().await;
            let asked = self.many.armed() - self.counted;
            self.counted += asked;
            let first = std::mem::take(&mut self.anew);
            add(&stats.receives_rearmed, (asked as usize).saturating_sub(usize::from(first)));
            if let Some(received) = received {
                return received;
            }
        }
    }
}

impl Pace {
    fn took(&mut self, duration: Duration) {
        self.step = if duration < FAST { RECEIVE_STEP_MAX.min(self.step * 2) } else { RECEIVE_STEP_MIN };
    }
}

impl Stream {
    /// Receives more of a begun record into the window, about `wanted` bytes.
    pub(crate) async fn more(&mut self, wanted: usize, holds_memory: bool) -> Result<(), Fault> {
        self.connection.receiving.wait(self.connection.shared.shard.now(), holds_memory);
        let loan = self.receive(wanted).await?;
        self.arrived(loan.len())?;
        self.window.push(loan);
        Ok(())
    }

    /// As [`more`](Self::more), where the peer may owe nothing.
    pub(crate) async fn receive(&mut self, wanted: usize) -> Result<Loan, Fault> {
        // Whoever waits keeps no buffer from others.
        self.window.settle();
        let connection = &self.connection;
        Ok(self.source.receive(&connection.socket, wanted.max(1), &connection.shared.stats).await?)
    }

    /// Leaves the common buffers for what is larger, with what has come into them. Returns whether it had not before.
    pub(crate) async fn expect_bulk(&mut self) -> bool {
        self.source.small_run = 0;
        if self.source.mode == Mode::Bulk {
            return false;
        }
        self.stop().await;
        self.source.mode = Mode::Bulk;
        add(&self.connection.shared.stats.switches_to_bulk, 1);
        true
    }

    /// Receives nothing while the connection waits for something else than its peer.
    pub(crate) async fn pause(&mut self) {
        self.window.settle();
        if self.source.mode == Mode::Small {
            self.stop().await;
        }
    }

    /// What has come is kept: it is no more than one request receives. An error or the end will be met again.
    async fn stop(&mut self) {
        self.source.many.stop();
        self.source.anew = true;
        while let Some(received) = self.source.many.next().await {
            if let Ok(loan) = received {
                self.connection.count_received(loan.len());
                self.window.push(loan);
            }
        }
        self.window.settle();
    }

    /// Receives the rest of a payload, from its byte `filled` on, then `tail` bytes into the window, and with them up to
    /// `ahead` more if they are there already.
    pub(crate) async fn fill(
        &mut self,
        payload: Chain,
        filled: usize,
        tail: usize,
        ahead: usize,
    ) -> Result<Chain, Fault> {
        let length = payload.len();
        if filled == length {
            return Ok(payload);
        }
        let connection = Rc::clone(&self.connection);
        let (exact, mut at) = (length + tail, filled);
        let mut spill = self.window.lend();
        spill.resize(tail + ahead, 0);
        let mut buffer = (payload, spill);
        while at < exact {
            connection.receiving.wait(connection.shared.shard.now(), true);
            let missing = exact - at;
            let result;
            if ahead > 0 && connection.socket.bytes_waiting() > missing as u64 {
                (result, buffer) = connection.socket.receive(buffer, at..exact + ahead).await;
                at += self.arrived(result?)?;
            } else {
                let begun = connection.shared.shard.now();
                let step = missing.min(self.source.pace.step);
                let filled;
                (filled, buffer) = connection.socket.receive_exact(buffer, at..at + step).await;
                at += self.arrived(self.exactly(filled, step)?)?;
                self.source.pace.took(connection.shared.shard.now().saturating_duration_since(begun));
            }
        }
        let (payload, mut spill) = buffer;
        spill.truncate(at - length);
        self.window.put_back(spill);
        Ok(payload)
    }

    /// Bytes that came of `step`: all of them, or none before the stream's end.
    fn exactly(&self, filled: io::Result<()>, step: usize) -> io::Result<usize> {
        match filled {
            Ok(()) => Ok(step),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Waits until more of a begun record has arrived, without receiving it.
    pub(crate) async fn arrival(&mut self, holds_memory: bool) -> Result<(), Fault> {
        let connection = Rc::clone(&self.connection);
        connection.receiving.wait(connection.shared.shard.now(), holds_memory);
        connection.socket.arrival().await?;
        if connection.socket.bytes_waiting() == 0 {
            let open = connection.phase.get() == Phase::Open;
            return Err(if open { Fault::Truncated } else { Fault::Stopped });
        }
        connection.receiving.done();
        Ok(())
    }
}
