//! READ, WRITE and COMMIT.

use qos::{Kind, Pass};
use rpc::{Bulk, Data, Payload, Transport};
use vfs::{CROSSOVER_BYTES, ReadDone, Stability, Vfs, Written};
use wire::nfs4::{StableHow, Status, Verifier};
use wire::xdr::{self, Cut};

use super::names::changeable;
use super::open_file::{OpenFile, require_regular};
use crate::copies;
use crate::env::{Backchannel, Env};
use crate::failure::Failure;
use crate::object::Place;
use crate::request::Request;

/// The largest offset a file can have on Linux.
const OFFSET_MAX: u64 = i64::MAX as u64;

/// A range to be read.
#[derive(Clone, Copy, Debug)]
pub struct Range {
    /// Offset in bytes.
    pub offset: u64,
    /// The most bytes the reply has room for.
    pub bytes: usize,
    /// Nothing that follows in the call could change the file or need the data again, so that it may leave as pages of
    /// the file, which change with it until they are sent.
    pub may_be_piped: bool,
}

/// Reads as much as is there: as pages of the file in a pipe or in one piece of aligned memory; no data where there is none.
/// `open` gives the open file, perhaps twice, and is asked only behind admission.
///
/// # Errors
/// `open`'s, the storage's, `NFS4ERR_DELAY`.
pub async fn read<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    range: Range,
    open: impl AsyncFn() -> Result<OpenFile<V::File>, Failure>,
) -> Result<(ReadDone, Option<Bulk>), Failure> {
    let bytes = range.bytes.min(request.server.shared.settings.payload_bytes_max as usize);
    if bytes == 0 || range.offset >= OFFSET_MAX {
        return Ok((read_nothing(place, range.offset, open).await?, None));
    }
    let pass = request.admit(Some(place), Kind::Read, bytes as u64).await?;
    let charged = pass.charged();
    let told = read_admitted(request, place, &Range { bytes, ..range }, pass, open).await;
    let done = told.as_ref().map_or(0, |(done, _)| done.bytes);
    request.refund_read(place, bytes as u64, done as u64, charged);
    told
}

async fn read_admitted<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    range: &Range,
    mut pass: Pass,
    open: impl AsyncFn() -> Result<OpenFile<V::File>, Failure>,
) -> Result<(ReadDone, Option<Bulk>), Failure> {
    let work = request.time(pass.take_work());
    let pipe = if may_be_piped(request, range) { request.server.env.pipe() } else { None };
    if let Some(mut pipe) = pipe {
        let opened = open().await?;
        let read = place.storage().read_piped(opened.file(), range.offset, range.bytes, &mut pipe);
        if let Some(done) = read {
            request.worked(work, Kind::Read, done.bytes);
            return Ok(tell(done, pipe));
        }
    }
    // Memory is waited for outside the gate, and not before the limits allow the READ: what is parked holds none.
    drop(pass);
    let buffer = request.server.env.payload(range.bytes, range.offset).await;
    let _pass = request.enter(Some(place), Kind::Read).await?;
    let work = work.map(|work| work.again(request.server.env.now_ns()));
    let opened = open().await?;
    let (mut buffer, done) = place.storage().read(opened.file(), range.offset, buffer).await;
    let done = done?;
    request.worked(work, Kind::Read, done.bytes);
    buffer.truncate(done.bytes);
    Ok(tell(done, buffer))
}

fn may_be_piped<V: Vfs, E>(request: &Request<V, E>, range: &Range) -> bool {
    let sent_from_pipes = request.peer.transport == Transport::Tcp;
    range.may_be_piped && range.bytes >= CROSSOVER_BYTES && sent_from_pipes
}

fn tell(done: ReadDone, data: impl Into<Bulk>) -> (ReadDone, Option<Bulk>) {
    let data = data.into();
    debug_assert_eq!(done.bytes, data.len(), "what is told is what is sent");
    (done, (done.bytes > 0).then_some(data))
}

/// A READ of no bytes still checks access, and tells whether it stands at the end.
async fn read_nothing<V: Vfs>(
    place: &Place<V>,
    offset: u64,
    open: impl AsyncFn() -> Result<OpenFile<V::File>, Failure>,
) -> Result<ReadDone, Failure> {
    open().await?;
    let size_bytes = place.storage().attributes(&place.node).await?.size_bytes;
    Ok(ReadDone { bytes: 0, end_of_file: offset >= size_bytes })
}

/// Writes everything or fails, as durable as asked or more. Answers the verifier as it was before: what a sync that fails
/// meanwhile loses must not pass for written after it.
///
/// # Errors
/// `NFS4ERR_FBIG`, `NFS4ERR_ROFS`, `open`'s, the storage's, `NFS4ERR_DELAY`.
pub async fn write<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    offset: u64,
    payload: Option<Payload>,
    asked: StableHow,
    open: impl AsyncFn() -> Result<OpenFile<V::File>, Failure>,
) -> Result<(Written, Verifier), Failure> {
    let bytes = payload.as_ref().map_or(0, |payload| payload.cut.length);
    check_range(offset, bytes as u64)?;
    let mut pass = request.admit(Some(place), Kind::Write, bytes as u64).await?;
    let mut work = request.time(pass.take_work());
    let (_pass, payload) = match payload.map(|payload| payload.data) {
        Some(Data::Here(chain)) => (pass, Some(chain)),
        None => (pass, None),
        Some(remote) => {
            // Memory is waited for outside the gate, and not before the limits allow the WRITE, as with a READ.
            drop(pass);
            let chain = remote.bring().await.ok_or(Status::Delay)?;
            let pass = request.enter(Some(place), Kind::Write).await?;
            // The way from the client says nothing of the storage.
            work = work.map(|work| work.again(request.server.env.now_ns()));
            (pass, Some(chain))
        }
    };
    let opened = open().await?;
    let storage = changeable(place)?.storage();
    let verifier = Verifier(storage.write_verifier());
    let asked = stability(asked);
    let written = match payload {
        None => Written { bytes: 0, stability: asked },
        Some(payload) => {
            let (_payload, done) =
                storage.write(opened.file(), &place.identity, offset, payload, asked).await;
            done?
        }
    };
    request.worked(work, Kind::Write, bytes);
    Ok((written, verifier))
}

/// Refuses to write behind where a file can reach.
///
/// # Errors
/// `NFS4ERR_FBIG`.
pub fn check_range(offset: u64, bytes: u64) -> Result<(), Status> {
    let end = offset.checked_add(bytes);
    if end.is_some_and(|end| end <= OFFSET_MAX) { Ok(()) } else { Err(Status::Fbig) }
}

/// A WRITE's payload: where the transport put it or the client has it, or copied to aligned memory from the head where it was
/// small.
///
/// # Errors
/// `NFS4ERR_SERVERFAULT` when the transport has not brought it.
pub async fn take_payload<V: Vfs, E: Env + Backchannel>(
    request: &mut Request<V, E>,
    offset: u64,
    data: &xdr::Payload,
) -> Result<Option<Payload>, Failure> {
    match data {
        xdr::Payload::Cut { index, .. } => {
            let payload = request.payloads.get_mut(*index).and_then(Option::take);
            Ok(Some(payload.ok_or(Status::Serverfault)?))
        }
        xdr::Payload::Inline(range) if range.is_empty() => Ok(None),
        xdr::Payload::Inline(range) => {
            let mut chain = request.server.env.payload(range.len(), offset).await;
            chain.copy_from(0, &request.head[range.clone()]);
            copies::add(&request.server.copies.written_bytes, range.len());
            let cut = Cut { position: range.start, length: range.len() };
            Ok(Some(Payload { cut, data: chain.into() }))
        }
    }
}

/// Brings the whole file to stable storage, which RFC 8881 §18.3.3 allows for any range.
///
/// # Errors
/// `NFS4ERR_INVAL`, `NFS4ERR_ROFS`, the storage's, `NFS4ERR_DELAY`.
pub async fn commit<V: Vfs, E: Env + Backchannel>(
    request: &Request<V, E>,
    place: &Place<V>,
    offset: u64,
    bytes: u32,
) -> Result<Verifier, Failure> {
    if offset.checked_add(bytes.into()).is_none() {
        return Err(Status::Inval.into());
    }
    let storage = changeable(place)?.storage();
    require_regular(storage.attributes(&place.node).await?.kind)?;
    let _pass = request.admit(Some(place), Kind::Write, 0).await?;
    storage.commit_node(&place.node).await?;
    Ok(Verifier(storage.write_verifier()))
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
