//! What decodes must encode, and decode to the same.

use std::fmt::Debug;

use bytes::BytesMut;
use wire::xdr::{Cut, Encode, Encoder};

/// What a value encodes to, and where its payloads are in the stream.
pub fn encode(value: &impl Encode) -> (Vec<u8>, Vec<Cut>) {
    let mut encoder = Encoder::new(BytesMut::new(), usize::MAX);
    encoder.put(value).expect("there is no limit");
    let encoded = encoder.finish();
    (encoded.head.to_vec(), encoded.cuts())
}

/// Fails unless the values are equal but for what only a set's receiver knows: that it had numbers too large
/// to keep.
pub fn expect_same<T: PartialEq + Debug>(sent: &T, received: &T) {
    if sent == received {
        return;
    }
    let [sent, received] = [sent, received].map(|value| {
        let text = format!("{value:?}");
        text.replace(", \"beyond\"", "").replace("\"beyond\"", "")
    });
    assert_eq!(sent, received);
}

/// Decodes a value of `$type` from `$decoder`; when there is one, sends it on a round trip, and it must not
/// decode from less than it encodes to. The result says whether there was one. A macro, since a type that
/// borrows cannot be named once for all lifetimes. With `$same`, the value received is held against the one sent.
macro_rules! decode_and_return {
    ($decoder:expr, $type:ty) => {
        $crate::round_trip::decode_and_return!($decoder, $type, $crate::round_trip::expect_same)
    };
    // The place of a payload differs between what was sent and what is received, but not its length, which
    // the encodings have.
    ($decoder:expr, $type:ty, payload) => {
        $crate::round_trip::decode_and_return!($decoder, $type, |_: &$type, _: &$type| ())
    };
    ($decoder:expr, $type:ty, $same:expr) => {
        match $decoder.get::<$type>() {
            Err(_) => false,
            Ok(value) => {
                let (head, cuts) = $crate::round_trip::encode(&value);
                let mut decoder = wire::xdr::Decoder::with_cuts(&head, &cuts);
                let again = decoder.get::<$type>().expect("what was encoded decodes");
                assert_eq!(decoder.finish(), Ok(()));
                let encoded = $crate::round_trip::encode(&again);
                assert_eq!((&encoded.0, &encoded.1), (&head, &cuts));
                $same(&value, &again);
                let end = head.len() - 1;
                assert!(wire::xdr::Decoder::with_cuts(&head[..end], &cuts).get::<$type>().is_err());
                true
            }
        }
    };
}

pub(crate) use decode_and_return;
