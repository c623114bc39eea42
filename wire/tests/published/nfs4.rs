//! NFSv4 and the text of RFC 5662, RFC 7863 and RFC 8276, as the documents' own extraction command gives it.

use std::collections::HashMap;

use wire::nfs4::*;
use wire::xdr::Published;

use crate::text::{Names, Text};

const NFS4_1: &str = include_str!("../xdr/nfs4_1.x");
const NFS4_2: &str = include_str!("../xdr/nfs4_2.x");
const XATTR: &str = include_str!("../xdr/xattr.x");

/// RFC 8276 lists its additions to existing enums inside comments.
fn xattr_additions() -> HashMap<String, u64> {
    let mut found = HashMap::new();
    for line in XATTR.lines() {
        if let Some((name, value)) = line.split_once('=') {
            let digits: String = value.trim().chars().take_while(char::is_ascii_digit).collect();
            if let Ok(number) = digits.parse() {
                found.insert(name.trim().to_owned(), number);
            }
        }
    }
    found
}

fn texts() -> [Text; 3] {
    [NFS4_2, NFS4_1, XATTR].map(Text::parse)
}

/// Numbers of RFC 9754 and RFC 8275, whose text is not part of these files.
const ELSEWHERE: [(&str, u64); 12] = [
    ("FATTR4_MODE_UMASK", 81),
    ("FATTR4_OFFLINE", 83),
    ("FATTR4_TIME_DELEG_ACCESS", 84),
    ("FATTR4_TIME_DELEG_MODIFY", 85),
    ("FATTR4_OPEN_ARGUMENTS", 86),
    ("OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS", 0x10_0000),
    ("OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION", 0x20_0000),
    ("OPEN4_RESULT_NO_OPEN_STATEID", 0x10),
    ("OPEN_DELEGATE_READ_ATTRS_DELEG", 4),
    ("OPEN_DELEGATE_WRITE_ATTRS_DELEG", 5),
    ("AUTH_NONE", 0),
    ("AUTH_SYS", 1),
];

fn published_number(texts: &[Text], name: &str) -> Option<u64> {
    let language = [("FALSE", 0), ("TRUE", 1), ("RPCSEC_GSS", 6)];
    let listed = ELSEWHERE.iter().chain(&language).find(|(listed, _)| *listed == name).map(|pair| pair.1);
    let additions = xattr_additions();
    texts.iter().find_map(|text| text.numbers.get(name).copied()).or(additions.get(name).copied()).or(listed)
}

/// Checks one enum in both directions: our values are the published ones, and none is left out.
fn check_enum(published: &str, ours: &[(u32, &str)]) {
    let texts = texts();
    for (number, name) in ours {
        assert_eq!(published_number(&texts, name), Some(u64::from(*number)), "{published}: {name}");
    }
    let text = texts.iter().find_map(|text| text.enums.get(published));
    let text = text.unwrap_or_else(|| panic!("no enum {published} in the text"));
    for (name, _) in text {
        assert!(ours.iter().any(|(_, ours)| ours == name), "{published} lacks {name}");
    }
}

macro_rules! check_enums {
    ($($name:ident,)*) => {$(
        let ours: Vec<_> = $name::ALL.iter().map(|(value, name)| (value.number(), *name)).collect();
        check_enum($name::PUBLISHED, &ours);
        for (value, name) in $name::ALL {
            assert_eq!($name::from_u32(value.number()), Some(*value));
            assert_eq!(value.name(), *name);
        }
    )*};
}

#[test]
fn every_enum_is_the_published_one() {
    check_enums! {
        Status, Operation, CallbackOperation, FileType, StableHow, LockType, DelegationType, DataContent,
        IoAdvice, SetXattrOption, SecinfoStyle, GssService, ChannelDirectionArgs, ChannelDirectionResult,
        LayoutIoMode, FsStatusType, ChangeAttributeType,
    }
}

#[test]
fn operations_and_errors_of_extended_attributes_are_there() {
    for (name, number) in xattr_additions() {
        let number = number as u32;
        if name.starts_with("OP_") {
            assert_eq!(Operation::from_u32(number).map(Operation::name), Some(&name[..]));
        } else if name.starts_with("NFS4ERR_") {
            assert_eq!(Status::from_u32(number).map(Status::name), Some(&name[..]));
        }
    }
    assert_eq!(Operation::Removexattr.number(), 75);
    assert_eq!(Status::Xattr2big.number(), 10096);
}

#[test]
fn every_constant_is_the_published_one() {
    let texts = texts();
    let modules = [
        attribute::ALL,
        access::ALL,
        share_access::ALL,
        share_deny::ALL,
        open_result_flags::ALL,
        exchange_flags::ALL,
        create_session_flags::ALL,
        sequence_status::ALL,
    ];
    for (number, name) in modules.into_iter().flatten() {
        assert_eq!(published_number(&texts, name), Some(u64::from(*number)), "{name}");
    }
    let prefixes =
        ["FATTR4_", "ACCESS4_", "OPEN4_RESULT_", "OPEN4_SHARE_", "EXCHGID4_", "CREATE_SESSION4_", "SEQ4_"];
    for name in texts.iter().flat_map(|text| text.numbers.keys()) {
        if prefixes.iter().any(|prefix| name.starts_with(prefix)) {
            let known = modules.into_iter().flatten().any(|(_, ours)| ours == name);
            assert!(known, "{name} is missing");
        }
    }
    for (number, name, ours) in ATTRIBUTE_FIELDS {
        assert_eq!(published_number(&texts, name), Some(u64::from(*number)), "{name}");
        let published = texts.iter().find_map(|text| text.typedefs.get(&name.to_lowercase()));
        match published.map(|published| texts[0].resolve(published)) {
            Some(published) => {
                assert!(texts[0].is_same_type(&NAMES, &published, ours), "{name}: {published} is not {ours}")
            }
            None => assert!(ELSEWHERE.iter().any(|(elsewhere, _)| elsewhere == name), "{name} has no type"),
        }
    }
    assert_eq!(published_number(&texts, "NFS4_FHSIZE"), Some(FILE_HANDLE_MAX as u64));
    assert_eq!(published_number(&texts, "NFS4_OPAQUE_LIMIT"), Some(OPAQUE_MAX as u64));
}

fn check_struct<T: Published>() {
    let texts = texts();
    let published = texts.iter().find_map(|text| text.structs.get(T::NAME));
    let published = published.unwrap_or_else(|| panic!("no struct {} in the text", T::NAME));
    assert_eq!(T::FIELDS, published, "{}", T::NAME);
    let text = texts.iter().find(|text| text.types.contains_key(T::NAME)).unwrap();
    for ((published, ours), field) in text.types[T::NAME].iter().zip(T::TYPES).zip(T::FIELDS) {
        let resolved = texts[0].resolve(&text.resolve(published));
        assert!(
            texts[0].is_same_type(&NAMES, &resolved, ours),
            "{}.{field}: {resolved} is not {ours}",
            T::NAME
        );
    }
}

/// Enums and unions read as plain numbers are among the numbers.
const NAMES: Names = Names { same: SAME_TYPES, published: published_name };

const SAME_TYPES: &[(&str, &[&str])] = &[
    ("uint32_t", &["u32", "SequenceId", "SlotId"]),
    ("uint64_t", &["u64", "ClientId"]),
    ("int32_t", &["i32"]),
    ("bool", &["bool"]),
    ("opaque[NFS4_SESSIONID_SIZE]", &["SessionId"]),
    ("opaque[NFS4_VERIFIER_SIZE]", &["Verifier"]),
    ("opaque[NFS4_OTHER_SIZE]", &["[u8; 12]"]),
    ("opaque[NFS4_DEVICEID4_SIZE]", &["DeviceId"]),
    ("opaque<>", &["Opaque", "OpaqueOwner", "Component", "XattrValue", "Payload", "FileHandle", "Owner"]),
    ("string<>", &["Opaque"]),
    ("uint32_t<>", &["Bitmap"]),
    ("opaque<><>", &["PathName"]),
    ("layouttype4", &["u32"]),
    ("nfs_opnum4", &["u32"]),
    ("data_content4", &["u32"]),
    ("newoffset4", &["Option<u64>"]),
    ("newtime4", &["Option<NfsTime>"]),
    ("int64_t", &["i64"]),
    ("offload_info4", &["OffloadInfo"]),
];

macro_rules! published_names {
    (structs $($structure:ident)*; others $($other:ident)*;) => {
        /// The published name of one of our types, by our name.
        fn published_name(ours: &str) -> Option<&'static str> {
            match ours {
                $(stringify!($structure) => Some($structure::NAME),)*
                $(stringify!($other) => Some($other::PUBLISHED),)*
                _ => None,
            }
        }
    };
}

published_names! {
    structs Stateid Fsid NfsTime ChangeInfo Specdata RawAttributes FsLocation FsLocations FsStatus
        ModeMasked ChangePolicy StateOwner ClientOwner
        ServerOwner ImplementationId StateProtectOperations SsvParameters SsvProtection ChannelAttributes
        AccessControlEntry NetAddress WriteResponse CopyRequirements ApplicationDataBlock LayoutUpdate
        DeviceError IoInfo ReferringCall ReferringCallList;
    others Status SetTime ChangeAttributeType FileType StableHow LockType DelegationType SetXattrOption GssService ChannelDirectionArgs
        ChannelDirectionResult LayoutIoMode FsStatusType CreateType OpenHow OpenClaim SpaceLimit
        OpenDelegation Locker StateProtectArgs StateProtectResult CallbackSecurity NetLocation
        ReadPlusContent DelegationClaim LayoutReturn;
}

macro_rules! check_structs {
    ($($name:ty,)*) => { $(check_struct::<$name>();)* };
}

#[test]
fn every_struct_of_basic_types_and_attributes_has_the_published_fields() {
    check_structs! {
        Stateid, Fsid, NfsTime, ChangeInfo, Specdata, RawAttributes<'_>, ModeMasked, ChangePolicy,
        FsLocation<'_>, FsLocations<'_>, FsStatus<'_>, StateOwner<'_>, ClientOwner<'_>, ServerOwner<'_>,
        ImplementationId<'_>, StateProtectOperations, SsvParameters<'_>, SsvProtection<'_>,
        ChannelAttributes, GssCallbackHandles<'_>, GssInfo<'_>, AccessControlEntry<'_>, ModifiedLimit,
        NetAddress<'_>, WriteResponse, CopyRequirements, DataSegment, HoleSegment,
        ApplicationDataBlock<'_>, LayoutUpdate<'_>, LayoutReturnFile<'_>, DeviceError, IoInfo,
        ReferringCall, ReferringCallList, CreateVerifierAttributes<'_>, ClaimDelegateCurrent<'_>,
        ReadDelegation<'_>, WriteDelegation<'_>, OpenToLockOwner<'_>, ExistingLockOwner,
    }
}

#[test]
fn every_struct_of_arguments_has_the_published_fields() {
    check_structs! {
        AccessArgs, CloseArgs, CommitArgs, CreateArgs<'_>, DelegPurgeArgs, DelegReturnArgs, GetAttrArgs,
        LinkArgs<'_>, LockArgs<'_>, LockTestArgs<'_>, UnlockArgs, LookupArgs<'_>, NverifyArgs<'_>,
        OpenArgs<'_>, OpenAttrArgs, OpenDowngradeArgs, PutFhArgs, ReadArgs, ReadDirArgs, RemoveArgs<'_>,
        RenameArgs<'_>, SecinfoArgs<'_>, SetAttrArgs<'_>, VerifyArgs<'_>, WriteArgs,
        BackchannelCtlArgs<'_>, BindConnToSessionArgs, ExchangeIdArgs<'_>, CreateSessionArgs<'_>,
        DestroySessionArgs, FreeStateidArgs, GetDirDelegationArgs, GetDeviceInfoArgs, GetDeviceListArgs,
        LayoutCommitArgs<'_>, LayoutGetArgs, LayoutReturnArgs<'_>, SequenceArgs, SetSsvArgs<'_>,
        TestStateidArgs, WantDelegationArgs, DestroyClientIdArgs, ReclaimCompleteArgs, AllocateArgs,
        CopyArgs<'_>, CopyNotifyArgs<'_>, DeallocateArgs, IoAdviseArgs, LayoutErrorArgs,
        LayoutStatsArgs<'_>, OffloadCancelArgs, OffloadStatusArgs, ReadPlusArgs, SeekArgs,
        WriteSameArgs<'_>, CloneArgs, GetXattrArgs<'_>, SetXattrArgs<'_>, ListXattrsArgs,
        RemoveXattrArgs<'_>, CallbackSequenceArgs, CallbackGetAttrArgs, CallbackRecallArgs,
        CallbackRecallAnyArgs, CallbackRecallSlotArgs, CallbackNotifyLockArgs<'_>, CallbackOffloadArgs,
    }
}

#[test]
fn every_struct_of_results_has_the_published_fields() {
    check_structs! {
        AccessResult, CommitResult, CreateResult, GetFhResult, LinkResult, LockResult, LockDenied<'_>,
        OpenResult<'_>, OpenDowngradeResult, ReadResult, ReadLinkResult<'_>, RemoveResult, RenameResult,
        WriteResult, BindConnToSessionResult, ExchangeIdResult<'_>, CreateSessionResult, DirDelegation,
        SequenceResult, TestStateidResult, CopyResult, OffloadStatusResult, IoAdviseResult,
        ReadPlusResult, SeekResult, ListXattrsResult<'_>, CallbackSequenceResult,
    }
    // An entry's link to the next is the list's matter here.
    assert_eq!(Entry::FIELDS, &texts()[0].structs["entry4"][..3]);
}

fn check_union(published: &str, ours: &[(u32, &str)]) {
    let texts = texts();
    for (number, name) in ours {
        assert_eq!(published_number(&texts, name), Some(u64::from(*number)), "{published}: {name}");
    }
    let cases = texts.iter().find_map(|text| text.unions.get(published));
    let cases = cases.unwrap_or_else(|| panic!("no union {published} in the text"));
    for (case, _) in cases.iter().filter(|(case, _)| case != "default") {
        assert!(ours.iter().any(|(_, name)| name == case), "{published} lacks {case}");
    }
}

macro_rules! check_unions {
    ($($name:ident,)*) => { $(check_union($name::PUBLISHED, $name::CASES);)* };
}

#[test]
fn every_union_has_the_published_cases() {
    check_unions! {
        SetTime, CreateType, CreateHow, OpenHow, OpenClaim, SpaceLimit, NoDelegation, OpenDelegation,
        Locker, StateProtectArgs, StateProtectResult, CallbackSecurity, Secinfo, NetLocation,
        ReadPlusContent, GetDirDelegationResult, DelegationClaim, LayoutReturn,
    }
}
