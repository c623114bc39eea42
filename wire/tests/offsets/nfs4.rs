//! Compounds, with any operations around their WRITEs.

use bytes::BytesMut;
use wire::head::{Located, Locator, OPERATIONS_MAX, PREFIX_MAX, locate};
use wire::nfs4::*;
use wire::rpc::{Accepted, CallHeader, Credential, OpaqueAuth, RPCSEC_GSS, ReplyHeader};
use wire::xdr::{Cut, Decoder, Encoder, Payload};

use crate::{DATA_LEN, FILE_OFFSET, data_offset, record_len, split, sys};

/// A call of the client's shape; what varies decides where the data is.
struct Shape<'a> {
    credential: Credential<'a>,
    handle_len: usize,
    tag: &'a str,
    before: &'a [Arguments<'a>],
    trailer: bool,
}

impl Shape<'_> {
    fn of(credential: Credential<'_>, handle_len: usize) -> Shape<'_> {
        Shape { credential, handle_len, tag: "", before: &[], trailer: false }
    }

    /// The record's bytes without the payload, and where it belongs.
    fn encode(&self) -> (Vec<u8>, Cut) {
        let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
        let call = CallHeader {
            xid: 1,
            program: PROGRAM,
            version: VERSION,
            procedure: PROCEDURE_COMPOUND,
            credential: self.credential,
            verifier: OpaqueAuth::NONE,
        };
        encoder.put(&call).unwrap();
        let frame = CompoundArgsFrame::begin(&mut encoder, self.tag.as_bytes(), 2).unwrap();
        let sequence = SequenceArgs {
            session_id: SessionId([1; 16]),
            sequence_id: SequenceId(1),
            slot_id: SlotId(0),
            highest_slot_id: SlotId(0),
            cache_this: false,
        };
        let object = FileHandle::new(&vec![5; self.handle_len]).unwrap();
        encoder.put(&Arguments::from(sequence)).unwrap();
        encoder.put(&Arguments::from(PutFhArgs { object })).unwrap();
        self.before.iter().for_each(|arguments| encoder.put(arguments).unwrap());
        encoder.put(&Operation::Write).unwrap();
        let write =
            WriteHead { stateid: Stateid::ANONYMOUS, offset: FILE_OFFSET, stable: StableHow::Unstable };
        write.encode_head(&mut encoder, DATA_LEN).unwrap();
        let mut operations = 3 + self.before.len() as u32;
        if self.trailer {
            let requested = Bitmap::of(&[attribute::CHANGE, attribute::TIME_MODIFY]);
            encoder.put(&Arguments::from(GetAttrArgs { requested })).unwrap();
            operations += 1;
        }
        frame.finish(&mut encoder, operations);
        split(encoder)
    }
}

fn offset(shape: &Shape<'_>) -> usize {
    data_offset(&shape.encode())
}

#[test]
fn data_of_write_is_where_the_client_puts_it() {
    // (machine name, groups, handle) of protocol-level worst and usual cases.
    assert_eq!(offset(&Shape::of(sys("node-17", 1), 32)), 196);
    assert_eq!(offset(&Shape::of(sys("node-17", 0), 32)), 192);
    assert_eq!(offset(&Shape::of(Credential::None, 32)), 40 + 92 + 32);
    let longest = "n".repeat(255);
    assert_eq!(offset(&Shape::of(sys(&longest, 16), 128)), 600);
    let linux_longest = "n".repeat(64);
    assert_eq!(offset(&Shape::of(sys(&linux_longest, 16), 128)), 408);
}

#[test]
fn the_parser_assumes_no_shape() {
    let tag = Shape { tag: "a tag", ..Shape::of(sys("node-17", 1), 32) };
    assert_eq!(offset(&tag), 196 + 8);
    let attributes = RawAttributes { mask: Bitmap::of(&[attribute::SIZE]), values: [0; 8][..].into() };
    let before = [
        Arguments::Savefh,
        Arguments::from(LookupArgs { name: "name".into() }),
        Arguments::from(AccessArgs { access: access::READ }),
        Arguments::from(VerifyArgs { attributes }),
        Arguments::Restorefh,
    ];
    let odd = Shape { before: &before, trailer: true, ..Shape::of(sys("node-17", 1), 29) };
    assert_eq!(offset(&odd), 196 + 4 + 12 + 8 + 4 + 8 + 4 + 8 + 4);
}

/// A compound with a WRITE for each of these lengths, each behind a PUTFH, and where the data lies.
fn writes(lengths: &[usize]) -> (Vec<u8>, Vec<Cut>) {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 24);
    let call = CallHeader {
        xid: 1,
        program: PROGRAM,
        version: VERSION,
        procedure: PROCEDURE_COMPOUND,
        credential: sys("node-17", 1),
        verifier: OpaqueAuth::NONE,
    };
    encoder.put(&call).unwrap();
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 2).unwrap();
    for (index, length) in lengths.iter().enumerate() {
        let object = FileHandle::new(&[5; 32]).unwrap();
        encoder.put(&Arguments::from(PutFhArgs { object })).unwrap();
        encoder.put(&Operation::Write).unwrap();
        let offset = 4096 * index as u64;
        let write = WriteHead { stateid: Stateid::ANONYMOUS, offset, stable: StableHow::Unstable };
        write.encode_head(&mut encoder, *length).unwrap();
    }
    frame.finish(&mut encoder, 2 * lengths.len() as u32);
    let encoded = encoder.finish();
    // The encoder counts positions in the head alone.
    let mut before = 0;
    let cuts = encoded.inserts.iter().map(|insert| {
        let cut = Cut { position: insert.position + before, length: insert.length };
        before += insert.length;
        cut
    });
    (encoded.head.to_vec(), cuts.collect())
}

/// All payloads as a search finds them that is given no byte more than it asks for.
fn found_stepwise(head: &[u8], cuts: &[Cut]) -> Vec<Located> {
    let record_len = head.len() + cuts.iter().map(|cut| cut.length).sum::<usize>();
    let (mut locator, mut found, mut cut_bytes, mut here) =
        (Locator::new(record_len as u32), Vec::new(), 0, 0);
    loop {
        let from = (locator.position() - cut_bytes).min(head.len());
        match locator.find(&head[from..here.max(from)]) {
            Located::NeedMore(bytes) => {
                assert!(bytes - cut_bytes > here && bytes <= record_len, "{bytes} of {record_len}");
                here = bytes - cut_bytes;
            }
            Located::None => return found,
            at @ Located::At { offset, length, .. } => {
                assert_eq!(offset - cut_bytes, here, "nothing of a payload was asked for");
                cut_bytes += length;
                found.push(at);
            }
        }
    }
}

#[test]
fn the_payloads_of_several_writes_are_found_one_after_the_other() {
    let lengths = [4096, 1, 70_000, 0, 3, 65_536];
    let (head, cuts) = writes(&lengths);
    let expected: Vec<_> = cuts
        .iter()
        .zip([0, 1, 2, 4, 5])
        .map(|(cut, index)| Located::At {
            offset: cut.position,
            length: cut.length,
            file_offset: 4096 * index,
        })
        .collect();
    assert_eq!((cuts.len(), lengths.len()), (5, 6), "data of no bytes is not to be placed");
    assert_eq!(found_stepwise(&head, &cuts), expected);
}

#[test]
fn the_search_has_an_end() {
    let (head, cuts) = writes(&[100; OPERATIONS_MAX as usize]);
    assert_eq!(found_stepwise(&head, &cuts).len() as u32, OPERATIONS_MAX / 2);
    // What lies between payloads is bounded, not what lies in them.
    let (head, cuts) = writes(&[PREFIX_MAX + 1, PREFIX_MAX + 1, 5]);
    assert_eq!(found_stepwise(&head, &cuts).len(), 3);
    let mut locator = Locator::new(u32::MAX);
    assert_eq!(locator.find(&[0; 12]), Located::None, "no call");
    assert_eq!(locator.find(&head), Located::None, "nothing is found after the end");
}

#[test]
fn what_is_no_plain_write_is_received_whole() {
    let (head, cut) = Shape::of(sys("node-17", 1), 32).encode();
    let len = record_len(&head, &cut);
    // The length word claims more than the record has.
    assert_eq!(locate(&head, len - 4), Located::None);
    let with = |at: usize, word: u32| {
        let mut bytes = head.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        locate(&bytes, len)
    };
    assert_eq!(with(cut.position - 4, 0), Located::None);
    assert_eq!(with(cut.position - 4, u32::MAX), Located::None);
    assert_eq!(with(4, 1), Located::None, "a reply");
    assert_eq!(with(16, 2), Located::None, "another version");
    assert_eq!(with(20, 0), Located::None, "another procedure");
    assert_eq!(with(24, RPCSEC_GSS), Located::None, "perhaps wrapped");
    assert_eq!(with(80, 2), Located::None, "fewer operations");
    assert_eq!(with(84, 9999), Located::None, "an undefined operation");
    // A record that ends where more would be needed never asks for it.
    for end in 0..cut.position {
        assert_eq!(locate(&head[..end], end as u32), Located::None);
    }
}

#[test]
fn the_decoder_follows_a_payload_that_was_cut_out() {
    let (head, cut) = Shape { trailer: true, ..Shape::of(sys("node-17", 1), 32) }.encode();
    let cuts = [cut];
    let mut decoder = Decoder::with_cuts(&head, &cuts);
    CallHeader::decode(&mut decoder).unwrap();
    let compound: CompoundArgs<'_> = decoder.get().unwrap();
    assert_eq!((compound.minor_version, compound.operations), (2, 4));
    let mut writes = 0;
    for _ in 0..compound.operations {
        let operation = Operation::decode_or_illegal(&mut decoder).unwrap();
        if let Arguments::Write(write) = Arguments::decode(operation, &mut decoder).unwrap() {
            assert_eq!(write.data, Payload::Cut { index: 0, length: DATA_LEN });
            writes += 1;
        }
    }
    assert_eq!(writes, 1);
    assert_eq!(decoder.position() as u32, record_len(&head, &cut));
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn data_of_read_is_where_the_client_expects_it() {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
    encoder.put(&ReplyHeader::accepted(1, Accepted::Success)).unwrap();
    let frame = CompoundResultFrame::begin(&mut encoder, b"").unwrap();
    ResultHead::encode(&mut encoder, Operation::Sequence.number(), Status::Ok).unwrap();
    let sequence = SequenceResult {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        target_highest_slot_id: SlotId(0),
        status_flags: 0,
    };
    encoder.put(&sequence).unwrap();
    ResultHead::encode(&mut encoder, Operation::Putfh.number(), Status::Ok).unwrap();
    ResultHead::encode(&mut encoder, Operation::Read.number(), Status::Ok).unwrap();
    ReadResult::encode_head(&mut encoder, true, DATA_LEN).unwrap();
    frame.finish(&mut encoder, Status::Ok, 3);
    let encoded = encoder.finish();
    assert_eq!(encoded.inserts[0].position, 104);

    let cuts = [Cut { position: 104, length: DATA_LEN }];
    let mut decoder = Decoder::with_cuts(&encoded.head, &cuts);
    assert_eq!(decoder.get(), Ok(ReplyHeader::accepted(1, Accepted::Success)));
    let compound: CompoundResult<'_> = decoder.get().unwrap();
    assert_eq!((compound.status, compound.results), (Status::Ok, 3));
    assert_eq!(decoder.get::<ResultHead>().unwrap().operation, Operation::Sequence.number());
    assert_eq!(decoder.get(), Ok(sequence));
    assert!(decoder.get::<ResultHead>().unwrap().status.is_ok());
    assert_eq!(decoder.get::<ResultHead>().unwrap().operation, Operation::Read.number());
    let read: ReadResult = decoder.get().unwrap();
    assert_eq!(read, ReadResult { eof: true, data: Payload::Cut { index: 0, length: DATA_LEN } });
    assert_eq!(decoder.finish(), Ok(()));
}

#[test]
fn an_operation_that_fails_half_way_leaves_its_head_only() {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
    let frame = CompoundResultFrame::begin(&mut encoder, b"tag").unwrap();
    let start = ResultHead::encode(&mut encoder, Operation::Read.number(), Status::Ok).unwrap();
    ReadResult::encode_head(&mut encoder, false, 100).unwrap();
    ResultHead::patch(&mut encoder, start, Status::Io);
    frame.finish(&mut encoder, Status::Io, 1);
    let encoded = encoder.finish();
    assert!(encoded.inserts.is_empty());
    let expected = [[0, 0, 0, 5], [0, 0, 0, 3], *b"tag\0", [0, 0, 0, 1], [0, 0, 0, 25], [0, 0, 0, 5]];
    assert_eq!(&encoded.head[..], expected.concat());
}
