//! What rpcbind answers.

use wire::rpcbind::{Bindings, UniversalAddress};
use wire::xdr::Decoder;

use crate::round_trip::decode_and_return;

/// A list of what is registered, with addresses that are read too.
pub fn check(data: &[u8]) {
    let mut decoder = Decoder::new(data);
    if !decode_and_return!(decoder, Bindings<'_>) {
        return;
    }
    let bindings = Decoder::new(data).get::<Bindings<'_>>().expect("it was decoded before");
    for address in bindings.iter().filter_map(|binding| UniversalAddress::parse(binding.address.0)) {
        assert_eq!(UniversalAddress::parse(address.to_string().as_bytes()), Some(address));
    }
}
