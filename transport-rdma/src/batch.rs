//! What one queue pair is asked at a time, with the memory it is about.

use buf::{Chain, Slot};
use bytes::BytesMut;
use smallvec::SmallVec;
use verbs::{PLACES_MAX, Place, Remote, Work, WorkKind};
use wire::rdma::{Chunk, Segment};

use crate::memory::Memory;

/// Memory that an adapter has until a work has ended.
#[derive(Debug)]
pub(crate) enum Part {
    /// The first bytes of a message's place.
    Message(Slot, usize),
    /// A payload.
    Payload(Chain),
}

impl Part {
    fn slices(&self) -> SmallVec<[&[u8]; 2]> {
        match self {
            Self::Message(slot, length) => SmallVec::from_slice(&[&slot.as_slice()[..*length]]),
            Self::Payload(chain) => chain.as_slices().collect(),
        }
    }

    /// Puts its bytes behind `text`.
    pub fn append_to(&self, text: &mut BytesMut) {
        self.slices().into_iter().for_each(|slice| text.extend_from_slice(slice));
    }

    fn len(&self) -> usize {
        match self {
            Self::Message(_, length) => *length,
            Self::Payload(chain) => chain.len(),
        }
    }
}

/// Parts that follow one another.
pub(crate) type Parts = SmallVec<[Part; 2]>;

/// Bytes of all of them.
pub(crate) fn length(parts: &[Part]) -> usize {
    parts.iter().map(Part::len).sum()
}

/// How many places they lie in.
pub(crate) fn places(parts: &[Part]) -> usize {
    parts.iter().map(|part| part.slices().len()).sum()
}

/// Works in their order, and all the memory they are about, which goes with them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub works: SmallVec<[Work; 4]>,
    pub held: Parts,
}

impl Batch {
    /// Writes all of `parts` into the peer's chunk, which has room for them.
    pub fn write(&mut self, memory: &Memory, parts: Parts, to: &Chunk) {
        self.move_all(WorkKind::Write, memory, &parts, to);
        self.held.extend(parts);
    }

    /// Reads into `payload`, to its end, what the peer's chunk has.
    pub fn read(&mut self, memory: &Memory, payload: Chain, from: &Chunk) {
        let parts = Parts::from_iter([Part::Payload(payload)]);
        self.move_all(WorkKind::Read, memory, &parts, from);
        self.held.extend(parts);
    }

    /// Sends `parts`, of at most [`PLACES_MAX`] places, as one message, behind all the others.
    pub fn send(&mut self, memory: &Memory, parts: Parts, invalidate: Option<u32>) {
        let places: SmallVec<[Place; PLACES_MAX]> =
            parts.iter().flat_map(Part::slices).map(|slice| place(memory, slice)).collect();
        let kind = if invalidate.is_some() { WorkKind::SendInvalidate } else { WorkKind::Send };
        let mut work = Work::new(0, kind, &places);
        work.invalidate = invalidate.unwrap_or_default();
        self.works.push(work);
        self.held.extend(parts);
    }

    /// How many reads it has.
    pub fn reads(&self) -> usize {
        self.works.iter().filter(|work| work.kind == WorkKind::Read).count()
    }

    /// One work for each stretch that is in one place on both sides.
    fn move_all(&mut self, kind: WorkKind, memory: &Memory, parts: &[Part], chunk: &Chunk) {
        let mut segments = chunk.segments().iter().copied().filter(|segment| segment.length > 0);
        let mut segment = Segment::default();
        for mut slice in parts.iter().flat_map(Part::slices) {
            while !slice.is_empty() {
                if segment.length == 0 {
                    segment = segments.next().expect("the chunk has room for all of it");
                }
                let (now, rest) = slice.split_at(slice.len().min(segment.length as usize));
                let mut work = Work::new(0, kind, &[place(memory, now)]);
                work.remote = Remote { address: segment.offset, key: segment.handle };
                work.signaled = false;
                self.works.push(work);
                segment.offset = segment.offset.wrapping_add(now.len() as u64);
                segment.length -= now.len() as u32;
                slice = rest;
            }
        }
    }
}

fn place(memory: &Memory, slice: &[u8]) -> Place {
    memory.place(slice).expect("messages and payloads lie in memory that was registered")
}
