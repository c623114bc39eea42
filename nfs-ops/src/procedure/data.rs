//! READ, WRITE, COMMIT (RFC 1813 §3.3.6, §3.3.7, §3.3.21).

use state::IoWant;
use vfs::Vfs;
use wire::nfs3::{
    CommitArgs, CommitResult, Outcome, PostOpAttributes, ReadArgs, ReadResult, WccData, WriteArgs,
    WriteResult,
};
use wire::nfs4::Status;
use wire::xdr::{Encoder, NoRoom, UNIT};

use super::anonymous;
use super::place::{after, bare, changed, place, with_file};
use crate::common::data::{self, Range, stable_how};
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;

/// Bytes of READ's result besides the data: status, attributes, count, end flag, length, padding.
const READ_FRAME_BYTES: usize = UNIT + (UNIT + 84) + 4 * UNIT;

/// READ, whose result is written here: its data is inserted.
///
/// # Errors
/// When the result does not fit.
pub async fn read<V: Vfs, E: Env + Backchannel>(
    request: &mut Request<V, E>,
    arguments: ReadArgs,
    reply: &mut Encoder,
) -> Result<(), NoRoom> {
    let place = match place(request, &arguments.file).await {
        Ok(place) => place,
        Err(failure) => return reply.put(&bare::<PostOpAttributes>(failure)),
    };
    let room = reply.room().saturating_sub(READ_FRAME_BYTES);
    let bytes = room.min(arguments.count as usize);
    let range = Range { offset: arguments.offset, bytes, may_be_piped: true };
    let open = async || anonymous::open(request, &place, IoWant::Read).await;
    let read = data::read(request, &place, range, open).await;
    let attributes = after(&place).await;
    match read {
        Ok((done, data)) => {
            reply.put(&wire::nfs3::Status::Ok)?;
            ReadResult::encode_head(reply, &attributes, done.end_of_file, done.bytes)?;
            request.data.extend(data);
            Ok(())
        }
        Err(failure) => reply.put(&with_file(failure, attributes)),
    }
}

/// WRITE.
pub async fn write<V: Vfs, E: Env + Backchannel>(
    request: &mut Request<V, E>,
    arguments: WriteArgs,
) -> Outcome<WriteResult, WccData> {
    let place = place(request, &arguments.file).await.map_err(bare)?;
    let written = write_to(request, &place, &arguments).await;
    let file_wcc = changed(&place).await;
    written.map(|result| WriteResult { file_wcc, ..result }).map_err(|failure| with_file(failure, file_wcc))
}

async fn write_to<V: Vfs, E: Env + Backchannel>(
    request: &mut Request<V, E>,
    place: &Place<V>,
    arguments: &WriteArgs,
) -> Result<WriteResult, Failure> {
    if arguments.data.len() != arguments.count as usize {
        return Err(Status::Inval.into());
    }
    let payload = data::take_payload(request, arguments.offset, &arguments.data).await?;
    let open = async || anonymous::open(request, place, IoWant::Write).await;
    let (written, verifier) =
        data::write(request, place, arguments.offset, payload, arguments.stable, open).await?;
    Ok(WriteResult {
        file_wcc: WccData::default(),
        count: u32::try_from(written.bytes).expect("a payload's length came as 32 bits"),
        committed: stable_how(written.stability),
        verifier,
    })
}

/// COMMIT.
pub async fn commit<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    arguments: CommitArgs,
) -> Outcome<CommitResult, WccData> {
    let place = place(request, &arguments.file).await.map_err(bare)?;
    let committed = data::commit(request, &place, arguments.offset, arguments.count).await;
    let file_wcc = changed(&place).await;
    match committed {
        Ok(verifier) => Ok(CommitResult { file_wcc, verifier }),
        Err(failure) => Err(with_file(failure, file_wcc)),
    }
}
