//! The client's side of NFSv3 and MOUNT, one call at a time.

mod answer;

use bytes::BytesMut;
use nfs_ops::Backchannel;
use rpc::Payloads;
use wire::mount3;
use wire::nfs3::*;
use wire::rpc::Accepted;
use wire::xdr::{Encode, Encoder, NoRoom, Payload};

pub use answer::{Answer, Entry3, Pending, check_mount_results, check_results};

use super::client::{Connection, message};
use super::world::EXPORT;
use answer::{accepted, items, text, whole};

/// Room for a call of these tests.
const CALL_BYTES_MAX: usize = 8 << 20;

/// WRITE with its bytes inside the call.
#[derive(Clone, Copy)]
pub struct Write<'a> {
    pub head: WriteHead,
    pub data: &'a [u8],
}

impl Encode for Write<'_> {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        self.head.encode_inline(encoder, self.data)
    }
}

impl Call for Write<'_> {
    const PROCEDURE: Procedure = Procedure::Write;
    type Result<'r> = WriteResult;
    type Failure = WccData;
}

/// No arguments, or no results.
pub struct Nothing;

impl Encode for Nothing {
    fn encode(&self, _: &mut Encoder) -> Result<(), NoRoom> {
        Ok(())
    }
}

/// A client of NFSv3 over one connection.
#[derive(Clone)]
pub struct Nfs3 {
    connection: Connection,
    /// The transaction id of all its calls; otherwise each has one of its own.
    xid: Option<u32>,
}

impl Connection {
    /// Calls of NFSv3 over this connection.
    pub fn nfs3(&self) -> Nfs3 {
        Nfs3 { connection: self.clone(), xid: None }
    }

    /// A call of any program: its number, version and procedure, and the bytes of its arguments.
    pub fn raw_call(&self, xid: u32, target: (u32, u32, u32), arguments: &impl Encode) -> rpc::Call {
        let mut encoder = Encoder::new(BytesMut::new(), CALL_BYTES_MAX);
        encoder.put(&self.header(xid, target)).unwrap();
        encoder.put(arguments).unwrap();
        let head = encoder.finish().head.freeze();
        self.call_of(head, Payloads::new())
    }

    /// What becomes of a call of any program, and its results.
    pub fn raw(&self, target: (u32, u32, u32), arguments: &impl Encode) -> (Accepted, Vec<u8>) {
        let xid = self.world().env().next_transaction();
        let message = message(self.outcome(self.raw_call(xid, target, arguments))).unwrap();
        accepted(&message, xid).unwrap_or_else(|error| panic!("{error}"))
    }

    fn mount3(&self, procedure: mount3::Procedure, arguments: &impl Encode) -> Vec<u8> {
        let target = (mount3::PROGRAM, mount3::VERSION, procedure.number());
        let (accepted, results) = self.raw(target, arguments);
        assert_eq!(accepted, Accepted::Success);
        results
    }

    /// MNT.
    pub fn mount(&self, path: &str) -> mount3::MountOutcome {
        let results = self.mount3(mount3::Procedure::Mnt, &mount3::Path::from(path.as_bytes()));
        whole(&results).unwrap()
    }

    /// UMNT of a path, or UMNTALL.
    pub fn unmount(&self, path: Option<&str>) {
        let results = match path {
            Some(path) => self.mount3(mount3::Procedure::Umnt, &mount3::Path::from(path.as_bytes())),
            None => self.mount3(mount3::Procedure::Umntall, &Nothing),
        };
        assert_eq!(results, b"");
    }

    /// DUMP: hosts and what they have mounted.
    pub fn mounts(&self) -> Vec<(String, String)> {
        let results = self.mount3(mount3::Procedure::Dump, &Nothing);
        let mounts = items::<mount3::Mount<'_>>(&results).unwrap();
        mounts.iter().map(|mount| (text(&mount.host), text(&mount.directory))).collect()
    }

    /// EXPORT: paths and who may mount them.
    pub fn exports(&self) -> Vec<(String, Vec<String>)> {
        let results = self.mount3(mount3::Procedure::Export, &Nothing);
        let exports = items::<mount3::Export<'_>>(&results).unwrap();
        let groups = |export: &mount3::Export<'_>| export.groups.iter().map(|group| text(group)).collect();
        exports.iter().map(|export| (text(&export.directory), groups(export))).collect()
    }
}

/// A name in a directory.
pub fn at(directory: FileHandle, name: &str) -> DirOpArgs<'_> {
    DirOpArgs { directory, name: name.into() }
}

/// Attributes with a mode and nothing else.
pub fn with_mode(mode: u32) -> SetAttributes {
    SetAttributes { mode: Some(mode), ..SetAttributes::default() }
}

/// Attributes with a size and nothing else.
pub fn with_size(size: u64) -> SetAttributes {
    SetAttributes { size: Some(size), ..SetAttributes::default() }
}

impl Nfs3 {
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The same client used by another user.
    pub fn user(&self, uid: u32, gid: u32, gids: &[u32]) -> Self {
        Self { connection: self.connection.user(uid, gid, gids), ..self.clone() }
    }

    /// The same client, all of whose calls have this transaction id.
    pub fn xid(&self, xid: u32) -> Self {
        Self { xid: Some(xid), ..self.clone() }
    }

    /// The root of the world's export, by MOUNT.
    pub fn root(&self) -> FileHandle {
        self.connection.mount(&format!("/{EXPORT}")).unwrap().handle
    }

    /// The call with these arguments, and its transaction id.
    pub fn call<C: Call>(&self, arguments: &C) -> (u32, rpc::Call) {
        let xid = self.xid.unwrap_or_else(|| self.connection.world().env().next_transaction());
        let target = (PROGRAM, VERSION, C::PROCEDURE.number());
        (xid, self.connection.raw_call(xid, target, arguments))
    }

    /// Calls and waits.
    #[track_caller]
    pub fn send<C: Call>(&self, arguments: &C) -> Answer<C> {
        self.start(arguments).finish()
    }

    /// Calls.
    pub fn start<C: Call>(&self, arguments: &C) -> Pending<C> {
        let (xid, call) = self.call(arguments);
        Pending::new(xid, self.connection.start_outcome(call))
    }

    pub fn getattr(&self, object: FileHandle) -> Answer<GetAttrArgs> {
        self.send(&GetAttrArgs { object })
    }

    pub fn setattr(&self, object: FileHandle, attributes: SetAttributes) -> Answer<SetAttrArgs> {
        self.send(&SetAttrArgs { object, attributes, guard: None })
    }

    pub fn lookup<'a>(&self, directory: FileHandle, name: &'a str) -> Answer<LookupArgs<'a>> {
        self.send(&LookupArgs { what: at(directory, name) })
    }

    pub fn access(&self, object: FileHandle, access: u32) -> Answer<AccessArgs> {
        self.send(&AccessArgs { object, access })
    }

    pub fn readlink(&self, link: FileHandle) -> Answer<ReadLinkArgs> {
        self.send(&ReadLinkArgs { link })
    }

    pub fn read(&self, file: FileHandle, offset: u64, count: u32) -> Answer<ReadArgs> {
        self.send(&ReadArgs { file, offset, count })
    }

    pub fn write<'a>(
        &self,
        file: FileHandle,
        offset: u64,
        stable: StableHow,
        data: &'a [u8],
    ) -> Answer<Write<'a>> {
        self.send(&Write { head: WriteHead { file, offset, count: data.len() as u32, stable }, data })
    }

    /// WRITE whose bytes the transport has put elsewhere.
    pub fn write_cut(
        &self,
        file: FileHandle,
        offset: u64,
        stable: StableHow,
        data: &[u8],
    ) -> Answer<WriteArgs> {
        let head = WriteHead { file, offset, count: data.len() as u32, stable };
        let (xid, call) = self.write_cut_call(head, data);
        Pending::new(xid, self.connection.start_outcome(call)).finish()
    }

    /// The same as a call, and its transaction id.
    pub fn write_cut_call(&self, head: WriteHead, data: &[u8]) -> (u32, rpc::Call) {
        let WriteHead { file, offset, count, stable } = head;
        let (index, length) = (0, data.len());
        let (xid, call) =
            self.call(&WriteArgs { file, offset, count, stable, data: Payload::Cut { index, length } });
        let position = call.head.len() - wire::xdr::pad_len(length);
        (xid, rpc::Call { payloads: Payloads::from_iter([self.connection.payload(position, data)]), ..call })
    }

    pub fn create<'a>(&self, directory: FileHandle, name: &'a str, how: CreateHow) -> Answer<CreateArgs<'a>> {
        self.send(&CreateArgs { place: at(directory, name), how })
    }

    pub fn mkdir<'a>(&self, directory: FileHandle, name: &'a str) -> Answer<MkdirArgs<'a>> {
        self.send(&MkdirArgs { place: at(directory, name), attributes: with_mode(0o755) })
    }

    pub fn symlink<'a>(
        &self,
        directory: FileHandle,
        name: &'a str,
        text: &'a str,
    ) -> Answer<SymlinkArgs<'a>> {
        let symlink = SymlinkData { attributes: with_mode(0o777), link: text.as_bytes().into() };
        self.send(&SymlinkArgs { place: at(directory, name), symlink })
    }

    pub fn mknod<'a>(&self, directory: FileHandle, name: &'a str, what: MknodData) -> Answer<MknodArgs<'a>> {
        self.send(&MknodArgs { place: at(directory, name), what })
    }

    pub fn remove<'a>(&self, directory: FileHandle, name: &'a str) -> Answer<RemoveArgs<'a>> {
        self.send(&RemoveArgs { object: at(directory, name) })
    }

    pub fn rmdir<'a>(&self, directory: FileHandle, name: &'a str) -> Answer<RmdirArgs<'a>> {
        self.send(&RmdirArgs { object: at(directory, name) })
    }

    pub fn rename<'a>(
        &self,
        from: (FileHandle, &'a str),
        to: (FileHandle, &'a str),
    ) -> Answer<RenameArgs<'a>> {
        self.send(&RenameArgs { from: at(from.0, from.1), to: at(to.0, to.1) })
    }

    pub fn link<'a>(&self, file: FileHandle, directory: FileHandle, name: &'a str) -> Answer<LinkArgs<'a>> {
        self.send(&LinkArgs { file, link: at(directory, name) })
    }

    pub fn fsstat(&self, root: FileHandle) -> Answer<FsstatArgs> {
        self.send(&FsstatArgs { root })
    }

    pub fn fsinfo(&self, root: FileHandle) -> Answer<FsinfoArgs> {
        self.send(&FsinfoArgs { root })
    }

    pub fn pathconf(&self, object: FileHandle) -> Answer<PathconfArgs> {
        self.send(&PathconfArgs { object })
    }

    pub fn commit(&self, file: FileHandle, offset: u64, count: u32) -> Answer<CommitArgs> {
        self.send(&CommitArgs { file, offset, count })
    }

    /// A new file of mode 0644 with these contents.
    pub fn make_file(&self, directory: FileHandle, name: &str, data: &[u8]) -> FileHandle {
        let made = self.create(directory, name, CreateHow::Guarded(with_mode(0o644))).ok();
        let file = made.object.expect("who creates is told the handle");
        if !data.is_empty() {
            self.write(file, 0, StableHow::FileSync, data).ok();
        }
        file
    }

    /// A new directory.
    pub fn make_directory(&self, directory: FileHandle, name: &str) -> FileHandle {
        self.mkdir(directory, name).ok().object.expect("who creates is told the handle")
    }

    /// All of a file.
    pub fn contents(&self, file: FileHandle) -> Vec<u8> {
        self.read(file, 0, 1 << 16).data().0
    }

    /// Names in a directory besides '.' and '..'.
    pub fn names(&self, directory: FileHandle) -> Vec<String> {
        let verifier = Verifier::default();
        let listed = self.send(&ReadDirArgs { directory, cookie: 0, verifier, count_max: 1 << 16 }).entries();
        assert!(listed.1, "the directory is small");
        listed.0.into_iter().map(|entry| entry.name).filter(|name| name != "." && name != "..").collect()
    }
}

/// Arguments as they are.
pub struct Raw(pub Vec<u8>);

impl Encode for Raw {
    fn encode(&self, encoder: &mut Encoder) -> Result<(), NoRoom> {
        encoder.put_fixed(&self.0)
    }
}

/// A good call of every procedure but NULL: what it does is done at `directory` and `file`.
pub fn every_call(directory: FileHandle, file: FileHandle) -> Vec<(Procedure, Vec<u8>)> {
    fn arguments<C: Call>(call: C) -> (Procedure, Vec<u8>) {
        let mut encoder = Encoder::new(BytesMut::new(), CALL_BYTES_MAX);
        encoder.put(&call).unwrap();
        (C::PROCEDURE, encoder.finish().head.to_vec())
    }
    let (place, verifier) = (at(directory, "new"), Verifier::default());
    let symlink = SymlinkData { attributes: with_mode(0o777), link: b"text"[..].into() };
    let head = WriteHead { file, offset: 0, count: 5, stable: StableHow::Unstable };
    vec![
        arguments(GetAttrArgs { object: file }),
        arguments(SetAttrArgs { object: file, attributes: with_mode(0o640), guard: None }),
        arguments(LookupArgs { what: at(directory, "file") }),
        arguments(AccessArgs { object: file, access: access::READ }),
        arguments(ReadLinkArgs { link: file }),
        arguments(ReadArgs { file, offset: 0, count: 10 }),
        arguments(Write { head, data: b"other" }),
        arguments(CreateArgs { place, how: CreateHow::Guarded(with_mode(0o600)) }),
        arguments(MkdirArgs { place: at(directory, "newer"), attributes: with_mode(0o700) }),
        arguments(SymlinkArgs { place: at(directory, "link"), symlink }),
        arguments(MknodArgs { place: at(directory, "pipe"), what: MknodData::Fifo(with_mode(0o600)) }),
        arguments(LinkArgs { file, link: at(directory, "twin") }),
        arguments(RenameArgs { from: at(directory, "new"), to: at(directory, "old") }),
        arguments(RemoveArgs { object: at(directory, "old") }),
        arguments(RmdirArgs { object: at(directory, "newer") }),
        arguments(ReadDirArgs { directory, cookie: 0, verifier, count_max: 4096 }),
        arguments(ReadDirPlusArgs { directory, cookie: 0, verifier, directory_count: 1024, count_max: 4096 }),
        arguments(FsstatArgs { root: file }),
        arguments(FsinfoArgs { root: file }),
        arguments(PathconfArgs { object: file }),
        arguments(CommitArgs { file, offset: 0, count: 0 }),
    ]
}

/// What a good call of NFSv3 is answered with.
pub fn status_of(connection: &Connection, (procedure, arguments): &(Procedure, Vec<u8>)) -> Status {
    let target = (PROGRAM, VERSION, procedure.number());
    let (accepted, results) = connection.raw(target, &Raw(arguments.clone()));
    assert_eq!(accepted, Accepted::Success, "{procedure:?}");
    let status = check_results(*procedure, &results);
    status.unwrap_or_else(|error| panic!("{procedure:?}: {error}")).expect("none of these is NULL")
}
