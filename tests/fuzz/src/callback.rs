//! CB_COMPOUND calls.

use wire::nfs4::{CallbackArguments, CallbackCompoundArgs, CallbackOperation};
use wire::xdr::{Decoder, Error};

use crate::round_trip::{decode_and_return, encode, expect_same};

/// The bytes are a CB_COMPOUND.
pub fn check(data: &[u8]) {
    decode_and_return!(Decoder::new(data), CallbackCompoundArgs<'_>);
    // What is no callback is refused by its decoder; that it does not panic is all that is asked here.
    let _ = walk(&mut Decoder::new(data));
}

fn walk(decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let compound: CallbackCompoundArgs<'_> = decoder.get()?;
    for _ in 0..compound.operations {
        let operation = CallbackOperation::decode_or_illegal(decoder)?;
        let arguments = CallbackArguments::decode(operation, decoder)?;
        check_arguments(&arguments);
        if let CallbackArguments::Unserved(_) = arguments {
            return Ok(());
        }
    }
    decoder.finish()
}

fn check_arguments(arguments: &CallbackArguments<'_>) {
    let (bytes, cuts) = encode(arguments);
    assert!(cuts.is_empty());
    let mut decoder = Decoder::new(&bytes);
    let operation = CallbackOperation::decode_or_illegal(&mut decoder);
    assert_eq!(operation, Ok(arguments.operation()));
    let again = CallbackArguments::decode(arguments.operation(), &mut decoder);
    let again = again.expect("what was encoded decodes");
    assert_eq!(decoder.finish(), Ok(()));
    expect_same(arguments, &again);
}
