//! Basic types (RFC 8881 §3.2 and §3.3).

use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, Opaque, xdr_enum, xdr_struct};

/// Longest file handle in bytes (`NFS4_FHSIZE`).
pub const FILE_HANDLE_MAX: usize = 128;
/// Longest owner, server scope and the like in bytes (`NFS4_OPAQUE_LIMIT`).
pub const OPAQUE_MAX: usize = 1024;

/// A client's, open's or lock's owner as its client names it.
pub type OpaqueOwner<'a> = Opaque<'a, OPAQUE_MAX>;

xdr_enum! {
/// Type of a file system object.
pub enum FileType = "nfs_ftype4" {
    Regular = 1 "NF4REG",
    Directory = 2 "NF4DIR",
    BlockDevice = 3 "NF4BLK",
    CharacterDevice = 4 "NF4CHR",
    SymbolicLink = 5 "NF4LNK",
    Socket = 6 "NF4SOCK",
    Fifo = 7 "NF4FIFO",
    AttributeDirectory = 8 "NF4ATTRDIR",
    NamedAttribute = 9 "NF4NAMEDATTR",
}
}

xdr_enum! {
/// How much of a WRITE is on stable storage.
pub enum StableHow = "stable_how4" {
    /// Nothing need be until COMMIT.
    Unstable = 0 "UNSTABLE4",
    /// The data, and what is needed to find it.
    DataSync = 1 "DATA_SYNC4",
    /// The data and all attributes.
    FileSync = 2 "FILE_SYNC4",
}
}

xdr_struct! {
/// Names state: an open, a lock, a delegation, a layout or a running copy.
#[derive(Copy, Hash)]
pub struct Stateid = "stateid4" {
    /// Version of the state; 0 means "the newest".
    seqid: u32 = "seqid",
    /// Which state.
    other: [u8; 12] = "other",
}
}

impl Stateid {
    /// "Anonymous": I/O without an open (RFC 8881 §8.2.3).
    pub const ANONYMOUS: Stateid = Stateid { seqid: 0, other: [0; 12] };
    /// "READ bypass": like anonymous, and a READ may ignore locks.
    pub const BYPASS: Stateid = Stateid { seqid: u32::MAX, other: [0xff; 12] };
    /// "Current": the stateid that the compound's last stateid operation returned.
    pub const CURRENT: Stateid = Stateid { seqid: 1, other: [0; 12] };
    /// Never names state.
    pub const INVALID: Stateid = Stateid { seqid: u32::MAX, other: [0; 12] };

    /// Whether the stateid has a special meaning or is reserved for one: `other` all zeros or all ones.
    pub fn is_special(&self) -> bool {
        self.other == [0; 12] || self.other == [0xff; 12]
    }

    /// Whether it is the anonymous stateid.
    pub fn is_anonymous(&self) -> bool {
        *self == Self::ANONYMOUS
    }

    /// Whether it is the READ bypass stateid.
    pub fn is_bypass(&self) -> bool {
        *self == Self::BYPASS
    }

    /// Whether it stands for the current stateid.
    pub fn is_current(&self) -> bool {
        *self == Self::CURRENT
    }

    /// Whether it is the stateid that never names state.
    pub fn is_invalid(&self) -> bool {
        *self == Self::INVALID
    }
}

xdr_struct! {
/// Identity of a file system on its server.
#[derive(Copy, Hash, Default)]
pub struct Fsid = "fsid4" {
    major: u64 = "major",
    minor: u64 = "minor",
}
}

xdr_struct! {
/// Seconds and nanoseconds since the epoch; whether the latter are less than a second (RFC 8881 §3.3.1) is not checked here.
#[derive(Copy, Hash, Default, PartialOrd, Ord)]
pub struct NfsTime = "nfstime4" {
    seconds: i64 = "seconds",
    nanoseconds: u32 = "nseconds",
}
}

xdr_struct! {
/// A directory's change attribute around an operation on it.
#[derive(Copy)]
pub struct ChangeInfo = "change_info4" {
    /// Nothing else changed the directory between the two values.
    atomic: bool = "atomic",
    before: u64 = "before",
    after: u64 = "after",
}
}

xdr_struct! {
/// Device numbers of a special file.
#[derive(Copy, Default)]
pub struct Specdata = "specdata4" {
    major: u32 = "specdata1",
    minor: u32 = "specdata2",
}
}

macro_rules! identifier {
    ($($(#[$meta:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(pub $inner);

        impl Encode for $name {
            fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
                self.0.encode(encoder)
            }
        }
        impl<'a> Decode<'a> for $name {
            fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
                decoder.get().map($name)
            }
        }
    )*};
}

identifier! {
    /// The server's short name of a client (`clientid4`).
    ClientId(u64);
    /// Names a session (`sessionid4`).
    SessionId([u8; 16]);
    /// Distinguishes instances: of a client, a server, a directory, an exclusive create (`verifier4`).
    Verifier([u8; 8]);
    /// Place in the order of requests of a slot or of CREATE_SESSION (`sequenceid4`).
    SequenceId(u32);
    /// Index of a slot in a session's channel (`slotid4`).
    SlotId(u32);
}

impl SequenceId {
    /// The one that follows; it wraps to 0 (RFC 8881 §2.10.6.1).
    #[must_use]
    pub const fn next(self) -> Self {
        SequenceId(self.0.wrapping_add(1))
    }
}

/// A file handle (`nfs_fh4`), kept in place so that it copies without allocation.
#[derive(Clone, Copy)]
pub struct FileHandle {
    length: u8,
    bytes: [u8; FILE_HANDLE_MAX],
}

impl FileHandle {
    /// A handle of these bytes, or `None` when they are more than [`FILE_HANDLE_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let length = u8::try_from(bytes.len()).ok()?;
        let mut handle = FileHandle { length, bytes: [0; FILE_HANDLE_MAX] };
        handle.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(handle)
    }

    /// The handle's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl PartialEq for FileHandle {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for FileHandle {}

impl std::hash::Hash for FileHandle {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl std::fmt::Debug for FileHandle {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl Encode for FileHandle {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_opaque(self.as_bytes())
    }
}

impl<'a> Decode<'a> for FileHandle {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        let bytes = decoder.opaque_max(FILE_HANDLE_MAX)?;
        FileHandle::new(bytes).ok_or(Error::Bound)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_stateids_are_distinct() {
        let all = [Stateid::ANONYMOUS, Stateid::BYPASS, Stateid::CURRENT, Stateid::INVALID];
        for stateid in all {
            assert!(stateid.is_special());
            let tests =
                [stateid.is_anonymous(), stateid.is_bypass(), stateid.is_current(), stateid.is_invalid()];
            assert_eq!(tests.iter().filter(|test| **test).count(), 1);
        }
        assert!(!Stateid { seqid: 1, other: [1; 12] }.is_special());
    }

    #[test]
    fn file_handles_keep_their_length() {
        let long = [7; FILE_HANDLE_MAX];
        assert_eq!(FileHandle::new(&long).unwrap().as_bytes(), long);
        assert!(FileHandle::new(&[0; FILE_HANDLE_MAX + 1]).is_none());
        assert_ne!(FileHandle::new(&[0; 2]), FileHandle::new(&[0; 3]));
    }

    #[test]
    fn sequence_ids_wrap() {
        assert_eq!(SequenceId(u32::MAX).next(), SequenceId(0));
    }
}
