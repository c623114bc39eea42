//! Records of several fragments.
//!
//! A sender may cut a record so that its bulk data is a fragment of its own: everything up to the data, the data, what
//! follows it, and again for several. That needs no negotiation, as every receiver puts fragments together (RFC 5531
//! §11). Here it is a hint: when a fragment begins exactly where the head parser finds a payload, and is no shorter, the
//! payload is received straight to a place of its own. The parser alone says where in a page it belongs and whether it
//! is one at all. A record that is cut anywhere else is collected.

use wire::{
    head::{Located, Locator},
    record::{Assembler, Limits, MARK_LEN, Need},
};

use crate::{
    Received,
    fault::Fault,
    limits::{BULK_MIN, FRAGMENTS_MAX, PAYLOAD_MIN},
    payload::{Gathered, Place},
    receive::{Caught, Stream},
    source::Forecast,
};

/// The search for payloads in a record whose length is not known.
struct Search {
    locator: Locator,
    /// Found, and expected to begin with the next fragment.
    expected: Option<Place>,
    over: bool,
}

impl Search {
    fn new(record_max: usize) -> Self {
        let longest = u32::try_from(record_max).unwrap_or(u32::MAX);
        Self { locator: Locator::new(longest), expected: None, over: false }
    }

    /// Looks through the head bytes that end at byte `end` of the record.
    fn go_on(&mut self, record: &Gathered, end: usize) {
        while !self.over && self.expected.is_none() && record.has_places() {
            let from = self.locator.position() - record.payload_bytes();
            match self.locator.find(record.head.get(from..).unwrap_or_default()) {
                // It stays in the head, wherever it is.
                Located::At { length, .. } if length < PAYLOAD_MIN => {}
                Located::At { offset, length, file_offset } if offset == end => {
                    self.expected = Some(Place::new(offset, length, file_offset));
                }
                Located::NeedMore(_) => return,
                Located::At { .. } | Located::None => self.over = true,
            }
        }
    }
}

impl Stream {
    /// Receives a record of several fragments; the first one's mark stands in the window.
    pub(crate) async fn fragments(&mut self, caught: Caught) -> Result<Received, Fault> {
        let record_max = self.connection.shared.limits.record_max;
        let mut assembler = Assembler::new(Limits { record_max, fragments_max: FRAGMENTS_MAX });
        let mut record = Gathered::new(caught);
        let mut search = Search::new(record_max);
        let (mut marks, mut tail_from, mut collecting) = (0, 0, false);
        loop {
            match assembler.need() {
                Need::Mark(missing) => {
                    if self.window.is_empty() {
                        // Behind a payload comes what is expected, and the next record's head.
                        let Forecast { head, tail } = self.source.forecast();
                        let with_it = if tail_from > 0 { tail + head } else { 0 };
                        self.more(missing + with_it, !record.holds.is_empty()).await?;
                    }
                    let bytes = self.window.prefix(MARK_LEN);
                    let taken = assembler.feed_mark(bytes)?;
                    self.window.consume(taken);
                    marks += taken;
                }
                Need::Body(left) => {
                    if let Some(place) = search.expected.take() {
                        if record.payloads.is_empty() {
                            let Forecast { tail, .. } = self.source.forecast();
                            self.source.learn(Forecast { head: marks + place.cut.position, tail });
                        }
                        if place.cut.length <= left && self.place_fragment(&mut record, place).await? {
                            assembler.advance(place.cut.length);
                            tail_from = marks + record.head.len();
                            continue;
                        }
                        search.over = true;
                    }
                    if !collecting && record.head.len() + left > BULK_MIN {
                        record.holds.push(self.hold_for_collecting(record_max).await);
                        collecting = true;
                    }
                    self.collect_exactly(left, &mut record.head).await?;
                    assembler.advance(left);
                    search.go_on(&record, assembler.received());
                }
                Need::Nothing => break,
            }
        }
        if !record.payloads.is_empty() {
            let Forecast { head, .. } = self.source.forecast();
            self.source.learn(Forecast { head, tail: marks + record.head.len() - tail_from });
        }
        self.connection.completed_payload(record.payload_bytes());
        Ok(record.finish())
    }

    /// Receives a payload that is a fragment, and with it as much of what follows as usually does.
    async fn place_fragment(&mut self, record: &mut Gathered, place: Place) -> Result<bool, Fault> {
        let Forecast { head, tail } = self.source.forecast();
        self.place(record, place, 0, tail + head).await
    }
}
