//! Results of COMPOUND and CB_COMPOUND, as a client reads what a server sends.

use wire::nfs4::*;
use wire::xdr::{Decoder, Error};

use crate::round_trip::decode_and_return;

/// The bytes are the results of a compound.
pub fn check(data: &[u8]) {
    // What is no result is refused by its decoder; that it does not panic is all that is asked here.
    let _ = walk(&mut Decoder::new(data));
}

fn walk(decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let compound: CompoundResult<'_> = decoder.get()?;
    for _ in 0..compound.results {
        let head: ResultHead = decoder.get()?;
        if !head.status.is_ok() {
            return decoder.finish();
        }
        let operation = Operation::from_u32(head.operation).ok_or(Error::Value)?;
        if !check_result(operation, decoder) {
            return Err(Error::Value);
        }
    }
    decoder.finish()
}

/// Whether the bytes are a result of the operation.
#[allow(clippy::too_many_lines, reason = "a list of operations")]
fn check_result(operation: Operation, decoder: &mut Decoder<'_>) -> bool {
    match operation {
        Operation::Access => decode_and_return!(decoder, AccessResult),
        Operation::BindConnToSession => decode_and_return!(decoder, BindConnToSessionResult),
        Operation::Close => decode_and_return!(decoder, Stateid),
        Operation::Commit => decode_and_return!(decoder, CommitResult),
        Operation::Copy => decode_and_return!(decoder, CopyResult),
        Operation::Create => decode_and_return!(decoder, CreateResult),
        Operation::CreateSession => decode_and_return!(decoder, CreateSessionResult),
        Operation::ExchangeId => decode_and_return!(decoder, ExchangeIdResult<'_>),
        Operation::GetDirDelegation => decode_and_return!(decoder, GetDirDelegationResult),
        Operation::Getattr => decode_and_return!(decoder, Attributes<'_>),
        Operation::Getfh => decode_and_return!(decoder, GetFhResult),
        Operation::Getxattr => decode_and_return!(decoder, XattrValue<'_>),
        Operation::IoAdvise => decode_and_return!(decoder, IoAdviseResult),
        Operation::Link => decode_and_return!(decoder, LinkResult),
        Operation::Listxattrs => decode_and_return!(decoder, ListXattrsResult<'_>),
        Operation::Lock => decode_and_return!(decoder, LockResult),
        // A conflict is what LOCKT has to tell.
        Operation::Lockt => decode_and_return!(decoder, LockDenied<'_>),
        Operation::OffloadStatus => decode_and_return!(decoder, OffloadStatusResult),
        Operation::Open => decode_and_return!(decoder, OpenResult<'_>),
        Operation::OpenDowngrade => decode_and_return!(decoder, OpenDowngradeResult),
        Operation::Read => decode_and_return!(decoder, ReadResult, payload),
        Operation::ReadPlus => decode_and_return!(decoder, ReadPlusResult, payload),
        Operation::Readdir => check_directory(decoder).is_ok(),
        Operation::Readlink => decode_and_return!(decoder, ReadLinkResult<'_>),
        Operation::Remove => decode_and_return!(decoder, RemoveResult),
        Operation::Rename => decode_and_return!(decoder, RenameResult),
        Operation::Secinfo | Operation::SecinfoNoName => decode_and_return!(decoder, SecinfoResult<'_>),
        Operation::Seek => decode_and_return!(decoder, SeekResult),
        Operation::Sequence => decode_and_return!(decoder, SequenceResult),
        Operation::Setattr => decode_and_return!(decoder, Bitmap),
        Operation::Setxattr | Operation::Removexattr => decode_and_return!(decoder, XattrChange),
        Operation::TestStateid => decode_and_return!(decoder, TestStateidResult),
        Operation::Write => decode_and_return!(decoder, WriteResult),
        // A void result, or one that our client never asks for.
        _ => true,
    }
}

fn check_directory(decoder: &mut Decoder<'_>) -> Result<(), Error> {
    let reader = DirectoryReader::begin(decoder)?;
    loop {
        let before = decoder.position();
        match reader.next(decoder)? {
            Listed::Entry(entry) => {
                assert!(decoder.position() > before);
                assert!(before + entry.name.len() + entry.attributes.values.len() < decoder.position());
            }
            Listed::End(_) => return Ok(()),
        }
    }
}
