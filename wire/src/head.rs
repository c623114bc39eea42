//! Where the payload of a WRITE lies in a record of which only the first bytes are here, so that a transport
//! can receive it straight into aligned memory.

use crate::nfs4::{Arguments, CompoundArgs, Operation, PROCEDURE_COMPOUND, PROGRAM, VERSION, WriteHead};
use crate::rpc::{CallError, CallHeader, Credential, RPCSEC_GSS};
use crate::xdr::{Decoder, Error};

/// Operations looked at before the WRITE. A client that writes puts SEQUENCE, PUTFH and perhaps an OPEN or a
/// few VERIFYs before it; beyond that the record is received as any other.
const OPERATIONS_MAX: u32 = 16;
/// Bytes of a record worth reading in search of the WRITE: the longest header with credentials, tag and
/// handle is below 3 KiB, and the rest leaves room for the operations before it.
const PREFIX_MAX: usize = 16 * 1024;

/// What [`locate`] found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Located {
    /// More of the record is needed: this many bytes from its beginning, at least.
    NeedMore(usize),
    /// There is no payload to be received apart. The record may still be malformed; that is for its decoder.
    None,
    /// The data of the compound's first WRITE.
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
    let record_len = record_len as usize;
    let prefix = &prefix[..prefix.len().min(record_len)];
    let mut decoder = Decoder::new(prefix);
    match find(&mut decoder, record_len) {
        Ok(Some(located)) => located,
        Err(Error::Short) => {
            let needed = prefix.len() + decoder.short_by().max(1);
            if needed <= record_len.min(PREFIX_MAX) { Located::NeedMore(needed) } else { Located::None }
        }
        Ok(None) | Err(_) => Located::None,
    }
}

fn find(decoder: &mut Decoder<'_>, record_len: usize) -> Result<Option<Located>, Error> {
    let call = match CallHeader::decode(decoder) {
        Ok(call) => call,
        Err(CallError::Garbage(error)) => return Err(error),
        Err(_) => return Ok(None),
    };
    // With RPCSEC_GSS the arguments may be wrapped, and only the context's owner knows how.
    let wrapped = matches!(call.credential, Credential::Other(auth) if auth.flavor == RPCSEC_GSS);
    if (call.program, call.version, call.procedure) != (PROGRAM, VERSION, PROCEDURE_COMPOUND) || wrapped {
        return Ok(None);
    }
    let compound: CompoundArgs<'_> = decoder.get()?;
    for _ in 0..compound.operations.min(OPERATIONS_MAX) {
        let Some(operation) = Operation::from_u32(decoder.u32()?) else { return Ok(None) };
        if operation == Operation::Write {
            let write: WriteHead = decoder.get()?;
            let length = decoder.u32()? as usize;
            let offset = decoder.position();
            let fits = length > 0 && length <= record_len - offset;
            return Ok(fits.then_some(Located::At { offset, length, file_offset: write.offset }));
        }
        if let Arguments::Unserved(_) = Arguments::decode(operation, decoder)? {
            return Ok(None);
        }
    }
    Ok(None)
}
