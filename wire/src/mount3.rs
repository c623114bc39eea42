//! MOUNT, version 3 (RFC 1813 §5): how a client of NFSv3 comes to its first file handle.

use crate::nfs3::FileHandle;
use crate::xdr::{
    Chain, ChainWriter, Decode, Decoder, Encode, Encoder, Error, List, NoRoom, Opaque, xdr_enum, xdr_struct,
};

/// RPC program number (RFC 1813 §5.1.2).
pub const PROGRAM: u32 = 100_005;
/// The version of the program.
pub const VERSION: u32 = 3;
/// Longest path in bytes (`MNTPATHLEN`).
pub const PATH_MAX: usize = 1024;
/// Longest name of a host or a group in bytes (`MNTNAMLEN`).
pub const NAME_MAX: usize = 255;
/// Security flavors accepted in one result; a dozen is registered.
const FLAVORS_MAX: usize = 32;
/// Groups accepted of one export: as many as hosts that an administrator could name one by one.
const GROUPS_MAX: usize = 4096;

/// A path on the server (`dirpath`); the arguments of MNT and UMNT.
pub type Path<'a> = Opaque<'a, PATH_MAX>;
/// Name of a host or of a group of hosts (`name`).
pub type Name<'a> = Opaque<'a, NAME_MAX>;

xdr_enum! {
/// A procedure of the program.
pub enum Procedure = "MOUNT_V3" {
    Null = 0 "MOUNTPROC3_NULL",
    Mnt = 1 "MOUNTPROC3_MNT",
    Dump = 2 "MOUNTPROC3_DUMP",
    Umnt = 3 "MOUNTPROC3_UMNT",
    Umntall = 4 "MOUNTPROC3_UMNTALL",
    Export = 5 "MOUNTPROC3_EXPORT",
}
}

xdr_enum! {
/// How MNT ended. Names are the published ones without `MNT3ERR_`.
#[must_use]
pub enum Status = "mountstat3" {
    Ok = 0 "MNT3_OK",
    Perm = 1 "MNT3ERR_PERM",
    Noent = 2 "MNT3ERR_NOENT",
    Io = 5 "MNT3ERR_IO",
    Acces = 13 "MNT3ERR_ACCES",
    Notdir = 20 "MNT3ERR_NOTDIR",
    Inval = 22 "MNT3ERR_INVAL",
    Nametoolong = 63 "MNT3ERR_NAMETOOLONG",
    Notsupp = 10004 "MNT3ERR_NOTSUPP",
    Serverfault = 10006 "MNT3ERR_SERVERFAULT",
}
}

impl std::error::Error for Status {}

xdr_struct! {
/// Result of MNT.
pub struct MountResult = "mountres3_ok" {
    handle: FileHandle = "fhandle",
    /// RPC flavors that may be used, in the server's order of preference.
    flavors: List<u32, FLAVORS_MAX> = "auth_flavors",
}
}

/// What MNT returns (`mountres3`); the error is never [`Status::Ok`].
pub type MountOutcome = Result<MountResult, Status>;

impl Encode for MountOutcome {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        match self {
            Ok(result) => {
                encoder.put(&Status::Ok)?;
                encoder.put(result)
            }
            Err(status) => encoder.put(status),
        }
    }
}

impl<'a> Decode<'a> for MountOutcome {
    fn decode(decoder: &mut Decoder<'a>) -> Result<Self, Error> {
        Ok(match decoder.get()? {
            Status::Ok => Ok(decoder.get()?),
            status => Err(status),
        })
    }
}

xdr_struct! {
/// What DUMP tells of one mount.
#[derive(Copy)]
pub struct Mount<'a> = "mountbody" {
    host: Name<'a> = "ml_hostname",
    directory: Path<'a> = "ml_directory",
}
}

xdr_struct! {
/// What EXPORT tells of one export.
pub struct Export<'a> = "exportnode" {
    directory: Path<'a> = "ex_dir",
    /// Who may mount it; everybody, when there are none.
    groups: Chain<Name<'a>, GROUPS_MAX> = "ex_groups",
}
}

/// Writes the result of DUMP or EXPORT: as many whole items as fit. A client reads it as one `Option` of an item after
/// the other, until there is none.
#[derive(Debug)]
#[must_use = "the list is ended by `finish`"]
pub struct ListWriter(ChainWriter);

impl ListWriter {
    /// Begins the list; the encoder's limit bounds it.
    ///
    /// # Errors
    /// [`NoRoom`] when not even an empty list fits.
    pub fn begin(encoder: &Encoder) -> Result<Self, NoRoom> {
        ChainWriter::begin(encoder, encoder.position(), usize::MAX, 0).map(ListWriter)
    }

    /// Writes a [`Mount`] or an [`Export`].
    ///
    /// # Errors
    /// [`NoRoom`] when it does not fit; nothing of it has been written and the list can still be ended.
    pub fn item(&self, encoder: &mut Encoder, item: &impl Encode) -> Result<(), NoRoom> {
        self.0.item(encoder, |encoder| encoder.put(item))
    }

    /// Ends the list.
    ///
    /// # Errors
    /// [`NoRoom`] only when the encoder's limit has been lowered meanwhile.
    pub fn finish(self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        self.0.finish(encoder)
    }
}
