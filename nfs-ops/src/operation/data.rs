//! READ, WRITE, COMMIT (RFC 8881 §18.22, §18.32, §18.3).

use buf::{Chain, Piped};
use qos::Kind;
use rpc::{Bulk, Transport};
use vfs::{CROSSOVER_BYTES, ReadDone, Stability, Vfs};
use wire::nfs4::{
    CommitArgs, CommitResult, Operation, ReadArgs, ReadResult, StableHow, Status, Verifier, WriteArgs,
    WriteResult,
};
use wire::xdr::{Encoder, Payload, UNIT};

use super::namespace::changeable;
use super::open_file::{self, Want};
use crate::compound::Compound;
use crate::copies;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Bytes of READ's result besides the data: end flag, length, padding.
const READ_FRAME_BYTES: usize = 3 * UNIT;

/// The largest offset a file can have on Linux.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// READ: as much as there is room for, as pages of the file in a pipe or in one piece of aligned memory. `next` is the
/// operation that follows.
pub async fn read<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ReadArgs,
    next: Option<Operation>,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let room = reply.room().checked_sub(READ_FRAME_BYTES).ok_or(Status::RepTooBig)?;
    let most = room.min(compound.server.shared.settings.payload_bytes_max as usize);
    let bytes = most.min(arguments.count as usize);
    if bytes == 0 || arguments.offset >= OFFSET_MAX {
        return read_nothing(compound, &arguments, reply).await;
    }
    let pipe = if may_be_piped(compound, bytes, next)? { compound.server.env.pipe() } else { None };
    // Bytes that go through the gate a second time are admitted already.
    let mut admitted = bytes as u64;
    if let Some(pipe) = pipe {
        if let Some((data, done)) = read_piped(compound, &arguments, bytes, pipe).await? {
            return tell(compound, done, data.into(), reply);
        }
        admitted = 0;
    }
    let buffer = compound.server.env.payload(bytes, arguments.offset).await;
    let _pass = compound.enter(Kind::Read, admitted).await?;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Read).await?;
    let place = compound.place(Status::Isdir)?;
    let (mut buffer, done) = place.storage().read(opened.file(), arguments.offset, buffer).await;
    let done = done?;
    buffer.truncate(done.bytes);
    tell(compound, done, buffer.into(), reply)
}

/// Whether a READ's data may leave as pages of the file. They change with it until they are sent, so nothing that the same
/// compound does later may change it, and the slot cannot keep them.
fn may_be_piped<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    bytes: usize,
    next: Option<Operation>,
) -> Result<bool, Status> {
    let ends = match compound.following {
        0 => true,
        1 => next == Some(Operation::Getattr),
        _ => false,
    };
    let sent_from_pipes = compound.peer.transport == Transport::Tcp;
    Ok(bytes >= CROSSOVER_BYTES && ends && sent_from_pipes && !compound.session()?.is_kept())
}

/// Moves pages of the file that are in memory into the pipe; `None` where they are not to be had so. Memory for them is
/// waited for outside the gate, which this has left then.
async fn read_piped<V: Vfs, E: Env + Backchannel>(
    compound: &Compound<V, E>,
    arguments: &ReadArgs,
    bytes: usize,
    mut pipe: Piped,
) -> Result<Option<(Piped, ReadDone)>, Failure> {
    let _pass = compound.enter(Kind::Read, bytes as u64).await?;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Read).await?;
    let place = compound.place(Status::Isdir)?;
    let done = place.storage().read_piped(opened.file(), arguments.offset, bytes, &mut pipe);
    Ok(done.map(|done| (pipe, done)))
}

/// Answers what was read: `data` holds it.
fn tell<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    done: ReadDone,
    data: Bulk,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    debug_assert_eq!(done.bytes, data.len(), "what is told is what is sent");
    ReadResult::encode_head(reply, done.end_of_file, done.bytes)?;
    if done.bytes > 0 {
        compound.data.push(data);
    }
    Ok(())
}

/// A READ of no bytes still checks stateid and access, and tells whether it stands at the end.
async fn read_nothing<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: &ReadArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    open_file::of_stateid(compound, arguments.stateid, Want::Read).await?;
    let place = compound.place(Status::Isdir)?;
    let size_bytes = place.storage().attributes(&place.node).await?.size_bytes;
    ReadResult::encode_inline(reply, arguments.offset >= size_bytes, &[])?;
    Ok(())
}

/// WRITE: everything or an error, as durable as asked or more.
pub async fn write<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: WriteArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let bytes = arguments.data.len();
    if arguments.offset.checked_add(bytes as u64).is_none_or(|end| end > OFFSET_MAX) {
        return Err(Status::Fbig.into());
    }
    let payload = take_payload(compound, &arguments).await?;
    let _pass = compound.enter(Kind::Write, bytes as u64).await?;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Write).await?;
    let place = changeable(compound.place(Status::Isdir)?)?;
    let storage = place.storage();
    // As it is before the write: what a sync that fails meanwhile loses must not pass for written after it.
    let verifier = Verifier(storage.write_verifier());
    let (count, stability) = match payload {
        None => (0, stability(arguments.stable)),
        Some(payload) => {
            let asked = stability(arguments.stable);
            let (_payload, done) =
                storage.write(opened.file(), &place.identity, arguments.offset, payload, asked).await;
            let done = done?;
            (done.bytes, done.stability)
        }
    };
    reply.put(&WriteResult {
        count: u32::try_from(count).expect("a payload's length came as 32 bits"),
        committed: stable_how(stability),
        verifier,
    })?;
    Ok(())
}

/// The payload in aligned memory: where the transport put it, or copied from the head where it was small.
async fn take_payload<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: &WriteArgs,
) -> Result<Option<Chain>, Failure> {
    match &arguments.data {
        Payload::Cut { index, .. } => {
            let payload = compound.payloads.get_mut(*index).and_then(Option::take);
            Ok(Some(payload.ok_or(Status::Serverfault)?.data))
        }
        Payload::Inline(range) if range.is_empty() => Ok(None),
        Payload::Inline(range) => {
            let mut chain = compound.server.env.payload(range.len(), arguments.offset).await;
            chain.copy_from(0, &compound.head[range.clone()]);
            copies::add(&compound.server.copies.written_bytes, range.len());
            Ok(Some(chain))
        }
    }
}

/// COMMIT: of the whole file, which RFC 8881 §18.3.3 allows for any range.
pub async fn commit<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: CommitArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    if arguments.offset.checked_add(arguments.count.into()).is_none() {
        return Err(Status::Inval.into());
    }
    let place = changeable(compound.place(Status::Isdir)?)?;
    open_file::require_regular(place.storage().attributes(&place.node).await?.kind)?;
    let _pass = compound.enter(Kind::Write, 0).await?;
    let storage = place.storage();
    storage.commit_node(&place.node).await?;
    reply.put(&CommitResult { verifier: Verifier(storage.write_verifier()) })?;
    Ok(())
}

fn stability(asked: StableHow) -> Stability {
    match asked {
        StableHow::Unstable => Stability::Unstable,
        StableHow::DataSync => Stability::Data,
        StableHow::FileSync => Stability::File,
    }
}

/// How durable something is, on the wire.
pub fn stable_how(done: Stability) -> StableHow {
    match done {
        Stability::Unstable => StableHow::Unstable,
        Stability::Data => StableHow::DataSync,
        Stability::File => StableHow::FileSync,
    }
}
