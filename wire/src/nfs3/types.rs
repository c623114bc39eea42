//! Basic types (RFC 1813 §2.5 and §2.6).

use crate::nfs4;
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, xdr_enum, xdr_struct};

/// Longest file handle in bytes (`NFS3_FHSIZE`).
pub const FILE_HANDLE_MAX: usize = 64;

/// A file handle (`nfs_fh3`): one of NFSv4 that has at most [`FILE_HANDLE_MAX`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHandle(nfs4::FileHandle);

impl FileHandle {
    /// A handle of these bytes, or `None` when they are more than [`FILE_HANDLE_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > FILE_HANDLE_MAX { None } else { nfs4::FileHandle::new(bytes).map(FileHandle) }
    }
}

impl std::ops::Deref for FileHandle {
    type Target = nfs4::FileHandle;

    fn deref(&self) -> &nfs4::FileHandle {
        &self.0
    }
}

impl std::fmt::Debug for FileHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(formatter)
    }
}

impl Encode for FileHandle {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        self.0.encode(encoder)
    }
}

impl<'a> Decode<'a> for FileHandle {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        FileHandle::new(decoder.opaque_max(FILE_HANDLE_MAX)?).ok_or(Error::Bound)
    }
}

/// A file handle, where the server tells it (`post_op_fh3`).
pub type PostOpHandle = Option<FileHandle>;

xdr_enum! {
/// Type of a file system object.
pub enum FileType = "ftype3" {
    Regular = 1 "NF3REG",
    Directory = 2 "NF3DIR",
    BlockDevice = 3 "NF3BLK",
    CharacterDevice = 4 "NF3CHR",
    SymbolicLink = 5 "NF3LNK",
    Socket = 6 "NF3SOCK",
    Fifo = 7 "NF3FIFO",
}
}

xdr_struct! {
/// Seconds and nanoseconds since the epoch.
#[derive(Copy, Hash, Default, PartialOrd, Ord)]
pub struct NfsTime = "nfstime3" {
    seconds: u32 = "seconds",
    nanoseconds: u32 = "nseconds",
}
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    #[test]
    fn handles_longer_than_the_protocol_has_are_refused() {
        let longest = FileHandle::new(&[7; FILE_HANDLE_MAX]).unwrap();
        assert_eq!(longest.as_bytes(), [7; FILE_HANDLE_MAX]);
        assert_eq!(FileHandle::new(&[7; FILE_HANDLE_MAX + 1]), None);
        let long = nfs4::FileHandle::new(&[7; FILE_HANDLE_MAX + 1]).unwrap();
        let mut encoder = Encoder::new(BytesMut::new(), 100);
        encoder.put(&long).unwrap();
        let bytes = encoder.finish().head;
        assert_eq!(Decoder::new(&bytes).get::<FileHandle>(), Err(Error::Bound));
    }
}
