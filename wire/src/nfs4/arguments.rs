//! The arguments of every operation, decoded on demand (`nfs_argop4`).

use super::*;
use crate::xdr::{Decoder, Encode, Encoder, Error, NoRoom};

macro_rules! arguments {
    ($(#[$meta:meta])* enum $name:ident of $number:ident {
        $($operation:ident $(($type:ty))?,)*
    } undecoded { $($rest:ident,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        #[allow(clippy::large_enum_variant)] // It lives on the stack of one operation; a box would allocate.
        pub enum $name<'a> {
            $(#[doc = concat!("Arguments of [`", stringify!($number), "::", stringify!($operation), "`].")]
            $operation $(($type))?,)*
            /// An operation that no minor version served here has. What follows it is unknown.
            Unserved($number),
        }

        impl<'a> $name<'a> {
            /// Reads the arguments of `operation`, whose number has been read.
            ///
            /// # Errors
            /// [`Error`] when they are malformed: NFS4ERR_BADXDR.
            pub fn decode(operation: $number, decoder: &mut Decoder<'a>) -> Result<Self, Error> {
                match operation {
                    $($number::$operation => arguments!(@decode decoder $operation $(($type))?),)*
                    $($number::$rest => Ok(Self::Unserved(operation)),)*
                }
            }

            /// Which operation these are the arguments of.
            pub fn operation(&self) -> $number {
                match self {
                    $(arguments!(@ignore $operation $(($type))?) => $number::$operation,)*
                    Self::Unserved(operation) => *operation,
                }
            }
        }

        /// Writes the operation's number and the arguments.
        impl Encode for $name<'_> {
            fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
                encoder.put(&self.operation())?;
                match self {
                    $(arguments!(@pattern $operation value $(($type))?) =>
                        arguments!(@encode encoder value $(($type))?),)*
                    Self::Unserved(_) => Ok(()),
                }
            }
        }

        $(arguments!(@from $name $operation $(($type))?);)*
    };
    (@decode $decoder:ident $operation:ident) => { Ok(Self::$operation) };
    (@decode $decoder:ident $operation:ident ($type:ty)) => { $decoder.get().map(Self::$operation) };
    (@ignore $operation:ident) => { Self::$operation };
    (@ignore $operation:ident ($type:ty)) => { Self::$operation(_) };
    (@pattern $operation:ident $value:ident) => { Self::$operation };
    (@pattern $operation:ident $value:ident ($type:ty)) => { Self::$operation($value) };
    (@encode $encoder:ident $value:ident) => { Ok(()) };
    (@encode $encoder:ident $value:ident ($type:ty)) => { $encoder.put($value) };
    (@from $name:ident $operation:ident) => {};
    (@from $name:ident $operation:ident ($type:ty)) => {
        impl<'a> From<$type> for $name<'a> {
            fn from(arguments: $type) -> Self {
                Self::$operation(arguments)
            }
        }
    };
}

pub(super) use arguments;

arguments! {
    /// Arguments of one operation. Those of NFSv4.0 alone are not decoded, since no session allows them.
    enum Arguments of Operation {
        Access(AccessArgs),
        Close(CloseArgs),
        Commit(CommitArgs),
        Create(CreateArgs<'a>),
        Delegpurge(DelegPurgeArgs),
        Delegreturn(DelegReturnArgs),
        Getattr(GetAttrArgs),
        Getfh,
        Link(LinkArgs<'a>),
        Lock(LockArgs<'a>),
        Lockt(LockTestArgs<'a>),
        Locku(UnlockArgs),
        Lookup(LookupArgs<'a>),
        Lookupp,
        Nverify(NverifyArgs<'a>),
        Open(OpenArgs<'a>),
        Openattr(OpenAttrArgs),
        OpenDowngrade(OpenDowngradeArgs),
        Putfh(PutFhArgs),
        Putpubfh,
        Putrootfh,
        Read(ReadArgs),
        Readdir(ReadDirArgs),
        Readlink,
        Remove(RemoveArgs<'a>),
        Rename(RenameArgs<'a>),
        Restorefh,
        Savefh,
        Secinfo(SecinfoArgs<'a>),
        Setattr(SetAttrArgs<'a>),
        Verify(VerifyArgs<'a>),
        Write(WriteArgs),
        BackchannelCtl(BackchannelCtlArgs<'a>),
        BindConnToSession(BindConnToSessionArgs),
        ExchangeId(ExchangeIdArgs<'a>),
        CreateSession(CreateSessionArgs<'a>),
        DestroySession(DestroySessionArgs),
        FreeStateid(FreeStateidArgs),
        GetDirDelegation(GetDirDelegationArgs),
        Getdeviceinfo(GetDeviceInfoArgs),
        Getdevicelist(GetDeviceListArgs),
        Layoutcommit(LayoutCommitArgs<'a>),
        Layoutget(LayoutGetArgs),
        Layoutreturn(LayoutReturnArgs<'a>),
        SecinfoNoName(SecinfoStyle),
        Sequence(SequenceArgs),
        SetSsv(SetSsvArgs<'a>),
        TestStateid(TestStateidArgs),
        WantDelegation(WantDelegationArgs),
        DestroyClientid(DestroyClientIdArgs),
        ReclaimComplete(ReclaimCompleteArgs),
        Allocate(AllocateArgs),
        Copy(CopyArgs<'a>),
        CopyNotify(CopyNotifyArgs<'a>),
        Deallocate(DeallocateArgs),
        IoAdvise(IoAdviseArgs),
        Layouterror(LayoutErrorArgs),
        Layoutstats(LayoutStatsArgs<'a>),
        OffloadCancel(OffloadCancelArgs),
        OffloadStatus(OffloadStatusArgs),
        ReadPlus(ReadPlusArgs),
        Seek(SeekArgs),
        WriteSame(WriteSameArgs<'a>),
        Clone(CloneArgs),
        Getxattr(GetXattrArgs<'a>),
        Setxattr(SetXattrArgs<'a>),
        Listxattrs(ListXattrsArgs),
        Removexattr(RemoveXattrArgs<'a>),
    } undecoded {
        OpenConfirm,
        Renew,
        Setclientid,
        SetclientidConfirm,
        ReleaseLockowner,
        Illegal,
    }
}
