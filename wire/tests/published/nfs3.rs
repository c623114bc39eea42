//! NFSv3 and the text of RFC 1813.

use std::any::type_name;

use wire::nfs3::*;
use wire::xdr::Published;

use crate::text::{Names, Text};

fn text() -> Text {
    Text::parse(include_str!("../xdr/nfs3.x"))
}

/// Our values are the published ones, in the published order, and none is left out.
fn check_enum<'n>(text: &Text, published: &str, ours: impl Iterator<Item = (u32, &'n str)>) {
    let ours: Vec<_> = ours.map(|(number, name)| (name.to_owned(), u64::from(number))).collect();
    assert_eq!(ours, text.enums[published], "{published}");
}

#[test]
fn every_enum_is_the_published_one() {
    let text = text();
    check_enum(&text, "nfsstat3", Status::ALL.iter().map(|(value, name)| (value.number(), *name)));
    check_enum(&text, "ftype3", FileType::ALL.iter().map(|(value, name)| (value.number(), *name)));
    check_enum(&text, "time_how", SetTime::CASES.iter().copied());
    check_enum(&text, "createmode3", CreateHow::CASES.iter().copied());
    // NFSv4's own, with its number behind the names.
    let stable = StableHow::ALL.iter().map(|(value, name)| (value.number(), name.trim_end_matches('4')));
    check_enum(&text, "stable_how", stable);
    for (value, _) in Status::ALL {
        assert_eq!(Status::from_u32(value.number()), Some(*value));
    }
}

/// Cases and arms of our union, in any order, are those of the union that the text calls `published`.
fn check_union(text: &Text, published: &str, cases: &[(u32, &str)], arms: &[&str]) {
    let theirs = &text.unions[published];
    for ((number, name), arm) in cases.iter().zip(arms) {
        assert_eq!(text.numbers[*name], u64::from(*number), "{published}: {name}");
        let case = theirs.iter().find(|(case, _)| case == name);
        let (_, expected) = case.or(theirs.iter().find(|(case, _)| case == "default")).unwrap();
        let same = if arm.is_empty() { expected == "void" } else { is_same_type(text, expected, arm) };
        assert!(same, "{published}.{name}: {expected} is not {arm}");
    }
    for (case, _) in theirs.iter().filter(|(case, _)| case != "default") {
        assert!(cases.iter().any(|(_, name)| name == case), "{published} lacks {case}");
    }
}

#[test]
fn every_union_has_the_published_cases_and_arms() {
    let text = text();
    check_union(&text, CreateHow::PUBLISHED, CreateHow::CASES, CreateHow::ARMS);
    check_union(&text, MknodData::PUBLISHED, MknodData::CASES, MknodData::ARMS);
    check_union(&text, "set_atime", SetTime::CASES, SetTime::ARMS);
    check_union(&text, "set_mtime", SetTime::CASES, SetTime::ARMS);
}

#[test]
fn every_constant_is_the_published_one() {
    let text = text();
    // NFSv4's bits, of which NFSv3 has the first.
    let access = access::ALL.iter().map(|(bit, name)| (name.replace('4', "3"), *bit));
    let access = access.filter(|(_, bit)| *bit <= access::EXECUTE);
    let properties = file_system_property::ALL.iter().map(|(bit, name)| ((*name).to_owned(), *bit));
    let ours: Vec<_> = access.chain(properties).collect();
    for (name, number) in &ours {
        assert_eq!(text.numbers.get(name), Some(&u64::from(*number)), "{name}");
    }
    for name in text.numbers.keys().filter(|name| name.starts_with("ACCESS3_") || name.starts_with("FSF3_")) {
        assert!(ours.iter().any(|(ours, _)| ours == name), "{name} is missing");
    }
    for (name, size) in [
        ("NFS3_FHSIZE", FILE_HANDLE_MAX),
        ("NFS3_COOKIEVERFSIZE", size_of::<Verifier>()),
        ("NFS3_CREATEVERFSIZE", size_of::<Verifier>()),
        ("NFS3_WRITEVERFSIZE", size_of::<Verifier>()),
    ] {
        assert_eq!(text.numbers[name], size as u64, "{name}");
    }
    assert_eq!(text.numbers["NFS_V3"], u64::from(VERSION));
    assert_eq!(text.numbers["NFS_PROGRAM"], u64::from(PROGRAM));
}

const NAMES: Names = Names {
    same: &[
        ("unsigned long", &["u32"]),
        ("unsigned hyper", &["u64"]),
        ("bool", &["bool"]),
        ("opaque<>", &["Payload"]),
        ("string<>", &["Component", "LinkText"]),
        ("opaque[NFS3_COOKIEVERFSIZE]", &["Verifier"]),
        ("opaque[NFS3_CREATEVERFSIZE]", &["Verifier"]),
        ("opaque[NFS3_WRITEVERFSIZE]", &["Verifier"]),
        ("nfs_fh3", &["FileHandle"]),
        ("ftype3", &["FileType"]),
        ("stable_how", &["StableHow"]),
        ("specdata3", &["Specdata"]),
        ("set_atime", &["SetTime"]),
        ("set_mtime", &["SetTime"]),
        ("createhow3", &["CreateHow"]),
        ("mknoddata3", &["MknodData"]),
    ],
    published: |ours| shape_of(ours).map(|shape| shape.name),
};

/// What one of our structs is called, and what its fields are.
struct Shape {
    name: &'static str,
    fields: &'static [&'static str],
    types: &'static [&'static str],
}

macro_rules! shapes {
    ($($structure:ident $(<$life:lifetime>)?)*) => {
        /// The struct that is called so here.
        fn shape_of(ours: &str) -> Option<Shape> {
            fn shape<T: Published>() -> Option<Shape> {
                Some(Shape { name: T::NAME, fields: T::FIELDS, types: T::TYPES })
            }
            match ours {
                $(stringify!($structure) => shape::<$structure $(<$life>)?>(),)*
                _ => None,
            }
        }
    };
}

shapes! {
    NfsTime Specdata FileAttributes WccAttributes WccData SetAttributes DirOpArgs<'_> SymlinkData<'_>
    DeviceData GetAttrArgs SetAttrArgs LookupArgs<'_> AccessArgs ReadLinkArgs ReadArgs WriteArgs
    CreateArgs<'_> MkdirArgs<'_> SymlinkArgs<'_> MknodArgs<'_> RemoveArgs<'_> RmdirArgs<'_> RenameArgs<'_>
    LinkArgs<'_> ReadDirArgs ReadDirPlusArgs FsstatArgs FsinfoArgs PathconfArgs CommitArgs LookupResult
    AccessResult ReadLinkResult<'_> ReadResult WriteResult CreateResult RenameResult LinkResult
    DirectoryHead Entry<'_> EntryPlus<'_> FsstatResult FsinfoResult PathconfResult CommitResult
}

/// A type's name here, without the modules it is in and without lifetimes.
fn plain_name<T>() -> String {
    let name = type_name::<T>().replace("<'_>", "");
    let parts = name.split_inclusive(['<', '>']);
    parts.map(|part| part.rsplit_once("::").map_or(part, |(_, name)| name)).collect()
}

fn is_same_type(text: &Text, published: &str, ours: &str) -> bool {
    let optional = ours
        .replace("PostOpAttributes", "Option<FileAttributes>")
        .replace("PreOpAttributes", "Option<WccAttributes>")
        .replace("PostOpHandle", "Option<FileHandle>");
    text.is_same_type(&NAMES, &text.resolve(published), &optional)
}

/// Our fields are those of the struct that the text calls `published`, but for the list that comes last where it is
/// read item by item.
fn check_fields(text: &Text, published: &str, ours: &str) {
    let shape = shape_of(ours).unwrap_or_else(|| panic!("{ours} is none of the structs"));
    let (mut fields, types) = (&text.structs[published][..], &text.types[published]);
    if let [rest @ .., "reply" | "nextentry"] = &fields.iter().map(|field| &field[..]).collect::<Vec<_>>()[..]
    {
        fields = &fields[..rest.len()];
    }
    assert_eq!(shape.fields, fields, "{published}");
    for ((theirs, ours), field) in types.iter().zip(shape.types).zip(fields) {
        assert!(is_same_type(text, theirs, ours), "{published}.{field}: {theirs} is not {ours}");
    }
}

/// `T` is the struct that the text calls `published`, or its only field.
fn check_body<T>(text: &Text, published: &str) {
    let ours = plain_name::<T>();
    match &text.types[published][..] {
        [only] if is_same_type(text, only, &ours) => {}
        _ => check_fields(text, published, &ours),
    }
}

#[test]
fn every_struct_of_basic_types_has_the_published_fields() {
    let text = text();
    for ours in [
        "NfsTime",
        "FileAttributes",
        "WccAttributes",
        "WccData",
        "SetAttributes",
        "DirOpArgs",
        "SymlinkData",
        "DeviceData",
        "Entry",
        "EntryPlus",
    ] {
        check_fields(&text, shape_of(ours).unwrap().name, ours);
    }
    check_fields(&text, "specdata3", "Specdata");
}

/// The procedure's arguments and the bodies of its results are the published ones.
fn check_call<C: Call + Published>(text: &Text) {
    let name = C::PROCEDURE.name();
    let (number, arguments, result) = &text.procedures[name];
    assert_eq!(*number, u64::from(C::PROCEDURE.number()), "{name}");
    // The document has the struct under another name than the procedure.
    let arguments = if arguments == "FSINFO3args" { "FSINFOargs" } else { arguments };
    assert_eq!(C::NAME, arguments, "{name}");
    check_fields(text, arguments, &plain_name::<C>());
    let [(ok, success), (rest, failure)] = &text.unions[result][..] else { panic!("{result} is no result") };
    assert_eq!((&ok[..], &rest[..]), ("NFS3_OK", "default"), "{result}");
    check_body::<C::Result<'static>>(text, success);
    if failure == "void" {
        assert_eq!(plain_name::<C::Failure>(), "()", "{result}");
    } else {
        check_body::<C::Failure>(text, failure);
    }
}

#[test]
fn every_procedure_has_the_published_arguments_and_results() {
    let text = text();
    macro_rules! check_calls {
        ($($arguments:ty,)*) => {{
            $(check_call::<$arguments>(&text);)*
            [Procedure::Null, $(<$arguments as Call>::PROCEDURE,)*]
        }};
    }
    let checked = check_calls! {
        GetAttrArgs, SetAttrArgs, LookupArgs<'_>, AccessArgs, ReadLinkArgs, ReadArgs, WriteArgs, CreateArgs<'_>,
        MkdirArgs<'_>, SymlinkArgs<'_>, MknodArgs<'_>, RemoveArgs<'_>, RmdirArgs<'_>, RenameArgs<'_>, LinkArgs<'_>,
        ReadDirArgs, ReadDirPlusArgs, FsstatArgs, FsinfoArgs, PathconfArgs, CommitArgs,
    };
    let all: Vec<_> = Procedure::ALL.iter().map(|(procedure, _)| *procedure).collect();
    assert_eq!(checked[..], all);
    assert_eq!(text.procedures.len(), all.len());
    assert_eq!(text.procedures[Procedure::Null.name()].0, 0);
}
