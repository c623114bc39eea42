//! READ, WRITE, COMMIT (RFC 8881 §18.22, §18.32, §18.3).

use vfs::Vfs;
use wire::nfs4::{CommitArgs, CommitResult, Operation, ReadArgs, ReadResult, Status, WriteArgs, WriteResult};
use wire::xdr::{Encoder, UNIT};

use super::open_file::{self, Want};
use crate::common::data::{self, Range, stable_how};
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Bytes of READ's result besides the data: end flag, length, padding.
const READ_FRAME_BYTES: usize = 3 * UNIT;

/// READ. `next` is the operation that follows. The arguments come by reference: by value, rustc copies the whole future once more.
pub async fn read<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: &ReadArgs,
    next: Option<Operation>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let room = reply.room().checked_sub(READ_FRAME_BYTES).ok_or(Status::RepTooBig)?;
    let range = Range {
        offset: arguments.offset,
        bytes: room.min(arguments.count as usize),
        may_be_piped: may_be_piped(compound, next)?,
    };
    let place = compound.place(Status::Isdir)?;
    let open = async || open_file::of_stateid(compound, arguments.stateid, Want::Read).await;
    let (done, data) = data::read(&compound.request, place, range, open).await?;
    ReadResult::encode_head(reply, done.end_of_file, done.bytes)?;
    compound.request.data.extend(data);
    Ok(())
}

/// Whether a READ's data may leave as pages of the file: nothing that the same compound does later may change it, and the
/// slot cannot keep them.
fn may_be_piped<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    next: Option<Operation>,
) -> Result<bool, Status> {
    let ends = match compound.following {
        0 => true,
        1 => next == Some(Operation::Getattr),
        _ => false,
    };
    Ok(ends && !compound.session()?.is_kept())
}

/// WRITE.
pub async fn write<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: WriteArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let payload = data::take_payload(&mut compound.request, arguments.offset, &arguments.data).await?;
    let place = compound.place(Status::Isdir)?;
    let open = async || open_file::of_stateid(compound, arguments.stateid, Want::Write).await;
    let (written, verifier) =
        data::write(&compound.request, place, arguments.offset, payload, arguments.stable, open).await?;
    reply.put(&WriteResult {
        count: u32::try_from(written.bytes).expect("a payload's length came as 32 bits"),
        committed: stable_how(written.stability),
        verifier,
    })?;
    Ok(())
}

/// COMMIT.
pub async fn commit<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CommitArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let place = compound.place(Status::Isdir)?;
    let verifier = data::commit(&compound.request, place, arguments.offset, arguments.count).await?;
    reply.put(&CommitResult { verifier })?;
    Ok(())
}
