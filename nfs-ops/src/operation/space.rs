//! ALLOCATE, DEALLOCATE, SEEK, IO_ADVISE (RFC 7862 §15.1, §15.4, §15.11, §15.5).

use vfs::{Advice, SeekTarget, Vfs};
use wire::nfs4::{
    AllocateArgs, Bitmap, DataContent, DeallocateArgs, IoAdvice, IoAdviseArgs, IoAdviseResult, SeekArgs,
    SeekResult, Status,
};
use wire::xdr::Encoder;

use super::open_file::{self, Want};
use crate::common::names::changeable;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// ALLOCATE.
pub async fn allocate<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: AllocateArgs,
) -> Result<(), Failure> {
    check_range(arguments.offset, arguments.length)?;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Write).await?;
    let place = changeable(compound.place(Status::WrongType)?)?;
    let storage = place.storage();
    storage.allocate(opened.file(), &place.identity, arguments.offset, arguments.length).await?;
    Ok(())
}

/// DEALLOCATE.
pub async fn deallocate<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: DeallocateArgs,
) -> Result<(), Failure> {
    check_range(arguments.offset, arguments.length)?;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Write).await?;
    let place = changeable(compound.place(Status::WrongType)?)?;
    let storage = place.storage();
    storage.deallocate(opened.file(), &place.identity, arguments.offset, arguments.length).await?;
    Ok(())
}

/// SEEK. Looking for data behind the last of it is no failure: the answer is "end of file" (RFC 7862 §15.11.3).
pub async fn seek<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: SeekArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let target = match DataContent::from_u32(arguments.what) {
        Some(DataContent::Data) => SeekTarget::Data,
        Some(DataContent::Hole) => SeekTarget::Hole,
        None => return Err(Status::UnionNotsupp.into()),
    };
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Read).await?;
    let place = compound.place(Status::WrongType)?;
    let size_bytes = place.storage().attributes(&place.node).await?.size_bytes;
    if arguments.offset >= size_bytes {
        return Err(Status::Nxio.into());
    }
    let (eof, offset) = match place.storage().seek(opened.file(), arguments.offset, target).await {
        Ok(offset) => (target == SeekTarget::Hole && offset >= size_bytes, offset),
        Err(vfs::Error::NoSuchRange) => (true, size_bytes),
        Err(error) => return Err(error.into()),
    };
    reply.put(&SeekResult { eof, offset })?;
    Ok(())
}

/// IO_ADVISE: what is understood is passed on to the storage and answered as taken.
pub async fn advise<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: IoAdviseArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Any).await?;
    let place = compound.place(Status::WrongType)?;
    let mut taken = Bitmap::EMPTY;
    for (hint, advice) in [
        (IoAdvice::Normal, Advice::Normal),
        (IoAdvice::Sequential, Advice::Sequential),
        (IoAdvice::Random, Advice::Random),
        (IoAdvice::WillNeed, Advice::WillNeed),
        (IoAdvice::DontNeed, Advice::DontNeed),
    ] {
        if arguments.hints.get(hint.number())
            && place.storage().advise(opened.file(), arguments.offset, arguments.count, advice).await?
        {
            taken.set(hint.number());
        }
    }
    reply.put(&IoAdviseResult { hints: taken })?;
    Ok(())
}

/// RFC 7862 §15.1.3 and §15.4.3: a range must not be empty, nor reach past what an offset can say.
fn check_range(offset: u64, length: u64) -> Result<(), Status> {
    if length == 0 {
        return Err(Status::Inval);
    }
    offset.checked_add(length).filter(|end| *end <= i64::MAX as u64).map(|_| ()).ok_or(Status::Fbig)
}
