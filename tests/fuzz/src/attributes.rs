//! Attributes behind their mask.

use wire::nfs4::{AttributeError, Attributes, Bitmap, RawAttributes, Status};
use wire::xdr::{Decoder, Error};

use crate::round_trip::{decode_and_return, encode};

/// The bytes are a fattr4; then, once more, a short mask and the values.
pub fn check(data: &[u8]) {
    let mut decoder = Decoder::new(data);
    decode_and_return!(decoder.clone(), RawAttributes<'_>);
    if let Ok(raw) = decoder.get::<RawAttributes<'_>>() {
        check_values(&raw);
        let decoded = Decoder::new(data).get::<Attributes<'_>>();
        assert_eq!(decoded.is_ok(), raw.decode_values().is_ok());
    }
    // One to four numbers as single bytes reach single attributes sooner than a mask's bits do.
    let Some((numbers, values)) = data.split_at_checked(4) else { return };
    let known: Vec<u32> = Attributes::KNOWN.iter().collect();
    let number = |byte: &u8| known[usize::from(*byte) % known.len()];
    check_values(&RawAttributes { mask: numbers.iter().map(number).collect(), values: values.into() });
}

fn check_values(raw: &RawAttributes<'_>) {
    let attributes = match raw.decode_values() {
        Ok(attributes) => attributes,
        Err(error) => return check_error(raw, error),
    };
    assert_eq!(attributes.present(), raw.mask);
    let longer = [raw.values.bytes(), &[0; 4]].concat();
    let longer = RawAttributes { mask: raw.mask, values: longer[..].into() };
    assert_eq!(longer.decode_values(), Err(AttributeError::Malformed(Error::Trailing)));
    let (bytes, cuts) = encode(&attributes);
    assert!(cuts.is_empty());
    let again: Attributes<'_> = Decoder::new(&bytes).get().expect("what was encoded decodes");
    // What a set had beyond the numbers kept is lost, so the second encoding is the measure.
    assert_eq!(again.present(), attributes.present());
    assert_eq!(encode(&again).0, bytes);
    check_subset(&attributes, &raw.mask.iter().step_by(2).collect());
    check_subset(&attributes, &Bitmap::EMPTY);
}

fn check_error(raw: &RawAttributes<'_>, error: AttributeError) {
    let unknown = !raw.mask.is_subset(&Attributes::KNOWN);
    assert_eq!(unknown, matches!(error, AttributeError::Unsupported(_)));
    assert_eq!(Status::from(error), if unknown { Status::Attrnotsupp } else { Status::Badxdr });
}

/// Only what is asked for is given.
fn check_subset(attributes: &Attributes<'_>, requested: &Bitmap) {
    let mut encoder = wire::xdr::Encoder::new(bytes::BytesMut::new(), usize::MAX);
    attributes.encode(requested, &mut encoder).expect("there is no limit");
    let bytes = encoder.finish().head;
    let mut decoder = Decoder::new(&bytes);
    let given: Attributes<'_> = decoder.get().expect("what was encoded decodes");
    assert_eq!(given.present(), requested.intersection(&attributes.present()));
    assert_eq!(decoder.finish(), Ok(()));
    let short = Decoder::new(&bytes[..bytes.len() - 1]).get::<Attributes<'_>>();
    assert_eq!(short, Err(Error::Short));
}
