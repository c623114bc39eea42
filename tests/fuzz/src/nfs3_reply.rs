//! Results of NFSv3's procedures, as a client reads what a server sends.

use wire::nfs3::*;
use wire::xdr::{Decode, Decoder, Error};

use crate::round_trip::decode_and_return;

/// The first byte is the procedure; the rest is the result.
pub fn check(data: &[u8]) {
    let Some((procedure, stream)) = data.split_first() else { return };
    let (procedure, _) = Procedure::ALL[usize::from(*procedure) % Procedure::ALL.len()];
    let mut decoder = Decoder::new(stream);
    if !check_result(procedure, &mut decoder) || stream.first_chunk() != Some(&[0; 4]) {
        return;
    }
    // What is no entry is refused by its decoder; that it does not panic is all that is asked here.
    let _ = match procedure {
        Procedure::Readdir => check_entries::<Entry<'_>>(&mut decoder, |entry| entry.name.len()),
        Procedure::Readdirplus => check_entries::<EntryPlus<'_>>(&mut decoder, |entry| entry.name.len()),
        _ => Ok(()),
    };
}

/// Whether the bytes are a result of the procedure.
fn check_result(procedure: Procedure, decoder: &mut Decoder<'_>) -> bool {
    macro_rules! check {
        ($($arguments:ty,)*) => {$(
            if procedure == <$arguments as Call>::PROCEDURE {
                return decode_and_return!(
                    decoder,
                    Outcome<<$arguments as Call>::Result<'_>, <$arguments as Call>::Failure>
                );
            }
        )*};
    }
    check! {
        GetAttrArgs, SetAttrArgs, LookupArgs<'_>, AccessArgs, ReadLinkArgs, WriteArgs, CreateArgs<'_>, MkdirArgs<'_>,
        SymlinkArgs<'_>, MknodArgs<'_>, RemoveArgs<'_>, RmdirArgs<'_>, RenameArgs<'_>, LinkArgs<'_>, ReadDirArgs,
        ReadDirPlusArgs, FsstatArgs, FsinfoArgs, PathconfArgs, CommitArgs,
    }
    match procedure {
        Procedure::Read => {
            decode_and_return!(decoder, Outcome<ReadResult, PostOpAttributes>, |_: &_, _: &_| ())
        }
        _ => true,
    }
}

fn check_entries<'a, E: Decode<'a>>(
    decoder: &mut Decoder<'a>,
    name_len: impl Fn(&E) -> usize,
) -> Result<(), Error> {
    loop {
        let before = decoder.position();
        match decoder.get()? {
            Listed::Entry(entry) => assert!(before + name_len(&entry) < decoder.position()),
            Listed::End(_) => return Ok(()),
        }
    }
}
