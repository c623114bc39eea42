//! The procedures (RFC 1813 §3.3), what they take and what they give.

use super::*;
use crate::xdr::{Decode, Decoder, Encode, Encoder, Error, NoRoom, xdr_enum};

xdr_enum! {
/// A procedure of the program.
pub enum Procedure = "NFS_V3" {
    Null = 0 "NFSPROC3_NULL",
    Getattr = 1 "NFSPROC3_GETATTR",
    Setattr = 2 "NFSPROC3_SETATTR",
    Lookup = 3 "NFSPROC3_LOOKUP",
    Access = 4 "NFSPROC3_ACCESS",
    Readlink = 5 "NFSPROC3_READLINK",
    Read = 6 "NFSPROC3_READ",
    Write = 7 "NFSPROC3_WRITE",
    Create = 8 "NFSPROC3_CREATE",
    Mkdir = 9 "NFSPROC3_MKDIR",
    Symlink = 10 "NFSPROC3_SYMLINK",
    Mknod = 11 "NFSPROC3_MKNOD",
    Remove = 12 "NFSPROC3_REMOVE",
    Rmdir = 13 "NFSPROC3_RMDIR",
    Rename = 14 "NFSPROC3_RENAME",
    Link = 15 "NFSPROC3_LINK",
    Readdir = 16 "NFSPROC3_READDIR",
    Readdirplus = 17 "NFSPROC3_READDIRPLUS",
    Fsstat = 18 "NFSPROC3_FSSTAT",
    Fsinfo = 19 "NFSPROC3_FSINFO",
    Pathconf = 20 "NFSPROC3_PATHCONF",
    Commit = 21 "NFSPROC3_COMMIT",
}
}

/// The arguments of a procedure, which are a call of it.
pub trait Call: Encode {
    /// The procedure.
    const PROCEDURE: Procedure;
    /// What its success gives.
    type Result<'r>: Encode + Decode<'r>;
    /// What its failure tells.
    type Failure: Encode + for<'r> Decode<'r>;
}

macro_rules! procedures {
    ($($procedure:ident($arguments:ty) -> $result:ty, $failure:ty;)*) => {
        /// The arguments of any procedure.
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant)] // It lives on the stack of one call; a box would allocate.
        pub enum Arguments<'a> {
            /// There are none.
            Null,
            $(#[doc = concat!("Arguments of [`Procedure::", stringify!($procedure), "`].")]
            $procedure($arguments),)*
        }

        impl<'a> Arguments<'a> {
            /// Reads the arguments of `procedure`.
            ///
            /// # Errors
            /// [`Error`] when they are malformed: GARBAGE_ARGS.
            pub fn decode(procedure: Procedure, decoder: &mut Decoder<'a>) -> Result<Self, Error> {
                match procedure {
                    Procedure::Null => Ok(Self::Null),
                    $(Procedure::$procedure => decoder.get().map(Self::$procedure),)*
                }
            }

            /// Which procedure these are the arguments of.
            pub fn procedure(&self) -> Procedure {
                match self {
                    Self::Null => Procedure::Null,
                    $(Self::$procedure(_) => Procedure::$procedure,)*
                }
            }
        }

        impl Encode for Arguments<'_> {
            fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
                match self {
                    Self::Null => Ok(()),
                    $(Self::$procedure(arguments) => encoder.put(arguments),)*
                }
            }
        }

        $(impl<'a> Call for $arguments {
            const PROCEDURE: Procedure = Procedure::$procedure;
            type Result<'r> = $result;
            type Failure = $failure;
        })*
    };
}

procedures! {
    Getattr(GetAttrArgs) -> FileAttributes, ();
    Setattr(SetAttrArgs) -> WccData, WccData;
    Lookup(LookupArgs<'a>) -> LookupResult, PostOpAttributes;
    Access(AccessArgs) -> AccessResult, PostOpAttributes;
    Readlink(ReadLinkArgs) -> ReadLinkResult<'r>, PostOpAttributes;
    Read(ReadArgs) -> ReadResult, PostOpAttributes;
    Write(WriteArgs) -> WriteResult, WccData;
    Create(CreateArgs<'a>) -> CreateResult, WccData;
    Mkdir(MkdirArgs<'a>) -> CreateResult, WccData;
    Symlink(SymlinkArgs<'a>) -> CreateResult, WccData;
    Mknod(MknodArgs<'a>) -> CreateResult, WccData;
    Remove(RemoveArgs<'a>) -> WccData, WccData;
    Rmdir(RmdirArgs<'a>) -> WccData, WccData;
    Rename(RenameArgs<'a>) -> RenameResult, RenameResult;
    Link(LinkArgs<'a>) -> LinkResult, LinkResult;
    // The entries follow.
    Readdir(ReadDirArgs) -> DirectoryHead, PostOpAttributes;
    Readdirplus(ReadDirPlusArgs) -> DirectoryHead, PostOpAttributes;
    Fsstat(FsstatArgs) -> FsstatResult, PostOpAttributes;
    Fsinfo(FsinfoArgs) -> FsinfoResult, PostOpAttributes;
    Pathconf(PathconfArgs) -> PathconfResult, PostOpAttributes;
    Commit(CommitArgs) -> CommitResult, WccData;
}
