//! What the reply to a call may have. Over RDMA the server is told of memory where it can put that.

use transport_rdma::Room;
use wire::{
    mount3, nfs3,
    nfs4::{self, Arguments, CompoundResult, Operation, ResultHead, SequenceResult},
    xdr::{Encoder, Error},
};

use crate::{channel::Called, reply::results};

/// Bytes of results, bulk data apart, that every call has room for.
const TEXT_MAX: usize = 64 * 1024;

/// Bytes of the longest value of an extended attribute that Linux has.
const XATTR_MAX: u32 = 64 * 1024;

/// Bytes of lists of exports and mounts, besides.
const LIST_MAX: u32 = 512 * 1024;

/// What the reply to a call may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expected {
    /// Of NFS: 3 or 4.
    pub version: u32,
    /// Bytes of the data that a READ asks for, where its place among the results is known beforehand.
    pub data: u32,
    /// Bytes that other results may have, as far as the call says how many.
    pub bounded: u32,
    /// Whether all results so far are a status alone.
    is_plain: bool,
}

impl Expected {
    /// Of a call whose results are short.
    pub fn of_version(version: u32) -> Self {
        Self { version, data: 0, bounded: 0, is_plain: true }
    }

    /// Of a procedure of NFSv3 or MOUNT: what sets a bound to the results stands at the end of the arguments.
    pub fn of_procedure((program, version, procedure): Called, arguments: &Encoder) -> Self {
        let short = Self::of_version(version);
        let last = arguments.head_from(0).last_chunk().map_or(0, |word| u32::from_be_bytes(*word));
        match nfs3::Procedure::from_u32(procedure) {
            _ if program == mount3::PROGRAM => Self { bounded: LIST_MAX, ..short },
            Some(nfs3::Procedure::Read) => Self { data: last, ..short },
            Some(nfs3::Procedure::Readdir | nfs3::Procedure::Readdirplus) => Self { bounded: last, ..short },
            _ => short,
        }
    }

    /// One more operation of a compound.
    pub fn add(&mut self, arguments: &Arguments<'_>) {
        let bounded = match arguments {
            Arguments::Read(read) if self.is_plain => {
                self.data = read.count;
                0
            }
            Arguments::Read(read) => read.count,
            Arguments::ReadPlus(read) => read.count,
            Arguments::Readdir(list) => list.count_max,
            Arguments::Listxattrs(list) => list.count_max,
            Arguments::Getxattr(_) => XATTR_MAX,
            _ => 0,
        };
        self.bounded = self.bounded.saturating_add(bounded);
        self.is_plain &= is_plain(arguments.operation());
    }

    /// One more operation, whose result is short and no status alone.
    pub fn add_other(&mut self) {
        self.is_plain = false;
    }

    /// Memory for it.
    pub fn room(self) -> Room {
        Room { data: self.data as usize, text: TEXT_MAX + self.bounded as usize }
    }
}

/// Whether the result of an operation that succeeded has nothing but its status.
fn is_plain(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Putfh | O::Putrootfh | O::Putpubfh | O::Lookup | O::Lookupp | O::Savefh | O::Restorefh
    )
}

/// Where so many bytes of data, which came apart, belong in a reply.
///
/// # Errors
/// When no READ is there, or it tells of another length.
pub(crate) fn data_position(version: u32, reply: &[u8], bytes: usize) -> Result<usize, Error> {
    let mut reader = results(reply).map_err(|_| Error::Cut)?;
    if version == nfs3::VERSION {
        if reader.get::<nfs3::Status>()? != nfs3::Status::Ok {
            return Err(Error::Cut);
        }
        reader.get::<nfs3::PostOpAttributes>()?;
        reader.u32()?;
    } else {
        reader.get::<CompoundResult<'_>>()?;
        loop {
            let ResultHead { operation, .. } = reader.get()?;
            match Operation::from_u32(operation) {
                Some(nfs4::Operation::Sequence) => drop(reader.get::<SequenceResult>()?),
                Some(nfs4::Operation::Read) => break,
                Some(operation) if is_plain(operation) => {}
                _ => return Err(Error::Cut),
            }
        }
    }
    // Whether they reach the end of the file.
    reader.bool()?;
    if reader.u32()? as usize == bytes { Ok(reader.position()) } else { Err(Error::Cut) }
}
