//! Annotations of calls: the layout that docs/ANNOTATIONS.md publishes, round trips, and what hostile ones come to.

use bytes::BytesMut;
use wire::head::{Located, locate};
use wire::nfs4::*;
use wire::rpc::{
    AREAS_MAX, AUTH_ANNOT, AUTH_BODY_MAX, Annotations, AuthSys, BulkArea, BulkAreas, CallError, CallHeader,
    Credential, Gids, ITEMS_MAX, Item, OpaqueAuth, PROBE_ANSWER, RPCSEC_GSS, TRACE_TAG_MAX, TraceContext,
    Wrapper, annot_kind,
};
use wire::xdr::{Decoder, Encode, Encoder, Error, Published};

const DOCUMENT: &str = include_str!("../../docs/ANNOTATIONS.md");
const XID: u32 = 0x1234;

fn context() -> TraceContext<'static> {
    TraceContext {
        trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128.to_be_bytes(),
        span_id: 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes(),
        flags: 1,
        process_id: 4711,
        command: "postgres".into(),
    }
}

fn sys(machine_name: &str, groups: usize) -> Credential<'_> {
    let gids = Gids::new(&vec![100; groups]).unwrap();
    Credential::Sys(AuthSys { stamp: 0, machine_name: machine_name.into(), uid: 1000, gid: 1000, gids })
}

fn header(procedure: u32, credential: Credential<'_>) -> CallHeader<'_> {
    CallHeader {
        xid: XID,
        program: PROGRAM,
        version: VERSION,
        procedure,
        credential,
        verifier: OpaqueAuth::NONE,
    }
}

fn encoded(value: &impl Encode) -> Vec<u8> {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    encoder.put(value).unwrap();
    encoder.finish().head.to_vec()
}

fn annotated(header: &CallHeader<'_>, annotations: &Annotations<'_>) -> Vec<u8> {
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    header.encode_annotated(annotations, &mut encoder).unwrap();
    encoder.finish().head.to_vec()
}

fn areas(areas: &[BulkArea]) -> BulkAreas {
    BulkAreas::new(areas).unwrap()
}

const PAGE: BulkArea = BulkArea { offset: 260, length: 65536, alignment: 4096, phase: 512 };

/// A call whose credential has this body, whatever it is.
fn with_body(flavor: u32, body: &[u8]) -> Vec<u8> {
    encoded(&header(1, Credential::Other(OpaqueAuth { flavor, body: body.into() })))
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// The bytes of the example that the document has under this name.
fn example(name: &str) -> Vec<u8> {
    let start = format!("```hex {name}\n");
    let (_, rest) = DOCUMENT.split_once(&start).unwrap_or_else(|| panic!("no example {name}"));
    let (block, _) = rest.split_once("```").unwrap();
    let digits = block.lines().map(|line| line.split('#').next().unwrap());
    let digits: Vec<u8> = digits.flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks_exact(2).map(pair).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(4)
        .map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + " ")
        .collect()
}

#[test]
fn the_examples_of_the_document_are_what_is_sent() {
    let probe = Credential::Other(OpaqueAuth { flavor: AUTH_ANNOT, body: b""[..].into() });
    let wrapped = Annotations { bulk: areas(&[PAGE]), trace: Some(context()), further: &[] };
    let unknown = Annotations { further: &[Item { kind: 99, body: b"later" }], ..Annotations::default() };
    let verifier = wire::rpc::ReplyHeader {
        xid: XID,
        body: wire::rpc::ReplyBody::Accepted {
            verifier: OpaqueAuth { flavor: 0, body: PROBE_ANSWER.into() },
            status: wire::rpc::Accepted::Success,
        },
    };
    for (name, bytes) in [
        ("probe", encoded(&header(PROCEDURE_NULL, probe))),
        ("probe-answer", encoded(&verifier)),
        ("wrapped", annotated(&header(PROCEDURE_COMPOUND, sys("node-17", 1)), &wrapped)),
        ("unknown", annotated(&header(PROCEDURE_COMPOUND, Credential::None), &unknown)),
        ("tag", context().to_tag().into_bytes()),
    ] {
        assert_eq!(hex(&example(name)), hex(&bytes), "example {name}");
    }
    assert!(DOCUMENT.contains(&context().to_tag()));
}

#[test]
fn the_document_has_the_numbers_and_the_order_of_fields() {
    for (number, name) in annot_kind::ALL {
        assert!(DOCUMENT.contains(&format!("{name} = {number}")), "{name}");
    }
    for (name, number) in
        [("ANNOT_ITEMS_MAX", ITEMS_MAX), ("ANNOT_AREAS_MAX", AREAS_MAX), ("ANNOT_BODY_MAX", AUTH_BODY_MAX)]
    {
        assert!(DOCUMENT.contains(&format!("{name} = {number}")), "{name}");
    }
    assert!(DOCUMENT.contains(&format!("AUTH_ANNOT = 0x{AUTH_ANNOT:08x}")));
    let (_, fields) = DOCUMENT.split_once(&format!("struct {} {{", BulkArea::NAME)).unwrap();
    let (fields, _) = fields.split_once('}').unwrap();
    let published: Vec<_> = fields.split(';').filter_map(|field| field.split_whitespace().last()).collect();
    assert_eq!(published, BulkArea::FIELDS);
}

#[test]
fn an_annotated_call_is_the_plain_one_with_its_items() {
    let nine = [PAGE; AREAS_MAX];
    let further = [Item { kind: 0, body: b"" }, Item { kind: u32::MAX, body: &[7; 33] }];
    let gss = Credential::Other(OpaqueAuth { flavor: RPCSEC_GSS, body: (&[1; 36][..]).into() });
    for credential in [Credential::None, sys("", 0), sys("node", 16), gss] {
        for bulk in [areas(&[]), areas(&[PAGE]), areas(&nine)] {
            for trace in [None, Some(context())] {
                for further in [&further[..0], &further[..]] {
                    let annotations = Annotations { bulk, trace, further };
                    check_round_trip(header(1, credential), &annotations);
                }
            }
        }
    }
}

fn check_round_trip(header: CallHeader<'_>, annotations: &Annotations<'_>) {
    let bytes = annotated(&header, annotations);
    let mut decoder = Decoder::new(&bytes);
    let (decoded, items) = CallHeader::decode_annotated(&mut decoder).unwrap();
    assert_eq!((decoded, decoder.finish()), (header, Ok(())));
    assert_eq!(CallHeader::decode(&mut Decoder::new(&bytes)), Ok(header));
    if *annotations == Annotations::default() {
        assert_eq!((items, &bytes), (None, &encoded(&header)));
        return;
    }
    let items = items.unwrap();
    let bulk = (!annotations.bulk.as_slice().is_empty()).then_some(annotations.bulk);
    assert_eq!((items.bulk(), items.trace()), (Ok(bulk), Ok(annotations.trace)));
    let further = items.iter().filter(|item| !annot_kind::ALL.iter().any(|(kind, _)| *kind == item.kind));
    assert_eq!(further.collect::<Vec<_>>(), annotations.further);
    for end in 0..bytes.len() {
        let short = CallHeader::decode(&mut Decoder::new(&bytes[..end]));
        assert_eq!(short, Err(CallError::Garbage(Error::Short)));
    }
}

#[test]
fn a_call_goes_without_annotations_that_do_not_fit() {
    let name = "n".repeat(255);
    let long = header(1, sys(&name, 16));
    let annotations = Annotations { trace: Some(context()), ..Annotations::default() };
    assert_eq!(annotated(&long, &annotations), encoded(&long));
    // The longest body there may be, and one word more.
    let room = AUTH_BODY_MAX - 3 * 4 - 2 * 4;
    for (length, fits) in [(room, true), (room + 1, false)] {
        let body = vec![0; length];
        let item = [Item { kind: 9, body: &body }];
        let annotations = Annotations { further: &item, ..Annotations::default() };
        let bytes = annotated(&header(1, Credential::None), &annotations);
        let (_, items) = CallHeader::decode_annotated(&mut Decoder::new(&bytes)).unwrap();
        assert_eq!(items.is_some(), fits, "{length} bytes");
    }
    let many = [Item { kind: 9, body: b"" }; ITEMS_MAX + 1];
    for (items, fits) in [(&many[1..], true), (&many[..], false)] {
        let annotations = Annotations { further: items, ..Annotations::default() };
        let bytes = annotated(&header(1, Credential::None), &annotations);
        assert_eq!(CallHeader::decode_annotated(&mut Decoder::new(&bytes)).unwrap().1.is_some(), fits);
    }
}

#[test]
fn a_wrapper_that_is_not_whole_is_a_bad_credential() {
    let refused = |body: &[u8]| {
        let bytes = with_body(AUTH_ANNOT, body);
        let result = CallHeader::decode_annotated(&mut Decoder::new(&bytes));
        assert_eq!(result, Err(CallError::BadCredential { xid: XID }), "{}", hex(body));
        assert_eq!(locate(&bytes, bytes.len() as u32), Located::None);
    };
    // Nothing but a flavor; an inner body that runs over; no count; a count without items; too many items.
    refused(&words(&[0]));
    refused(&words(&[0, 8]));
    refused(&words(&[0, u32::MAX, 0]));
    refused(&words(&[0, 0]));
    refused(&words(&[0, 0, 1]));
    refused(&words(&[0, 0, ITEMS_MAX as u32 + 1]));
    refused(&words(&[0, 0, u32::MAX]));
    // An item that runs over, one longer than any body, bytes behind the last.
    refused(&words(&[0, 0, 1, 99, 8, 0]));
    refused(&words(&[0, 0, 1, 99, u32::MAX, 0]));
    refused(&words(&[0, 0, 0, 0]));
    // A wrapper in a wrapper, with a body or as a probe; an inner AUTH_SYS that is none.
    let inner = words(&[0, 0, 0]);
    refused(&[words(&[AUTH_ANNOT, inner.len() as u32]), inner, words(&[0])].concat());
    refused(&words(&[AUTH_ANNOT, 0, 0]));
    refused(&words(&[1, 4, 0, 0]));
    // Longer than any credential.
    let mut long = with_body(AUTH_ANNOT, &words(&[0, 0, 0]));
    long[28..32].copy_from_slice(&404_u32.to_be_bytes());
    let result = CallHeader::decode_annotated(&mut Decoder::new(&long));
    assert_eq!(result.unwrap_err(), CallError::BadCredential { xid: XID });
}

#[test]
fn the_probe_is_a_call_of_its_own() {
    let bytes = with_body(AUTH_ANNOT, b"");
    let (header, items) = CallHeader::decode_annotated(&mut Decoder::new(&bytes)).unwrap();
    assert!(header.is_annotation_probe() && items.is_none());
    for (flavor, body) in [(0, &[][..]), (RPCSEC_GSS, &[]), (AUTH_ANNOT, &words(&[0, 0, 0]))] {
        let bytes = with_body(flavor, body);
        assert!(!CallHeader::decode(&mut Decoder::new(&bytes)).unwrap().is_annotation_probe());
    }
}

#[test]
fn an_item_that_makes_no_sense_is_refused_alone() {
    let item = |kind: u32, body: &[u8]| {
        let item = encoded(&Item { kind, body });
        [words(&[0, 0, 1]), item].concat()
    };
    let trace = encoded(&context());
    let zeroed = |range: std::ops::Range<usize>| {
        let mut body = trace.clone();
        body[range].fill(0);
        body
    };
    let mut flags = trace.clone();
    flags[24] = 1;
    let longer = [&trace[..], &[0; 4]].concat();
    for body in [&trace[..trace.len() - 4], &zeroed(0..16), &zeroed(16..24), &flags, &longer, &[]] {
        let wrapper = item(annot_kind::TRACE, body);
        let wrapper = Wrapper::open(&wrapper).unwrap();
        assert!(wrapper.items.trace().is_err(), "{}", hex(body));
        assert_eq!(wrapper.items.bulk(), Ok(None));
    }
    let nine = [&words(&[AREAS_MAX as u32 + 1])[..], &[0; (AREAS_MAX + 1) * 16]].concat();
    for body in [&[][..], &words(&[1, 0, 0, 0]), &words(&[0, 0]), &words(&[u32::MAX]), &nine] {
        let wrapper = item(annot_kind::BULK, body);
        let wrapper = Wrapper::open(&wrapper).unwrap();
        assert!(wrapper.items.bulk().is_err(), "{}", hex(body));
    }
}

#[test]
fn the_first_item_of_a_kind_counts() {
    let (first, second) = (encoded(&context()), encoded(&TraceContext { process_id: 1, ..context() }));
    let items = [
        Item { kind: 5, body: &first },
        Item { kind: annot_kind::TRACE, body: &first },
        Item { kind: annot_kind::TRACE, body: &second },
    ];
    let bytes =
        annotated(&header(1, Credential::None), &Annotations { further: &items, ..Annotations::default() });
    let (_, decoded) = CallHeader::decode_annotated(&mut Decoder::new(&bytes)).unwrap();
    assert_eq!(decoded.unwrap().trace(), Ok(Some(context())));
}

#[test]
fn only_areas_that_can_be_are_possible() {
    let area = |offset, length| BulkArea { offset, length, alignment: 0, phase: 0 };
    let possible = |list: &[BulkArea]| areas(list).are_possible(1000);
    assert!(possible(&[]) && possible(&[area(0, 1000)]) && possible(&[area(10, 20), area(30, 970)]));
    assert!(
        !possible(&[area(0, 1001)]) && !possible(&[area(u32::MAX, u32::MAX)]) && !possible(&[area(5, 0)])
    );
    assert!(!possible(&[area(10, 20), area(29, 5)]) && !possible(&[area(30, 5), area(10, 5)]));
    let aligned = |alignment, phase| possible(&[BulkArea { offset: 0, length: 8, alignment, phase }]);
    assert!(aligned(1, 0) && aligned(4096, 4095) && aligned(1 << 31, 7));
    assert!(!aligned(0, 1) && !aligned(3, 0) && !aligned(512, 512));
    assert_eq!(BulkAreas::new(&[PAGE; AREAS_MAX + 1]), None);
}

#[test]
fn payload_is_found_behind_a_wrapper() {
    let annotations = Annotations { trace: Some(context()), bulk: areas(&[PAGE, PAGE]), further: &[] };
    let mut record = annotated(&header(PROCEDURE_COMPOUND, sys("node-17", 3)), &annotations);
    let mut encoder = Encoder::new(BytesMut::new(), 1 << 16);
    let frame = CompoundArgsFrame::begin(&mut encoder, b"", 2).unwrap();
    encoder.put(&Operation::Write).unwrap();
    let write = WriteHead { stateid: Stateid::ANONYMOUS, offset: 8192, stable: StableHow::Unstable };
    write.encode_head(&mut encoder, 4097).unwrap();
    frame.finish(&mut encoder, 1);
    let encoded = encoder.finish();
    let data_at = record.len() + encoded.inserts[0].position;
    record.extend_from_slice(&encoded.head);
    let record_len = (record.len() + 4097) as u32;
    let found = Located::At { offset: data_at, length: 4097, file_offset: 8192 };
    assert_eq!(locate(&record[..data_at], record_len), found);
    for end in 0..data_at {
        assert!(matches!(locate(&record[..end], record_len), Located::NeedMore(bytes) if bytes > end));
    }
    // What is wrapped in RPCSEC_GSS is nobody's to look into, annotated or not.
    let gss = Credential::Other(OpaqueAuth { flavor: RPCSEC_GSS, body: (&[1; 36][..]).into() });
    let record = annotated(&header(PROCEDURE_COMPOUND, gss), &annotations);
    assert_eq!(locate(&record, 1 << 20), Located::None);
}

#[test]
fn a_tag_carries_a_trace_context() {
    let tag = context().to_tag();
    assert_eq!(TraceContext::from_tag(tag.as_bytes()), Some(context()));
    let longest = TraceContext { process_id: u32::MAX, command: "0123456789abcdef".into(), ..context() };
    assert!(longest.to_tag().len() <= TRACE_TAG_MAX);
    assert_eq!(TraceContext::from_tag(longest.to_tag().as_bytes()), Some(longest));
    let odd = TraceContext { command: b"a;b=\0\xc3\xa4"[..].into(), ..context() };
    let read = odd.to_tag();
    assert_eq!(&TraceContext::from_tag(read.as_bytes()).unwrap().command[..], b"a_b=___");
    let plain = tag.split(';').next().unwrap().to_owned();
    let bare = TraceContext { process_id: 0, command: ""[..].into(), ..context() };
    assert_eq!(TraceContext::from_tag(plain.as_bytes()), Some(bare));
    let with = |more: &str| plain.clone() + more;
    assert_eq!(TraceContext::from_tag(with(";x=1;pid=7").as_bytes()).unwrap().process_id, 7);
    for bad in [
        String::new(),
        "mount".into(),
        tag.to_uppercase(),
        tag.replace("tp=00", "tp=01"),
        format!(" {tag}"),
        plain[..57].to_owned(),
        with("x"),
        with(";pid="),
        with(";pid=-1"),
        with(";pid=+1"),
        with(";pid=4294967296"),
        with(";c=longer than sixteen"),
        with(&format!(";{}", "x".repeat(200))),
        plain.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
        plain.replace("00f067aa0ba902b7", "0000000000000000"),
        plain.replace("4bf9", "4bg9"),
    ] {
        assert_eq!(TraceContext::from_tag(bad.as_bytes()), None, "{bad:?}");
    }
}
