//! rpcbind and the text of RFC 1833.

use wire::rpcbind::*;
use wire::xdr::Published;

use crate::text::{Names, Text};

const NAMES: Names =
    Names { same: &[("unsigned long", &["u32"]), ("string<>", &["Text"])], published: |_| None };

#[test]
fn registration_is_the_published_one() {
    let text = Text::parse(include_str!("../xdr/rpcbind.x"));
    let numbers = [("RPCBPROG", PROGRAM), ("RPCBVERS", VERSION), ("RPCB_PORT", PORT.into())];
    for (name, number) in numbers {
        assert_eq!(text.numbers[name], u64::from(number), "{name}");
    }
    for (procedure, name) in Procedure::ALL {
        let (number, arguments, result) = &text.procedures[*name];
        assert_eq!(*number, u64::from(procedure.number()), "{name}");
        let expected = match procedure {
            Procedure::Dump => ("void", "rp__list"),
            Procedure::Set | Procedure::Unset => (Binding::NAME, "bool"),
        };
        assert_eq!((&arguments[..], &text.resolve(result)[..]), expected, "{name}");
    }
    assert_eq!(text.structs[Binding::NAME], Binding::FIELDS);
    for (published, ours) in text.types[Binding::NAME].iter().zip(Binding::TYPES) {
        assert!(text.is_same_type(&NAMES, published, ours), "{published} is not {ours}");
    }
    assert_eq!(text.types["rp__list"][0], Binding::NAME);
}
