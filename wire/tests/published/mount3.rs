//! MOUNT and the text of RFC 1813.

use wire::mount3::*;
use wire::nfs3::FILE_HANDLE_MAX;
use wire::xdr::Published;

use crate::text::{Names, Text};

fn text() -> Text {
    Text::parse(include_str!("../xdr/mount3.x"))
}

#[test]
fn every_number_is_the_published_one() {
    let text = text();
    let ours = Status::ALL.iter().map(|(value, name)| ((*name).to_owned(), u64::from(value.number())));
    assert_eq!(ours.collect::<Vec<_>>(), text.enums[Status::PUBLISHED]);
    for (procedure, name) in Procedure::ALL {
        assert_eq!(text.procedures[*name].0, u64::from(procedure.number()), "{name}");
    }
    assert_eq!(text.procedures.len(), Procedure::ALL.len());
    for (name, number) in [
        ("MOUNT_PROGRAM", u64::from(PROGRAM)),
        ("MOUNT_V3", u64::from(VERSION)),
        ("MNTPATHLEN", PATH_MAX as u64),
        ("MNTNAMLEN", NAME_MAX as u64),
        ("FHSIZE3", FILE_HANDLE_MAX as u64),
    ] {
        assert_eq!(text.numbers[name], number, "{name}");
    }
}

const NAMES: Names = Names {
    same: &[
        ("opaque<>", &["FileHandle"]),
        ("string<>", &["Name", "Path"]),
        ("int", &["u32"]),
        // Whose items are names: see below.
        ("struct groupnode", &["Chain<Name, GROUPS_MAX>"]),
    ],
    published: |_| None,
};

/// But for the link to the next, which is the chain's matter here.
fn check_struct<T: Published>(text: &Text) {
    let fields = &text.structs[T::NAME];
    let own = fields.iter().filter(|field| !field.ends_with("_next"));
    assert!(own.eq(T::FIELDS), "{}", T::NAME);
    for ((published, ours), field) in text.types[T::NAME].iter().zip(T::TYPES).zip(T::FIELDS) {
        let resolved = text.resolve(published);
        assert!(text.is_same_type(&NAMES, &resolved, ours), "{}.{field}: {resolved} is not {ours}", T::NAME);
    }
}

#[test]
fn every_struct_has_the_published_fields() {
    let text = text();
    check_struct::<MountResult>(&text);
    check_struct::<Mount<'_>>(&text);
    check_struct::<Export<'_>>(&text);
    assert_eq!(text.types["groupnode"], ["name", "groups"]);
    assert_eq!(text.structs["mountbody"].last().unwrap(), "ml_next");
    assert_eq!(text.structs["exportnode"].last().unwrap(), "ex_next");
}

#[test]
fn arguments_and_results_of_procedures_are_the_published_ones() {
    let text = text();
    let of = |procedure: Procedure| {
        let (_, arguments, result) = &text.procedures[procedure.name()];
        (text.resolve(arguments), text.resolve(result))
    };
    let is = |procedure, arguments: &str, result: &str| {
        assert_eq!(of(procedure), (arguments.to_owned(), result.to_owned()), "{procedure}");
    };
    is(Procedure::Null, "void", "void");
    is(Procedure::Mnt, "string<>", "mountres3");
    is(Procedure::Dump, "void", &format!("struct {}", Mount::NAME));
    is(Procedure::Umnt, "string<>", "void");
    is(Procedure::Umntall, "void", "void");
    is(Procedure::Export, "void", &format!("struct {}", Export::NAME));
    // The text calls MNT3_OK so here.
    let expected = [("MNT_OK", MountResult::NAME), ("default", "void")];
    let arms = text.unions["mountres3"].iter().map(|(case, arm)| (&case[..], &arm[..]));
    assert!(arms.eq(expected));
}
