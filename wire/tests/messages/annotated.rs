//! Annotated traffic as a dissector sees it that knows nothing of annotations (docs/ANNOTATIONS.md): calls whose records
//! are cut where their data lies, and calls with a wrapped credential.

use bytes::BytesMut;
use wire::nfs4::*;
use wire::rpc::{
    Annotations, AuthSys, BulkArea, BulkAreas, CallHeader, Credential, Gids, OpaqueAuth, TraceContext,
};
use wire::xdr::Encoder;

use crate::dissector::{Capture, End, dissect, expect_understood, record};

/// Bytes of the WRITE's data: several segments and a pad.
const DATA_LEN: usize = 5001;

/// A call with a WRITE and a GETATTR, and where its data is.
fn call(xid: u32, annotations: &Annotations<'_>) -> (Vec<u8>, usize) {
    let sys = AuthSys {
        stamp: 0,
        machine_name: "node-17".into(),
        uid: 1000,
        gid: 1000,
        gids: Gids::new(&[27]).unwrap(),
    };
    let header = CallHeader {
        xid,
        program: PROGRAM,
        version: VERSION,
        procedure: PROCEDURE_COMPOUND,
        credential: Credential::Sys(sys),
        verifier: OpaqueAuth::NONE,
    };
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    header.encode_annotated(annotations, &mut encoder).unwrap();
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 2).unwrap();
    let sequence = SequenceArgs {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
    };
    encoder.put(&Arguments::from(sequence)).unwrap();
    encoder.put(&Arguments::from(PutFhArgs { object: FileHandle::new(&[5; 32]).unwrap() })).unwrap();
    encoder.put(&Operation::Write).unwrap();
    let write = WriteHead { stateid: Stateid::ANONYMOUS, offset: 8192, stable: StableHow::Unstable };
    write.encode_head(&mut encoder, DATA_LEN).unwrap();
    encoder.put(&Arguments::from(GetAttrArgs { requested: Bitmap::of(&[attribute::CHANGE]) })).unwrap();
    frame.finish(&mut encoder, 4);
    let encoded = encoder.finish();
    let at = encoded.inserts[0].position;
    ([&encoded.head[..at], &[0xda; DATA_LEN], &encoded.head[at..]].concat(), at)
}

/// Asserts that the capture has one WRITE with these credentials, decoded to its end, and nothing malformed.
fn check_understood(capture: &Capture, flavor: u32) {
    let fields = ["rpc.auth.flavor", "nfs.opcode", "nfs.offset4", "nfs.write.data_length", "nfs.data"];
    let mut arguments = vec!["-Y", "nfs", "-T", "fields"];
    fields.iter().for_each(|field| arguments.extend(["-e", field]));
    let Some(text) = dissect(capture, &arguments) else { return };
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 1, "{text}");
    let columns: Vec<_> = lines[0].split('\t').collect();
    // Credential and verifier, then the operations with the offset between them.
    assert_eq!(columns[0].split(',').next(), Some(flavor.to_string().as_str()), "{text}");
    assert_eq!(columns[1], "53,22,38,9", "{text}");
    assert_eq!(columns[2], "8192", "{text}");
    expect_understood(capture);
}

#[test]
fn a_record_cut_at_its_data_is_an_ordinary_call() {
    let (bytes, at) = call(1, &Annotations::default());
    let mut capture = Capture::new();
    capture.send(End::Client, &record(&[&bytes[..at], &bytes[at..at + DATA_LEN], &bytes[at + DATA_LEN..]]));
    check_understood(&capture, 1);
}

#[test]
fn behind_a_wrapped_credential_the_call_is_an_ordinary_one() {
    let trace =
        TraceContext { trace_id: [7; 16], span_id: [9; 8], flags: 1, process_id: 12, command: "cat".into() };
    let area = BulkArea { offset: 300, length: DATA_LEN as u32, alignment: 4096, phase: 0 };
    let annotations =
        Annotations { bulk: BulkAreas::new(&[area]).unwrap(), trace: Some(trace), further: &[] };
    let (bytes, _) = call(2, &annotations);
    let mut capture = Capture::new();
    capture.send(End::Client, &record(&[&bytes]));
    check_understood(&capture, wire::rpc::AUTH_ANNOT);
}
