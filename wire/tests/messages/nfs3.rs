//! Types of NFSv3.

use wire::nfs3::*;
use wire::xdr::{Cut, Decoder};

use crate::values::{Random, encode, round_trip};

/// The arguments of each procedure and what comes back.
macro_rules! round_trip_calls {
    ($($arguments:ty,)*) => { round_trip! {
        $(
            $arguments,
            <$arguments as Call>::Result<'_>,
            Outcome<<$arguments as Call>::Result<'_>, <$arguments as Call>::Failure>,
        )*
    } };
}

#[test]
fn basic_types_and_entries() {
    round_trip! {
        FileHandle, FileType, Status, NfsTime, FileAttributes, WccAttributes, WccData, SetTime, SetAttributes,
        PostOpAttributes, PreOpAttributes, PostOpHandle, DirOpArgs<'_>, CreateHow, MknodData, Entry<'_>,
        EntryPlus<'_>, DirectoryHead,
    }
}

#[test]
fn calls_without_names() {
    round_trip_calls! {
        GetAttrArgs, SetAttrArgs, AccessArgs, ReadLinkArgs, ReadArgs, WriteArgs, ReadDirArgs, ReadDirPlusArgs,
        FsstatArgs, FsinfoArgs, PathconfArgs, CommitArgs,
    }
}

#[test]
fn calls_with_names() {
    round_trip_calls! {
        LookupArgs<'_>, CreateArgs<'_>, MkdirArgs<'_>, SymlinkArgs<'_>, MknodArgs<'_>, RemoveArgs<'_>,
        RmdirArgs<'_>, RenameArgs<'_>, LinkArgs<'_>,
    }
}

/// Every procedure's arguments, by number.
#[test]
fn arguments_by_procedure() {
    let mut random = Random(7);
    for (procedure, name) in Procedure::ALL {
        let mut found = 0;
        while found < 20 {
            let words = 1 + random.below(60);
            let bytes = random.likely(words);
            let Ok(arguments) = Arguments::decode(*procedure, &mut Decoder::new(&bytes)) else { continue };
            found += 1;
            assert_eq!(arguments.procedure(), *procedure);
            let (head, cuts) = encode(&arguments);
            let mut decoder = Decoder::with_cuts(&head, &cuts);
            let again = Arguments::decode(*procedure, &mut decoder).expect(name);
            decoder.finish().expect(name);
            assert_eq!(encode(&again), (head.clone(), cuts), "{name}");
        }
    }
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let mut random = Random(42);
    for round in 0..20_000 {
        let length = random.below(300);
        let bytes = if round % 2 == 0 { random.bytes(length) } else { random.likely(length / 4) };
        for (procedure, _) in Procedure::ALL {
            let _ = Arguments::decode(*procedure, &mut Decoder::new(&bytes));
        }
        let mut decoder = Decoder::new(&bytes);
        while let Ok(Listed::Entry(_)) = decoder.get::<Listed<EntryPlus<'_>>>() {}
        let cuts = [Cut { position: random.below(400) as usize, length: random.below(400) as usize }];
        let _ = Arguments::decode(Procedure::Write, &mut Decoder::with_cuts(&bytes, &cuts));
    }
}

/// What is made for each call lives on the stack and must stay small enough to move about.
#[test]
fn sizes_stay_moderate() {
    assert!(size_of::<Arguments<'_>>() <= 320, "{}", size_of::<Arguments<'_>>());
}
