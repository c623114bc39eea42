//! WRITE and READ of NFSv3.

use bytes::BytesMut;
use wire::head::{Located, Locator, locate};
use wire::nfs3::*;
use wire::rpc::{
    Accepted, Annotations, BulkArea, BulkAreas, CallHeader, Credential, Item, OpaqueAuth, RPCSEC_GSS,
    ReplyHeader, TraceContext,
};
use wire::xdr::{Cut, Decoder, Encoder, Payload};

use crate::{DATA_LEN, FILE_OFFSET, data_offset, record_len, split, sys};

fn header(credential: Credential<'_>) -> CallHeader<'_> {
    let procedure = Procedure::Write.number();
    CallHeader {
        xid: 1,
        program: PROGRAM,
        version: VERSION,
        procedure,
        credential,
        verifier: OpaqueAuth::NONE,
    }
}

/// A call's bytes without its payload, and where that belongs.
fn annotated(
    credential: Credential<'_>,
    annotations: &Annotations<'_>,
    handle_len: usize,
    data_len: usize,
) -> (Vec<u8>, Cut) {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
    header(credential).encode_annotated(annotations, &mut encoder).unwrap();
    let file = FileHandle::new(&vec![5; handle_len]).unwrap();
    let count = data_len as u32;
    let write = WriteHead { file, offset: FILE_OFFSET, count, stable: StableHow::Unstable };
    write.encode_head(&mut encoder).unwrap();
    split(encoder)
}

fn call(credential: Credential<'_>, handle_len: usize) -> (Vec<u8>, Cut) {
    annotated(credential, &Annotations::default(), handle_len, DATA_LEN)
}

#[test]
fn data_of_write_is_where_the_client_puts_it() {
    assert_eq!(data_offset(&call(sys("node-17", 1), 32)), 128);
    // A data server is written to without further groups.
    assert_eq!(data_offset(&call(sys("node-17", 0), 28)), 120);
    assert_eq!(data_offset(&call(Credential::None, 64)), 40 + 24 + 64);
    let longest = "n".repeat(255);
    assert_eq!(data_offset(&call(sys(&longest, 16), 64)), 468);
}

#[test]
fn handles_of_every_length_are_passed_with_their_pads() {
    for handle_len in 1..=FILE_HANDLE_MAX {
        let padded = handle_len.next_multiple_of(4);
        assert_eq!(data_offset(&call(sys("node-17", 1), handle_len)), 96 + padded);
    }
}

#[test]
fn data_is_found_behind_a_wrapped_credential() {
    let trace = TraceContext {
        trace_id: [1; 16],
        span_id: [2; 8],
        flags: 1,
        process_id: 4711,
        command: "postgres".into(),
    };
    let area = BulkArea { offset: 300, length: DATA_LEN as u32, alignment: 4096, phase: 512 };
    let unknown = [Item { kind: 99, body: b"later" }];
    let annotations =
        Annotations { trace: Some(trace), bulk: BulkAreas::new(&[area]).unwrap(), further: &unknown };
    let plain = data_offset(&call(sys("node-17", 3), 61));
    let wrapped = data_offset(&annotated(sys("node-17", 3), &annotations, 61, DATA_LEN));
    assert!(wrapped > plain + 100, "{wrapped} is behind all the items");
}

#[test]
fn nothing_follows_the_data_of_a_write() {
    let (head, cut) = call(sys("node-17", 1), 32);
    assert_eq!(head.len(), cut.position + 3, "but its pad");
    // As many bytes as another WRITE would need.
    let mut locator = Locator::new(record_len(&head, &cut) + 500);
    assert!(matches!(locator.find(&head), Located::At { .. }));
    assert_eq!(locator.position(), cut.position + DATA_LEN + 3);
    assert_eq!(locator.find(&head), Located::None);
}

#[test]
fn what_is_no_plain_write_is_received_whole() {
    let (head, cut) = call(sys("node-17", 1), 32);
    let len = record_len(&head, &cut);
    // The length word claims more than the record has.
    assert_eq!(locate(&head, cut.position as u32 + DATA_LEN as u32 - 1), Located::None);
    let with = |at: usize, word: u32| {
        let mut bytes = head.clone();
        bytes[at..at + 4].copy_from_slice(&word.to_be_bytes());
        locate(&bytes, len)
    };
    assert_eq!(with(cut.position - 4, 0), Located::None);
    assert_eq!(with(cut.position - 4, u32::MAX), Located::None);
    assert_eq!(with(cut.position - 8, 3), Located::None, "an undefined stability");
    assert_eq!(with(72, FILE_HANDLE_MAX as u32 + 1), Located::None, "a handle that is too long");
    assert_eq!(with(72, u32::MAX), Located::None, "a handle that is too long");
    assert_eq!(with(4, 1), Located::None, "a reply");
    assert_eq!(with(12, 100_005), Located::None, "another program");
    assert_eq!(with(16, 2), Located::None, "another version");
    assert_eq!(with(16, 4), Located::None, "another version");
    assert_eq!(with(20, Procedure::Read.number()), Located::None, "another procedure");
    assert_eq!(with(24, RPCSEC_GSS), Located::None, "perhaps wrapped");
    // A record that ends where more would be needed never asks for it.
    for end in 0..cut.position {
        assert_eq!(locate(&head[..end], end as u32), Located::None);
    }
}

#[test]
fn the_decoder_follows_a_payload_that_was_cut_out() {
    let (head, cut) = call(sys("node-17", 1), 31);
    let cuts = [cut];
    let mut decoder = Decoder::with_cuts(&head, &cuts);
    CallHeader::decode(&mut decoder).unwrap();
    let Ok(Arguments::Write(write)) = Arguments::decode(Procedure::Write, &mut decoder) else {
        panic!("a WRITE");
    };
    assert_eq!(
        (write.file.as_bytes(), write.offset, write.count),
        (&[5; 31][..], FILE_OFFSET, DATA_LEN as u32)
    );
    assert_eq!(write.data, Payload::Cut { index: 0, length: DATA_LEN });
    assert_eq!(decoder.finish(), Ok(()));
}

fn attributes() -> FileAttributes {
    let time = NfsTime { seconds: 1, nanoseconds: 2 };
    FileAttributes {
        file_type: FileType::Regular,
        mode: 0o644,
        links: 1,
        uid: 1000,
        gid: 1000,
        size: 1 << 40,
        used: 4096,
        device: Specdata::default(),
        fsid: 3,
        file_id: 4,
        time_access: time,
        time_modify: time,
        time_metadata: time,
    }
}

#[test]
fn data_of_read_is_where_the_client_expects_it() {
    for (attributes, expected) in [(Some(attributes()), 128), (None, 44)] {
        let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
        encoder.put(&ReplyHeader::accepted(1, Accepted::Success)).unwrap();
        encoder.put(&Status::Ok).unwrap();
        ReadResult::encode_head(&mut encoder, &attributes, true, DATA_LEN).unwrap();
        let (head, cut) = split(encoder);
        assert_eq!(cut.position, expected);

        let cuts = [cut];
        let mut decoder = Decoder::with_cuts(&head, &cuts);
        assert_eq!(decoder.get(), Ok(ReplyHeader::accepted(1, Accepted::Success)));
        let data = Payload::Cut { index: 0, length: DATA_LEN };
        let result = ReadResult { attributes, count: DATA_LEN as u32, eof: true, data };
        assert_eq!(decoder.get(), Ok(Outcome::<ReadResult, PostOpAttributes>::Ok(result)));
        assert_eq!(decoder.finish(), Ok(()));
    }
}

#[test]
fn data_in_the_message_itself_is_the_same_bytes() {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 20);
    ReadResult::encode_inline(&mut encoder, &None, false, b"abcde").unwrap();
    let file = FileHandle::new(b"file").unwrap();
    WriteHead { file, offset: 1, count: 5, stable: StableHow::FileSync }
        .encode_inline(&mut encoder, b"abcde")
        .unwrap();
    let encoded = encoder.finish();
    assert!(encoded.inserts.is_empty());
    let read = b"\0\0\0\0\0\0\0\x05\0\0\0\0\0\0\0\x05abcde\0\0\0";
    let write = b"\0\0\0\x04file\0\0\0\0\0\0\0\x01\0\0\0\x05\0\0\0\x02\0\0\0\x05abcde\0\0\0";
    assert_eq!(&encoded.head[..], [&read[..], write].concat());
}
