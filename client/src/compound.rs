//! Building a compound, so that the code reads as the compound it sends.

use bytes::{Bytes, BytesMut};
use rpc::Bulk;
use transport::Message;
use wire::{
    nfs4::{Arguments, CompoundArgsFrame, Operation, PROCEDURE_COMPOUND, PROGRAM, SequenceArgs, VERSION},
    rpc::Credential,
    xdr::Encoder,
};

use crate::{
    Trace,
    annotate::Carrier,
    channel::{CALL_MAX, Called, header, message},
    expected::Expected,
};

/// What a compound is a call of.
const CALLED: Called = (PROGRAM, VERSION, PROCEDURE_COMPOUND);

/// Operations to be sent as one compound. SEQUENCE is put before them by whoever sends it.
#[derive(Debug)]
pub struct Compound {
    operations: Encoder,
    count: u32,
    payloads: Vec<Bulk>,
    /// Whether what is sent can be sent again.
    repeats: bool,
    /// Whether the server is asked to keep the reply for a retry.
    pub(crate) cache_reply: bool,
    tag: Bytes,
    minor_version: Option<u32>,
    trace: Option<Trace>,
    /// Operations before the first that must not be done twice.
    idempotent: u32,
    /// Whether that one is there.
    changes: bool,
    expected: Expected,
}

impl Default for Compound {
    fn default() -> Self {
        Self::new()
    }
}

impl Compound {
    /// No operations yet.
    pub fn new() -> Self {
        Self {
            operations: Encoder::new(BytesMut::new(), CALL_MAX),
            count: 0,
            payloads: Vec::new(),
            repeats: true,
            cache_reply: false,
            tag: Bytes::new(),
            minor_version: None,
            trace: None,
            idempotent: 0,
            changes: false,
            expected: Expected::of_version(VERSION),
        }
    }

    /// Appends any operation.
    #[must_use]
    pub fn operation<'a>(mut self, arguments: impl Into<Arguments<'a>>) -> Self {
        let arguments = arguments.into();
        self.changes |= !is_idempotent(arguments.operation());
        self.idempotent += u32::from(!self.changes);
        self.operations.put(&arguments).expect("a compound within its bound");
        self.expected.add(&arguments);
        self.count += 1;
        self
    }

    /// Appends an operation that may be none at all: its number and whatever should follow it.
    #[must_use]
    pub fn raw(mut self, number: u32, arguments: &[u8]) -> Self {
        self.changes = true;
        self.encoded(|encoder| {
            encoder.put_u32(number).expect("a compound within its bound");
            // Whole words, so that what follows stands where the protocol expects it.
            assert_eq!(arguments.len() % 4, 0, "arguments are whole XDR units");
            for word in arguments.chunks_exact(4) {
                encoder
                    .put_u32(u32::from_be_bytes([word[0], word[1], word[2], word[3]]))
                    .expect("within its bound");
            }
        })
    }

    /// Appends an operation that `encode` writes, its number included, and that is idempotent.
    pub(crate) fn encoded(mut self, encode: impl FnOnce(&mut Encoder)) -> Self {
        encode(&mut self.operations);
        self.expected.add_other();
        self.idempotent += u32::from(!self.changes);
        self.count += 1;
        self
    }

    /// Adds the bytes of the payload that the last operation announced.
    pub(crate) fn payload(mut self, data: Bulk) -> Self {
        self.repeats &= data.again().is_some();
        self.payloads.push(data);
        self
    }

    /// Asks the server to keep the reply for a retry (`sa_cachethis`).
    #[must_use]
    pub fn cached(mut self) -> Self {
        self.cache_reply = true;
        self
    }

    /// Sets the tag.
    #[must_use]
    pub fn tag(mut self, tag: &str) -> Self {
        self.tag = Bytes::copy_from_slice(tag.as_bytes());
        self
    }

    /// Makes the call a part of a trace, whatever its task is a part of ([`within_trace`](crate::within_trace)).
    #[must_use]
    pub fn trace(mut self, trace: Trace) -> Self {
        self.trace = Some(trace);
        self
    }

    /// Claims another minor version than the client's.
    #[must_use]
    pub fn minor_version(mut self, minor_version: u32) -> Self {
        self.minor_version = Some(minor_version);
        self
    }

    /// Changes the count of operations that is sent, to something that need not be true.
    #[must_use]
    pub fn claim_count(mut self, count: u32) -> Self {
        self.count = count;
        self
    }

    /// The operations as they stand in a call, and how many they are: to be sent many times over a
    /// [`Pipeline`](crate::pipeline::Pipeline).
    pub fn encoded_operations(&self) -> (&[u8], u32) {
        (self.operations.head_from(0), self.count)
    }

    /// What the results may have.
    pub(crate) fn expected(&self) -> Expected {
        self.expected
    }

    /// Whether the compound may be executed again when it is not known what came of it.
    pub(crate) fn is_idempotent(&self) -> bool {
        !self.changes && self.can_repeat()
    }

    /// Whether a compound of which so many operations were executed, and the next failed, has changed nothing yet.
    pub(crate) fn is_unchanging_up_to(&self, operations: u32) -> bool {
        operations <= self.idempotent && self.can_repeat()
    }

    /// Whether the compound can be sent again: bulk data that has one owner can be sent once.
    pub(crate) fn can_repeat(&self) -> bool {
        self.repeats
    }

    /// The whole call. Bulk data that has one owner goes with the first message that is made.
    pub(crate) fn message(
        &mut self,
        carrier: Carrier,
        credential: Credential<'_>,
        minor_version: u32,
        sequence: Option<SequenceArgs>,
    ) -> Message {
        let count = self.count + u32::from(sequence.is_some());
        let minor_version = self.minor_version.unwrap_or(minor_version);
        let trace = carrier.trace(self.trace);
        let tag = carrier.tag(&self.tag, trace.as_ref());
        let frame = |encoder: &mut Encoder| begin_operations(encoder, &tag, minor_version, sequence, count);
        let header = header(CALLED, credential);
        let again = self.payloads.iter().filter_map(Bulk::again).collect();
        let payloads = std::mem::replace(&mut self.payloads, again);
        message(&header, carrier, trace, frame, &self.operations, payloads)
    }
}

/// Whether an operation leaves the same behind, and answers alike, when it is executed twice. WRITE does: what others
/// write meanwhile at the same place would have been in no order with it anyway.
fn is_idempotent(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Putfh
            | O::Putrootfh
            | O::Putpubfh
            | O::Savefh
            | O::Restorefh
            | O::Getfh
            | O::Lookup
            | O::Lookupp
            | O::Getattr
            | O::Access
            | O::Verify
            | O::Nverify
            | O::Secinfo
            | O::SecinfoNoName
            | O::Read
            | O::ReadPlus
            | O::Readdir
            | O::Readlink
            | O::Seek
            | O::Write
            | O::Commit
            | O::Lockt
            | O::TestStateid
            | O::OffloadStatus
            | O::Getxattr
            | O::Listxattrs
    )
}

/// Writes everything before the caller's operations.
pub(crate) fn begin(
    encoder: &mut Encoder,
    credential: Credential<'_>,
    tag: &[u8],
    minor_version: u32,
    sequence: Option<SequenceArgs>,
    count: u32,
) {
    encoder.put(&header(CALLED, credential)).expect("headers fit");
    begin_operations(encoder, tag, minor_version, sequence, count);
}

fn begin_operations(
    encoder: &mut Encoder,
    tag: &[u8],
    minor_version: u32,
    sequence: Option<SequenceArgs>,
    count: u32,
) {
    let frame = CompoundArgsFrame::begin(encoder, tag, minor_version).expect("headers fit");
    if let Some(sequence) = sequence {
        encoder.put(&Arguments::from(sequence)).expect("headers fit");
    }
    frame.finish(encoder, count);
}
