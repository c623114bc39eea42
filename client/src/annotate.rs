//! Annotations of calls (docs/ANNOTATIONS.md): of which trace they are a part, and where their bulk data lies.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use transport_tcp::Message;
use wire::{
    nfs3,
    nfs4::{PROCEDURE_NULL, PROGRAM},
    rpc::{
        AUTH_ANNOT, Annotations, BulkArea, BulkAreas, COMMAND_MAX, CallHeader, Credential, OpaqueAuth,
        PROBE_ANSWER, ReplyBody, ReplyHeader, TraceContext,
    },
    xdr::{Decoder, Encoder, Insert, Opaque},
};

use crate::{Channel, Result, channel::header};

/// Alignment wanted for the data of WRITE: that of pages, and of every file system that writes directly.
const ALIGNMENT: u32 = 4096;

/// Bytes of a WRITE of NFSv4 from its offset to its data: offset, stability, length (RFC 8881 §18.32.1). NFSv3 has a count
/// besides (RFC 1813 §3.3.7).
const OFFSET_BEFORE_DATA: usize = 16;
const OFFSET_BEFORE_DATA_3: usize = 20;

/// The trace that calls are a part of, and the span that makes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl Trace {
    /// A trace that is recorded; W3C Trace Context says what the ids are. Calls of a trace with an id of zeros are not traced.
    pub fn recorded(trace_id: [u8; 16], span_id: [u8; 8]) -> Self {
        Self { trace_id, span_id, flags: 1 }
    }

    /// The trace that a W3C `traceparent` of version 00 names, as programs hand it on in the environment; `None` when the
    /// text is none.
    pub fn from_parent(text: &str) -> Option<Self> {
        let tag = format!("tp={text}");
        let TraceContext { trace_id, span_id, flags, .. } = TraceContext::from_tag(tag.as_bytes())?;
        Some(Self { trace_id, span_id, flags })
    }

    /// The same, not recorded: whoever comes after keeps the ids and records nothing.
    #[must_use]
    pub fn not_recorded(self) -> Self {
        Self { flags: 0, ..self }
    }

    fn context(self) -> Option<TraceContext<'static>> {
        let Self { trace_id, span_id, flags } = self;
        if trace_id == [0; 16] || span_id == [0; 8] {
            return None;
        }
        Some(TraceContext { trace_id, span_id, flags, process_id: std::process::id(), command: command() })
    }
}

/// What the system calls this process.
fn command() -> Opaque<'static, COMMAND_MAX> {
    static COMMAND: OnceLock<Vec<u8>> = OnceLock::new();
    let command = COMMAND.get_or_init(|| {
        let mut name = std::fs::read("/proc/self/comm").unwrap_or_default();
        name.truncate(name.trim_ascii_end().len().min(COMMAND_MAX));
        name
    });
    Opaque(command)
}

thread_local! {
    /// The trace of the task that runs on this core, while it runs.
    static AMBIENT: Cell<Option<Trace>> = const { Cell::new(None) };
}

/// Runs `work` as a part of a trace: all calls that it makes, unless they have a trace of their own.
pub fn within_trace<F: Future>(trace: Trace, work: F) -> impl Future<Output = F::Output> {
    Within { trace: Some(trace), work: Box::pin(work) }
}

/// Work for a task of its own, which is to be a part of the same trace, if any, as the task that spawns it.
pub fn in_same_trace<F: Future>(work: F) -> impl Future<Output = F::Output> {
    Within { trace: AMBIENT.get(), work: Box::pin(work) }
}

struct Within<F> {
    trace: Option<Trace>,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Within<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        /// Puts back what was there before, whatever becomes of the work.
        struct Restore(Option<Trace>);
        impl Drop for Restore {
            fn drop(&mut self) {
                AMBIENT.set(self.0);
            }
        }
        let _restore = Restore(AMBIENT.replace(self.trace));
        self.work.as_mut().poll(context)
    }
}

/// How the calls over one connection are annotated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Carrier {
    /// Not at all.
    None,
    /// In a wrapper around the credential.
    Wrapper,
    /// A trace context in the tag of compounds that have no other.
    Tag,
}

impl Carrier {
    /// What a call carries whose own trace, if it has one, is `own`.
    pub(crate) fn trace(self, own: Option<Trace>) -> Option<TraceContext<'static>> {
        if self == Carrier::None {
            return None;
        }
        own.or_else(|| AMBIENT.get()).and_then(Trace::context)
    }

    /// The tag of a compound with this trace and this tag of its own.
    pub(crate) fn tag(self, own: &Bytes, trace: Option<&TraceContext<'_>>) -> Bytes {
        match trace {
            Some(trace) if self == Carrier::Tag && own.is_empty() => Bytes::from(trace.to_tag()),
            _ => own.clone(),
        }
    }
}

/// Where the data of a call's WRITEs lies, whose `arguments` stand behind `before` bytes of headers. Beyond what one call can
/// say the rest is left out.
pub(crate) fn areas(version: u32, before: usize, arguments: &[u8], inserts: &[Insert]) -> BulkAreas {
    let offset_before_data = if version == nfs3::VERSION { OFFSET_BEFORE_DATA_3 } else { OFFSET_BEFORE_DATA };
    let mut inserted = 0;
    let area = |insert: &Insert| {
        let offset = before + insert.position + inserted;
        inserted += insert.length;
        let at = insert.position.checked_sub(offset_before_data)?;
        let file_offset = u64::from_be_bytes(*arguments.get(at..)?.first_chunk()?);
        Some(BulkArea {
            offset: u32::try_from(offset).ok()?,
            length: u32::try_from(insert.length).ok()?,
            alignment: ALIGNMENT,
            phase: (file_offset % u64::from(ALIGNMENT)) as u32,
        })
    };
    let all: Vec<_> = inserts.iter().map_while(area).take(wire::rpc::AREAS_MAX).collect();
    BulkAreas::new(&all).unwrap_or_default()
}

/// Writes a call's header with a trace context and the areas of the data that will follow at `inserts` places;
/// `areas_behind` says which these are when it is told how many bytes the header has.
pub(crate) fn wrapped_header(
    header: &CallHeader<'_>,
    trace: Option<TraceContext<'_>>,
    inserts: usize,
    areas_behind: impl FnOnce(usize) -> BulkAreas,
    encoder: &mut Encoder,
) {
    // Areas of no meaning take as much room as those that are known when the room is.
    let count = inserts.min(wire::rpc::AREAS_MAX);
    let bulk = BulkAreas::new(&[BulkArea::default(); wire::rpc::AREAS_MAX][..count]).unwrap_or_default();
    let mut annotations = Annotations { bulk, trace, further: &[] };
    let start = encoder.position();
    header.encode_annotated(&annotations, encoder).expect("headers fit");
    if count > 0 {
        let end = encoder.position();
        annotations.bulk = areas_behind(end);
        encoder.truncate(start);
        header.encode_annotated(&annotations, encoder).expect("headers fit");
        debug_assert_eq!(encoder.position(), end);
    }
}

/// Whether the server understands annotations (docs/ANNOTATIONS.md §3.2). One that does not says so, and nothing has
/// happened.
///
/// # Errors
/// [`crate::Error::Call`] when there is no answer.
pub(crate) async fn probe(channel: &Channel, version: u32) -> Result<bool> {
    let credential = Credential::Other(OpaqueAuth { flavor: AUTH_ANNOT, body: Opaque(&[]) });
    let header = header((PROGRAM, version, PROCEDURE_NULL), credential);
    let mut encoder = Encoder::new(BytesMut::new(), 64);
    encoder.put(&header).expect("a header of 40 bytes");
    let received = channel.message(Message::new(encoder.finish().head)).await?;
    let reply: ReplyHeader<'_> = Decoder::new(&received).get()?;
    Ok(matches!(reply.body, ReplyBody::Accepted { verifier, .. } if verifier.body.bytes() == PROBE_ANSWER))
}

#[cfg(test)]
mod tests {
    use wire::{
        nfs4::{
            Arguments, CompoundArgs, Operation, SequenceArgs, SequenceId, SessionId, SlotId, StableHow,
            Stateid,
        },
        xdr::{Cut, Payload, pad_len},
    };

    use super::*;
    use crate::{Compound, Identity, channel};

    const SEQUENCE: SequenceArgs = SequenceArgs {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
    };

    /// A compound with a WRITE of each length, at ever odder offsets, and something after each.
    fn writes(pool: &buf::Pool, lengths: &[usize]) -> Compound {
        let mut compound = Compound::new().put_root();
        for (index, length) in lengths.iter().enumerate() {
            let data = pool.take(*length, 0).expect("memory");
            let offset = 5000 * index as u64;
            compound = compound.write_bulk(Stateid::ANONYMOUS, offset, StableHow::Unstable, data).put_root();
        }
        compound
    }

    /// What a receiver finds of areas, and where it finds the payloads and the offsets they are for.
    fn received(message: &Message) -> (Vec<BulkArea>, Vec<(usize, usize, u64)>) {
        let mut before = 0;
        let cut = |insert: &rpc::Insert| {
            let cut = Cut { position: insert.position + before, length: insert.data.len() };
            before += cut.length;
            cut
        };
        let cuts: Vec<_> = message.inserts.iter().map(cut).collect();
        let mut decoder = Decoder::with_cuts(&message.head, &cuts);
        let (_, items) = CallHeader::decode_annotated(&mut decoder).expect("a call");
        let areas = items.and_then(|items| items.bulk().expect("whole items"));
        let compound: CompoundArgs<'_> = decoder.get().expect("a compound");
        let mut payloads = Vec::new();
        for _ in 0..compound.operations {
            let operation = Operation::decode_or_illegal(&mut decoder).expect("an operation");
            if let Arguments::Write(write) = Arguments::decode(operation, &mut decoder).expect("arguments") {
                let Payload::Cut { length, .. } = write.data else { panic!("{write:?}") };
                payloads.push((decoder.position() - pad_len(length) - length, length, write.offset));
            }
        }
        decoder.finish().expect("nothing follows");
        (areas.map_or(Vec::new(), |areas| areas.as_slice().to_vec()), payloads)
    }

    #[test]
    fn areas_are_where_the_data_is() {
        let pool = buf::Pool::new(4 << 20).expect("memory");
        let identity = Identity::new(7, 7);
        let trace = Trace::recorded([1; 16], [2; 8]);
        for lengths in [&[][..], &[8192], &[1, 4097, 3, 4096], &[5; 12]] {
            for sequence in [None, Some(SEQUENCE)] {
                for tag in ["", "a tag"] {
                    let mut compound = writes(&pool, lengths).tag(tag).trace(trace);
                    let message = compound.message(Carrier::Wrapper, identity.credential(), 2, sequence);
                    let (areas, payloads) = received(&message);
                    assert_eq!(payloads.len(), lengths.len());
                    assert_eq!(areas.len(), lengths.len().min(wire::rpc::AREAS_MAX));
                    for (area, (offset, length, file_offset)) in areas.iter().zip(&payloads) {
                        assert_eq!((area.offset as usize, area.length as usize), (*offset, *length));
                        assert_eq!((area.alignment, u64::from(area.phase)), (4096, file_offset % 4096));
                    }
                }
            }
        }
    }

    #[test]
    fn the_area_of_a_write_of_nfsv3_is_where_its_data_is() {
        let pool = buf::Pool::new(4 << 20).expect("memory");
        let file = nfs3::FileHandle::new(&[7; 5]).expect("a handle");
        let identity = Identity::new(7, 7);
        let called = (PROGRAM, nfs3::VERSION, nfs3::Procedure::Write.number());
        let head = nfs3::WriteHead { file, offset: 5000, count: 8191, stable: StableHow::Unstable };
        let mut arguments = Encoder::new(BytesMut::new(), 1 << 20);
        head.encode_head(&mut arguments).expect("room");
        let data = pool.take(8191, 0).expect("memory");
        let header = header(called, identity.credential());
        let trace = Carrier::Wrapper.trace(Some(Trace::recorded([1; 16], [2; 8])));
        let message = channel::message(&header, Carrier::Wrapper, trace, |_| (), &arguments, [data.into()]);
        let cut = Cut { position: message.inserts[0].position, length: 8191 };
        let cuts = [cut];
        let mut decoder = Decoder::with_cuts(&message.head, &cuts);
        let (_, items) = CallHeader::decode_annotated(&mut decoder).expect("a call");
        let areas = items.and_then(|items| items.bulk().expect("whole items")).expect("areas");
        let write: nfs3::WriteArgs = decoder.get().expect("arguments");
        assert_eq!(write.data, Payload::Cut { index: 0, length: 8191 });
        let [area] = areas.as_slice() else { panic!("{areas:?}") };
        assert_eq!((area.offset as usize, area.length), (cut.position, 8191));
        assert_eq!((area.alignment, area.phase), (4096, 5000 % 4096));
    }

    #[test]
    fn without_a_carrier_or_a_trace_the_call_is_the_plain_one() {
        let identity = Identity::new(7, 7);
        let trace = Trace::recorded([1; 16], [2; 8]);
        let message = |carrier: Carrier, compound: Compound| {
            let mut compound = compound.put_root();
            compound.message(carrier, identity.credential(), 2, None).head
        };
        let plain = message(Carrier::None, Compound::new());
        assert_eq!(message(Carrier::None, Compound::new().trace(trace)), plain);
        let zero = Trace::recorded([0; 16], [2; 8]);
        for carrier in [Carrier::Wrapper, Carrier::Tag] {
            assert_eq!(message(carrier, Compound::new()), plain);
            assert_eq!(message(carrier, Compound::new().trace(zero)), plain);
            assert_ne!(message(carrier, Compound::new().trace(trace)), plain);
        }
        // A tag of its own is kept.
        let own = message(Carrier::None, Compound::new().tag("own"));
        assert_eq!(message(Carrier::Tag, Compound::new().tag("own").trace(trace)), own);
    }

    #[test]
    fn a_trace_is_ambient_while_its_task_runs() {
        let trace = |byte| Trace::recorded([byte; 16], [byte; 8]);
        let seen = |carrier: Carrier| carrier.trace(None).map(|context| context.trace_id[0]);
        let mut outer = Box::pin(within_trace(trace(1), async {
            assert_eq!(seen(Carrier::Wrapper), Some(1));
            within_trace(trace(2), async { assert_eq!(seen(Carrier::Tag), Some(2)) }).await;
            assert_eq!(seen(Carrier::Wrapper), Some(1));
            let mut waited = false;
            std::future::poll_fn(|_| {
                if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            assert_eq!(seen(Carrier::None), None);
        }));
        let mut context = Context::from_waker(std::task::Waker::noop());
        assert!(outer.as_mut().poll(&mut context).is_pending());
        assert_eq!(seen(Carrier::Wrapper), None);
        assert!(outer.as_mut().poll(&mut context).is_ready());
        let own = Carrier::Wrapper.trace(Some(trace(3))).expect("a context");
        assert_eq!((own.trace_id, own.process_id), ([3; 16], std::process::id()));
    }
}
