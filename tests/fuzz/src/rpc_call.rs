//! Headers of calls and replies.

use wire::rpc::{CallError, CallHeader, Credential, Direction, ReplyHeader};
use wire::xdr::{Decoder, Error};

use crate::round_trip::{decode_and_return, encode};

/// The bytes are the beginning of a message, whichever way it goes.
pub fn check(data: &[u8]) {
    let direction = Direction::peek(data);
    let mut decoder = Decoder::new(data);
    match CallHeader::decode_annotated(&mut decoder) {
        Ok((call, items)) => {
            assert_eq!(direction, Ok((call.xid, Direction::Call)));
            check_call(&call, &data[..decoder.position()], items.is_some());
        }
        Err(CallError::RpcMismatch { xid } | CallError::BadCredential { xid }) => {
            assert_eq!(direction, Ok((xid, Direction::Call)));
        }
        Err(CallError::Garbage(_)) => {}
    }
    if decode_and_return!(Decoder::new(data), ReplyHeader<'_>) {
        assert!(matches!(direction, Ok((_, Direction::Reply))));
    }
}

/// `read` is what `call` was decoded from, out of a wrapper or not.
fn check_call(call: &CallHeader<'_>, read: &[u8], wrapped: bool) {
    let (bytes, _) = encode(call);
    let mut decoder = Decoder::new(&bytes);
    assert_eq!(CallHeader::decode(&mut decoder).as_ref(), Ok(call));
    assert_eq!(decoder.finish(), Ok(()));
    // The body of AUTH_NONE is not kept; everything else takes what it took, though pad bytes may differ.
    if call.credential != Credential::None && !wrapped {
        assert_eq!(bytes.len(), read.len());
    }
    for end in 0..bytes.len() {
        let short = CallHeader::decode(&mut Decoder::new(&bytes[..end]));
        assert_eq!(short, Err(CallError::Garbage(Error::Short)));
    }
    for end in 0..read.len() {
        let short = CallHeader::decode(&mut Decoder::new(&read[..end]));
        assert_eq!(short, Err(CallError::Garbage(Error::Short)));
    }
}
