//! READ_PLUS (RFC 7862 §15.10): data and holes of a range.
//!
//! Off unless the export asks for it: a Linux client that gets `NFS4ERR_NOTSUPP` uses READ, whose payload can be placed. Off over
//! RDMA in any case, where the data of a READ goes straight to its place and that of READ_PLUS may not (RFC 8267 §5.3).

use qos::Kind;
use rpc::Transport;
use vfs::{SeekTarget, Vfs};
use wire::nfs4::{DataContent, ReadPlusArgs, Status};
use wire::xdr::{Encoder, UNIT};

use super::open_file::{self, Want};
use crate::common::open_file::OpenFile;
use crate::compound::Compound;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;

/// Most segments in one reply; a file of many small holes goes on in the next call.
const SEGMENTS_MAX: u32 = 64;

/// Bytes of a segment besides its data: kind, offset, and the data's or hole's length.
const SEGMENT_FRAME_BYTES: usize = UNIT + 8 + 8;

/// What a range consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    content: DataContent,
    offset: u64,
    length: u64,
}

/// READ_PLUS.
pub async fn run<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ReadPlusArgs,
    reply: &mut Encoder,
) -> Result<(), Failure> {
    let place = compound.place(Status::Isdir)?;
    if !place.export.settings.read_plus || compound.request.peer.transport == Transport::Rdma {
        return Err(Status::Notsupp.into());
    }
    // Holes cost nothing, data no more than there is room for.
    let most = compound.request.server.shared.settings.payload_bytes_max as usize;
    let asked = (arguments.count as usize).min(most).min(reply.room()) as u64;
    let pass = compound.admit(Kind::Read, asked).await?;
    let outcome = put_range(compound, arguments, reply).await;
    let data = *outcome.as_ref().unwrap_or(&0);
    let place = compound.place(Status::Isdir)?;
    compound.request.refund_read(place, asked, data, pass.charged());
    outcome.map(drop)
}

/// Writes what the range consists of, as far as there is room; answers how many bytes of it are data.
async fn put_range<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    arguments: ReadPlusArgs,
    reply: &mut Encoder,
) -> Result<u64, Failure> {
    let place = compound.place(Status::Isdir)?;
    let storage = place.storage().clone();
    let size_bytes = storage.attributes(&place.node).await?.size_bytes;
    let opened = open_file::of_stateid(compound, arguments.stateid, Want::Read).await?;
    let end = arguments.offset.saturating_add(arguments.count.into()).min(size_bytes);
    let eof_at = reply.position();
    reply.put_bool(false)?;
    reply.put_u32(0)?;
    let (mut offset, mut segments, mut data) = (arguments.offset, 0, 0);
    while offset < end && segments < SEGMENTS_MAX && reply.room() > SEGMENT_FRAME_BYTES {
        let segment = next_segment(&storage, &opened, offset, end).await?;
        let is_data = segment.content == DataContent::Data;
        let told = put_segment(compound, &storage, &opened, segment, reply).await?;
        segments += 1;
        offset += told;
        data += if is_data { told } else { 0 };
        // No room for data, or the file was cut short meanwhile.
        if told == 0 {
            break;
        }
    }
    reply.patch_u32(eof_at, (offset >= size_bytes).into());
    reply.patch_u32(eof_at + UNIT, segments);
    Ok(data)
}

async fn next_segment<V: Vfs>(
    storage: &V,
    opened: &OpenFile<V::File>,
    offset: u64,
    end: u64,
) -> Result<Segment, Failure> {
    let data_at = match storage.seek(opened.file(), offset, SeekTarget::Data).await {
        Ok(data_at) => data_at,
        Err(vfs::Error::NoSuchRange) => end,
        Err(error) => return Err(error.into()),
    };
    if data_at > offset {
        return Ok(Segment { content: DataContent::Hole, offset, length: data_at.min(end) - offset });
    }
    let hole_at = storage.seek(opened.file(), offset, SeekTarget::Hole).await?;
    Ok(Segment { content: DataContent::Data, offset, length: hole_at.min(end) - offset })
}

/// Writes one segment; answers how many bytes of the file it told of.
async fn put_segment<V: Vfs, E: Env + Backchannel>(
    compound: &mut Compound<V, E>,
    storage: &V,
    opened: &OpenFile<V::File>,
    segment: Segment,
    reply: &mut Encoder,
) -> Result<u64, Failure> {
    if segment.content == DataContent::Hole {
        reply.put(&DataContent::Hole)?;
        reply.put_u64(segment.offset)?;
        reply.put_u64(segment.length)?;
        return Ok(segment.length);
    }
    let room = reply.room().saturating_sub(SEGMENT_FRAME_BYTES + UNIT);
    let wanted = usize::try_from(segment.length).unwrap_or(usize::MAX);
    let wanted = wanted.min(room).min(compound.request.server.shared.settings.payload_bytes_max as usize);
    let buffer = compound.request.server.env.payload(wanted, segment.offset).await;
    let (mut buffer, done) = storage.read(opened.file(), segment.offset, buffer).await;
    let done = done?;
    buffer.truncate(done.bytes);
    reply.put(&DataContent::Data)?;
    reply.put_u64(segment.offset)?;
    reply.put_payload(done.bytes)?;
    if done.bytes > 0 {
        compound.request.data.push(buffer.into());
    }
    Ok(done.bytes as u64)
}
