//! Annotations of a call: the body of the wrapping credential, or a COMPOUND's tag.

use wire::rpc::{
    AREAS_MAX, AUTH_ANNOT, AUTH_BODY_MAX, Annotations, CallError, CallHeader, Credential, ITEMS_MAX, Item,
    OpaqueAuth, TRACE_TAG_MAX, TraceContext, Wrapper, annot_kind,
};
use wire::xdr::{Decoder, Encoder};

use crate::round_trip::encode;

/// The same bytes as the body of a credential and as a tag.
pub fn check(data: &[u8]) {
    check_tag(data);
    let call = call_with(data);
    let decoded = CallHeader::decode_annotated(&mut Decoder::new(&call));
    let Ok(wrapper) = Wrapper::open(data) else {
        let is_probe = matches!(decoded, Ok((header, None)) if header.is_annotation_probe());
        let denied = decoded == Err(CallError::BadCredential { xid: 1 });
        assert!(if data.is_empty() { is_probe } else { denied }, "{decoded:?}");
        return;
    };
    // What is wrapped may still be no credential; the wrapper is opened first.
    let inner = Credential::interpret(wrapper.inner);
    match (&decoded, &inner) {
        (Ok((header, Some(items))), Ok(credential)) => {
            assert_eq!((header.credential, *items), (*credential, wrapper.items));
        }
        (Err(CallError::BadCredential { .. }), Err(_)) => {}
        _ if data.len() > AUTH_BODY_MAX => assert!(decoded.is_err()),
        _ => panic!("{decoded:?} for {inner:?}"),
    }
    check_items(&wrapper);
    if let Ok(credential) = inner {
        check_wrapped_again(&credential, &wrapper, data.len());
    }
}

fn call_with(body: &[u8]) -> Vec<u8> {
    let credential = Credential::Other(OpaqueAuth { flavor: AUTH_ANNOT, body: body.into() });
    let header =
        CallHeader { xid: 1, program: 2, version: 3, procedure: 4, credential, verifier: OpaqueAuth::NONE };
    encode(&header).0
}

fn check_items(wrapper: &Wrapper<'_>) {
    let items: Vec<_> = wrapper.items.iter().collect();
    assert!(items.len() <= ITEMS_MAX);
    let is_there = |kind| items.iter().any(|item| item.kind == kind);
    match wrapper.items.bulk() {
        Ok(None) => assert!(!is_there(annot_kind::BULK)),
        Ok(Some(areas)) => {
            assert!(areas.as_slice().len() <= AREAS_MAX);
            if areas.are_possible(1 << 20) {
                let bytes: u64 = areas.as_slice().iter().map(|area| u64::from(area.length)).sum();
                assert!(bytes <= 1 << 20);
            }
        }
        Err(_) => assert!(is_there(annot_kind::BULK)),
    }
    match wrapper.items.trace() {
        Ok(None) => assert!(!is_there(annot_kind::TRACE)),
        Ok(Some(context)) => {
            let tag = context.to_tag();
            assert!(tag.len() <= TRACE_TAG_MAX && tag.is_ascii());
            let read = TraceContext::from_tag(tag.as_bytes()).expect("what is written is read");
            assert_eq!((read.trace_id, read.span_id), (context.trace_id, context.span_id));
            assert_eq!((read.flags, read.process_id), (context.flags, context.process_id));
        }
        Err(_) => assert!(is_there(annot_kind::TRACE)),
    }
}

/// The same items around the same credential are read as the same.
fn check_wrapped_again(credential: &Credential<'_>, wrapper: &Wrapper<'_>, body_bytes: usize) {
    let items: Vec<Item<'_>> = wrapper.items.iter().collect();
    let annotations = Annotations { further: &items, ..Annotations::default() };
    let mut encoder = Encoder::new(bytes::BytesMut::new(), 1024);
    annotations.wrap(credential, &mut encoder).expect("a credential is short");
    let bytes = encoder.finish().head;
    let auth: OpaqueAuth<'_> = Decoder::new(&bytes).get().expect("what is written is read");
    if auth.flavor != AUTH_ANNOT {
        // Of no items nothing remains, and of a body that is longer than any credential's only the credential.
        assert!(items.is_empty() || body_bytes > AUTH_BODY_MAX);
        return;
    }
    let again = Wrapper::open(auth.body.bytes()).expect("what is written is read");
    assert!(again.items.iter().eq(items));
    assert_eq!(Credential::interpret(again.inner), Ok(*credential));
}

fn check_tag(tag: &[u8]) {
    let Some(context) = TraceContext::from_tag(tag) else { return };
    let again = context.to_tag();
    assert!(again.len() <= TRACE_TAG_MAX);
    let read = TraceContext::from_tag(again.as_bytes()).expect("what is written is read");
    let command = context.command.iter().map(|byte| match byte {
        b' '..=b'~' => *byte,
        _ => b'_',
    });
    assert!(command.eq(read.command.iter().copied()));
    assert_eq!(TraceContext { command: context.command, ..read }, context);
}
