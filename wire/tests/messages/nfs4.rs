//! Types of NFSv4 and of RPC.

use wire::nfs4::*;
use wire::record::{Assembler, Limits};
use wire::rpc::{Accepted, AuthSys, CallHeader, Credential, Denied, OpaqueAuth, ReplyHeader};
use wire::xdr::{Cut, Decoder};

use crate::values::{Random, decode, encode, round_trip};

#[test]
fn basic_types_and_attributes() {
    round_trip! {
        Stateid, Fsid, NfsTime, ChangeInfo, Specdata, ClientId, SessionId, Verifier, SequenceId, SlotId,
        FileHandle, FileType, StableHow, Status, Bitmap, RawAttributes<'_>, ModeMasked, ModeUmask,
        ChangePolicy, FsLocations<'_>, FsStatus<'_>, SetTime, OpenArguments, ChangeAttributeType,
    }
}

#[test]
fn arguments_by_type() {
    round_trip! {
        CreateArgs<'_>, LockArgs<'_>, LockTestArgs<'_>, UnlockArgs, OpenArgs<'_>, ReadDirArgs, SetAttrArgs<'_>,
        WriteArgs, BackchannelCtlArgs<'_>, BindConnToSessionArgs, ExchangeIdArgs<'_>, CreateSessionArgs<'_>,
        GetDirDelegationArgs, LayoutCommitArgs<'_>, LayoutReturnArgs<'_>, LayoutErrorArgs, LayoutStatsArgs<'_>,
        TestStateidArgs, CopyArgs<'_>, CopyNotifyArgs<'_>, IoAdviseArgs, WriteSameArgs<'_>, SetXattrArgs<'_>,
        CallbackSequenceArgs, CallbackNotifyLockArgs<'_>, CallbackOffloadArgs, CallbackRecallAnyArgs,
    }
}

#[test]
fn results() {
    round_trip! {
        AccessResult, CommitResult, CreateResult, GetFhResult, LinkResult, LockResult, LockDenied<'_>,
        OpenResult<'_>, OpenDowngradeResult, ReadResult, ReadLinkResult<'_>, RemoveResult, RenameResult,
        WriteResult, BindConnToSessionResult, ExchangeIdResult<'_>, CreateSessionResult, DirDelegation,
        GetDirDelegationResult, SequenceResult, TestStateidResult, CopyResult, CopyRequirements,
        OffloadStatusResult, IoAdviseResult, ReadPlusResult, SeekResult, ListXattrsResult<'_>,
        SecinfoResult<'_>, CallbackSequenceResult, XattrValue<'_>, XattrChange,
    }
}

#[test]
fn rpc_parts() {
    round_trip! { OpaqueAuth<'_>, AuthSys<'_>, Accepted, Denied, }
}

/// Every operation's arguments, by number.
#[test]
fn arguments_by_operation() {
    let mut random = Random(7);
    for (operation, name) in Operation::ALL {
        let mut found = 0;
        for _ in 0..200_000 {
            if found == 20 {
                break;
            }
            let words = 1 + random.below(60);
            let bytes = random.likely(words);
            let Ok(arguments) = Arguments::decode(*operation, &mut Decoder::new(&bytes)) else { continue };
            found += 1;
            assert_eq!(arguments.operation(), *operation);
            let (head, cuts) = encode(&arguments);
            let mut decoder = Decoder::with_cuts(&head, &cuts);
            assert_eq!(Operation::decode_or_illegal(&mut decoder), Ok(*operation));
            let again = Arguments::decode(*operation, &mut decoder).expect(name);
            decoder.finish().expect(name);
            assert_eq!(encode(&again), (head.clone(), cuts), "{name}");
        }
        assert_eq!(found, 20, "too few arguments of {name} found");
    }
}

/// Decodes as one thing after another whatever the bytes are.
fn decode_everything(bytes: &[u8]) {
    let _ = CallHeader::decode(&mut Decoder::new(bytes));
    let _ = Decoder::new(bytes).get::<ReplyHeader<'_>>();
    let auth = OpaqueAuth { flavor: 1, body: bytes.into() };
    let _ = Credential::interpret(auth);
    for (operation, _) in Operation::ALL {
        let _ = Arguments::decode(*operation, &mut Decoder::new(bytes));
    }
    for (operation, _) in CallbackOperation::ALL {
        let _ = CallbackArguments::decode(*operation, &mut Decoder::new(bytes));
    }
    let _ = Decoder::new(bytes).get::<CompoundArgs<'_>>();
    let _ = Decoder::new(bytes).get::<CompoundResult<'_>>();
    let _ = Decoder::new(bytes).get::<OpenResult<'_>>();
    let _ = Decoder::new(bytes).get::<ReadPlusResult>();
    let _ = Decoder::new(bytes).get::<Attributes<'_>>();
    let raw =
        RawAttributes { mask: bytes.iter().map(|byte| u32::from(*byte)).collect(), values: bytes.into() };
    let _ = raw.decode_values();
    let mut assembler = Assembler::new(Limits { record_max: 64, fragments_max: 4 });
    let mut input = bytes;
    while let Ok(Some(_)) = assembler.take(&mut input) {}
}

#[test]
fn no_bytes_make_a_decoder_panic() {
    let mut random = Random(42);
    for round in 0..20_000 {
        let length = random.below(300);
        let bytes = if round % 2 == 0 { random.bytes(length) } else { random.likely(length / 4) };
        decode_everything(&bytes);
        wire::head::locate(&bytes, random.next() as u32);
        let cuts = [Cut { position: random.below(400) as usize, length: random.below(400) as usize }];
        let mut decoder = Decoder::with_cuts(&bytes, &cuts);
        let _ = Arguments::decode(Operation::Write, &mut decoder);
        let _ = decoder.get::<Bitmap>();
    }
}

/// All attributes together: what is set is found again, and one byte more or less is noticed.
#[test]
fn every_attribute() {
    let mut random = Random(99);
    let mut seen = Bitmap::EMPTY;
    for _ in 0..50_000 {
        let number =
            Attributes::KNOWN.iter().nth(random.below(Attributes::KNOWN.iter().count() as u64) as usize);
        let words = random.below(12);
        let values = random.likely(words);
        let raw = RawAttributes { mask: number.into_iter().collect(), values: values[..].into() };
        let Ok(attributes) = raw.decode_values() else { continue };
        assert_eq!(attributes.present(), raw.mask);
        let (head, _) = encode(&attributes);
        assert_eq!(decode::<Attributes<'_>>(&head, &[]).as_ref(), Ok(&attributes));
        seen = seen.union(&raw.mask);
    }
    assert_eq!(seen, Attributes::KNOWN);
}

/// What is made for each operation lives on the stack and must stay small enough to move about.
#[test]
fn sizes_stay_moderate() {
    assert!(size_of::<Arguments<'_>>() <= 256, "{}", size_of::<Arguments<'_>>());
    assert!(size_of::<Attributes<'_>>() <= 1400, "{}", size_of::<Attributes<'_>>());
}
