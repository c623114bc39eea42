//! Operations as a compound lists them: each function writes one operation's number and arguments.

use bytes::BytesMut;
use wire::nfs4::*;
use wire::xdr::{Encode, Encoder, List, Opaque};

/// The most bytes of one operation in these tests.
const OPERATION_BYTES_MAX: usize = 4 << 20;

/// One operation of a call, encoded.
#[derive(Clone, Debug)]
pub struct Op {
    pub operation: u32,
    /// Number and arguments, without bulk data that is cut out.
    pub head: Vec<u8>,
    /// Bulk data that is cut out, and where in `head` it belongs.
    pub cut: Option<(usize, Vec<u8>)>,
}

/// Any operation by its arguments.
pub fn op<'a>(arguments: impl Into<Arguments<'a>>) -> Op {
    let arguments = arguments.into();
    raw(arguments.operation().number(), |encoder| {
        // The number has been written by `raw`.
        let mut whole = Encoder::new(BytesMut::new(), OPERATION_BYTES_MAX);
        whole.put(&arguments).unwrap();
        encoder.put_fixed(&whole.finish().head[4..]).unwrap();
    })
}

/// An operation without arguments.
pub fn bare(operation: Operation) -> Op {
    raw(operation.number(), |_| ())
}

/// An operation by its number, with whatever bytes behind it.
pub fn raw(operation: u32, arguments: impl FnOnce(&mut Encoder)) -> Op {
    let mut encoder = Encoder::new(BytesMut::new(), OPERATION_BYTES_MAX);
    encoder.put_u32(operation).unwrap();
    arguments(&mut encoder);
    Op { operation, head: encoder.finish().head.to_vec(), cut: None }
}

/// Values for `fattr4`, to be borrowed by arguments.
pub struct Values {
    mask: Bitmap,
    bytes: Vec<u8>,
}

impl Values {
    pub fn of(attributes: &Attributes<'_>) -> Self {
        let mut encoder = Encoder::new(BytesMut::new(), OPERATION_BYTES_MAX);
        Encode::encode(attributes, &mut encoder).unwrap();
        let bytes = encoder.finish().head;
        let raw: RawAttributes<'_> = wire::xdr::Decoder::new(&bytes).get().unwrap();
        Self { mask: raw.mask, bytes: raw.values.to_vec() }
    }

    pub fn raw(&self) -> RawAttributes<'_> {
        RawAttributes { mask: self.mask, values: Opaque(&self.bytes) }
    }
}

/// Attributes with a mode and nothing else.
pub fn mode(mode: u32) -> Attributes<'static> {
    Attributes { mode: Some(mode), ..Attributes::default() }
}

/// Attributes with a size and nothing else.
pub fn size(size: u64) -> Attributes<'static> {
    Attributes { size: Some(size), ..Attributes::default() }
}

pub fn putrootfh() -> Op {
    bare(Operation::Putrootfh)
}

pub fn putfh(handle: FileHandle) -> Op {
    op(PutFhArgs { object: handle })
}

pub fn getfh() -> Op {
    bare(Operation::Getfh)
}

pub fn savefh() -> Op {
    bare(Operation::Savefh)
}

pub fn restorefh() -> Op {
    bare(Operation::Restorefh)
}

pub fn lookup(name: &str) -> Op {
    op(LookupArgs { name: name.into() })
}

pub fn lookupp() -> Op {
    bare(Operation::Lookupp)
}

pub fn getattr(numbers: &[u32]) -> Op {
    op(GetAttrArgs { requested: Bitmap::of(numbers) })
}

pub fn setattr(stateid: Stateid, attributes: &Attributes<'_>) -> Op {
    op(SetAttrArgs { stateid, attributes: Values::of(attributes).raw() })
}

pub fn verify(attributes: &Attributes<'_>) -> Op {
    op(VerifyArgs { attributes: Values::of(attributes).raw() })
}

pub fn nverify(attributes: &Attributes<'_>) -> Op {
    op(NverifyArgs { attributes: Values::of(attributes).raw() })
}

pub fn access(bits: u32) -> Op {
    op(AccessArgs { access: bits })
}

pub fn create(object_type: CreateType<'_>, name: &str, attributes: &Attributes<'_>) -> Op {
    op(CreateArgs { object_type, name: name.into(), attributes: Values::of(attributes).raw() })
}

pub fn mkdir(name: &str) -> Op {
    create(CreateType::Directory, name, &mode(0o755))
}

pub fn remove(name: &str) -> Op {
    op(RemoveArgs { target: name.into() })
}

pub fn rename(old: &str, new: &str) -> Op {
    op(RenameArgs { old_name: old.into(), new_name: new.into() })
}

pub fn link(name: &str) -> Op {
    op(LinkArgs { new_name: name.into() })
}

pub fn readlink() -> Op {
    bare(Operation::Readlink)
}

pub fn readdir(cookie: u64, count_max: u32, numbers: &[u32]) -> Op {
    let attributes = Bitmap::of(numbers);
    op(ReadDirArgs { cookie, verifier: Verifier([0; 8]), directory_count: 0, count_max, attributes })
}

/// What an OPEN asks besides the name; changed by its methods.
#[derive(Clone)]
pub struct Open<'a> {
    pub access: u32,
    pub deny: u32,
    pub owner: &'a str,
    pub how: OpenHow<'a>,
    pub claim: OpenClaim<'a>,
}

impl<'a> Open<'a> {
    pub fn named(name: &'a str) -> Self {
        let claim = OpenClaim::Null(name.into());
        Open {
            access: share_access::BOTH,
            deny: share_deny::NONE,
            owner: "owner",
            how: OpenHow::NoCreate,
            claim,
        }
    }

    pub fn handle() -> Self {
        Open { claim: OpenClaim::Handle, ..Open::named("") }
    }

    pub fn access(self, access: u32) -> Self {
        Open { access, ..self }
    }

    pub fn deny(self, deny: u32) -> Self {
        Open { deny, ..self }
    }

    pub fn owner(self, owner: &'a str) -> Self {
        Open { owner, ..self }
    }

    pub fn how(self, how: CreateHow<'a>) -> Self {
        Open { how: OpenHow::Create(how), ..self }
    }

    pub fn claim(self, claim: OpenClaim<'a>) -> Self {
        Open { claim, ..self }
    }

    pub fn op(self) -> Op {
        op(OpenArgs {
            seqid: 0,
            share_access: self.access,
            share_deny: self.deny,
            owner: StateOwner { client_id: ClientId(0), owner: self.owner.into() },
            how: self.how,
            claim: self.claim,
        })
    }

    pub fn unchecked(self, attributes: &Attributes<'_>) -> Op {
        let values = Values::of(attributes);
        Open { how: OpenHow::Create(CreateHow::Unchecked(values.raw())), ..self }.op()
    }

    pub fn guarded(self, attributes: &Attributes<'_>) -> Op {
        let values = Values::of(attributes);
        Open { how: OpenHow::Create(CreateHow::Guarded(values.raw())), ..self }.op()
    }

    pub fn exclusive(self, verifier: u8, attributes: Option<&Attributes<'_>>) -> Op {
        let verifier = Verifier([verifier; 8]);
        let Some(attributes) = attributes else { return self.how(CreateHow::Exclusive(verifier)).op() };
        let values = Values::of(attributes);
        let both = CreateVerifierAttributes { verifier, attributes: values.raw() };
        Open { how: OpenHow::Create(CreateHow::ExclusiveWithAttributes(both)), ..self }.op()
    }
}

pub fn close(stateid: Stateid) -> Op {
    op(CloseArgs { seqid: 0, stateid })
}

pub fn downgrade(stateid: Stateid, share_access: u32, share_deny: u32) -> Op {
    op(OpenDowngradeArgs { stateid, seqid: 0, share_access, share_deny })
}

pub fn read(stateid: Stateid, offset: u64, count: u32) -> Op {
    op(ReadArgs { stateid, offset, count })
}

fn write_head(stateid: Stateid, offset: u64, stable: StableHow) -> WriteHead {
    WriteHead { stateid, offset, stable }
}

/// A WRITE with its data in the head.
pub fn write(stateid: Stateid, offset: u64, stable: StableHow, data: &[u8]) -> Op {
    raw(Operation::Write.number(), |encoder| {
        write_head(stateid, offset, stable).encode_inline(encoder, data).unwrap();
    })
}

/// A WRITE whose data the transport cuts out into aligned memory.
pub fn write_cut(stateid: Stateid, offset: u64, stable: StableHow, data: &[u8]) -> Op {
    let mut encoder = Encoder::new(BytesMut::new(), OPERATION_BYTES_MAX);
    encoder.put_u32(Operation::Write.number()).unwrap();
    write_head(stateid, offset, stable).encode_head(&mut encoder, data.len()).unwrap();
    let encoded = encoder.finish();
    let cut = encoded.inserts.first().map(|insert| (insert.position, data.to_vec()));
    Op { operation: Operation::Write.number(), head: encoded.head.to_vec(), cut }
}

pub fn commit(offset: u64, count: u32) -> Op {
    op(CommitArgs { offset, count })
}

/// LOCK by a lock-owner that is new to the open.
pub fn lock(open: Stateid, owner: &str, lock_type: LockType, offset: u64, length: u64) -> Op {
    let lock_owner = StateOwner { client_id: ClientId(0), owner: owner.into() };
    let locker =
        Locker::New(OpenToLockOwner { open_seqid: 0, open_stateid: open, lock_seqid: 0, lock_owner });
    op(LockArgs { lock_type, reclaim: false, offset, length, locker })
}

/// A reclaim of a lock by a lock-owner that is new to the open.
pub fn lock_reclaim(open: Stateid, owner: &str, lock_type: LockType, offset: u64, length: u64) -> Op {
    let lock_owner = StateOwner { client_id: ClientId(0), owner: owner.into() };
    let locker =
        Locker::New(OpenToLockOwner { open_seqid: 0, open_stateid: open, lock_seqid: 0, lock_owner });
    op(LockArgs { lock_type, reclaim: true, offset, length, locker })
}

/// LOCK by a lock stateid.
pub fn lock_more(lock: Stateid, lock_type: LockType, offset: u64, length: u64) -> Op {
    let locker = Locker::Existing(ExistingLockOwner { lock_stateid: lock, lock_seqid: 0 });
    op(LockArgs { lock_type, reclaim: false, offset, length, locker })
}

pub fn lockt(owner: &str, lock_type: LockType, offset: u64, length: u64) -> Op {
    let owner = StateOwner { client_id: ClientId(0), owner: owner.into() };
    op(LockTestArgs { lock_type, offset, length, owner })
}

pub fn locku(stateid: Stateid, offset: u64, length: u64) -> Op {
    op(UnlockArgs { lock_type: LockType::Write, seqid: 0, stateid, offset, length })
}

pub fn allocate(stateid: Stateid, offset: u64, length: u64) -> Op {
    op(AllocateArgs { stateid, offset, length })
}

pub fn deallocate(stateid: Stateid, offset: u64, length: u64) -> Op {
    op(DeallocateArgs { stateid, offset, length })
}

pub fn seek(stateid: Stateid, offset: u64, what: DataContent) -> Op {
    op(SeekArgs { stateid, offset, what: what.number() })
}

pub fn read_plus(stateid: Stateid, offset: u64, count: u32) -> Op {
    op(ReadPlusArgs { stateid, offset, count })
}

/// COPY of `count` bytes between the starts given.
pub fn copy(source: (Stateid, u64), destination: (Stateid, u64), count: u64, synchronous: bool) -> Op {
    op(CopyArgs {
        source_stateid: source.0,
        destination_stateid: destination.0,
        source_offset: source.1,
        destination_offset: destination.1,
        count,
        consecutive: true,
        synchronous,
        source_servers: List(Vec::new()),
    })
}

pub fn clone_range(source: (Stateid, u64), destination: (Stateid, u64), count: u64) -> Op {
    op(CloneArgs {
        source_stateid: source.0,
        destination_stateid: destination.0,
        source_offset: source.1,
        destination_offset: destination.1,
        count,
    })
}

pub fn getxattr(name: &str) -> Op {
    op(GetXattrArgs { name: name.into() })
}

pub fn setxattr(option: SetXattrOption, name: &str, value: &[u8]) -> Op {
    op(SetXattrArgs { option, name: name.into(), value: value.into() })
}

pub fn listxattrs(cookie: u64, count_max: u32) -> Op {
    op(ListXattrsArgs { cookie, count_max })
}

pub fn removexattr(name: &str) -> Op {
    op(RemoveXattrArgs { name: name.into() })
}

pub fn sequence(session_id: SessionId, slot: u32, sequence: u32, cache_this: bool) -> Op {
    let (sequence_id, slot_id) = (SequenceId(sequence), SlotId(slot));
    op(SequenceArgs { session_id, sequence_id, slot_id, highest_slot_id: slot_id, cache_this })
}

pub fn exchange_id(owner: &str, verifier: u8, flags: u32) -> Op {
    op(ExchangeIdArgs {
        client_owner: ClientOwner { verifier: Verifier([verifier; 8]), owner_id: owner.into() },
        flags,
        state_protect: StateProtectArgs::None,
        implementation: None,
    })
}

/// The channels a test client asks for unless it says otherwise.
pub const CHANNEL: ChannelAttributes = ChannelAttributes {
    header_pad_size: 0,
    request_size_max: 1 << 20,
    response_size_max: 1 << 20,
    response_size_max_cached: 8192,
    operations_max: 16,
    requests_max: 8,
    rdma_ird: None,
};

pub fn create_session(client_id: ClientId, sequence: SequenceId, fore: ChannelAttributes, flags: u32) -> Op {
    op(CreateSessionArgs {
        client_id,
        sequence,
        flags,
        fore_channel: fore,
        back_channel: ChannelAttributes { request_size_max: 4096, response_size_max: 4096, ..CHANNEL },
        callback_program: 0x4000_0000,
        callback_security: List(vec![CallbackSecurity::None]),
    })
}

pub fn destroy_session(session_id: SessionId) -> Op {
    op(DestroySessionArgs { session_id })
}

pub fn destroy_clientid(client_id: ClientId) -> Op {
    op(DestroyClientIdArgs { client_id })
}

pub fn bind(session_id: SessionId, direction: ChannelDirectionArgs) -> Op {
    op(BindConnToSessionArgs { session_id, direction, use_rdma: false })
}

pub fn reclaim_complete() -> Op {
    op(ReclaimCompleteArgs { one_fs: false })
}

pub fn test_stateids(stateids: &[Stateid]) -> Op {
    op(TestStateidArgs { stateids: List(stateids.to_vec()) })
}

pub fn free_stateid(stateid: Stateid) -> Op {
    op(FreeStateidArgs { stateid })
}
