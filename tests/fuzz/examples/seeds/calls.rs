//! Calls, their compounds, and callbacks.

use wire::nfs4::*;
use wire::rpc::{
    Annotations, AuthSys, BulkArea, BulkAreas, CallHeader, Credential, Gids, Item, OpaqueAuth, TraceContext,
};
use wire::xdr::{Encoder, List};

use crate::{encoded, encoder, operations};

const STATEID: Stateid = Stateid { seqid: 1, other: [7; 12] };
const CHANNEL: ChannelAttributes = ChannelAttributes {
    header_pad_size: 0,
    request_size_max: 1 << 20,
    response_size_max: 1 << 20,
    response_size_max_cached: 4096,
    operations_max: 16,
    requests_max: 64,
    rdma_ird: None,
};

/// Whole calls, from the RPC header on.
pub fn calls() -> Vec<(&'static str, Vec<u8>)> {
    let call = |credential, compound: &[u8]| call(VERSION, PROCEDURE_COMPOUND, credential, compound);
    let mut calls = vec![("none_write", call(Credential::None, &write_compound()))];
    let of_interest = ["getattr", "write", "open_write", "test_stateid_write"];
    for (name, compound) in compounds().iter().filter(|(name, _)| of_interest.contains(name)) {
        calls.push((name, call(sys(), compound)));
    }
    calls.push(("annotated_write", call(credential(&annotated()), &write_compound())));
    calls
}

/// A whole call of a version's procedure.
pub fn call(version: u32, procedure: u32, credential: Credential<'_>, arguments: &[u8]) -> Vec<u8> {
    let header = CallHeader {
        xid: 0x1234,
        program: PROGRAM,
        version,
        procedure,
        credential,
        verifier: OpaqueAuth::NONE,
    };
    [&encoded(&header)[..], arguments].concat()
}

/// A user's credential.
pub fn sys() -> Credential<'static> {
    let gids = Gids::new(&[27, 100]).expect("two groups");
    Credential::Sys(AuthSys { stamp: 0, machine_name: "node-17".into(), uid: 1000, gid: 1000, gids })
}

/// The body of a credential that wraps the user's.
pub fn annotated() -> Vec<u8> {
    wrapper(sys(), &[])
}

const TRACE: TraceContext<'static> = TraceContext {
    trace_id: [0x4b; 16],
    span_id: [0xa9; 8],
    flags: 1,
    process_id: 4711,
    command: wire::xdr::Opaque(b"postgres"),
};

/// Bodies of wrapping credentials, and tags that carry a trace context.
pub fn annotations() -> Vec<(&'static str, Vec<u8>)> {
    let none = wrapper(Credential::None, &[]);
    let mut nested = vec![0, 0xFA, 0, 1];
    nested.extend((none.len() as u32).to_be_bytes());
    nested.extend([&none[..], &[0; 4]].concat());
    let unknown = Item { kind: 99, body: b"later" };
    vec![
        ("tag", TRACE.to_tag().into_bytes()),
        ("tag_with_more", b"tp=00-0123456789abcdef0123456789abcdef-0123456789abcdef-00;x=1;c=a b".to_vec()),
        ("unknown", wrapper(Credential::None, &[unknown])),
        ("none", none),
        ("nested", nested),
    ]
}

/// The body of a credential that wraps another, with bulk areas, a trace context and `further` items.
fn wrapper(inner: Credential<'_>, further: &[Item<'_>]) -> Vec<u8> {
    let area = BulkArea { offset: 300, length: 4096, alignment: 4096, phase: 0 };
    let next = BulkArea { offset: 5000, ..area };
    let bulk = BulkAreas::new(&[area, next]).expect("two areas");
    let annotations = Annotations { bulk, trace: Some(TRACE), further };
    let mut encoder = encoder();
    annotations.wrap(&inner, &mut encoder).expect("seeds are short");
    // Behind flavor and length.
    encoder.finish().head[8..].to_vec()
}

/// The credential with the body of a wrapper.
pub fn credential(body: &[u8]) -> Credential<'_> {
    Credential::Other(OpaqueAuth { flavor: wire::rpc::AUTH_ANNOT, body: body.into() })
}

/// A WRITE as Linux sends it.
pub fn write_compound() -> Vec<u8> {
    compound(&[], &[])
}

/// Two WRITEs with something between them.
pub fn writes_compound() -> Vec<u8> {
    compound(
        &[],
        &[GetAttrArgs { requested: Bitmap::of(&[3, 4]) }.into(), Arguments::Getfh, Arguments::Savefh],
    )
}

/// Compounds that between them have most operations.
pub fn compounds() -> Vec<(&'static str, Vec<u8>)> {
    let write = |before: &[Arguments<'_>]| compound(before, &[]);
    let mut all = vec![("write", write(&[])), ("open_write", write(&[open(OpenClaim::Null("name".into()))]))];
    let stateids = List(vec![STATEID; 3]);
    all.push(("test_stateid_write", write(&[TestStateidArgs { stateids }.into()])));
    for (name, arguments) in [
        ("getattr", vec![GetAttrArgs { requested: Bitmap::of(&[1, 3, 4, 33, 53]) }.into()]),
        ("names", names()),
        ("locks", locks()),
        ("space", space()),
        ("session", session()),
        ("copies", copies()),
        ("xattrs", xattrs()),
    ] {
        let mut encoder = encoder();
        let frame = CompoundArgsFrame::begin(&mut encoder, b"", 2).expect("seeds are short");
        let count = operations(&mut encoder, &arguments);
        frame.finish(&mut encoder, count);
        all.push((name, encoder.finish().head.to_vec()));
    }
    all
}

/// SEQUENCE, PUTFH, what is given, and two WRITEs around what is given next.
fn compound(before: &[Arguments<'_>], between: &[Arguments<'_>]) -> Vec<u8> {
    let mut encoder = encoder();
    let frame = CompoundArgsFrame::begin(&mut encoder, b"tag", 2).expect("seeds are short");
    let sequence = SequenceArgs {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
    };
    let object = FileHandle::new(&[5; 32]).expect("a handle");
    let mut count = operations(&mut encoder, &[sequence.into(), PutFhArgs { object }.into()]);
    count += operations(&mut encoder, before);
    write(&mut encoder, &[b'd'; 61]);
    count += 1 + operations(&mut encoder, between);
    write(&mut encoder, b"more");
    frame.finish(&mut encoder, count + 1);
    encoder.finish().head.to_vec()
}

fn write(encoder: &mut Encoder, data: &[u8]) {
    let head = WriteHead { stateid: STATEID, offset: 8192, stable: StableHow::Unstable };
    encoder.put(&Operation::Write).expect("seeds are short");
    head.encode_inline(encoder, data).expect("seeds are short");
}

fn owner() -> StateOwner<'static> {
    StateOwner { client_id: ClientId(9), owner: b"open id:"[..].into() }
}

fn raw() -> RawAttributes<'static> {
    RawAttributes { mask: Bitmap::of(&[attribute::MODE]), values: b"\0\0\x01\xa4"[..].into() }
}

fn open(claim: OpenClaim<'static>) -> Arguments<'static> {
    let how = OpenHow::Create(CreateHow::ExclusiveWithAttributes(CreateVerifierAttributes {
        verifier: Verifier([3; 8]),
        attributes: raw(),
    }));
    OpenArgs { seqid: 0, share_access: share_access::BOTH, share_deny: 0, owner: owner(), how, claim }.into()
}

fn names() -> Vec<Arguments<'static>> {
    vec![
        Arguments::Putrootfh,
        LookupArgs { name: "dir".into() }.into(),
        Arguments::Savefh,
        RenameArgs { old_name: "old".into(), new_name: "new".into() }.into(),
        CreateArgs {
            object_type: CreateType::SymbolicLink("to".into()),
            name: "link".into(),
            attributes: raw(),
        }
        .into(),
        SetAttrArgs { stateid: STATEID, attributes: raw() }.into(),
        VerifyArgs { attributes: raw() }.into(),
        ReadDirArgs {
            cookie: 0,
            verifier: Verifier::default(),
            directory_count: 100,
            count_max: 4096,
            attributes: Bitmap::of(&[1, 20]),
        }
        .into(),
        RemoveArgs { target: "name".into() }.into(),
        SecinfoArgs { name: "name".into() }.into(),
        AccessArgs { access: access::READ }.into(),
    ]
}

fn locks() -> Vec<Arguments<'static>> {
    let new = OpenToLockOwner { open_seqid: 0, open_stateid: STATEID, lock_seqid: 0, lock_owner: owner() };
    let existing = ExistingLockOwner { lock_stateid: STATEID, lock_seqid: 0 };
    let lock =
        |locker| LockArgs { lock_type: LockType::WriteWait, reclaim: false, offset: 0, length: 1, locker };
    vec![
        open(OpenClaim::Handle),
        lock(Locker::New(new)).into(),
        lock(Locker::Existing(existing)).into(),
        LockTestArgs { lock_type: LockType::Read, offset: 0, length: u64::MAX, owner: owner() }.into(),
        UnlockArgs { lock_type: LockType::Read, seqid: 0, stateid: STATEID, offset: 0, length: 1 }.into(),
        OpenDowngradeArgs { stateid: STATEID, seqid: 0, share_access: 1, share_deny: 0 }.into(),
        CloseArgs { seqid: 0, stateid: STATEID }.into(),
    ]
}

fn space() -> Vec<Arguments<'static>> {
    vec![
        ReadArgs { stateid: STATEID, offset: 0, count: 4096 }.into(),
        CommitArgs { offset: 0, count: 0 }.into(),
        AllocateArgs { stateid: STATEID, offset: 0, length: 1 }.into(),
        SeekArgs { stateid: STATEID, offset: 0, what: 1 }.into(),
        IoAdviseArgs { stateid: STATEID, offset: 0, count: 1, hints: Bitmap::of(&[4]) }.into(),
        ReadPlusArgs { stateid: STATEID, offset: 0, count: 1 }.into(),
    ]
}

fn session() -> Vec<Arguments<'static>> {
    vec![
        ExchangeIdArgs {
            client_owner: ClientOwner { verifier: Verifier([1; 8]), owner_id: b"client"[..].into() },
            flags: 1,
            state_protect: StateProtectArgs::None,
            implementation: None,
        }
        .into(),
        CreateSessionArgs {
            client_id: ClientId(9),
            sequence: SequenceId(1),
            flags: 2,
            fore_channel: CHANNEL,
            back_channel: CHANNEL,
            callback_program: 0x4000_0000,
            callback_security: List(vec![CallbackSecurity::None]),
        }
        .into(),
        BindConnToSessionArgs {
            session_id: SessionId([1; 16]),
            direction: ChannelDirectionArgs::ForeOrBoth,
            use_rdma: false,
        }
        .into(),
        ReclaimCompleteArgs { one_fs: false }.into(),
        DestroySessionArgs { session_id: SessionId([1; 16]) }.into(),
    ]
}

fn copies() -> Vec<Arguments<'static>> {
    let address = NetAddress { network_id: "tcp".into(), address: "10.0.0.1.8.1".into() };
    vec![
        CopyArgs {
            source_stateid: STATEID,
            destination_stateid: STATEID,
            source_offset: 0,
            destination_offset: 0,
            count: 0,
            consecutive: true,
            synchronous: false,
            source_servers: List(vec![NetLocation::Address(address)]),
        }
        .into(),
        OffloadStatusArgs { stateid: STATEID }.into(),
        CloneArgs {
            source_stateid: STATEID,
            destination_stateid: STATEID,
            source_offset: 0,
            destination_offset: 0,
            count: 0,
        }
        .into(),
    ]
}

fn xattrs() -> Vec<Arguments<'static>> {
    vec![
        GetXattrArgs { name: "user.a".into() }.into(),
        SetXattrArgs { option: SetXattrOption::Either, name: "user.a".into(), value: b"value"[..].into() }
            .into(),
        ListXattrsArgs { cookie: 0, count_max: 4096 }.into(),
        RemoveXattrArgs { name: "user.a".into() }.into(),
    ]
}

/// CB_COMPOUNDs as the server sends them.
pub fn callbacks() -> Vec<(&'static str, Vec<u8>)> {
    let call = ReferringCall { sequence_id: SequenceId(1), slot_id: SlotId(0) };
    let referring = ReferringCallList { session_id: SessionId([1; 16]), calls: List(vec![call]) };
    let sequence = CallbackSequenceArgs {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        cache_this: false,
        referring_calls: List(vec![referring]),
    };
    let handle = FileHandle::new(&[5; 32]).expect("a handle");
    let response = WriteResponse {
        callback_id: None,
        count: 10,
        committed: StableHow::FileSync,
        verifier: Verifier([2; 8]),
    };
    let failed = OffloadInfo::Failed { status: Status::Nospc, bytes_copied: 3 };
    let offload = |info| CallbackOffloadArgs { handle, stateid: STATEID, info };
    let kinds: [(&str, Vec<CallbackArguments<'_>>); 3] = [
        ("notify_lock", vec![CallbackNotifyLockArgs { handle, lock_owner: owner() }.into()]),
        ("offload", vec![offload(OffloadInfo::Done(response)).into(), offload(failed).into()]),
        (
            "recalls",
            vec![
                CallbackRecallSlotArgs { target_highest_slot_id: SlotId(3) }.into(),
                CallbackRecallArgs { stateid: STATEID, truncate: false, handle }.into(),
                CallbackRecallAnyArgs { objects_to_keep: 1, type_mask: Bitmap::of(&[0]) }.into(),
                CallbackGetAttrArgs { handle, requested: Bitmap::of(&[3, 4]) }.into(),
            ],
        ),
    ];
    let seed = |(name, operations): (&'static str, Vec<CallbackArguments<'_>>)| {
        let frame = CallbackCompoundArgs {
            tag: b""[..].into(),
            minor_version: 1,
            callback_ident: 0,
            operations: 1 + operations.len() as u32,
        };
        let mut bytes = encoded(&frame);
        bytes.extend(encoded(&CallbackArguments::from(sequence.clone())));
        operations.iter().for_each(|operation| bytes.extend(encoded(operation)));
        (name, bytes)
    };
    kinds.into_iter().map(seed).collect()
}
