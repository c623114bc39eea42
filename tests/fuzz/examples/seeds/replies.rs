//! Replies: their headers, and the results in them.

use wire::nfs4::*;
use wire::rpc::{Accepted, AuthStatus, Denied, ReplyHeader};
use wire::xdr::{Encode, Encoder, List};

use crate::{encoded, encoder};

const STATEID: Stateid = Stateid { seqid: 1, other: [7; 12] };
const CHANGE: ChangeInfo = ChangeInfo { atomic: true, before: 1, after: 2 };

/// One header of each kind.
pub fn headers() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("reply", encoded(&ReplyHeader::accepted(1, Accepted::Success))),
        ("program_mismatch", encoded(&ReplyHeader::accepted(1, Accepted::ProgMismatch((4, 4))))),
        ("denied", encoded(&ReplyHeader::denied(1, Denied::Auth(AuthStatus::TooWeak)))),
    ]
}

/// A compound's results under construction.
struct Results {
    encoder: Encoder,
    frame: CompoundResultFrame,
    count: u32,
}

impl Results {
    fn new() -> Self {
        let mut encoder = encoder();
        let frame = CompoundResultFrame::begin(&mut encoder, b"tag").expect("seeds are short");
        Results { encoder, frame, count: 0 }
    }

    fn head(&mut self, operation: Operation) -> &mut Encoder {
        ResultHead::encode(&mut self.encoder, operation.number(), Status::Ok).expect("seeds are short");
        self.count += 1;
        &mut self.encoder
    }

    fn with(mut self, operation: Operation, result: &impl Encode) -> Self {
        self.head(operation).put(result).expect("seeds are short");
        self
    }

    fn finish(mut self) -> Vec<u8> {
        self.frame.finish(&mut self.encoder, Status::Ok, self.count);
        self.encoder.finish().head.to_vec()
    }
}

/// Results that between them have most operations.
pub fn results() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("open", open()),
        ("data", data()),
        ("readdir", directory()),
        ("session", session()),
        ("names", names()),
        ("copies", copies()),
    ]
}

fn attributes() -> Attributes<'static> {
    Attributes {
        file_type: Some(FileType::Regular),
        change: Some(7),
        size: Some(5),
        fsid: Some(Fsid::default()),
        filehandle: FileHandle::new(&[5; 32]),
        mode: Some(0o644),
        owner: Some("1000".into()),
        owner_group: Some("users@example.org".into()),
        time_modify: Some(NfsTime::default()),
        suppattr_exclcreat: Some(Bitmap::of(&[1, 33])),
        ..Attributes::default()
    }
}

fn open() -> Vec<u8> {
    let result = |delegation| OpenResult {
        stateid: STATEID,
        change_info: CHANGE,
        flags: open_result_flags::MAY_NOTIFY_LOCK,
        attributes_set: Bitmap::of(&[33]),
        delegation,
    };
    let entry = AccessControlEntry { entry_type: 0, flag: 0, access_mask: 1, who: "EVERYONE@".into() };
    let space_limit = SpaceLimit::Size(1 << 20);
    let write = WriteDelegation { stateid: STATEID, recall: false, space_limit, permissions: entry };
    Results::new()
        .with(Operation::Open, &result(OpenDelegation::NoneExt(NoDelegation::NotWanted)))
        .with(Operation::Open, &result(OpenDelegation::Write(write)))
        .with(Operation::Getfh, &GetFhResult { object: FileHandle::new(&[5; 32]).expect("a handle") })
        .with(Operation::Getattr, &attributes())
        .with(Operation::Close, &STATEID)
        .finish()
}

fn data() -> Vec<u8> {
    let mut results = Results::new();
    let encoder = results.head(Operation::Read);
    ReadResult::encode_inline(encoder, true, b"some data").expect("seeds are short");
    let encoder = results.head(Operation::ReadPlus);
    // End of file; a segment of data, then a hole.
    for word in [1, 2, 0, 0, 0] {
        encoder.put_u32(word).expect("seeds are short");
    }
    encoder.put_opaque(b"some").expect("seeds are short");
    encoder.put(&ReadPlusContent::Hole(HoleSegment { offset: 4, length: 100 })).expect("seeds are short");
    let verifier = Verifier([2; 8]);
    results
        .with(Operation::Write, &WriteResult { count: 9, committed: StableHow::FileSync, verifier })
        .with(Operation::Commit, &CommitResult { verifier })
        .with(Operation::Seek, &SeekResult { eof: false, offset: 4 })
        .finish()
}

fn directory() -> Vec<u8> {
    let args = ReadDirArgs {
        cookie: 0,
        verifier: Verifier::default(),
        directory_count: 0,
        count_max: 4096,
        attributes: Bitmap::of(&[1, 3, 33]),
    };
    let mut results = Results::new();
    let encoder = results.head(Operation::Readdir);
    let mut writer = DirectoryWriter::begin(encoder, Verifier([7; 8]), &args).expect("seeds are short");
    for cookie in 3..6 {
        writer.entry(encoder, cookie, b"name", &attributes(), &args.attributes).expect("seeds are short");
    }
    writer.finish(encoder, true).expect("seeds are short");
    results.finish()
}

fn session() -> Vec<u8> {
    let channel = ChannelAttributes {
        header_pad_size: 0,
        request_size_max: 1 << 20,
        response_size_max: 1 << 20,
        response_size_max_cached: 4096,
        operations_max: 16,
        requests_max: 64,
        rdma_ird: None,
    };
    let exchange = ExchangeIdResult {
        client_id: ClientId(9),
        sequence_id: SequenceId(1),
        flags: exchange_flags::USE_NON_PNFS,
        state_protect: StateProtectResult::None,
        server_owner: ServerOwner { minor_id: 0, major_id: b"server"[..].into() },
        server_scope: b"scope"[..].into(),
        implementation: None,
    };
    let create = CreateSessionResult {
        session_id: SessionId([1; 16]),
        sequence: SequenceId(1),
        flags: 2,
        fore_channel: channel,
        back_channel: channel,
    };
    let sequence = SequenceResult {
        session_id: SessionId([1; 16]),
        sequence_id: SequenceId(1),
        slot_id: SlotId(0),
        highest_slot_id: SlotId(0),
        target_highest_slot_id: SlotId(0),
        status_flags: 0,
    };
    Results::new()
        .with(Operation::ExchangeId, &exchange)
        .with(Operation::CreateSession, &create)
        .with(Operation::Sequence, &sequence)
        .with(
            Operation::TestStateid,
            &TestStateidResult { statuses: List(vec![Status::Ok, Status::Expired]) },
        )
        .finish()
}

fn names() -> Vec<u8> {
    let flavors: SecinfoResult<'_> = List(vec![Secinfo::Flavor(1), Secinfo::Flavor(0)]);
    let names = List(vec!["user.a".into(), "user.b".into()]);
    Results::new()
        .with(Operation::Access, &AccessResult { supported: 31, access: 1 })
        .with(Operation::Readlink, &ReadLinkResult { link: "to".into() })
        .with(Operation::Rename, &RenameResult { source_change_info: CHANGE, target_change_info: CHANGE })
        .with(Operation::SecinfoNoName, &flavors)
        .with(Operation::Listxattrs, &ListXattrsResult { cookie: 2, names, eof: true })
        .with(Operation::Getxattr, &XattrValue::from(&b"value"[..]))
        .finish()
}

fn copies() -> Vec<u8> {
    let response = WriteResponse {
        callback_id: Some(STATEID),
        count: 0,
        committed: StableHow::Unstable,
        verifier: Verifier([2; 8]),
    };
    let requirements = CopyRequirements { consecutive: true, synchronous: false };
    Results::new()
        .with(Operation::Copy, &CopyResult { response, requirements })
        .with(Operation::OffloadStatus, &OffloadStatusResult { count: 5, complete: Some(Status::Ok) })
        .finish()
}
