//! What calls are annotated with (docs/ANNOTATIONS.md), and what is made of it: hints are held against what is decoded and
//! counted, and nothing else follows from them.

use std::cell::Cell;
use std::rc::Rc;

use vfs::Vfs;
use wire::rpc::{BulkArea, BulkAreas, Items, TraceContext};
use wire::xdr::{Decoder, Payload, pad_len};

use crate::env::{Backchannel, Env};
use crate::request::Request;
use crate::server::Server;

metric::counters! {
    /// What became of the annotations of calls on one core.
    pub struct AnnotationCounters;

    /// [`AnnotationCounters`] at one moment.
    pub struct AnnotationCounts {
        /// Calls that came in a wrapper.
        pub calls: Counter,
        /// Bulk areas where there was a payload just like that.
        pub areas_right: Counter,
        /// Bulk areas where there was no such payload.
        pub areas_wrong: Counter,
        /// Items of a known kind that made no sense, and were skipped.
        pub items_unusable: Counter,
    }
}

fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get() + more);
}

/// Where a caller says that bulk data lies, and how much of that was true so far.
#[derive(Debug)]
pub struct ClaimedAreas {
    areas: BulkAreas,
    right: u32,
}

impl ClaimedAreas {
    fn all(&self) -> u32 {
        self.areas.as_slice().len() as u32
    }
}

/// The trace context of a call: of its annotations, else of its tag if its protocol has such. Nobody looks for one where
/// traces are not recorded.
pub fn trace<'a, V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    items: Option<Items<'a>>,
    tag: Option<&wire::nfs4::Tag<'a>>,
) -> Option<TraceContext<'a>> {
    if !vfs::trace::is_recorded() {
        return None;
    }
    let annotated = items.and_then(|items| match items.trace() {
        Ok(context) => context,
        Err(_) => {
            count(&server.annotations.items_unusable, 1);
            None
        }
    });
    annotated.or_else(|| TraceContext::from_tag(tag?.bytes()))
}

/// The bulk areas of an annotated call of `call_bytes`, if they can be at all.
pub fn areas<V: Vfs, E: Env + Backchannel>(
    server: &Rc<Server<V, E>>,
    items: &Items<'_>,
    call_bytes: usize,
) -> Option<ClaimedAreas> {
    let counters = &server.annotations;
    count(&counters.calls, 1);
    match items.bulk() {
        Ok(Some(areas)) if areas.are_possible(call_bytes) => Some(ClaimedAreas { areas, right: 0 }),
        Ok(None) => None,
        Ok(Some(_)) | Err(_) => {
            count(&counters.items_unusable, 1);
            None
        }
    }
}

/// Holds the data of a WRITE that was just decoded against the areas: it is what an area may truly be.
pub fn seen<V: Vfs, E>(request: &mut Request<V, E>, decoder: &Decoder<'_>, data: &Payload) {
    let Some(claimed) = &mut request.areas else { return };
    let length = data.len();
    let offset = decoder.position() - pad_len(length) - length;
    let is_it = |area: &&BulkArea| (area.offset as usize, area.length as usize) == (offset, length);
    // Areas do not overlap, so that none is found twice.
    claimed.right += u32::from(claimed.areas.as_slice().iter().any(|area| is_it(&area)));
}

/// Counts what the areas of a request that has ended were worth. Those of operations that were not reached are wrong too:
/// the payload was received, but nobody has asked for it.
pub fn finish<V: Vfs, E: Env + Backchannel>(request: &mut Request<V, E>) {
    if let Some(claimed) = request.areas.take() {
        let counters = &request.server.annotations;
        count(&counters.areas_right, claimed.right.into());
        count(&counters.areas_wrong, claimed.all().saturating_sub(claimed.right).into());
    }
}
