//! Payloads: found in the head, received straight to where they stay.

use std::rc::Rc;

use buf::{Chain, PAGE_BYTES};
use rpc::Payload;
use wire::{
    head::{Located, locate},
    xdr::Cut,
};

use crate::{
    Received,
    connection::Phase,
    fault::Fault,
    limits::{HEAD_EXPECTED, PAYLOAD_MIN, WINDOW_BYTES},
    receive::Stream,
    share::Hold,
    stats::add,
};

/// Where a record's payload stands and where in a page it belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) cut: Cut,
    /// Offset in the file modulo the page.
    pub(crate) offset_modulo_page: usize,
}

impl Stream {
    /// Looks for a payload worth a place of its own in a record of `length` bytes that begins in the window.
    pub(crate) async fn find_payload(&mut self, length: u32) -> Result<Option<Place>, Fault> {
        loop {
            match locate(self.window.bytes(), length) {
                Located::At { offset, length, file_offset } => {
                    let cut = Cut { position: offset, length };
                    let offset_modulo_page = (file_offset % PAGE_BYTES as u64) as usize;
                    return Ok((length >= PAYLOAD_MIN).then_some(Place { cut, offset_modulo_page }));
                }
                Located::NeedMore(needed) if needed <= WINDOW_BYTES => {
                    self.more(WINDOW_BYTES, false).await?;
                }
                Located::NeedMore(_) | Located::None => return Ok(None),
            }
        }
    }

    /// Receives a record of `length` bytes whose payload goes to a place of its own.
    pub(crate) async fn receive_placed(&mut self, length: usize, place: Place) -> Result<Received, Fault> {
        let Cut { position, length: payload_length } = place.cut;
        let mut head = Vec::with_capacity(WINDOW_BYTES);
        self.window.take(position, &mut head);
        let (mut data, hold) = self.memory_for(place).await?;
        let caught = payload_length.min(self.window.bytes().len());
        data.copy_from(0, &self.window.bytes()[..caught]);
        self.window.consume(caught);
        let data = self.fill_chain(data, caught).await?;
        let mut holds = vec![hold];
        self.receive_tail(length - position - payload_length, &mut head, &mut holds).await?;

        let stats = &self.connection.shared.stats;
        add(&stats.payload_caught, caught);
        add(&stats.payload_placed, payload_length - caught);
        self.connection.completed_payload(payload_length);
        self.expected = HEAD_EXPECTED;
        Ok(Received { head: head.into(), payloads: vec![Payload { cut: place.cut, data }], holds })
    }

    /// What follows the payload: pad and trailing operations, and with them the head of the next record.
    async fn receive_tail(
        &mut self,
        length: usize,
        head: &mut Vec<u8>,
        holds: &mut Vec<Hold>,
    ) -> Result<(), Fault> {
        if length > WINDOW_BYTES {
            holds.push(self.hold_for_collecting(length).await);
            return self.collect_exactly(length, head).await;
        }
        while self.window.bytes().len() < length {
            let missing = length - self.window.bytes().len();
            self.more(missing + HEAD_EXPECTED, true).await?;
        }
        self.window.take(length, head);
        Ok(())
    }

    /// Memory for a payload, once the connection may have it and the peer goes on sending.
    async fn memory_for(&mut self, place: Place) -> Result<(Chain, Hold), Fault> {
        let length = place.cut.length;
        self.connection.receiving.done();
        self.connection.room_for_payload(length).await?;
        // Who announces a payload and stops holds no payload memory: more must arrive than came with the head.
        let caught = self.window.bytes().len();
        if caught < length && self.connection.socket.bytes_waiting() == 0 {
            self.more(HEAD_EXPECTED, false).await?;
        }
        let connection = Rc::clone(&self.connection);
        connection.receiving.done();
        let shared = &connection.shared;
        let hold = shared.payload_share.take(length + PAGE_BYTES, connection.standing.get()).await;
        let data = shared.take_chain(length, place.offset_modulo_page).await?;
        if connection.phase.get() == Phase::Open { Ok((data, hold)) } else { Err(Fault::Stopped) }
    }
}
