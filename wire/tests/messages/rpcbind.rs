//! Types of rpcbind.

use wire::rpcbind::*;

use crate::values::{decode, encode, round_trip};

#[test]
fn every_type() {
    round_trip! { Text<'_>, Procedure, Binding<'_>, Bindings<'_>, }
}

#[test]
fn a_list_is_the_published_bytes() {
    let binding = Binding {
        program: 100_005,
        version: 3,
        network_id: TCP.into(),
        address: "::.8.1".into(),
        owner: "superuser".into(),
    };
    let list = Bindings::from(vec![binding]);
    let (bytes, _) = encode(&list);
    let expected = b"\0\0\0\x01\0\x01\x86\xa5\0\0\0\x03\0\0\0\x03tcp\0\0\0\0\x06::.8.1\0\0\0\0\0\x09superuser\0\0\0\0\0\0\0";
    assert_eq!(bytes, expected);
    assert_eq!(decode::<Bindings<'_>>(&bytes, &[]), Ok(list));
}

#[test]
fn a_list_without_end_is_refused() {
    let one = [&1_u32.to_be_bytes()[..], &[0; 20]].concat();
    let endless: Vec<u8> = one.iter().copied().cycle().take(one.len() * 5000).collect();
    assert_eq!(decode::<Bindings<'_>>(&endless, &[]), Err(wire::xdr::Error::Bound));
}
