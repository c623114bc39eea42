//! Calls as they come: what stands in the message, and what is still in memory of the client.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use engine::sync::Permit;
use rpc::{Payload, Payloads, Remote};
use wire::head::{Located, Locator};
use wire::rdma::{Chunk, Chunks};
use wire::xdr::{Cut, pad_len};

use crate::connection::Connection;
use crate::limits::{BULK_MAX, MESSAGE_OVERHEAD};
use crate::stats::add;

/// What a call's header says about memory of its client, until its reply has left.
#[derive(Debug)]
pub(crate) struct Asked {
    pub xid: u32,
    pub chunks: Chunks,
}

/// Why no call can be made of a message; it is answered with an error of the transport.
#[derive(Debug)]
pub(crate) struct BadChunk;

/// A call's message, and the payload that is not in it.
pub(crate) struct Assembled {
    pub head: Bytes,
    pub payloads: Payloads,
    /// Of a call that was collected: so many of them are in memory at a time.
    pub turn: Option<(Permit, Permit)>,
}

impl Asked {
    /// The one key that all memory of this call has, which a reply may end (RFC 8797 §4.1, as Linux's server does it).
    pub fn only_key(&self) -> Option<u32> {
        let Chunks { reads, write, reply } = &self.chunks;
        let reads = [reads.stream.as_ref(), reads.data.as_ref().map(|(_, chunk)| chunk)];
        let chunks = reads.into_iter().chain([write.as_ref(), reply.as_ref()]).flatten();
        let mut keys = chunks.flat_map(|chunk| chunk.segments()).map(|segment| segment.handle);
        let first = keys.next()?;
        keys.all(|key| key == first).then_some(first)
    }

    /// Whether a call can be assembled of the message alone, with no more than a payload that waits.
    pub fn is_here(&self, stream: &[u8]) -> bool {
        let reads = &self.chunks.reads;
        reads.stream.is_none() && reads.data.as_ref().is_none_or(|data| payload_of(stream, data).is_some())
    }
}

/// The WRITE payload that a chunk has, by the call's own words: its length, and where in the file it goes.
fn payload_of(stream: &[u8], (position, chunk): &(u32, Chunk)) -> Option<(usize, u64)> {
    let position = *position as usize;
    let chunk_bytes = usize::try_from(chunk.length()).ok().filter(|bytes| *bytes <= BULK_MAX + 3)?;
    let record_bytes = stream.len() + chunk_bytes.next_multiple_of(4);
    let mut locator = Locator::new(u32::try_from(record_bytes).ok()?);
    loop {
        let Located::At { offset, length, file_offset } =
            locator.find(stream.get(locator.position()..position)?)
        else {
            return None;
        };
        if offset == position {
            let is_whole = length <= chunk_bytes && chunk_bytes - length < 4;
            return (is_whole && length <= BULK_MAX).then_some((length, file_offset));
        }
    }
}

/// The call of a message whose payload, if it has one, can wait with the client.
pub(crate) fn assemble_here(
    connection: &Rc<Connection>,
    asked: &Asked,
    stream: &[u8],
) -> Result<Assembled, BadChunk> {
    let mut head = rpc::take_head(stream.len() + 3);
    let Some(data) = &asked.chunks.reads.data else {
        head.extend_from_slice(stream);
        return Ok(Assembled { head: head.freeze(), payloads: Payloads::new(), turn: None });
    };
    let (length, file_offset) = payload_of(stream, data).ok_or(BadChunk)?;
    let (position, chunk) = (data.0 as usize, data.1);
    with_pad(&mut head, stream, position, length);
    let connection = Rc::clone(connection);
    let modulo = (file_offset % buf::PAGE_BYTES as u64) as usize;
    let bringing = async move {
        let chain = connection.pull(&chunk, length, modulo).await?;
        add(&connection.shared.stats.payload_read_bytes, length);
        Some(chain)
    };
    let payload = Payload { cut: Cut { position, length }, data: rpc::Data::Remote(Remote::new(bringing)) };
    Ok(Assembled { head: head.freeze(), payloads: [payload].into_iter().collect(), turn: None })
}

/// The stream, with the pad that went away with the data.
fn with_pad(head: &mut BytesMut, stream: &[u8], position: usize, length: usize) {
    head.extend_from_slice(&stream[..position]);
    head.extend_from_slice(&[0; 3][..pad_len(length)]);
    head.extend_from_slice(&stream[position..]);
}

/// The call of a message that has to be collected from the client's memory first: all of it, or an argument that is no payload.
pub(crate) async fn assemble(
    connection: &Rc<Connection>,
    asked: &Asked,
    stream: Bytes,
) -> Result<Assembled, BadChunk> {
    let shared = &connection.shared;
    let own = connection.collecting.acquire().await;
    let turn = Some((own, shared.collecting.acquire().await));
    add(&shared.stats.calls_collected, 1);
    let reads = &asked.chunks.reads;
    let stream = match &reads.stream {
        Some(chunk) => collect(connection, chunk, BULK_MAX + MESSAGE_OVERHEAD).await?,
        None => stream,
    };
    let Some(data) = &reads.data else {
        return Ok(Assembled { head: stream, payloads: Payloads::new(), turn });
    };
    if payload_of(&stream, data).is_some() {
        return Ok(Assembled { turn, ..assemble_here(connection, asked, &stream)? });
    }
    let (position, chunk) = (data.0 as usize, &data.1);
    if position > stream.len() {
        return Err(BadChunk);
    }
    let argument = collect(connection, chunk, MESSAGE_OVERHEAD).await?;
    let mut head = BytesMut::with_capacity(stream.len() + argument.len() + 3);
    head.extend_from_slice(&stream[..position]);
    head.extend_from_slice(&argument);
    head.extend_from_slice(&[0; 3][..pad_len(argument.len())]);
    head.extend_from_slice(&stream[position..]);
    Ok(Assembled { head: head.freeze(), payloads: Payloads::new(), turn })
}

/// All bytes that a chunk has, at most so many.
async fn collect(connection: &Rc<Connection>, chunk: &Chunk, bytes_max: usize) -> Result<Bytes, BadChunk> {
    let length = usize::try_from(chunk.length()).ok().filter(|bytes| *bytes > 0 && *bytes <= bytes_max);
    let Some(chain) = connection.pull(chunk, length.ok_or(BadChunk)?, 0).await else {
        // It is no fault of the chunk's: the call comes again over another connection.
        connection.close();
        return Err(BadChunk);
    };
    Ok(chain.to_vec().into())
}
