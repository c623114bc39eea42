//! Payloads: found in the head, received straight to where they stay.

use std::rc::Rc;

use buf::{Chain, PAGE_BYTES};
use bytes::BytesMut;
use rpc::{Payload, Payloads};
use wire::{
    head::{Located, Locator},
    record::MARK_LEN,
    xdr::Cut,
};

use crate::{
    Received,
    connection::Phase,
    fault::Fault,
    limits::{BULK_MIN, HEAD_MAX, HEAD_STEP, PAYLOAD_MIN, PAYLOADS_MAX, TAIL_MAX},
    receive::{Caught, Stream},
    share::Holds,
    source::Forecast,
    stats::add,
};

/// Most bytes that are reserved for a head before it has come.
const HEAD_RESERVED_MAX: usize = 1024;

/// Where a payload stands in its record and where in a page it belongs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) cut: Cut,
    /// Offset in the file modulo the page.
    pub(crate) offset_modulo_page: usize,
}

impl Place {
    pub(crate) fn new(offset: usize, length: usize, file_offset: u64) -> Self {
        let cut = Cut { position: offset, length };
        Self { cut, offset_modulo_page: (file_offset % PAGE_BYTES as u64) as usize }
    }

    /// Offset in the record of the first byte behind it.
    pub(crate) fn end(&self) -> usize {
        self.cut.position + self.cut.length
    }
}

/// A record that is being received.
pub(crate) struct Gathered {
    pub(crate) head: BytesMut,
    pub(crate) payloads: Payloads,
    pub(crate) holds: Holds,
    caught: Caught,
}

impl Gathered {
    pub(crate) fn new(caught: Caught) -> Self {
        Self { head: BytesMut::new(), payloads: Payloads::new(), holds: Holds::new(), caught }
    }

    /// Bytes of the payloads that have come.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.payloads.iter().map(|payload| payload.cut.length).sum()
    }

    /// Whether one more payload may have a place of its own.
    pub(crate) fn has_places(&self) -> bool {
        self.payloads.len() < PAYLOADS_MAX
    }

    /// The whole message.
    pub(crate) fn finish(self) -> Received {
        Received { head: self.head.freeze(), payloads: self.payloads, holds: self.holds }
    }
}

impl Stream {
    /// Receives a record of one fragment with `length` bytes, whose first byte comes next: its payloads to places of
    /// their own, the rest as its head.
    pub(crate) async fn whole_record(&mut self, length: usize, caught: Caught) -> Result<Received, Fault> {
        let mut record = Gathered::new(caught);
        let mut locator = Locator::new(u32::try_from(length).expect("a mark has announced it"));
        let mut taken = 0;
        while record.has_places() && length - taken > PAYLOAD_MIN {
            let Some(place) = self.next_place(&mut locator, taken, &record).await? else { break };
            let tail = length - place.end();
            if record.payloads.is_empty() {
                record.head = rpc::take_head((place.cut.position + tail).min(HEAD_RESERVED_MAX));
                self.source.learn(Forecast { head: MARK_LEN + place.cut.position, tail });
            }
            self.window.take(place.cut.position - taken, &mut record.head);
            taken = place.cut.position;
            let tail_with_it = if tail <= TAIL_MAX { tail } else { 0 };
            let ahead = if tail <= TAIL_MAX { self.source.forecast().head } else { 0 };
            if !self.place(&mut record, place, tail_with_it, ahead).await? {
                break;
            }
            taken = place.end();
        }
        self.rest(length - taken, &mut record).await?;
        self.connection.completed_payload(record.payload_bytes());
        Ok(record.finish())
    }

    /// Looks for the next payload worth a place of its own; the window begins at byte `taken` of the record.
    async fn next_place(
        &mut self,
        locator: &mut Locator,
        taken: usize,
        record: &Gathered,
    ) -> Result<Option<Place>, Fault> {
        loop {
            let from = locator.position() - taken;
            match locator.find(self.window.prefix(HEAD_MAX).get(from..).unwrap_or_default()) {
                Located::At { offset, length, file_offset } if length >= PAYLOAD_MIN => {
                    return Ok(Some(Place::new(offset, length, file_offset)));
                }
                // It stays in the head.
                Located::At { .. } => {}
                Located::NeedMore(needed) if needed - taken <= HEAD_MAX => {
                    let missing = (needed - taken).saturating_sub(self.window.len());
                    self.more(missing.max(HEAD_STEP), !record.payloads.is_empty()).await?;
                }
                Located::NeedMore(_) | Located::None => return Ok(None),
            }
        }
    }

    /// Receives a payload, which comes next, to a place of its own, and with it `tail` bytes that follow and up to
    /// `ahead` more. False when there is no memory for it now and the record holds some already: two that both held a
    /// part and waited for more would wait for ever. A head that is collected counts as such a part.
    pub(crate) async fn place(
        &mut self,
        record: &mut Gathered,
        place: Place,
        tail: usize,
        ahead: usize,
    ) -> Result<bool, Fault> {
        let memory = if record.holds.is_empty() {
            match self.memory_now(place, 0) {
                Some(memory) => Some(memory),
                None => Some(self.memory_for(place).await?),
            }
        } else {
            if !self.arrives(place) {
                self.arrival(true).await?;
            }
            self.memory_now(place, record.payload_bytes())
        };
        let Some((mut data, holds)) = memory else { return Ok(false) };
        let caught = self.window.move_to(&mut data);
        let stats = &self.connection.shared.stats;
        add(&stats.payload_placed_bytes, place.cut.length - caught);
        let copied = match record.caught {
            Caught::Short => &stats.payload_short_bytes,
            Caught::First => &stats.payload_caught_first_bytes,
            Caught::Steady => &stats.payload_caught_bytes,
        };
        add(copied, caught);
        let data = self.fill(data, caught, tail, ahead).await?;
        record.holds.extend(holds);
        record.payloads.push(Payload { cut: place.cut, data: data.into() });
        Ok(true)
    }

    /// What follows the last payload: pad and trailing operations, and with them the head of the next record.
    async fn rest(&mut self, length: usize, record: &mut Gathered) -> Result<(), Fault> {
        if length > BULK_MIN {
            record.holds.push(self.hold_for_collecting(length).await);
            return self.collect_exactly(length, &mut record.head).await;
        }
        while self.window.len() < length {
            let missing = length - self.window.len();
            self.more(missing + self.source.forecast().head, !record.holds.is_empty()).await?;
        }
        self.window.take(length, &mut record.head);
        Ok(())
    }

    /// Whether all of a payload is here or more of it than came with its head. Who announces one and stops holds no
    /// payload memory.
    fn arrives(&self, place: Place) -> bool {
        self.window.len() >= place.cut.length || self.connection.socket.bytes_waiting() > 0
    }

    /// Memory for a payload, if nobody has to wait for it: neither this connection for it, nor it for the peer.
    fn memory_now(&self, place: Place, held_by_record: usize) -> Option<(Chain, Holds)> {
        let (connection, length) = (&self.connection, place.cut.length);
        if !self.arrives(place) || !connection.has_room_for_payload(held_by_record + length) {
            return None;
        }
        let shared = &connection.shared;
        let (bytes, standing) = (length + PAGE_BYTES, connection.standing.get());
        let of_address = connection.address_share.take_now(bytes, standing)?;
        let of_all = shared.payload_share.take_now(bytes, standing)?;
        Some((shared.take_chain_now(length, place.offset_modulo_page)?, [of_address, of_all].into()))
    }

    /// Memory for a payload, once the connection may have it and the peer goes on sending.
    async fn memory_for(&mut self, place: Place) -> Result<(Chain, Holds), Fault> {
        let length = place.cut.length;
        self.pause().await;
        self.connection.receiving.done();
        self.connection.unread(self.connection.room_for_payload(length)).await?;
        if !self.arrives(place) {
            self.arrival(false).await?;
        }
        let connection = Rc::clone(&self.connection);
        connection.receiving.done();
        let shared = &connection.shared;
        let (bytes, standing) = (length + PAGE_BYTES, connection.standing.get());
        let memory = async {
            // In this order: who waits for others of its address holds nothing that anybody else wants.
            let of_address = connection.address_share.take(bytes, standing).await;
            let of_all = shared.payload_share.take(bytes, standing).await;
            Ok::<_, Fault>((shared.take_chain(length, place.offset_modulo_page).await?, of_address, of_all))
        };
        let (data, of_address, of_all) = connection.unread(memory).await?;
        if connection.phase.get() == Phase::Open {
            Ok((data, [of_address, of_all].into()))
        } else {
            Err(Fault::Stopped)
        }
    }
}
