//! Where the payloads of WRITEs lie in a record of which only the first bytes are here, so that a transport
//! can receive them straight into aligned memory.

use crate::nfs3::{self, Procedure};
use crate::nfs4::{self, Arguments, CompoundArgs, Operation, PROCEDURE_COMPOUND, PROGRAM};
use crate::rpc::{CallError, CallHeader, Credential, RPCSEC_GSS};
use crate::xdr::{Decoder, Error, pad_len};

/// Operations of one compound that are looked at. A client that writes puts SEQUENCE, PUTFH and perhaps an OPEN or a
/// few VERIFYs before its WRITEs; beyond that the record is received as any other.
pub const OPERATIONS_MAX: u32 = 32;
/// Bytes of a record, payloads not counted, worth reading in search of a WRITE: the longest header with credentials,
/// tag and handle is below 3 KiB, and the rest leaves room for the operations before it.
pub const PREFIX_MAX: usize = 16 * 1024;

/// Number of NFSv3's WRITE.
const WRITE: u32 = Procedure::Write.number();

/// What [`Locator::find`] found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// More of the record is needed: this many bytes from its beginning, at least. They never reach into a payload.
    NeedMore(usize),
    /// There is no further payload to be received apart. The record may still be malformed; that is for its
    /// decoder.
    None,
    /// The data of the record's next WRITE; NFSv3 has one in a record.
    At {
        /// Offset of the first byte in the record, without marks.
        offset: usize,
        /// Bytes, without pad; not 0, and within the record.
        length: usize,
        /// Where in the file they go, for memory that is aligned alike.
        file_offset: u64,
    },
}

/// Finds the payload of the first WRITE in the record that begins with `prefix` and has `record_len` bytes.
/// The result is never trusted by the decoder, which checks it again when it gets there.
pub fn locate(prefix: &[u8], record_len: u32) -> Located {
    Locator::new(record_len).find(prefix)
}

/// Finds the payloads of a record's WRITEs one after the other, as the record arrives. What it has read it does not
/// look at again, so that neither heads that come in many pieces nor payloads that are received elsewhere cost
/// anything twice.
#[derive(Debug, Clone)]
pub struct Locator {
    record_len: usize,
    /// Offset in the record of what is to be read next.
    position: usize,
    /// Bytes of the payloads found so far.
    payload_bytes: usize,
    stage: Stage,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// The RPC header and the compound's head come next.
    Header,
    /// So many operations come next.
    Operations(u32),
    /// The arguments of NFSv3's WRITE come next, and nothing behind them.
    Write,
    /// Nothing is looked for any more.
    Done,
}

/// What stood at one position.
enum Step {
    Passed(Stage),
    Write { length: usize, file_offset: u64, left: u32 },
}

impl Locator {
    /// A search in a record of `record_len` bytes, or of at most so many when its length is not known yet.
    pub fn new(record_len: u32) -> Self {
        Self { record_len: record_len as usize, position: 0, payload_bytes: 0, stage: Stage::Header }
    }

    /// Offset in the record of the first byte that [`find`](Self::find) looks at next: behind a payload that it has
    /// found, and behind its pad.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Looks for the next payload. `bytes` are the record's from [`position`](Self::position) on, as many as are
    /// here. After [`Located::None`] nothing further is found.
    pub fn find(&mut self, bytes: &[u8]) -> Located {
        let mut bytes = &bytes[..bytes.len().min(self.record_len.saturating_sub(self.position))];
        loop {
            let mut decoder = Decoder::new(bytes);
            match step(self.stage, &mut decoder) {
                Ok(Step::Passed(stage)) => {
                    self.stage = stage;
                    self.position += decoder.position();
                    bytes = &bytes[decoder.position()..];
                    if matches!(stage, Stage::Done) {
                        return Located::None;
                    }
                }
                Ok(Step::Write { length, file_offset, left }) => {
                    let offset = self.position + decoder.position();
                    if length > self.record_len - offset {
                        break;
                    }
                    self.stage = Stage::Operations(left);
                    self.position = offset + length + pad_len(length);
                    self.payload_bytes += length;
                    return Located::At { offset, length, file_offset };
                }
                Err(Error::Short) => {
                    let needed = self.position + bytes.len() + decoder.short_by().max(1);
                    if needed > self.record_len.min(PREFIX_MAX + self.payload_bytes) {
                        break;
                    }
                    return Located::NeedMore(needed);
                }
                Err(_) => break,
            }
        }
        self.stage = Stage::Done;
        Located::None
    }
}

fn step(stage: Stage, decoder: &mut Decoder<'_>) -> Result<Step, Error> {
    match stage {
        Stage::Header => header(decoder).map(Step::Passed),
        Stage::Operations(0) | Stage::Done => Ok(Step::Passed(Stage::Done)),
        Stage::Operations(left) => operation(decoder, left - 1),
        Stage::Write => {
            let write: nfs3::WriteHead = decoder.get()?;
            data(decoder, write.offset, 0)
        }
    }
}

fn header(decoder: &mut Decoder<'_>) -> Result<Stage, Error> {
    let call = match CallHeader::decode(decoder) {
        Ok(call) => call,
        Err(CallError::Garbage(error)) => return Err(error),
        Err(_) => return Ok(Stage::Done),
    };
    // With RPCSEC_GSS the arguments may be wrapped, and only the context's owner knows how.
    let wrapped = matches!(call.credential, Credential::Other(auth) if auth.flavor == RPCSEC_GSS);
    if call.program != PROGRAM || wrapped {
        return Ok(Stage::Done);
    }
    match (call.version, call.procedure) {
        (nfs4::VERSION, PROCEDURE_COMPOUND) => {
            let compound: CompoundArgs<'_> = decoder.get()?;
            Ok(Stage::Operations(compound.operations.min(OPERATIONS_MAX)))
        }
        (nfs3::VERSION, WRITE) => Ok(Stage::Write),
        _ => Ok(Stage::Done),
    }
}

fn operation(decoder: &mut Decoder<'_>, left: u32) -> Result<Step, Error> {
    let Some(operation) = Operation::from_u32(decoder.u32()?) else { return Ok(Step::Passed(Stage::Done)) };
    if operation == Operation::Write {
        let write: nfs4::WriteHead = decoder.get()?;
        return data(decoder, write.offset, left);
    }
    match Arguments::decode(operation, decoder)? {
        Arguments::Unserved(_) => Ok(Step::Passed(Stage::Done)),
        _ => Ok(Step::Passed(Stage::Operations(left))),
    }
}

/// What a WRITE's data is that begins with its length; `left` operations follow it.
fn data(decoder: &mut Decoder<'_>, file_offset: u64, left: u32) -> Result<Step, Error> {
    match decoder.u32()? as usize {
        0 => Ok(Step::Passed(Stage::Operations(left))),
        length => Ok(Step::Write { length, file_offset, left }),
    }
}
